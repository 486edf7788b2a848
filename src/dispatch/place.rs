//! A place among the orders that are worked on: held from the lease, over one turn after another, until the last is written.

use super::gate::Sign;
use super::lock;
use super::target::Target;
use crate::prime::exchange::{Exchange, NotSent};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::OwnedSemaphorePermit;

/// Turns that an order takes in a row before others get its place.
const MOST_TURNS: u32 = 16;

/// A slot of this replica and a call that the target's gate counts. However it ends, both are given back.
#[derive(Debug)]
pub struct Place {
    slot: Option<OwnedSemaphorePermit>,
    target: Arc<Target>,
    order: i64,
    has_ended: bool,
    turns: u32,
}

impl Place {
    /// Takes a place: the gate counts a call from here. No more is taken up than there are free slots, so there is one.
    pub fn take(slot: OwnedSemaphorePermit, target: &Arc<Target>, order: i64) -> Place {
        lock(&target.gate).begin();
        Place { slot: Some(slot), target: Arc::clone(target), order, has_ended: false, turns: 1 }
    }

    /// The target that is called.
    pub fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// The call has ended, and says this of its target.
    pub fn call_ended(&mut self, exchange: &Exchange, sign: Sign) {
        let mut gate = lock(&self.target.gate);
        match exchange {
            // Withdrawn for want of time, it says nothing of its target.
            Exchange::NotSent { why: NotSent::DeadlineBeforeSend } => gate.abandon(),
            _ => gate.end(self.order, sign, Instant::now()),
        }
        self.has_ended = true;
    }

    /// The place for the order's next turn, where it may take it at once: not for ever, and only where the target may be called. Else
    /// this one, which is kept until its turn is written: what has ended and is not settled takes room, too.
    pub fn next_turn(mut self) -> Result<Place, Place> {
        let may = self.has_ended && self.turns < MOST_TURNS && lock(&self.target.gate).room(Instant::now()) > 0;
        let Some(slot) = self.slot.take_if(|_| may) else { return Err(self) };
        let mut next = Place::take(slot, &self.target, self.order);
        next.turns = self.turns + 1;
        Ok(next)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.has_ended {
            lock(&self.target.gate).abandon();
        }
    }
}
