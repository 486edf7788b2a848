//! Lanes that names have woken get their turn, some at a time.

use super::sleep;
use crate::dispatch::target::Target;
use crate::ledger::Ledger;
use crate::ops::lifecycle::Health;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How often it is looked for lanes that wait for their turn, or that somebody else has woken: an operator, or another replica.
const LOOK: Duration = Duration::from_millis(40);

/// The same, while Postgres is away.
const AWAY: Duration = Duration::from_secs(1);

/// Gives woken lanes their turn until told to stop.
pub async fn waking(
    ledger: Ledger,
    targets: Arc<BTreeMap<String, Arc<Target>>>,
    wake: Arc<Notify>,
    health: Health,
    stop: CancellationToken,
) {
    let pulse = health.register("waking");
    let mut pause = LOOK;
    while sleep(pause, &stop).await {
        pulse.tick();
        pause = LOOK;
        for name in targets.keys() {
            match ledger.wake_more(name).await {
                Ok(true) => wake.notify_one(),
                Ok(false) => {}
                Err(error) => {
                    tracing::debug!(%error, "nobody can be woken");
                    pause = AWAY;
                }
            }
        }
    }
    pulse.done();
}
