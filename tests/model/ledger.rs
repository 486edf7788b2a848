//! The ledger's transactions: each is one step, since whoever changes a lane holds its row's lock.

use crate::plan::{Next, Turn, can_tell};
use crate::setup::{Broken, Fault, ROWS, Record, Setup, Tie};
use crate::world::{
    Answer, Attempt, Breach, Due, Holder, Intent, Outcome, Phase, Progress, Row, Stands, Status, Step, View, Wire, World, has,
};

/// The identity of the tie among those that were seen.
const TIE: u8 = 7;
/// And that of the row that takes a name away.
const PART: u8 = 6;

/// What is to be recorded, by row.
type Outcomes = [Option<Outcome>; ROWS];

/// What becomes of a lane after its turn.
enum Release {
    Lease,
    Until(Due),
}

impl World {
    /// `ledger/intake.rs`: the next record.
    pub fn take_in(&mut self, setup: &Setup) -> Option<()> {
        let record = self.records.get(self.position)?;
        self.ledger.tally.read += 1;
        match record {
            Record::Event(event) if has(self.ledger.seen, event) && !setup.lacks(Broken::DuplicatesTaken) => {
                self.ledger.tally.duplicates += 1;
            }
            Record::Event(event) => self.insert(setup, event)?,
            Record::Tie | Record::Part => {
                let identity = if record == Record::Tie { TIE } else { PART };
                if has(self.ledger.seen, identity) {
                    self.ledger.tally.duplicates += 1;
                } else {
                    self.ledger.seen |= 1 << identity;
                    self.record(Outcome { event: None, number: 1, status: Status::NothingToSend })?;
                    let _ = if record == Record::Tie { self.merge(setup) } else { self.part(setup) };
                }
            }
            Record::Letter { event, number } => {
                self.ledger.tally.duplicates += 1;
                self.revive(setup, event, number);
            }
        }
        self.judge.durable |= 1 << self.position;
        self.position += 1;
        if !setup.faults.contains(&Fault::Reread) {
            // Nobody reads again: when the offset is committed makes no difference.
            self.committed = self.position;
        }
        Some(())
    }

    fn insert(&mut self, setup: &Setup, event: u8) -> Option<()> {
        let no = usize::from(self.ledger.arrivals.len());
        let lane = self.ledger.lane_of(setup.names[usize::from(event)]);
        *self.ledger.work.get_mut(no)? = Some(Row { event, lane, is_dead: false, outcomes: 0, progress: Progress::default() });
        self.ledger.arrivals.push(event)?;
        self.ledger.seen |= 1 << event;
        self.wake(lane);
        Some(())
    }

    fn wake(&mut self, lane: u8) {
        let lane = &mut self.ledger.lanes[usize::from(lane)];
        lane.is_dirty = lane.is_leased;
        if !lane.is_leased {
            lane.due = Due::Now;
        }
    }

    /// `ledger/retry.rs`
    fn revive(&mut self, setup: &Setup, event: u8, number: u8) {
        let any = setup.lacks(Broken::AnyLetterRetries);
        let of = |row: &&mut Row| row.event == event && row.is_dead && (row.outcomes == number || any);
        let Some(row) = self.ledger.work.iter_mut().flatten().find(of) else { return };
        (row.is_dead, row.progress) = (false, Progress::default());
        let lane = row.lane;
        self.ledger.tally.finals -= 1;
        self.wake(lane);
        let is_it = |outcome: Outcome| outcome.event == Some(event) && outcome.number == number;
        let place = self.ledger.history.iter().position(is_it).unwrap_or_default();
        if has(self.judge.retried, place as u8) {
            self.breach(Breach::RetriedTwice);
        }
        self.judge.retried |= 1 << place;
    }

    /// `ledger/claim.rs`: the lane's turn is taken in the transaction that leases it.
    pub fn claim(&mut self, setup: &Setup, id: u8) -> Option<()> {
        let lane = &self.ledger.lanes[usize::from(id)];
        let is_due = match lane.due {
            _ if lane.is_leased => lane.is_lease_over,
            Due::Never => false,
            Due::Now => true,
            Due::WhenTold => can_tell(&lane.intents, self, setup),
        };
        if !is_due || lane.merged_into.is_some() {
            return None;
        }
        let lease_no = lane.lease_no + 1;
        let mut view = View::load(self, setup, id);
        let turn = view.turn(self, setup);
        let (job, step) = match turn.next {
            Next::Rest(due) => {
                self.write(setup, id, &view, &turn, Release::Until(due))?;
                return Some(());
            }
            Next::Read => (None, Step::Reading),
            Next::Send { no, payments } => {
                let attempt = self.begin(id, no, payments)?;
                view.intents[0] = Some(Intent { attempt, stands: Stands::InFlight });
                (Some(attempt), Step::Claimed)
            }
        };
        let slot = self.holders.iter().position(Option::is_none)?;
        self.write(setup, id, &view, &turn, Release::Lease)?;
        self.holders[slot] = Some(Holder { lane: id, lease_no, view, job, step });
        Some(())
    }

    fn begin(&mut self, lane: u8, no: u8, payments: u8) -> Option<u8> {
        let order = |attempt: &Attempt| self.ledger.order_of(attempt.lane);
        let others = self.attempts.iter().enumerate().filter_map(|(at, attempt)| Some((at, attempt.as_ref()?)));
        let is_two = others.into_iter().any(|(at, other)| order(other) == lane && self.is_in_flight(at as u8, other));
        if is_two {
            self.breach(Breach::TwoInFlight);
        }
        let slot = self.attempts.iter().position(Option::is_none)?;
        let event = self.event(no);
        self.attempts[slot] = Some(Attempt { no, event, lane, payments, phase: Phase::Fresh, wire: Wire::Unsent });
        Some(slot as u8)
    }

    /// Whether it may yet be sent or applied, or is being answered.
    fn is_in_flight(&self, number: u8, attempt: &Attempt) -> bool {
        let is_claimed = |holder: &Holder| holder.job == Some(number) && holder.step == Step::Claimed;
        match attempt.wire {
            Wire::Unsent => attempt.phase == Phase::Fresh && self.holders.iter().flatten().any(is_claimed),
            Wire::OnTheWay => true,
            Wire::Answering(Answer::Accepted | Answer::Refused | Answer::Unclear) => attempt.phase < Phase::Quiet,
            Wire::Over => false,
        }
    }

    /// `ledger/settle.rs`: what came of it is written, if the lease still stands. Where the holder may go on, and nothing has arrived,
    /// it is leased again in the same write.
    pub fn settle(&mut self, setup: &Setup, at: u8, may_go_on: bool) -> Option<()> {
        let mut holder = self.holders[usize::from(at)].take()?;
        let named = match holder.step {
            Step::Answered { named } => named,
            Step::HalfSettled(outcomes) if !may_go_on => return self.record_all(&outcomes),
            _ => return None,
        };
        let lane = &self.ledger.lanes[usize::from(holder.lane)];
        let is_number = lane.lease_no == holder.lease_no || setup.lacks(Broken::NoLeaseNumber);
        if !lane.is_leased || !is_number || lane.merged_into.is_some() {
            return (!may_go_on).then_some(());
        }
        let is_clean = !lane.is_dirty || setup.lacks(Broken::HoldsOnDirty);
        let turn = holder.view.turn(self, setup);
        let release = match turn.next {
            Next::Rest(_) if may_go_on => return None,
            Next::Rest(due) => Release::Until(due),
            Next::Send { .. } | Next::Read if !may_go_on => Release::Until(Due::Now),
            Next::Send { .. } | Next::Read if !is_clean => return None,
            Next::Send { no, payments } => {
                let attempt = self.begin(holder.lane, no, payments)?;
                holder.view.intents[0] = Some(Intent { attempt, stands: Stands::InFlight });
                (holder.job, holder.step) = (Some(attempt), Step::Claimed);
                Release::Lease
            }
            Next::Read => {
                (holder.job, holder.step) = (None, Step::Reading);
                Release::Lease
            }
        };
        let apart = self.write(setup, holder.lane, &holder.view, &turn, release)?;
        if may_go_on {
            holder.lease_no += 1;
            self.holders[usize::from(at)] = Some(holder);
        } else if let Some(outcomes) = apart {
            self.holders[usize::from(at)] = Some(Holder { step: Step::HalfSettled(outcomes), ..holder });
        }
        if named && setup.tie == Tie::ByAnswer && self.merge(setup) && may_go_on {
            self.holders[usize::from(at)] = None;
        }
        Some(())
    }

    /// `ledger/write.rs`. Gives the outcomes that a broken variant records apart; none where the model has no room for more.
    fn write(&mut self, setup: &Setup, id: u8, view: &View, turn: &Turn, release: Release) -> Option<Option<Outcomes>> {
        let lane = &mut self.ledger.lanes[usize::from(id)];
        let wakes = lane.is_dirty && lane.is_leased && !setup.lacks(Broken::DirtyIgnored);
        (lane.is_leased, lane.due) = match release {
            Release::Lease => (true, Due::Never),
            Release::Until(_) if wakes => (false, Due::Now),
            Release::Until(due) => (false, due),
        };
        lane.lease_no += u8::from(lane.is_leased);
        (lane.is_lease_over, lane.is_dirty) = (false, false);
        (lane.intents, lane.held, lane.folded) = (view.intents, view.held, view.folded);
        if setup.lacks(Broken::NoIntent) {
            lane.intents = [None; 2];
        }
        let mut outcomes = [None; ROWS];
        for (no, slot) in self.ledger.work.iter_mut().enumerate() {
            // An event that has moved to another lane meanwhile ends there.
            let Some(row) = slot.as_mut().filter(|row| row.lane == id) else { continue };
            if has(view.live, no as u8) {
                (row.is_dead, row.progress) = (false, view.progress[no]);
            }
            let Some((_, status)) = turn.settled.iter().find(|(settled, _)| usize::from(*settled) == no) else { continue };
            row.outcomes += 1;
            outcomes[no] = Some(Outcome { event: Some(row.event), number: row.outcomes, status: *status });
            row.is_dead = *status == Status::Dead;
            if !row.is_dead {
                *slot = None;
            }
        }
        let is_settle = matches!(release, Release::Until(_));
        if setup.lacks(Broken::OutcomeApart) && is_settle && outcomes != [None; ROWS] {
            return Some(Some(outcomes));
        }
        self.record_all(&outcomes)?;
        Some(None)
    }

    fn record_all(&mut self, outcomes: &[Option<Outcome>]) -> Option<()> {
        outcomes.iter().flatten().try_for_each(|outcome| self.record(*outcome))
    }

    fn record(&mut self, outcome: Outcome) -> Option<()> {
        self.ledger.tally.finals += 1;
        self.ledger.history.push(outcome)
    }

    /// `ledger/merge.rs`: the second lane goes into the first, and what either had in flight has to be read.
    /// Tells whether they were two.
    fn merge(&mut self, setup: &Setup) -> bool {
        let [keep, gone] = &mut self.ledger.lanes;
        if gone.merged_into.is_some() {
            return false;
        }
        if !setup.lacks(Broken::MergeForgetsFlight) {
            let both = keep.intents.into_iter().chain(gone.intents).flatten();
            let mut intents = [None; 2];
            both.zip(&mut intents).for_each(|(intent, place)| *place = Some(intent));
            keep.intents = intents;
        }
        keep.held |= gone.held;
        keep.folded |= gone.folded;
        for lane in [&mut *keep, &mut *gone] {
            let keeps = setup.lacks(Broken::MergeKeepsLeases);
            lane.lease_no += u8::from(!keeps && !setup.lacks(Broken::MergeKeepsNumbers));
            lane.is_leased &= keeps;
            (lane.is_dirty, lane.is_lease_over) = (false, lane.is_leased);
        }
        keep.due = Due::Now;
        (gone.due, gone.merged_into, gone.intents) = (Due::Never, Some(0), [None; 2]);
        (gone.held, gone.folded) = (0, 0);
        self.ledger.work.iter_mut().flatten().for_each(|row| row.lane = 0);
        true
    }

    /// `ledger/merge.rs`: a name is taken from the first lane, with its events, but for those of which something is in flight or
    /// unknown.
    fn part(&mut self, setup: &Setup) -> bool {
        self.ledger.is_parted = true;
        let stays = |intent: &Intent| intent.stands == Stands::InFlight || !setup.lacks(Broken::PartTakesUnknown);
        let open = self.ledger.lanes[0].intents.into_iter().flatten().filter(stays);
        let open = open.filter_map(|intent| self.attempt(intent.attempt)).fold(0, |bits, attempt| bits | 1_u8 << attempt.no);
        for (no, row) in self.ledger.work.iter_mut().enumerate() {
            if let Some(row) = row.as_mut().filter(|row| setup.names[usize::from(row.event)] == 0 && !has(open, no as u8)) {
                row.lane = 1;
            }
        }
        self.wake(1);
        if !setup.lacks(Broken::PartLeavesClean) {
            self.wake(0);
        }
        true
    }
}
