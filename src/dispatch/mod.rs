//! Dispatch: due lanes become attempts, attempts become outcomes.
//!
//! ```text
//!  claim ──► attempt ──► settle ──┐
//!  lease      send or     answer taken in,
//!  the lane,  read, one   events settled,
//!  plan it,   deadline    lane released, or held
//!  write the     ▲        for its next turn
//!  intent        └─────────────────┘
//! ```
//!
//! Owns the loop and its pace: how many lanes are held, when a target may be called ([`gate`]), what an answer means
//! ([`verdict`]) and what it makes of its lane ([`apply`]). It knows the ledger and Buy with Prime; those two do not know each
//! other. Replicas share nothing but the ledger: any of them may work any lane, and a lane whose holder died is free again
//! when its lease ends.

pub mod apply;
pub mod attempt;
pub mod gate;
pub mod mask;
pub mod place;
pub mod schedule;
pub mod settling;
pub mod spans;
pub mod target;
pub mod verdict;

use crate::backoff;
use crate::ledger::settle::Hold;
use crate::ledger::{ClaimRequest, Claimed, Ledger, LedgerError, Targets};
use crate::ops::lifecycle::Health;
use crate::ops::metrics;
use crate::plan::{Lane, Next};
use chrono::{DateTime, TimeDelta, Utc};
use fail::fail_point;
use place::Place;
use settling::Settler;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use target::Target;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use verdict::Overrides;

/// How long the claimer sleeps where nobody wakes it: the net for lanes whose time comes.
const POLL: Duration = Duration::from_millis(100);

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
    /// Works until told to stop; then finishes what is in flight.
    pub async fn run(self, health: Health, stop: CancellationToken) {
        let pulse = health.register("dispatch");
        let slots = Arc::new(Semaphore::new(self.max_in_flight));
        let attempts = TaskTracker::new();
        let (settler, settling) = Settler::start(self.clone(), stop.clone(), &health);
        let (mut failures, mut round) = (backoff::reconnect(), 0_usize);
        while !stop.is_cancelled() {
            pulse.tick();
            round = round.wrapping_add(1);
            let (claimed, error) = self.claim(&slots, round).await;
            for (claimed, place) in claimed {
                attempts.spawn(work(self.clone(), settler.clone(), claimed, place));
            }
            let pause = match error {
                None => {
                    backoff::reset(&mut failures);
                    POLL
                }
                Some(error) => {
                    tracing::warn!(%error, "lanes cannot be claimed; trying again");
                    backoff::pause(&mut failures)
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        attempts.close();
        attempts.wait().await;
        fail_point!("drain-attempted");
        drop(settler);
        settling.await.unwrap_or_else(|error| tracing::error!(%error, "the settling loop ended badly"));
        fail_point!("drain-settled");
        pulse.done();
    }

    /// Leases what may be worked on now, with its turn taken and its intent written. Targets take turns at being asked first, so
    /// that a busy one does not starve the others. What was leased before an error is kept.
    async fn claim(&self, slots: &Arc<Semaphore>, round: usize) -> (Vec<(Claimed, Place)>, Option<LedgerError>) {
        let (mut all, mut is_crowded) = (Vec::new(), false);
        let count = self.targets.len();
        // Before places are counted: one that is given back meanwhile is not missed.
        self.is_crowded.store(true, Ordering::Release);
        for (name, target) in self.targets.iter().cycle().skip(round % count.max(1)).take(count) {
            let room = lock(&target.gate).room(Instant::now());
            let share = (MOST_AT_ONCE / count).max(1);
            // Slots first, places for them later: what is claimed is never more than there is room for.
            let mut free: Vec<OwnedSemaphorePermit> = Vec::new();
            while free.len() < room.min(share)
                && let Ok(slot) = Arc::clone(slots).try_acquire_owned()
            {
                free.push(slot);
            }
            if free.is_empty() {
                is_crowded = true;
                continue;
            }
            match self.claim_of(name, target, free.len()).await {
                Ok(claimed) => all.extend(claimed.into_iter().zip(free).map(|(claimed, slot)| {
                    let place = Place::take(slot, target, claimed.id);
                    (claimed, place)
                })),
                Err(error) => return (all, Some(error)),
            }
        }
        self.is_crowded.store(is_crowded, Ordering::Release);
        (all, None)
    }

    async fn claim_of(&self, name: &str, target: &Target, limit: usize) -> Result<Vec<Claimed>, LedgerError> {
        let request = ClaimRequest { target: name.to_owned(), limit, lease: self.lease };
        let hold = self.hold();
        let rules = target.rules();
        let decide = |lane: &mut Lane, now: DateTime<Utc>| {
            let turn = lane.turn(&rules, now);
            if let Next::Send(draft) = &turn.next {
                lane.begin(draft, now + hold.request_timeout);
            }
            turn
        };
        let claims = self.ledger.claim(&request, &self.alias_types, decide).await?;
        settling::report(&claims.finals, &self.outcomes);
        fail_point!("claim-reported");
        metrics::LANES_PARKED.add(&[], claims.parked as u64);
        if !claims.lanes.is_empty() {
            metrics::BATCH_SIZE.record(&["claim"], claims.lanes.len());
        }
        metrics::TURNS.add(&["claim"], claims.lanes.len() as u64);
        if claims.looked_at == limit {
            self.wake.notify_one();
        }
        Ok(claims.lanes)
    }

    fn hold(&self) -> Hold {
        Hold { lease: self.lease, request_timeout: TimeDelta::from_std(self.request_timeout).unwrap_or_default() }
    }
}

/// The turns of a held lane: each is an attempt, and what came of it goes to the settling loop, which may hold the lane for its next.
async fn work(dispatcher: Dispatcher, settler: Settler, claimed: Claimed, place: Place) {
    let mut turn = Some((claimed, place));
    while let Some((claimed, place)) = turn {
        fail_point!("attempt-admitted");
        let Some(ended) = attempt::attempt(&dispatcher, claimed, place).await else { return };
        fail_point!("settle-hands-over");
        turn = settler.hand_over(ended).await;
        fail_point!("settle-handed-over");
    }
}

/// A lock that a panic elsewhere cannot take away: what is inside is plain numbers.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
