//! Which replicas live, so that a target's rate is shared among them.

use super::sleep;
use crate::dispatch::{lock, target::Target};
use crate::ledger::replicas::LOST_AFTER;
use crate::ledger::{Ledger, LedgerError};
use crate::ops::lifecycle::Health;
use crate::ops::metrics;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How often a replica says that it lives.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How many replicas share a rate. More are believed at once; fewer only after a while, since a server that has just come back
/// knows nobody yet, and slower is better than faster than allowed.
#[derive(Debug, Clone, Copy)]
struct Sharers {
    count: usize,
    fewer_since: Option<Instant>,
}

impl Sharers {
    fn seen(self, count: usize, now: Instant) -> Sharers {
        let since = self.fewer_since.unwrap_or(now);
        match count {
            _ if count >= self.count => Sharers { count, fewer_since: None },
            _ if now.duration_since(since) >= LOST_AFTER => Sharers { count, fewer_since: None },
            _ => Sharers { fewer_since: Some(since), ..self },
        }
    }
}

/// Says that this replica lives, and shares the rates, until told to stop.
pub async fn replicas(
    ledger: Ledger,
    targets: Arc<BTreeMap<String, Arc<Target>>>,
    id: Uuid,
    health: Health,
    stop: CancellationToken,
) {
    let pulse = health.register("replicas");
    let mut sharers = Sharers { count: 1, fewer_since: None };
    let mut pause = Duration::ZERO;
    while sleep(pause, &stop).await {
        pulse.tick();
        pause = HEARTBEAT;
        match ledger.heartbeat(id).await {
            Ok(fleet) => {
                sharers = sharers.seen(fleet.replicas, Instant::now());
                share(&targets, sharers.count);
                metrics::PARKED_LANES.set(&[], fleet.parked_lanes as f64);
            }
            Err(error) => tracing::debug!(%error, "other replicas cannot be counted"),
        }
    }
    if let Err(error) = ledger.leave(id).await {
        tracing::debug!(%error, "other replicas could not be told that this one goes");
    }
    pulse.done();
}

/// Counts this replica and the others before the first call: a new one never takes more than its share.
///
/// # Errors
/// Where Postgres is away.
pub async fn join(ledger: &Ledger, targets: &BTreeMap<String, Arc<Target>>, id: Uuid) -> Result<(), LedgerError> {
    share(targets, ledger.heartbeat(id).await?.replicas);
    Ok(())
}

fn share(targets: &BTreeMap<String, Arc<Target>>, replicas: usize) {
    metrics::REPLICAS.set(&[], replicas as f64);
    for (name, target) in targets {
        let mut gate = lock(&target.gate);
        gate.share_among(replicas, Instant::now());
        metrics::RATE_SHARE.set(&[name], gate.share().unwrap_or(0.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_are_believed_at_once_and_fewer_after_a_while() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let mut sharers = Sharers { count: 1, fewer_since: None };
        for (count, second, shown) in [(3, 0, 3), (1, 1, 3), (2, 3, 3), (3, 4, 3), (1, 5, 3), (1, 9, 3), (1, 10, 1), (2, 11, 2)] {
            sharers = sharers.seen(count, at(second));
            assert_eq!(sharers.count, shown, "after {second} s");
        }
    }
}
