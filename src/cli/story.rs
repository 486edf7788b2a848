//! The story of an order in plain sentences. Pure.

use super::events::{needs, time};
use crate::ledger::acts::ActRow;
use crate::ledger::aliases::NameChange;
use crate::ledger::attempts::AttemptRow;
use crate::ledger::events::EventRow;
use crate::ledger::story::{NameOf, Story};
use crate::plan::lane::Stands;
use crate::plan::names::Origin;
use crate::plan::outcome::Reason;
use crate::plan::subject::Subject;
use crate::plan::thing::Pace;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// When things are given up.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// `waiting.give_up_after`
    pub give_up_after: TimeDelta,
    /// `retry.budget`
    pub retry_budget: TimeDelta,
}

/// A moment of the past, and what happened then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// When.
    pub at: DateTime<Utc>,
    /// What, in one sentence or a few.
    pub says: String,
}

/// What was, what is, and what comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// In the order of time.
    pub past: Vec<Moment>,
    /// How each event stands that is not settled, or dead.
    pub now: Vec<String>,
    /// What happens next, and when.
    pub next: Vec<String>,
}

/// Tells the story.
pub fn tell(story: &Story, limits: &Limits) -> Told {
    Told { past: past(story), now: now(story, limits), next: next(story, limits) }
}

/// The whole story as text.
pub fn text(name: &str, story: &Story, limits: &Limits) -> String {
    let told = tell(story, limits);
    let known = story.lane.bwp_id.as_deref().map_or_else(String::new, |id| format!(", {id} at Buy with Prime"));
    let mut text = format!("order {name} of target {}{known}\n\nits names\n", story.lane.target);
    story.names.iter().for_each(|name| _ = writeln!(text, "  {}", of_name(name)));
    text.push_str("\nwhat happened\n");
    told.past.iter().for_each(|moment| _ = writeln!(text, "  {}  {}", time(moment.at), moment.says.replace('\n', "\n    ")));
    if told.past.is_empty() {
        text.push_str("  nothing yet, or nothing that is still remembered\n");
    }
    text.push_str("\nhow it stands\n");
    told.now.iter().for_each(|says| _ = writeln!(text, "  {says}"));
    if told.now.is_empty() {
        text.push_str("  every event of it is settled\n");
    }
    text.push_str("\nwhat happens next\n");
    told.next.iter().for_each(|says| _ = writeln!(text, "  {says}"));
    text
}

fn of_name(name: &NameOf) -> String {
    let kind = name.kind.as_str().to_lowercase().replace('_', " ");
    let own = if name.alias_type.is_empty() { "Buy with Prime's id".to_owned() } else { name.alias_type.clone() };
    if name.alias_type.is_empty() {
        return format!("{kind} {own} {}", name.id);
    }
    let from = match name.origin {
        Some(origin) => source(origin),
        None => return format!("{kind} {own} {}: used by events", name.id),
    };
    let stands =
        name.bwp_id.as_deref().map_or_else(|| "no longer stands for anything".to_owned(), |id| format!("stands for {id}"));
    let when = name.said_at.map_or_else(String::new, |at| format!(" at {}", time(at)));
    format!("{kind} {own} {}: {stands}, said by {from}{when}", name.id)
}

fn source(origin: Origin) -> &'static str {
    match origin {
        Origin::Import => "an import",
        Origin::Topic => "the alias topic",
        Origin::Bwp => "Buy with Prime",
    }
}

fn change(change: &NameChange) -> String {
    let kind = change.kind.as_str().to_lowercase().replace('_', " ");
    let stands = |id: &Option<String>| id.clone().unwrap_or_else(|| "nothing".to_owned());
    format!(
        "{kind} {} {} stood for {}, as {} had said; {} says {} instead",
        change.alias_type,
        change.id,
        stands(&change.old_bwp_id),
        source(change.old_origin),
        source(change.new_origin),
        stands(&change.new_bwp_id),
    )
}

/// An event as sentences name it.
fn label(event: &EventRow) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
    match (&event.source, &event.id) {
        (None, None) => format!("the record {}/{}/{}", event.topic, event.partition, event.offset),
        _ => format!("{} {} ({})", text(&event.source), text(&event.id), text(&event.kind)),
    }
}

fn said(reason: &Reason) -> String {
    format!("{}: {}", reason.code, reason.message)
}

fn past(story: &Story) -> Vec<Moment> {
    let labels: BTreeMap<i64, String> =
        story.outcomes.iter().chain(&story.open).filter_map(|event| Some((event.no?, label(event)))).collect();
    let mut past = Vec::new();
    for event in &story.open {
        past.extend(event.received_at.map(|at| Moment { at, says: format!("{} came in", label(event)) }));
    }
    for row in &story.attempts {
        let events: Vec<&str> = row.events.iter().filter_map(|no| labels.get(no).map(String::as_str)).collect();
        past.push(Moment { at: row.at, says: attempt(row, &events.join(", ")) });
    }
    for event in &story.outcomes {
        let why = event.reason.as_ref().map_or_else(String::new, |reason| format!(": {}", said(reason)));
        let attempts = match event.attempts {
            0 => "without a mutation".to_owned(),
            1 => "after 1 mutation".to_owned(),
            many => format!("after {many} mutations"),
        };
        past.push(Moment { at: event.since, says: format!("{} ended {} {attempts}{why}", label(event), event.status) });
    }
    past.extend(story.changes.iter().map(|row| Moment { at: row.at, says: change(row) }));
    past.extend(story.acts.iter().map(|row| act(row, story)));
    past.sort_by_key(|moment| moment.at);
    past
}

/// A call: what was asked and what came of it.
pub fn attempt(row: &AttemptRow, events: &str) -> String {
    let what = match (row.operation.as_str(), events) {
        ("order", _) => "the order was read".to_owned(),
        (operation, "") => format!("{operation} was sent"),
        (operation, events) => format!("{operation} was sent for {events}"),
    };
    let http = row.http.map_or_else(|| "no answer".to_owned(), |http| format!("HTTP {http}"));
    let mut text = format!("{what}: {}, {http} after {} ms", row.verdict, row.took_ms);
    if let Some(id) = &row.request_id {
        let _ = write!(text, ", request id {id}");
    }
    match (&row.code, &row.message) {
        (Some(code), Some(message)) => _ = write!(text, "\nanswer: {code}: {message}"),
        (Some(one), None) | (None, Some(one)) => _ = write!(text, "\nanswer: {one}"),
        (None, None) => {}
    }
    if let Some(request) = row.request.as_ref().filter(|_| row.operation != "order") {
        let _ = write!(text, "\nrequest: {request}");
    }
    text
}

fn act(act: &ActRow, story: &Story) -> Moment {
    let own: BTreeSet<_> =
        story.outcomes.iter().chain(&story.open).map(|event| (event.source.as_deref(), event.id.as_deref())).collect();
    let is_own = |event: &&Value| own.contains(&(event["source"].as_str(), event["id"].as_str()));
    let events: Vec<&Value> = act.subject["events"].as_array().into_iter().flatten().filter(is_own).collect();
    let names: Vec<String> = events
        .iter()
        .take(5)
        .map(|event| format!("{} {}", event["source"].as_str().unwrap_or("?"), event["id"].as_str().unwrap_or("?")))
        .collect();
    let more = if events.len() > names.len() { format!(" and {} more", events.len() - names.len()) } else { String::new() };
    let why = act.reason.as_deref().map_or_else(String::new, |reason| format!(", because: {reason}"));
    let what = match act.what.as_str() {
        "retry" => format!("retried {}{more}", names.join(", ")),
        "discard" => format!("discarded {}{more}", names.join(", ")),
        "forget" => format!("erased personal data in {} rows", act.subject["rows"]),
        "aliases import" => format!("imported names from {}", act.subject["from"].as_str().unwrap_or("?")),
        "pause" | "resume" => {
            let named = |what: &str| Some(format!("{what} {}", act.subject[what].as_str()?));
            format!("{}d {}", act.what, named("target").or_else(|| named("topic")).unwrap_or_default())
        }
        other => format!("did {other}"),
    };
    Moment { at: act.at, says: format!("{} {what}{why}", act.who) }
}

fn now(story: &Story, limits: &Limits) -> Vec<String> {
    story.open.iter().map(|event| standing(event, story, limits)).collect()
}

fn standing(event: &EventRow, story: &Story, limits: &Limits) -> String {
    let label = label(event);
    let is_in = |stands: fn(&Stands) -> bool| {
        story.lane.memo.intents.iter().find(|intent| {
            let events = intent.parts.iter().flat_map(|part| &part.events);
            stands(&intent.stands) && event.no.is_some_and(|no| events.into_iter().any(|other| *other == no))
        })
    };
    match event.status.as_str() {
        "DEAD" => {
            let why = event.reason.as_ref().map_or_else(String::new, |reason| format!(" of {}", said(reason)));
            let (source, id) = (event.source.as_deref().unwrap_or("?"), event.id.as_deref().unwrap_or("?"));
            format!(
                "{label} died at {}{why}. Put right what is wrong, then: bwp-sync events retry --source {source} --id {id}",
                time(event.since)
            )
        }
        "WAITING" => {
            // The clock of waiting stands still while the breaker is open.
            let since = event.since + story.target.open_for;
            let end = since + limits.give_up_after;
            format!("{label} waits for {} since {}; it is given up at {}", needs(&event.waits_for), time(since), time(end))
        }
        "IN_FLIGHT" => {
            let end = is_in(|stands| *stands == Stands::InFlight)
                .map(|intent| format!(", until {} at the latest", time(intent.ended_at)));
            format!("{label} is in a mutation that is on its way{}", end.unwrap_or_default())
        }
        "RETRYING" => match is_in(|stands| *stands != Stands::InFlight).map(|intent| &intent.stands) {
            Some(Stands::NoAnswer(why) | Stands::Unclear(why)) => {
                format!(
                    "{label} was sent, and it is not known what became of it ({}): the order is read before anything else",
                    said(why)
                )
            }
            Some(_) => format!("{label} was refused together with others: the order is read to tell which"),
            None => format!("{label} is to be tried again"),
        },
        _ => format!("{label} is to be sent when the order's turn comes"),
    }
}

fn next(story: &Story, limits: &Limits) -> Vec<String> {
    let (lane, target) = (&story.lane, &story.target);
    let future = |at: &Option<DateTime<Utc>>| at.filter(|at| *at > story.now);
    let mut next: Vec<String> = story.paces.iter().map(|(subject, pace)| held_back(subject, pace, story, limits)).collect();
    if let Some(pause) = &target.paused {
        let why = pause.reason.as_ref().map_or_else(String::new, |reason| format!(", because: {reason}"));
        next.push(format!(
            "{} paused target {} at {}{why}. Nothing is sent or read before `bwp-sync resume {}`, and no event is charged for the time",
            pause.who,
            lane.target,
            time(pause.since),
            lane.target,
        ));
    }
    if let Some(since) = target.open_since {
        next.push(format!(
            "target {} does not answer with sense since {}: nothing is sent or read before it does, and no event is charged for it",
            lane.target,
            time(since)
        ));
    }
    if let Some(until) = future(&target.not_before) {
        next.push(format!("target {} asked not to be called before {}", lane.target, time(until)));
    }
    if let Some(until) = future(&lane.memo.not_before) {
        next.push(format!("Buy with Prime asked to leave this order alone until {}", time(until)));
    }
    if let Some(unread) = &lane.memo.unread {
        next.push(format!("the order cannot be read ({}); the next read is at {}", said(&unread.last), time(unread.next)));
    }
    if let Some(absent) = &lane.memo.absent {
        next.push(format!("Buy with Prime said at {} that it does not know the order", time(absent.at)));
    }
    if let Some(until) = future(&lane.parked_until) {
        next.push(format!("the order rests until {}: {} leases in a row ended without a settle", time(until), lane.touches));
    }
    let is_unsettled = story.open.iter().any(|event| event.status != "DEAD");
    next.push(match (lane.next_at, is_unsettled) {
        (Some(end), _) if lane.is_leased => format!("a replica works on it; if that dies, another takes it up at {}", time(end)),
        (Some(at), _) if at > story.now => format!("its next turn is at {}, or when something comes for it", time(at)),
        (Some(_), _) if target.paused.is_some() => "its turn comes when the target goes on".to_owned(),
        (Some(_), _) => "its turn is due now".to_owned(),
        (None, true) => "nothing, until a name comes".to_owned(),
        (None, false) => "nothing, until an event comes".to_owned(),
    });
    next
}

fn held_back(subject: &Subject, pace: &Pace, story: &Story, limits: &Limits) -> String {
    let kind = match subject {
        Subject::Order => "the order itself",
        Subject::Line(_) => "line item",
        Subject::Package(_) => "package",
        Subject::Return(_) => "return",
        Subject::Refund(_) => "refund",
        Subject::Shipment(_) => "shipment",
    };
    let mut text = subject.name().map_or_else(|| kind.to_owned(), |name| format!("{kind} {name}"));
    if let Some(last) = &pace.last {
        let _ = write!(text, " failed {} times in a row, last with {}", pace.attempts, said(last));
    }
    if let Some(due) = pace.due {
        let _ = write!(text, "; it is tried again at {}", time(due));
    }
    if let Some(first) = pace.first_failure {
        let _ = write!(text, "; it is given up at {}", time(first + story.target.open_for + limits.retry_budget));
    }
    text
}
