//! Dispatch: due lanes become attempts, attempts become outcomes.
//!
//! ```text
//!  claim, or
//!  intake ───► attempt ──► settle ──┐
//!  lease       send or     answer taken in,
//!  the lane,   read, one   events settled,
//!  plan it,    deadline    lane released, or held
//!  write the      ▲        for its next turn
//!  intent         └─────────────────┘
//! ```
//!
//! Owns the loop and its pace: how many lanes are held, when a target may be called ([`gate`]), what an answer means
//! ([`verdict`]) and what it makes of its lane ([`apply`]). It knows the ledger and Buy with Prime; those two do not know each
//! other. Replicas share nothing but the ledger: any of them may work any lane, and a lane whose holder died is free again
//! when its lease ends.

pub mod apply;
pub mod attempt;
pub mod gate;
pub mod hands;
pub mod mask;
pub mod place;
pub mod schedule;
pub mod settling;
pub mod spans;
pub mod target;
pub mod verdict;

use crate::backoff;
use crate::ledger::settle::Hold;
use crate::ledger::{ClaimRequest, Ledger, LedgerError, Targets};
use crate::ops::lifecycle::{Health, Pulse};
use crate::ops::metrics;
use chrono::TimeDelta;
use fail::fail_point;
use hands::{Hands, Inlet, begin_turn};
use settling::Settler;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use target::Target;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use verdict::Overrides;

/// How long the claimer sleeps where nobody wakes it: the net for lanes whose time comes.
const POLL: Duration = Duration::from_millis(100);

/// One order for so many calls is worked on beside those that are called: what came of it is written, or it waits for a call to end.
const BESIDE_CALLS: usize = 4;

/// Lanes leased by one statement at the most.
const MOST_AT_ONCE: usize = 64;

/// What the dispatcher is made of.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    /// Where lanes come from and go to.
    pub ledger: Ledger,
    /// Whom to call.
    pub targets: Arc<BTreeMap<String, Arc<Target>>>,
    /// The alias types of each target, for the ledger.
    pub alias_types: Arc<Targets>,
    /// `dispatch.max_in_flight`
    pub max_in_flight: usize,
    /// `dispatch.request_timeout`
    pub request_timeout: Duration,
    /// `dispatch.lease`
    pub lease: Duration,
    /// Verdicts that the configuration sets in place of the table's.
    pub verdicts: Arc<Overrides>,
    /// Cuts calls short: what has not left is released, what has is unknown.
    pub cut: CancellationToken,
    /// Woken when lanes may have become due.
    pub wake: Arc<Notify>,
    /// Woken when outcomes wait for the publisher.
    pub outcomes: Arc<Notify>,
    /// Whether a claim found no place left: the next that is given back wakes it.
    pub is_crowded: Arc<AtomicBool>,
}

impl Dispatcher {
    /// Starts the settling loop. The future claims what is due until told to stop, and then finishes what is in flight.
    pub fn start(self, health: &Health, stop: CancellationToken) -> (Inlet, impl Future<Output = ()> + Send + use<>) {
        let pulse = health.register("dispatch");
        let (settler, settling) = Settler::start(self.clone(), stop.clone(), health);
        let calls = Arc::new(Semaphore::new(self.max_in_flight));
        let slots = Arc::new(Semaphore::new(self.max_in_flight + self.max_in_flight / BESIDE_CALLS));
        let hands = Hands { dispatcher: self, slots, calls, attempts: TaskTracker::new(), filling: Arc::default(), stop };
        (Inlet::new(hands.clone(), &settler), hands.run(settler, pulse, settling))
    }
}

impl Hands {
    async fn run(self, settler: Settler, pulse: Pulse, settling: JoinHandle<()>) {
        let (mut failures, mut round) = (backoff::reconnect(), 0_usize);
        while !self.stop.is_cancelled() {
            pulse.tick();
            round = round.wrapping_add(1);
            let pause = match self.claim(&settler, round).await {
                Ok(()) => {
                    backoff::reset(&mut failures);
                    POLL
                }
                Err(error) => {
                    tracing::warn!(%error, "lanes cannot be claimed; trying again");
                    backoff::pause(&mut failures)
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = self.dispatcher.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.attempts.close();
        self.attempts.wait().await;
        fail_point!("drain-attempted");
        // The settling loop ends with the last way into it.
        drop(settler);
        settling.await.unwrap_or_else(|error| tracing::error!(%error, "the settling loop ended badly"));
        fail_point!("drain-settled");
        pulse.done();
    }

    /// Leases what may be worked on now, with its turn taken and its intent written, and begins with it. Targets take turns at being
    /// asked first, so that a busy one does not starve the others.
    async fn claim(&self, settler: &Settler, round: usize) -> Result<(), LedgerError> {
        let Dispatcher { targets, is_crowded, .. } = &self.dispatcher;
        let Some(_filling) = self.fill().await else { return Ok(()) };
        // Before places are counted: one that is given back meanwhile is not missed.
        is_crowded.store(true, Ordering::Release);
        let mut found_no_place = false;
        for target in targets.values().cycle().skip(round % targets.len().max(1)).take(targets.len()) {
            // Slots first, places for them later: what is claimed is never more than there is room for.
            let free = self.free(target, self.dispatcher.share());
            found_no_place |= free.is_empty();
            target.is_behind.store(true, Ordering::Release);
            if !free.is_empty() {
                let is_behind = self.claim_of(settler, target, free).await?;
                target.is_behind.store(is_behind, Ordering::Release);
            }
        }
        is_crowded.store(found_no_place, Ordering::Release);
        Ok(())
    }

    /// Tells whether more may be due than was taken.
    async fn claim_of(
        &self,
        settler: &Settler,
        target: &Arc<Target>,
        free: Vec<OwnedSemaphorePermit>,
    ) -> Result<bool, LedgerError> {
        let Dispatcher { ledger, alias_types, lease, wake, .. } = &self.dispatcher;
        let limit = free.len();
        let request = ClaimRequest { target: target.name.clone(), limit, lease: *lease };
        let (rules, timeout) = (target.rules(), self.dispatcher.timeout());
        let claims = ledger.claim(&request, alias_types, |lane, now| begin_turn(lane, &rules, timeout, now)).await?;
        if !claims.lanes.is_empty() {
            metrics::BATCH_SIZE.record(&["claim"], claims.lanes.len());
        }
        let is_behind = claims.looked_at == limit;
        if is_behind {
            wake.notify_one();
        }
        self.begin("claim", settler, claims, vec![(Arc::clone(target), free)]);
        fail_point!("claim-reported");
        Ok(is_behind)
    }
}

impl Dispatcher {
    /// Lanes of one target that are taken up at once at the most.
    fn share(&self) -> usize {
        (MOST_AT_ONCE / self.targets.len().max(1)).max(1)
    }

    fn timeout(&self) -> TimeDelta {
        TimeDelta::from_std(self.request_timeout).unwrap_or_default()
    }

    fn hold(&self) -> Hold {
        Hold { lease: self.lease, request_timeout: self.timeout() }
    }
}

/// A lock that a panic elsewhere cannot take away: what is inside is plain numbers.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
