//! Tend: what has to be looked at now and then, whatever the loops do.
//!
//! Owns the slow loops: the accounting identity as metrics and `/state` ([`watch`]), the ledger's other invariants ([`audit`]),
//! `Retry-After`s that other replicas were given, what operators stopped ([`pauses`]), who shares a rate, whose turn it is of those
//! that names have woken ([`waking`]), and retention. It moves no event.

pub mod audit;
pub mod pauses;
pub mod replicas;
pub mod waking;
pub mod watch;

use crate::backoff;
use crate::config::ReadFirst;
use crate::dispatch::{lock, target::Target};
use crate::ledger::retention::{Retention, Step};
use crate::ledger::{Ledger, LedgerError, Totals};
use crate::ops::lifecycle::Health;
use crate::ops::metrics;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How often other replicas' `Retry-After`s, and what operators stopped, are looked for: they must be known within a second.
const THROTTLES: Duration = Duration::from_millis(400);

/// How often retention takes a step where nothing is left to do.
const RETENTION: Duration = Duration::from_secs(60);

/// The totals as they were last read, for `/state`.
pub type LastTotals = Arc<Mutex<Option<Totals>>>;

/// What the audit last saw, for `/state`.
pub type LastAudit = Arc<Mutex<audit::AuditView>>;

/// Holds targets back that asked other replicas not to call, or that operators stopped, and topics, until told to stop; shows each gate.
pub async fn throttles(
    ledger: Ledger,
    targets: Arc<BTreeMap<String, Arc<Target>>>,
    pauses: pauses::Pauses,
    health: Health,
    stop: CancellationToken,
) {
    let pulse = health.register("throttles");
    let mut open: BTreeSet<String> = BTreeSet::new();
    while sleep(THROTTLES, &stop).await {
        pulse.tick();
        for (name, target) in targets.iter() {
            let is_open = lock(&target.gate).is_open();
            if is_open != open.contains(name) && ledger.breaker(name, is_open).await.is_ok() {
                tracing::warn!(target_name = name, open = is_open, "the breaker of a target has moved");
                if is_open {
                    open.insert(name.clone())
                } else {
                    open.remove(name)
                };
            }
        }
        if let Err(error) = learn_standings(&ledger, &targets).await {
            tracing::debug!(%error, "what other replicas know of the targets cannot be read");
        }
        if let Err(error) = pauses.learn(&ledger).await {
            tracing::debug!(%error, "what operators have paused cannot be read");
        }
        show(&ledger, &targets);
    }
    pulse.done();
}

/// Shows how each target may be called, and how many connections are left.
fn show(ledger: &Ledger, targets: &BTreeMap<String, Arc<Target>>) {
    let now = Instant::now();
    for (name, target) in targets {
        let gate = lock(&target.gate);
        metrics::BREAKER_OPEN.set(&[name], f64::from(u8::from(gate.is_open())));
        metrics::TOKEN_AGE.set(&[name], target.client.token_age().map_or(-1.0, |age| age.as_secs_f64()));
        metrics::RETRY_AFTER.set(&[name], gate.held_for(now).as_secs_f64());
        metrics::IN_FLIGHT.set(&[name], gate.in_flight() as f64);
        metrics::IN_FLIGHT_LIMIT.set(&[name], gate.limit() as f64);
    }
    let (busy, idle) = ledger.connections();
    metrics::CONNECTIONS.set(&["busy"], busy as f64);
    metrics::CONNECTIONS.set(&["idle"], idle as f64);
}

/// Takes in what is known of the targets in the whole fleet: `Retry-After`s, whether they are paused, and the time that no event is charged for.
///
/// # Errors
/// Where Postgres is away.
pub async fn learn_standings(ledger: &Ledger, targets: &BTreeMap<String, Arc<Target>>) -> Result<(), LedgerError> {
    for standing in ledger.target_standings().await? {
        let Some(target) = targets.get(&standing.name) else { continue };
        target.was_open_for(standing.open_for);
        lock(&target.gate).pause(standing.is_paused);
        metrics::TARGET_PAUSED.set(&[&standing.name], f64::from(u8::from(standing.is_paused)));
        // A replica that found it away may have died since: whoever gets answers says that it is back.
        let now = Instant::now();
        if standing.is_open && now.checked_sub(THROTTLES * 2).is_some_and(|lately| lock(&target.gate).was_up_since(lately)) {
            ledger.breaker(&standing.name, false).await?;
        }
        if let Some(Ok(wait)) = standing.hold.map(|hold| hold.to_std()) {
            lock(&target.gate).hold(Instant::now() + wait);
        }
    }
    Ok(())
}

/// Makes a restored ledger fit, and learns what of it is doubted. To be called before the first lane is planned.
///
/// # Errors
/// Where Postgres is away.
pub async fn come_home(ledger: &Ledger, targets: &BTreeMap<String, Arc<Target>>) -> Result<(), LedgerError> {
    let read_first = targets.values().next().map_or(ReadFirst::Off, |target| target.rules().read_first);
    let doubted_at = ledger.come_home(read_first).await?;
    targets.values().for_each(|target| target.doubt(doubted_at));
    Ok(())
}

/// Forgets what is old, in bounded steps that do not rest while there is more, until told to stop.
pub async fn retention(mut retention: Retention, health: Health, stop: CancellationToken) {
    let pulse = health.register_with("retention", Duration::from_secs(300));
    let mut failures = backoff::reconnect();
    let mut pause = Duration::ZERO;
    while sleep(pause, &stop).await {
        pulse.tick();
        let step = retention.step().await;
        metrics::RETENTION_BEHIND.set(&[], f64::from(u8::from(!matches!(step, Ok(Step { is_more: false, .. })))));
        pause = match step {
            Ok(Step { gone, is_more }) => {
                metrics::RETENTION_ROWS.add(&[], gone);
                if is_more { Duration::from_millis(50) } else { RETENTION }
            }
            Err(error) => {
                tracing::warn!(%error, "retention could not take its step");
                backoff::pause(&mut failures).max(Duration::from_secs(5))
            }
        };
    }
    pulse.done();
}

/// Sleeps, unless told to stop; tells whether to go on.
async fn sleep(duration: Duration, stop: &CancellationToken) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = tokio::time::sleep(duration) => true,
    }
}
