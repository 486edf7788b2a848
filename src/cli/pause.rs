//! `pause` and `resume`: what they are told, and what they answer.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use clap::Args;
use serde_json::json;

use super::acting::user;
use super::run::{failed, within_runtime};
use super::{Exit, Global, Output, print};
use crate::config::{ConfigErrors, Purpose, Settings};
use crate::ledger::acts::By;
use crate::ledger::pause::{Pausable, Pause};
use crate::ledger::{Ledger, LedgerError};

/// What is to stop, or to go on; without it, what stands still is listed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bwp-sync pause target default --reason 'BwP maintenance until 14:00'
  bwp-sync pause --topic oms.refunds --reason 'producer sends rubbish' --who ann
  bwp-sync pause                       what stands still, since when, by whom, why
  bwp-sync resume default              a name alone will do where it is only one of both
  bwp-sync resume topic oms.refunds

It is effective on every replica within about a second, and survives restarts. While a target is paused, events are taken in as ever;
calls in flight are finished, none begins; and the time counts towards no event's retry.budget or waiting.give_up_after.")]
pub struct PauseArgs {
    /// `target NAME`, `topic NAME`, or a NAME alone.
    #[arg(value_name = "NAME", num_args = 0..=2, conflicts_with_all = ["target", "topic"])]
    pub words: Vec<String>,
    /// A target.
    #[arg(long, value_name = "NAME", conflicts_with = "topic")]
    pub target: Option<String>,
    /// A topic.
    #[arg(long, value_name = "NAME")]
    pub topic: Option<String>,
    /// Why: kept with the act, and shown.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Who: kept with the act, and shown. Without it, $USER@host.
    #[arg(long, value_name = "NAME")]
    pub who: Option<String>,
}

/// Which of the two is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Pause,
    Resume,
}

/// `bwp-sync pause` and `bwp-sync resume`
pub(super) fn run(global: &Global, args: &PauseArgs, act: Act) -> Result<Exit, ConfigErrors> {
    let settings = global.settings(Purpose::Ledger)?.settings;
    Ok(within_runtime(async {
        let done = async {
            let ledger = Ledger::new(&settings.database.url.current(), 1)?;
            let paused = ledger.pauses().await?;
            let (what, name) = match subject(args, &settings, &paused, act) {
                Ok(Some(subject)) => subject,
                Ok(None) => return Ok(print(&listed(&paused, global.output, Utc::now()))),
                Err(text) => {
                    eprintln!("error: {text}");
                    return Ok(Exit::Usage);
                }
            };
            let by = by(args);
            let is_new = match act {
                Act::Pause => ledger.pause(what, &name, &by).await?,
                Act::Resume => ledger.resume(what, &name, &by).await?,
            };
            let now = ledger.pauses().await?;
            Ok::<Exit, LedgerError>(print(&answer((what, &name), act, is_new, &now, global.output)))
        };
        match done.await {
            Ok(exit) => exit,
            Err(LedgerError::Refused(text)) if text.contains("42P01") || text.contains("42703") => {
                failed("the ledger's schema is behind this program; run `bwp-sync migrate` first")
            }
            Err(error) => failed(&error.to_string()),
        }
    }))
}

fn by(args: &PauseArgs) -> By {
    By { who: args.who.clone().unwrap_or_else(user), reason: args.reason.clone() }
}

/// What is meant; none where all is asked for.
fn subject(args: &PauseArgs, settings: &Settings, paused: &[Pause], act: Act) -> Result<Option<(Pausable, String)>, String> {
    let named = |what: Pausable, name: &str| known(what, name, settings, paused, act).map(|()| Some((what, name.to_owned())));
    match (&args.words[..], &args.target, &args.topic) {
        ([], None, None) if act == Act::Resume && !paused.is_empty() => {
            Err("what is to go on? Name a target or a topic; `bwp-sync pause` lists what stands still".to_owned())
        }
        ([], None, None) => Ok(None),
        (_, Some(name), _) => named(Pausable::Target, name),
        (_, _, Some(name)) => named(Pausable::Topic, name),
        ([kind, name], ..) if kind == "target" => named(Pausable::Target, name),
        ([kind, name], ..) if kind == "topic" => named(Pausable::Topic, name),
        ([name], ..) => {
            let fits = |what: &Pausable| names(*what, settings, paused, act).contains(name);
            match &[Pausable::Target, Pausable::Topic].into_iter().filter(fits).collect::<Vec<_>>()[..] {
                [what] => Ok(Some((*what, name.clone()))),
                [] => Err(unknown(name, settings, paused, act)),
                _ => Err(format!("`{name}` is a target and a topic; say `target {name}` or `topic {name}`")),
            }
        }
        (words, ..) => Err(format!("`{}` is not understood; say `target NAME` or `topic NAME`", words.join(" "))),
    }
}

fn known(what: Pausable, name: &str, settings: &Settings, paused: &[Pause], act: Act) -> Result<(), String> {
    // Told to go on, what stands still may have left the configuration, and what goes on already is answered.
    if act == Act::Resume || names(what, settings, paused, act).contains(name) {
        return Ok(());
    }
    let all: Vec<String> = names(what, settings, paused, act).into_iter().collect();
    let all = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
    Err(format!("there is no {} `{name}` in the configuration; there is: {all}", what.name()))
}

fn unknown(name: &str, settings: &Settings, paused: &[Pause], act: Act) -> String {
    let all = [Pausable::Target, Pausable::Topic].into_iter().flat_map(|what| names(what, settings, paused, act));
    format!("`{name}` is neither a target nor a topic that is read; there is: {}", all.collect::<Vec<_>>().join(", "))
}

/// What is configured, and for a resume also what stands still.
fn names(what: Pausable, settings: &Settings, paused: &[Pause], act: Act) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = match what {
        Pausable::Target => settings.targets.keys().cloned().collect(),
        Pausable::Topic => settings.kafka.topics.read().into_iter().map(str::to_owned).collect(),
    };
    if act == Act::Resume {
        names.extend(paused.iter().filter(|pause| pause.what == what).map(|pause| pause.name.clone()));
    }
    names
}

fn answer((what, name): (Pausable, &str), act: Act, is_new: bool, paused: &[Pause], output: Output) -> String {
    let pause = paused.iter().find(|pause| pause.what == what && pause.name == name);
    if output == Output::Json {
        let json = json!({ "what": what, "name": name, "paused": pause.is_some(), "changed": is_new, "pause": pause });
        return format!("{json}\n");
    }
    let what = what.name();
    let since = pause.map(|pause| format!("since {} by {}{}", moment(pause.since), pause.who, why(pause))).unwrap_or_default();
    match (act, is_new, pause.is_some()) {
        (Act::Pause, true, _) => format!("{what} {name} is paused; every replica follows within a second\n"),
        (Act::Pause, false, _) => format!("{what} {name} was paused already, {since}; nothing was changed\n"),
        (Act::Resume, true, _) => format!("{what} {name} goes on; every replica follows within a second\n"),
        (Act::Resume, false, _) => format!("{what} {name} was not paused\n"),
    }
}

fn listed(paused: &[Pause], output: Output, now: DateTime<Utc>) -> String {
    if output == Output::Json {
        return format!("{:#}\n", json!(paused));
    }
    if paused.is_empty() {
        return "nothing is paused\n".to_owned();
    }
    let line = |pause: &Pause| {
        let (what, name, who) = (pause.what.name(), &pause.name, &pause.who);
        format!("{what:6}  {name}  since {} ({})  by {who}{}\n", moment(pause.since), span(now - pause.since), why(pause))
    };
    paused.iter().map(line).collect()
}

fn why(pause: &Pause) -> String {
    pause.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default()
}

fn moment(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn span(of: chrono::TimeDelta) -> String {
    let seconds = of.num_seconds().max(0);
    match (seconds / 86_400, seconds / 3_600, seconds / 60) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {} min", minutes % 60),
        (days, hours, _) => format!("{days} d {} h", hours % 24),
    }
}
