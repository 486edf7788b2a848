//! Was anything lost or doubled? Each check gives a sentence for each thing that is wrong, and what was expected instead.

use crate::Problem;
use crate::broker::Broker;
use crate::daemon::Daemon;
use crate::day::{Day, POISON, prime_id};
use crate::holds::{self, Holds};
use crate::play::Played;
use bwp_simulator::Simulator;
use std::time::{Duration, Instant};

const METRICS_WITHIN: Duration = Duration::from_secs(10);
const STATES_WITHIN: Duration = Duration::from_secs(5);

/// The accounting identity as `/metrics` shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Identity {
    pub read: f64,
    pub tombstones: f64,
    pub duplicates: f64,
    pub outcomes: f64,
    pub backlog: f64,
    pub imbalance: f64,
}

/// Waits until the daemon accounts for every record that was sent. (It shows the ledger's totals once a second.)
pub async fn identity(daemon: &Daemon, day: &Day, played: &Played) -> Result<(Identity, Vec<String>), Problem> {
    let count = |number: usize| number as f64;
    let read = count(played.records);
    let duplicates = count(day.repetitions());
    let wanted = Identity { read, tombstones: 1.0, duplicates, outcomes: read - duplicates - 1.0, backlog: 0.0, imbalance: 0.0 };
    let began = Instant::now();
    loop {
        let page = daemon.page("/metrics").await?;
        let metric =
            |name: &str| Daemon::metric(&page, &format!("bwp_sync_{name}")).ok_or(format!("/metrics has no bwp_sync_{name}"));
        let now = Identity {
            read: metric("records_read_total")?,
            tombstones: metric("tombstones_total")?,
            duplicates: metric("duplicates_total")?,
            outcomes: metric("outcomes_total")?,
            backlog: metric("backlog")?,
            imbalance: metric("imbalance")?,
        };
        if now == wanted {
            return Ok((now, Vec::new()));
        }
        if began.elapsed() > METRICS_WITHIN {
            return Ok((now, vec![format!("/metrics: expected {wanted:?}, they show {now:?} after {METRICS_WITHIN:?}")]));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// One outcome for each event, and none else; dead is what had to die.
pub async fn outcomes(day: &Day, broker: &Broker, played: &mut Played) -> Result<Vec<String>, Problem> {
    played.drain(broker, METRICS_WITHIN).await?;
    let seen = &played.seen;
    let mut wrong: Vec<String> =
        seen.contradictions.iter().map(|id| format!("outcome {id} came twice, with different contents")).collect();
    for event in day.events() {
        let name = format!("event {} ({})", event.id, event.brief);
        let [id] = seen.of_event.get(&event.id).map(Vec::as_slice).unwrap_or_default() else {
            let count = seen.of_event.get(&event.id).map_or(0, Vec::len);
            wrong.push(format!("{name}: expected one outcome, got {count}"));
            continue;
        };
        let Some(outcome) = seen.outcomes.get(id) else { continue };
        let (status, code) = (outcome.status.as_str(), outcome.code.as_str());
        match day.refused.get(&event.id) {
            Some(wanted) if status != "DEAD" || code != *wanted => {
                wrong.push(format!("{name}: expected DEAD {wanted}, got {status} {code}"));
            }
            None if matches!(status, "DEAD" | "QUARANTINED" | "DISCARDED") => {
                wrong.push(format!(
                    "{name}: expected it to reach Buy with Prime, got {status} {code}: {}",
                    outcome.whole["data"]["reason"]
                ));
            }
            _ => {}
        }
    }
    let unread: Vec<_> = seen.outcomes.iter().filter(|(_, outcome)| outcome.event.is_none()).collect();
    match unread[..] {
        [(id, outcome)] if outcome.status == "QUARANTINED" && seen.dead_letters.get(id).is_some_and(|bytes| bytes == POISON) => {}
        _ => wrong.push(format!("expected one QUARANTINED record and its very bytes as a dead letter, got {unread:?}")),
    }
    let (letters, wanted) = (seen.dead_letters.len(), day.refused.len() + 1);
    if letters != wanted {
        wrong.push(format!("expected {wanted} dead letters, got {letters}"));
    }
    Ok(wrong)
}

/// What should have gone wrong did.
pub fn faults(simulator: &Simulator) -> Vec<String> {
    let idle = simulator.faults().counts().into_iter().filter(|fault| fault.fired == 0);
    idle.map(|fault| format!("fault {:?}: expected to happen, did not", fault.rule.name.unwrap_or_default())).collect()
}

/// The judge has seen nothing that must never happen.
pub fn judge(simulator: &Simulator) -> Vec<String> {
    let report = simulator.report();
    let found = report.findings.iter();
    found
        .map(|finding| format!("judge: {:?} of {} at {}: {}", finding.kind, finding.order, finding.time, finding.detail))
        .collect()
}

/// Every order is at Buy with Prime as it must be. (A package's last step takes a moment to show.)
pub async fn orders(day: &Day, simulator: &Simulator) -> Vec<String> {
    let began = Instant::now();
    loop {
        let wrong: Vec<String> =
            day.expected.iter().flat_map(|(number, expected)| compare(*number, expected, simulator)).collect();
        if wrong.is_empty() || began.elapsed() > STATES_WITHIN {
            return wrong;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn compare(number: u32, expected: &Holds, simulator: &Simulator) -> Vec<String> {
    let held = simulator.order(&prime_id(number)).map(|order| holds::of(&order)).unwrap_or_default();
    let names = expected.keys().chain(held.keys().filter(|name| !expected.contains_key(*name)));
    let differing = names.filter(|name| expected.get(*name) != held.get(*name));
    let shown = |one: Option<&String>| one.map_or_else(|| "nothing".to_owned(), |text| format!("[{text}]"));
    let sentence = |name: &String| {
        format!("order {number}, {name}: expected {}, Buy with Prime holds {}", shown(expected.get(name)), shown(held.get(name)))
    };
    differing.map(sentence).collect()
}
