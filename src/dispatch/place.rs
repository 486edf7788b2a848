//! A place among the orders that are worked on: held from the lease, over one turn after another, until the last is written.

use super::gate::{Sign, Stage};
use super::lock;
use super::target::Target;
use crate::prime::deadline::Deadline;
use crate::prime::exchange::{Exchange, NotSent};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Turns that an order takes in a row before others get its place.
const MOST_TURNS: u32 = 16;

/// A slot of this replica, one of its calls while that is on its way, and what the target's gate counts. However it ends, all are given
/// back.
#[derive(Debug)]
pub struct Place {
    _slot: OwnedSemaphorePermit,
    calls: Arc<Semaphore>,
    call: Option<OwnedSemaphorePermit>,
    target: Arc<Target>,
    order: i64,
    stage: Option<Stage>,
    turns: u32,
}

impl Place {
    /// Takes a place: the gate counts the order from here.
    pub fn take(slot: OwnedSemaphorePermit, calls: &Arc<Semaphore>, target: &Arc<Target>, order: i64) -> Place {
        lock(&target.gate).admit();
        let (calls, target) = (Arc::clone(calls), Arc::clone(target));
        Place { _slot: slot, calls, call: None, target, order, stage: Some(Stage::Waiting), turns: 1 }
    }

    /// The target that is called.
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// Waits until a call may begin. There are more orders than calls, so that others are called while what came of one is written; each
    /// waits for about as long as that takes.
    ///
    /// # Errors
    /// Where it may not begin: its time is over, or the target may not be called any more.
    pub async fn call_begins(&mut self, deadline: &Deadline) -> Result<(), NotSent> {
        if self.stage == Some(Stage::Resting) {
            lock(&self.target.gate).resume();
            self.stage = Some(Stage::Waiting);
        }
        let call = deadline.bound(Arc::clone(&self.calls).acquire_owned()).await;
        let Some(Ok(call)) = call else { return Err(NotSent::DeadlineBeforeSend) };
        if !lock(&self.target.gate).begin(Instant::now()) {
            return Err(NotSent::Withheld);
        }
        (self.call, self.stage) = (Some(call), Some(Stage::InFlight));
        Ok(())
    }

    /// The call has ended, and says this of its target.
    pub fn call_ended(&mut self, exchange: &Exchange, sign: Sign) {
        self.call = None;
        let Some(stage) = self.stage.take() else { return };
        let mut gate = lock(&self.target.gate);
        match exchange {
            // Withdrawn for want of time, it says nothing of its target.
            Exchange::NotSent { why: NotSent::DeadlineBeforeSend | NotSent::Withheld } => gate.leave(stage),
            _ => gate.end(self.order, sign, Instant::now()),
        }
    }

    /// Whether the order may go on at once when what came of its turn is written: not for ever, and only where the target may be called.
    /// The place is kept until then anyway: what has ended and is not settled takes room, too.
    pub fn rests(&mut self) -> bool {
        let rests = self.stage.is_none() && self.turns < MOST_TURNS && lock(&self.target.gate).rest(Instant::now());
        if rests {
            self.stage = Some(Stage::Resting);
            self.turns += 1;
        }
        rests
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(stage) = self.stage {
            lock(&self.target.gate).leave(stage);
        }
    }
}
