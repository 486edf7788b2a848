//! `events list|show|retry|discard`: arguments and printing.

use super::acting::{Acting, confirm};
use super::run::{failed, within_runtime};
use super::table::{aligned, is_coloured};
use super::{Exit, Global, Output, print};
use crate::config::{ConfigErrors, Purpose, Settings, parse_duration};
use crate::dispatch::mask::without_anything_personal;
use crate::event::{Identity, Kind};
use crate::ledger::discard::{Act, Acted};
use crate::ledger::events::{EventDetail, EventName, EventRow, Filter, UNSETTLED};
use crate::ledger::{Ledger, LedgerError, Original, Targets};
use crate::plan::outcome::Status;
use crate::plan::subject::Need;
use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::io::IsTerminal;

/// Looks at events, retries dead ones, gives up others.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  bwp-sync events list --status DEAD --since 24h
  bwp-sync events show /oms e-1
  bwp-sync events retry --code ALIAS_UNKNOWN --reason 'the names came'
  bwp-sync events discard --order 1001 --status DEAD --dry-run")]
pub enum EventsCommand {
    /// Events that fit, the newest first.
    List {
        /// Which.
        #[command(flatten)]
        which: Which,
        /// At most so many.
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=100_000))]
        limit: i64,
    },
    /// Everything of one event: how it stands, its outcomes, the calls made for it, its record with payers masked.
    Show {
        /// Its source and id, or the id of one of its outcomes.
        #[arg(required = true, num_args = 1..=2, value_names = ["SOURCE ID | OUTCOME-ID", ""])]
        name: Vec<String>,
        /// Its record as it came, with any personal data in it.
        #[arg(long)]
        raw: bool,
    },
    /// Sends dead events back to where they can be sent: their time budgets begin anew.
    Retry {
        /// Which.
        #[command(flatten)]
        which: Which,
        /// All that are dead, where nothing else says which.
        #[arg(long)]
        all: bool,
        /// Who and why.
        #[command(flatten)]
        acting: Acting,
    },
    /// Gives events up that are neither in flight nor unknown; dead ones, too. Cannot be undone.
    Discard {
        /// Which.
        #[command(flatten)]
        which: Which,
        /// All of them, where nothing else says which.
        #[arg(long)]
        all: bool,
        /// Does not ask.
        #[arg(long)]
        yes: bool,
        /// Who and why.
        #[command(flatten)]
        acting: Acting,
    },
}

/// Which events are meant.
#[derive(Debug, Clone, Default, Args)]
pub struct Which {
    /// Of this order, by any of its names: an id, or TYPE:ID.
    #[arg(long, value_name = "ORDER")]
    pub order: Option<String>,
    /// Of this target.
    #[arg(long, value_name = "NAME")]
    pub target: Option<String>,
    /// Of this kind.
    #[arg(long, value_name = "KIND", value_parser = kind)]
    pub kind: Option<Kind>,
    /// With this status. May be repeated.
    #[arg(long, value_name = "STATUS", value_parser = status)]
    pub status: Vec<String>,
    /// With a reason of this class: refused, expired, contradiction, configuration ...
    #[arg(long, value_name = "CLASS")]
    pub class: Option<String>,
    /// With a reason of this code: ALIAS_UNKNOWN, or one of Buy with Prime's.
    #[arg(long, value_name = "CODE")]
    pub code: Option<String>,
    /// What they are since then or later: a time (RFC 3339), or how long ago (2h, 7d).
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<DateTime<Utc>>,
    /// What they are since then or earlier.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<DateTime<Utc>>,
    /// The event with this source (and --id).
    #[arg(long, value_name = "SOURCE", requires = "id")]
    pub source: Option<String>,
    /// The event with this id (and --source).
    #[arg(long, value_name = "ID", requires = "source")]
    pub id: Option<String>,
}

fn kind(text: &str) -> Result<Kind, String> {
    let labels: Vec<&str> = Kind::ALL.map(Kind::label).into();
    Kind::ALL.into_iter().find(|kind| kind.label() == text).ok_or_else(|| format!("it must be one of {}", labels.join(", ")))
}

fn status(text: &str) -> Result<String, String> {
    let text = text.to_uppercase().replace('-', "_");
    let known: Vec<&str> = UNSETTLED.into_iter().chain(Status::ALL.map(Status::as_str)).collect();
    if known.contains(&text.as_str()) { Ok(text) } else { Err(format!("it must be one of {}", known.join(", "))) }
}

fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    let ago = parse_duration(text)
        .map_err(|_| "it must be a time such as 2026-01-05T10:00:00Z, or how long ago, such as 2h".to_owned());
    ago.and_then(|ago| chrono::TimeDelta::from_std(ago).map_err(|error| error.to_string())).map(|ago| Utc::now() - ago)
}

/// `bwp-sync events`
pub(super) fn run(global: &Global, command: EventsCommand) -> Result<Exit, ConfigErrors> {
    let settings = global.settings(Purpose::Ledger)?.settings;
    let output = global.output;
    Ok(within_runtime(async {
        let done = async {
            let ledger = open(&settings).await?;
            match command {
                EventsCommand::List { which, limit } => list(&ledger, &which, limit, output).await,
                EventsCommand::Show { name, raw } => show(&ledger, &name, raw, output).await,
                EventsCommand::Retry { which, all, acting } => {
                    act(&ledger, &settings, Act::Retry, (&which, all, true), &acting, output).await
                }
                EventsCommand::Discard { which, all, yes, acting } => {
                    act(&ledger, &settings, Act::Discard, (&which, all, yes), &acting, output).await
                }
            }
        };
        done.await.unwrap_or_else(|error| failed(&error.to_string()))
    }))
}

/// The ledger, if its schema is the one that this program needs.
pub(super) async fn open(settings: &Settings) -> Result<Ledger, LedgerError> {
    let ledger = Ledger::new(&settings.database.url.current(), 2)?;
    if !ledger.is_current().await? {
        return Err(LedgerError::Schema("the ledger has pending migrations; run `bwp-sync migrate` as its owner".to_owned()));
    }
    Ok(ledger)
}

/// The filter, where the order that it names is known.
async fn filter(ledger: &Ledger, which: &Which) -> Result<Option<Filter>, LedgerError> {
    let order = match &which.order {
        None => None,
        Some(name) => {
            let found = ledger.find_orders(name, None, which.target.as_deref()).await?;
            let lanes: BTreeSet<i64> = found.into_iter().map(|found| found.lane).collect();
            if lanes.is_empty() {
                eprintln!("no order is known by the name {name}");
                return Ok(None);
            }
            Some(ledger.order_scope(&lanes.into_iter().collect::<Vec<_>>()).await?)
        }
    };
    let identity = which.source.clone().zip(which.id.clone()).map(|(source, id)| Identity { source, id });
    Ok(Some(Filter {
        order,
        target: which.target.clone(),
        kind: which.kind,
        statuses: Some(which.status.clone()).filter(|statuses| !statuses.is_empty()),
        class: which.class.clone(),
        code: which.code.clone(),
        since: which.since,
        until: which.until,
        identity,
    }))
}

async fn list(ledger: &Ledger, which: &Which, limit: i64, output: Output) -> Result<Exit, LedgerError> {
    let Some(filter) = filter(ledger, which).await? else { return Ok(Exit::No) };
    let events = ledger.events(&filter, limit).await?;
    let printed = match output {
        Output::Json => print(&format!("{:#}\n", json!(events))),
        Output::Table if events.is_empty() => print("no event fits\n"),
        Output::Table => print(&listed(&events, is_coloured())),
    };
    if events.is_empty() { Ok(Exit::No) } else { Ok(printed) }
}

fn listed(events: &[EventRow], coloured: bool) -> String {
    let rows: Vec<Vec<String>> = events
        .iter()
        .map(|event| {
            let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            let reason = event.reason.as_ref();
            let about = match reason {
                Some(reason) => reason.message.clone(),
                None if !event.waits_for.is_empty() => format!("waits for {}", needs(&event.waits_for)),
                None => String::new(),
            };
            vec![
                time(event.since),
                event.status.clone(),
                text(&event.kind),
                text(&event.order),
                text(&event.source),
                text(&event.id),
                reason.map_or_else(|| "-".to_owned(), |reason| reason.class.as_str().to_owned()),
                reason.map_or_else(|| "-".to_owned(), |reason| reason.code.clone()),
                about,
            ]
        })
        .collect();
    aligned(&["SINCE", "STATUS", "KIND", "ORDER", "SOURCE", "ID", "CLASS", "CODE", "ABOUT"], &rows, coloured)
}

/// Missing names in words.
pub(super) fn needs(needs: &[Need]) -> String {
    let names = needs.iter().map(|need| format!("{} {}", need.kind.as_str().to_lowercase().replace('_', " "), need.name));
    names.collect::<Vec<_>>().join(", ")
}

/// A moment as it is shown.
pub(super) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

async fn show(ledger: &Ledger, name: &[String], raw: bool, output: Output) -> Result<Exit, LedgerError> {
    let name = match name {
        [source, id] => EventName::Identity(Identity { source: source.clone(), id: id.clone() }),
        [outcome, ..] => EventName::of_outcome(outcome),
        [] => return Ok(Exit::Usage),
    };
    let Some(detail) = ledger.event(&name).await? else {
        eprintln!("no such event is known: neither unsettled nor in the history");
        return Ok(Exit::No);
    };
    let record = detail.record.as_ref().map(|record| shown_record(record, raw));
    let EventDetail { event, outcomes, attempts, .. } = &detail;
    Ok(match output {
        Output::Json => {
            let shown = json!({"event": event, "outcomes": outcomes, "attempts": attempts, "record": record});
            print(&format!("{shown:#}\n"))
        }
        Output::Table => {
            let mut text = listed(std::slice::from_ref(event), is_coloured());
            let _ = writeln!(text, "\nrecord: topic {}, partition {}, offset {}", event.topic, event.partition, event.offset);
            for outcome in outcomes {
                let _ = writeln!(text, "\noutcome {}\n{:#}", outcome["id"].as_str().unwrap_or_default(), outcome["data"]);
            }
            for attempt in attempts {
                let _ = writeln!(text, "\n{}", super::story::attempt(attempt, ""));
            }
            if let Some(record) = record {
                let _ = writeln!(text, "\nits record{}\n{record:#}", if raw { "" } else { ", payers masked" });
            }
            print(&text)
        }
    })
}

fn shown_record(record: &Original, raw: bool) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let shown = |value: &[u8]| if raw { text(value).into() } else { json!(without_anything_personal(&text(value).into())) };
    let headers = record.headers.iter().map(|(name, value)| json!([name, value.as_deref().map(shown)]));
    let value = match serde_json::from_slice::<Value>(&record.value) {
        _ if raw => text(&record.value).into(),
        Ok(value) => json!(without_anything_personal(&value)),
        Err(_) => format!("{} bytes that are no JSON; --raw shows them", record.value.len()).into(),
    };
    json!({"key": record.key.as_deref().map(text), "headers": headers.collect::<Vec<_>>(), "value": value})
}

async fn act(
    ledger: &Ledger,
    settings: &Settings,
    act: Act,
    (which, all, yes): (&Which, bool, bool),
    acting: &Acting,
    output: Output,
) -> Result<Exit, LedgerError> {
    let Some(filter) = filter(ledger, which).await? else { return Ok(Exit::No) };
    if filter.is_empty() && !all {
        eprintln!("error: nothing says which events are meant; give a filter, or --all");
        return Ok(Exit::Usage);
    }
    let targets: Targets = settings.targets.iter().map(|(name, target)| (name.clone(), (&target.alias_types).into())).collect();
    if !yes && !acting.dry_run {
        let would = ledger.act(act, &filter, None, &targets).await?;
        if (would.done > 0 || !std::io::stdin().is_terminal())
            && let Err(exit) = confirm(&format!("{} {} events for good?", act.verb(), would.done), false)
        {
            return Ok(exit);
        }
    }
    let acted = ledger.act(act, &filter, acting.by().as_ref(), &targets).await?;
    let printed = match output {
        Output::Json => print(&format!("{:#}\n", json!({"act": act.verb(), "dryRun": acting.dry_run, "result": acted}))),
        Output::Table => print(&acted_text(act, &acted, acting.dry_run)),
    };
    Ok(if acted.done == 0 || !acted.refused.is_empty() { Exit::No } else { printed })
}

fn acted_text(act: Act, acted: &Acted, dry_run: bool) -> String {
    let (verb, events) = (act.verb(), |count| if count == 1 { "event" } else { "events" });
    let mut text = match (acted.done, dry_run) {
        (0, _) => format!("nothing to {verb}\n"),
        (done, true) => format!("would {verb} {done} {}\n", events(done)),
        (done, false) => format!("{} {done} {}\n", if act == Act::Retry { "retried" } else { "discarded" }, events(done)),
    };
    for (status, count) in &acted.by_status {
        let _ = writeln!(text, "  {count} {status}");
    }
    for (why, count) in &acted.refused {
        let _ = writeln!(text, "left alone: {count} {}: {why}", events(*count));
    }
    text
}
