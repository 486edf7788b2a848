//! Who works on orders: those that a claim has leased, and those that intake hands over with their new events, where there is room for
//! them at once.

use super::place::Place;
use super::settling::{self, Settler, WeakSettler};
use super::target::Target;
use super::{Dispatcher, attempt, lock};
use crate::ledger::claim::Claims;
use crate::ledger::handover::HandOver;
use crate::ledger::{Claimed, Incoming, LedgerError, Report};
use crate::ops::metrics;
use crate::plan::turn::Turn;
use crate::plan::{Lane, Next, Rules};
use chrono::{DateTime, TimeDelta, Utc};
use fail::fail_point;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, MutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a claim or an intake waits for the other to have filled its slots.
const TURN: Duration = Duration::from_secs(1);

/// The hands of a dispatcher: its slots, and the tasks that work on what they hold. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Hands {
    pub(super) dispatcher: Dispatcher,
    /// Orders that are worked on at once at the most.
    pub(super) slots: Arc<Semaphore>,
    /// Calls that are on their way at once at the most: `dispatch.max_in_flight`.
    pub(super) calls: Arc<Semaphore>,
    pub(super) attempts: TaskTracker,
    /// Held by the one claim or intake that fills free slots: two at once would count the same room twice. It goes round in turn.
    pub(super) filling: Arc<Mutex<()>>,
    pub(super) stop: CancellationToken,
}

/// Takes batches in, and hands over what there is room for.
#[derive(Debug, Clone)]
pub struct Inlet {
    hands: Hands,
    settler: WeakSettler,
}

/// Targets with their free slots.
type Free = Vec<(Arc<Target>, Vec<OwnedSemaphorePermit>)>;

fn hand_over(target: &Target, room: usize, timeout: TimeDelta) -> HandOver<'static> {
    let rules = target.rules();
    let decide = move |lane: &mut Lane, now| begin_turn(lane, &rules, timeout, now);
    HandOver { target: target.name.clone(), room, decide: Box::new(decide) }
}

impl Inlet {
    pub(super) fn new(hands: Hands, settler: &Settler) -> Inlet {
        Inlet { hands, settler: settler.downgrade() }
    }

    /// Takes a batch in, and works on those of its orders that there is room for now. What has just arrived does not go before what is
    /// due: where the last claim of every target found no end, nothing is handed over.
    ///
    /// # Errors
    /// Where Postgres is away: then nothing of the batch was taken.
    pub async fn intake(&self, batch: &[Incoming]) -> Result<Report, LedgerError> {
        let Dispatcher { ledger, alias_types, is_crowded, wake, .. } = &self.hands.dispatcher;
        let (Some(settler), Some(filling)) = (self.settler.upgrade(), self.fill().await) else {
            return ledger.intake(batch, alias_types).await;
        };
        let taken = self.hands.take_up(batch, &settler).await;
        drop(filling);
        if is_crowded.swap(false, Ordering::AcqRel) {
            wake.notify_one();
        }
        taken
    }

    async fn fill(&self) -> Option<MutexGuard<'_, ()>> {
        let is_behind = |target: &Arc<Target>| target.is_behind.load(Ordering::Acquire);
        if self.hands.stop.is_cancelled() || self.hands.dispatcher.targets.values().all(is_behind) {
            return None;
        }
        self.hands.fill().await
    }
}

impl Hands {
    /// The right to fill free slots, unless whoever has it keeps it for long.
    pub(super) async fn fill(&self) -> Option<MutexGuard<'_, ()>> {
        tokio::time::timeout(TURN, self.filling.lock()).await.ok()
    }

    async fn take_up(&self, batch: &[Incoming], settler: &Settler) -> Result<Report, LedgerError> {
        let Dispatcher { ledger, alias_types, lease, .. } = &self.dispatcher;
        let free = self.free_for(batch.len());
        let timeout = self.dispatcher.timeout();
        let mut hand_overs: Vec<HandOver> = free.iter().map(|(target, slots)| hand_over(target, slots.len(), timeout)).collect();
        let taken = ledger.intake_and_take_up(batch, alias_types, *lease, &mut hand_overs).await;
        let (report, claims) = taken.inspect_err(|_| {
            // Whatever it was, the next time it is a claim that meets it.
            free.iter().for_each(|(target, _)| target.is_behind.store(true, Ordering::Release));
        })?;
        fail_point!("intake-handed-over");
        self.begin("intake", settler, claims, free);
        Ok(report)
    }

    fn free_for(&self, count: usize) -> Free {
        let most = count.min(self.dispatcher.share());
        let targets = self.dispatcher.targets.values().filter(|target| !target.is_behind.load(Ordering::Acquire));
        let free = targets.map(|target| (Arc::clone(target), self.free(target, most)));
        free.filter(|(_, slots)| !slots.is_empty()).collect()
    }

    /// Free slots for a target, as many as it may be called now.
    pub(super) fn free(&self, target: &Target, most: usize) -> Vec<OwnedSemaphorePermit> {
        let busy: usize = self.dispatcher.targets.values().map(|target| lock(&target.gate).busy()).sum();
        let most = most.min(self.dispatcher.max_in_flight.saturating_sub(busy));
        let room = lock(&target.gate).room(Instant::now()).min(most);
        std::iter::from_fn(|| Arc::clone(&self.slots).try_acquire_owned().ok()).take(room).collect()
    }

    /// Says what a claim or an intake has come to, and works on the lanes that it has leased, each in one of the slots of its target.
    pub(super) fn begin(&self, by: &str, settler: &Settler, claims: Claims, mut free: Free) {
        settling::report(&claims.finals, &self.dispatcher.outcomes);
        metrics::LANES_PARKED.add(&[], claims.parked as u64);
        metrics::TURNS.add(&[by], claims.lanes.len() as u64);
        for claimed in claims.lanes {
            let of_target = free.iter_mut().find(|(target, _)| target.name == claimed.target);
            let Some((target, Some(slot))) = of_target.map(|(target, slots)| (target, slots.pop())) else {
                tracing::error!(lane = claimed.id, "an order was leased that there is no slot for: its lease will end");
                continue;
            };
            let place = Place::take(slot, &self.calls, target, claimed.id);
            self.attempts.spawn(work(self.dispatcher.clone(), settler.clone(), claimed, place));
        }
    }
}

/// Takes a lane's turn, and notes what it is about to send.
pub(super) fn begin_turn(lane: &mut Lane, rules: &Rules, timeout: TimeDelta, now: DateTime<Utc>) -> Turn {
    let turn = lane.turn(rules, now);
    if let Next::Send(draft) = &turn.next {
        lane.begin(draft, now + timeout);
    }
    turn
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
