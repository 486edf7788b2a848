//! What came of attempts is written in groups: whatever is there when the last group is done goes together.

use super::Dispatcher;
use crate::backoff;
use crate::ledger::finals::FinalRow;
use crate::ledger::settle::{Release, Settlement};
use crate::ops::lifecycle::Health;
use crate::ops::metrics;
use fail::fail_point;
use std::time::Instant;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

/// Settlements written by one transaction at the most.
const MOST_AT_ONCE: usize = 256;

/// The way into the settling loop.
#[derive(Debug, Clone)]
pub struct Settler(mpsc::Sender<Settlement>);

impl Settler {
    /// Starts the loop; it ends when the last way in is gone and everything is written.
    pub fn start(dispatcher: Dispatcher, health: &Health) -> (Settler, JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel(MOST_AT_ONCE);
        (Settler(sender), tokio::spawn(settle(dispatcher, receiver, health.clone())))
    }

    /// Hands over what came of an attempt; waits where the loop is behind.
    pub async fn hand_over(&self, settlement: Settlement) {
        if self.0.send(settlement).await.is_err() {
            tracing::error!("an attempt could not be settled: its lease will end, and the order will be read");
        }
    }
}

async fn settle(dispatcher: Dispatcher, mut receiver: mpsc::Receiver<Settlement>, health: Health) {
    let pulse = health.register("settle");
    let mut group = Vec::with_capacity(MOST_AT_ONCE);
    loop {
        tokio::select! {
            count = receiver.recv_many(&mut group, MOST_AT_ONCE) => if count == 0 { break },
            () = tokio::time::sleep(std::time::Duration::from_secs(1)) => {}
        }
        pulse.tick();
        if !group.is_empty() {
            fail_point!("settle-gathered");
            write(&dispatcher, &mut group, &pulse).await;
            group.clear();
        }
    }
    pulse.done();
}

/// Writes a group, as long as any of its leases may still stand. What is left then is read by the next holder.
async fn write(dispatcher: &Dispatcher, group: &mut [Settlement], pulse: &crate::ops::lifecycle::Pulse) {
    let until = Instant::now() + dispatcher.lease;
    let mut failures = backoff::reconnect();
    loop {
        pulse.tick();
        let now = match dispatcher.ledger.now().await {
            Ok(now) => dispatcher.ledger.settle(group, &dispatcher.alias_types, now).await,
            Err(error) => Err(error),
        };
        match now {
            Ok(done) => {
                report(&done.finals, &dispatcher.outcomes);
                fail_point!("settle-reported");
                metrics::STALE_SETTLES.add(&[], done.stale as u64);
                if group.iter().any(|settlement| settlement.release == Release::Now) {
                    dispatcher.wake.notify_one();
                }
                return;
            }
            Err(error) if error.is_passing() && Instant::now() < until => {
                tracing::warn!(%error, count = group.len(), "attempts cannot be settled yet; trying again");
                tokio::time::sleep(backoff::pause(&mut failures)).await;
            }
            Err(error) => {
                tracing::error!(%error, count = group.len(), "attempts were not settled; their orders will be read first");
                return;
            }
        }
    }
}

/// Says what became final: one line each, and the metrics.
pub fn report(finals: &[FinalRow], outcomes: &Notify) {
    for row in finals {
        let code = row.reason.as_ref().map(|reason| reason.code.as_str());
        tracing::info!(
            order = row.order,
            source = row.identity.source,
            event = row.identity.id,
            kind = row.kind.label(),
            outcome = row.status.as_str(),
            code,
            attempts = row.attempts,
            traceparent = row.traceparent,
            "settled"
        );
        metrics::OUTCOMES.add(&[row.entity.as_str(), row.status.as_str()], 1);
        metrics::EVENT_TO_SETTLED.observe(row.age);
    }
    if !finals.is_empty() {
        outcomes.notify_one();
    }
}
