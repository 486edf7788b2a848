//! What came of attempts is written in groups: whatever is there when the last group is done goes together.

use super::Dispatcher;
use super::attempt::Ended;
use super::place::Place;
use crate::backoff;
use crate::ledger::Claimed;
use crate::ledger::claim::LeaseKey;
use crate::ledger::finals::FinalRow;
use crate::ledger::settle::{Release, Settlement};
use crate::ops::lifecycle::{Health, Pulse};
use crate::ops::{metrics, traces};
use fail::fail_point;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Settlements written by one transaction at the most.
const MOST_AT_ONCE: usize = 256;

/// What ends so soon after a transaction has begun goes with the next one, unless there is enough for one already, or a lane is to go
/// on: many small transactions cost more than a large one, and else nobody waits for them.
const GATHER: Duration = Duration::from_millis(10);
const ENOUGH: usize = 64;

/// The way into the settling loop.
#[derive(Debug, Clone)]
pub struct Settler(mpsc::Sender<HandedOver>);

/// A way into the settling loop that does not keep it from ending.
#[derive(Debug, Clone)]
pub struct WeakSettler(mpsc::WeakSender<HandedOver>);

impl WeakSettler {
    /// The way, as long as the loop goes on.
    pub fn upgrade(&self) -> Option<Settler> {
        self.0.upgrade().map(Settler)
    }
}

/// What came of an attempt, on its way into the loop, and the way back for a lane that may be held for its next turn.
struct HandedOver {
    ended: Ended,
    back: Option<oneshot::Sender<(Claimed, Place)>>,
}

impl Settler {
    /// Starts the loop; it ends when the last way in is gone and everything is written. Told to stop, it holds no lane any more.
    pub fn start(dispatcher: Dispatcher, stop: CancellationToken, health: &Health) -> (Settler, JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel(MOST_AT_ONCE);
        let settling = Settling { dispatcher, stop, pulse: health.register("settle") };
        (Settler(sender), tokio::spawn(settling.run(receiver)))
    }

    /// The same way, without keeping the loop from ending.
    pub fn downgrade(&self) -> WeakSettler {
        WeakSettler(self.0.downgrade())
    }

    /// Hands over what came of an attempt; waits where the loop is behind. Gives the lane and its place back once it is written, where
    /// it is held for its next turn.
    pub async fn hand_over(&self, ended: Ended) -> Option<(Claimed, Place)> {
        let (back, held) = ended.settlement.may_go_on.then(oneshot::channel).unzip();
        if self.0.send(HandedOver { ended, back }).await.is_err() {
            tracing::error!("an attempt could not be settled: its lease will end, and the order will be read");
            return None;
        }
        held?.await.ok()
    }
}

/// The settling loop.
struct Settling {
    dispatcher: Dispatcher,
    stop: CancellationToken,
    pulse: Pulse,
}

impl Settling {
    async fn run(self, mut receiver: mpsc::Receiver<HandedOver>) {
        let mut group = Vec::with_capacity(MOST_AT_ONCE);
        let mut began = tokio::time::Instant::now();
        loop {
            tokio::select! {
                count = receiver.recv_many(&mut group, MOST_AT_ONCE) => if count == 0 { break },
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
            self.pulse.tick();
            if !group.is_empty() {
                gather(&mut receiver, &mut group, began + GATHER).await;
                fail_point!("settle-gathered");
                began = tokio::time::Instant::now();
                self.settle(std::mem::take(&mut group)).await;
            }
        }
        self.pulse.done();
    }

    /// Writes a group, and goes on with those of its lanes that are held for their next turn.
    async fn settle(&self, group: Vec<HandedOver>) {
        // Told to stop, nothing new is taken.
        let is_stopped = self.stop.is_cancelled();
        let (mut settlements, onward): (Vec<_>, Vec<_>) = group
            .into_iter()
            .map(|HandedOver { ended: Ended { mut settlement, place }, back }| {
                settlement.may_go_on &= !is_stopped;
                (settlement, (place, back))
            })
            .unzip();
        metrics::BATCH_SIZE.record(&["settle"], settlements.len());
        // Their calls have ended: others can be called while they are written.
        self.wake_if_crowded();
        let go_on = self.write(&mut settlements).await;
        metrics::TURNS.add(&["hold"], go_on.len() as u64);
        let is_due = |settlement: &Settlement| settlement.release == Release::Now && !go_on.contains(&settlement.claimed.lease());
        let is_any_due = settlements.iter().any(is_due);
        for (settlement, (place, back)) in settlements.into_iter().zip(onward) {
            if let Some(back) = back.filter(|_| go_on.contains(&settlement.claimed.lease())) {
                // Whoever handed it over waits for it.
                drop(back.send((settlement.claimed, place)));
            }
        }
        // Now the places of those that do not go on are free.
        if is_any_due {
            self.dispatcher.wake.notify_one();
        }
        self.wake_if_crowded();
    }

    fn wake_if_crowded(&self) {
        if self.dispatcher.is_crowded.swap(false, Ordering::AcqRel) {
            self.dispatcher.wake.notify_one();
        }
    }

    /// Writes settlements, as long as any of their leases may still stand; what is left then is read by the next holder. Gives the
    /// leases of lanes that are held for their next turn.
    async fn write(&self, group: &mut [Settlement]) -> BTreeSet<LeaseKey> {
        let until = Instant::now() + self.dispatcher.lease;
        let mut failures = backoff::reconnect();
        loop {
            self.pulse.tick();
            let Dispatcher { ledger, alias_types, outcomes, .. } = &self.dispatcher;
            match ledger.settle(group, alias_types, self.dispatcher.hold()).await {
                Ok(done) => {
                    report(&done.finals, outcomes);
                    fail_point!("settle-reported");
                    metrics::STALE_SETTLES.add(&[], done.stale as u64);
                    return done.go_on;
                }
                Err(error) if error.is_passing() && Instant::now() < until => {
                    tracing::warn!(%error, count = group.len(), "attempts cannot be settled yet; trying again");
                    tokio::time::sleep(backoff::pause(&mut failures)).await;
                }
                // One of them is to blame: alone it shows.
                Err(error) if !error.is_passing() && group.len() > 1 => {
                    tracing::warn!(%error, count = group.len(), "attempts cannot be settled together; settling each alone");
                    let mut go_on = BTreeSet::new();
                    for one in group.chunks_mut(1) {
                        go_on.append(&mut Box::pin(self.write(one)).await);
                    }
                    return go_on;
                }
                Err(error) => {
                    tracing::error!(%error, count = group.len(), "attempts were not settled; their orders will be read first");
                    return BTreeSet::new();
                }
            }
        }
    }
}

/// Waits for more until then, as long as there is not enough and no lane is to go on.
async fn gather(receiver: &mut mpsc::Receiver<HandedOver>, group: &mut Vec<HandedOver>, until: tokio::time::Instant) {
    let may_wait = |group: &[HandedOver]| group.len() < ENOUGH && group.iter().all(|handed| handed.back.is_none());
    let more = async { while may_wait(group) && receiver.recv_many(group, MOST_AT_ONCE - group.len()).await > 0 {} };
    drop(tokio::time::timeout_at(until, more).await);
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
            trace_id = row.traceparent.as_deref().and_then(traces::trace_id),
            "settled"
        );
        super::spans::settled(row);
        metrics::OUTCOMES.add(&[row.entity.as_str(), row.status.as_str()], 1);
        metrics::EVENT_TO_SETTLED.observe(&[], row.since_event());
        metrics::RECEIVED_TO_SETTLED.observe(&[], row.since_intake());
    }
    if !finals.is_empty() {
        outcomes.notify_one();
    }
}
