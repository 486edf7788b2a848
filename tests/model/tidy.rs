//! States that differ in nothing that matters are made one: the search is smaller, and leaves nothing out.

use crate::setup::{ATTEMPTS, Setup};
use crate::world::{Holder, List, Status, Step, View, Wire, World};

impl World {
    /// Forgets what makes no difference any more.
    pub fn tidy(&mut self, setup: &Setup) {
        if setup.broken.is_none() {
            self.forget_views();
        }
        self.forget_attempts();
        if !setup.keeps_numbers {
            self.level_numbers();
        }
        if setup.publishers == 0 {
            self.sort_history();
        }
        // Who holds which place is all the same.
        self.holders.sort_unstable();
    }

    /// A lease that is gone never stands again, so nothing of what its holder knows can be written. It still sends, and comes to
    /// settle.
    fn forget_views(&mut self) {
        for place in 0..self.holders.len() {
            let Some(holder) = self.holders[place].filter(|holder| !self.holds(holder)) else { continue };
            let step = match holder.step {
                Step::Answered { .. } => Step::Answered { named: false },
                step => step,
            };
            self.holders[place] = Some(Holder { view: View::default(), step, ..holder });
        }
    }

    /// Mutations of which nothing can come, and that nobody remembers.
    fn forget_attempts(&mut self) {
        let mut known = 0;
        let mut note = |number: u8| known |= 1_u8 << number;
        self.ledger.lanes.iter().flat_map(|lane| lane.intents).flatten().for_each(|intent| note(intent.attempt));
        for holder in self.holders.iter().flatten() {
            holder.view.intents.iter().flatten().for_each(|intent| note(intent.attempt));
            holder.job.into_iter().for_each(&mut note);
        }
        for number in 0..ATTEMPTS {
            let place = &mut self.attempts[number];
            *place = place.filter(|attempt| known >> number & 1 == 1 || attempt.wire == Wire::OnTheWay);
        }
    }

    /// A lease number only grows and is only compared for equality: one that is not the lane's own never is again.
    fn level_numbers(&mut self) {
        for holder in self.holders.iter_mut().flatten() {
            holder.lease_no = u8::from(self.ledger.lanes[usize::from(holder.lane)].lease_no == holder.lease_no);
        }
        self.ledger.lanes.iter_mut().for_each(|lane| lane.lease_no = 1);
    }

    /// Where nothing is published, nobody asks in what order events ended, or how.
    fn sort_history(&mut self) {
        let mut outcomes = [None; crate::setup::RECORDS];
        for (place, mut outcome) in outcomes.iter_mut().zip(self.ledger.history.iter()) {
            outcome.status = Status::NothingToSend;
            *place = Some(outcome);
        }
        outcomes.sort_unstable_by_key(|outcome| (outcome.is_none(), *outcome));
        self.ledger.history = List::default();
        outcomes.into_iter().flatten().for_each(|outcome| self.ledger.history.push(outcome).unwrap());
    }
}
