//! What can happen next.

use crate::setup::{ATTEMPTS, Broken, Fault, HOLDERS, LANES, PUBLISHERS, Record, Setup};
use crate::world::{Answer, Attempt, Breach, Holder, Page, Phase, Stands, Status, Step, Wire, World};

/// One step. Numbers are places: of lanes, holders, attempts, publishers, outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    TakeIn,
    CommitOffset,
    ReadAgain,
    Claim(u8),
    Send(u8),
    NotSent(u8),
    Apply(u8, Answer),
    RefuseUnapplied(u8, Answer),
    Hear(u8),
    NoAnswer(u8),
    Read(u8),
    ReadFails(u8),
    Settle(u8),
    SettleAndGoOn(u8),
    Crash(u8),
    Deadline(u8),
    Quiet(u8),
    LeaseEnds(u8),
    PutBack(u8),
    TakePage(u8),
    Publish(u8),
    MoveCursor(u8),
    PublisherDies(u8),
    HoldEnds,
}

/// All that might be possible, the likeliest to make progress first.
pub fn all(world: &World, actions: &mut Vec<Action>) {
    actions.extend([Action::TakeIn, Action::CommitOffset]);
    for (at, holder) in (0..HOLDERS as u8).zip(&world.holders) {
        let Some(holder) = holder else { continue };
        match holder.step {
            Step::Claimed => actions.extend([Action::Send(at), Action::NotSent(at)]),
            Step::Sent => actions.extend([Action::Hear(at), Action::NoAnswer(at)]),
            Step::Reading => actions.extend([Action::Read(at), Action::ReadFails(at)]),
            Step::Answered { .. } | Step::HalfSettled(_) => actions.extend([Action::Settle(at), Action::SettleAndGoOn(at)]),
        }
        actions.push(Action::Crash(at));
    }
    for (at, attempt) in (0..ATTEMPTS as u8).zip(&world.attempts) {
        let Some(attempt) = attempt else { continue };
        if attempt.wire == Wire::OnTheWay {
            actions.extend([Answer::Accepted, Answer::Unclear].map(|answer| Action::Apply(at, answer)));
            actions.extend([Answer::Refused, Answer::Unclear].map(|answer| Action::RefuseUnapplied(at, answer)));
        }
        match attempt.phase {
            Phase::Fresh => actions.push(Action::Deadline(at)),
            Phase::Ended if world.matters(at, attempt) => actions.push(Action::Quiet(at)),
            Phase::Ended => {}
            Phase::Quiet => {}
        }
    }
    for at in 0..LANES as u8 {
        actions.extend([Action::Claim(at), Action::LeaseEnds(at)]);
    }
    for at in 0..PUBLISHERS as u8 {
        actions.extend([Action::TakePage(at), Action::Publish(at), Action::MoveCursor(at), Action::PublisherDies(at)]);
    }
    actions.push(Action::HoldEnds);
    actions.push(Action::ReadAgain);
    if world.letters > 0 {
        actions.extend((0..world.published).map(Action::PutBack));
    }
}

impl World {
    /// Takes the step; none where it is not possible.
    pub fn step(&mut self, setup: &Setup, action: Action) -> Option<()> {
        match action {
            Action::TakeIn => self.poll(setup),
            Action::CommitOffset => (self.committed < self.position).then(|| self.committed = self.position),
            Action::ReadAgain => {
                let pending = self.committed != self.position;
                pending.then(|| self.suffer(setup, Fault::Reread)).flatten()?;
                self.position = self.committed;
                Some(())
            }
            Action::Claim(lane) => self.claim(setup, lane),
            Action::Send(at) => self.send(setup, at),
            Action::NotSent(at) => self.not_sent(setup, at),
            Action::Apply(at, answer) => self.apply(setup, at, answer),
            Action::RefuseUnapplied(at, answer) => self.refuse(setup, at, answer),
            Action::Hear(at) => self.hear(at),
            Action::NoAnswer(at) => self.no_answer(setup, at),
            Action::Read(at) => self.read(setup, at),
            Action::ReadFails(at) => {
                let holder = self.holders[usize::from(at)].filter(|holder| holder.step == Step::Reading)?;
                self.suffer(setup, Fault::ReadFails)?;
                self.put(at, Holder { step: Step::Answered { named: false }, ..holder })
            }
            Action::Settle(at) => self.settle(setup, at, false),
            Action::SettleAndGoOn(at) => self.settle(setup, at, true),
            Action::Crash(at) => {
                self.suffer(setup, Fault::Crash)?;
                self.holders[usize::from(at)].take().map(drop)
            }
            Action::Deadline(at) => self.deadline(setup, at),
            Action::Quiet(at) => {
                let attempt = self.attempts[usize::from(at)].as_mut().filter(|attempt| attempt.phase == Phase::Ended)?;
                attempt.phase = Phase::Quiet;
                if attempt.wire == Wire::OnTheWay {
                    attempt.wire = Wire::Over;
                }
                Some(())
            }
            Action::LeaseEnds(lane) => self.lease_ends(setup, lane),
            Action::PutBack(place) => self.put_back(place),
            Action::TakePage(at) => self.take_page(setup, at),
            Action::Publish(at) => self.publish(at),
            Action::MoveCursor(at) => self.move_cursor(setup, at),
            Action::PublisherDies(at) => {
                self.publishers[usize::from(at)]?;
                self.suffer(setup, Fault::PublisherDies)?;
                self.publishers[usize::from(at)] = None;
                self.ledger.outbox = self.ledger.outbox.filter(|holder| *holder != at);
                Some(())
            }
            Action::HoldEnds => {
                let holder = self.ledger.outbox?;
                self.publishers[usize::from(holder)]?;
                self.suffer(setup, Fault::HoldEnds)?;
                self.ledger.outbox = None;
                Some(())
            }
        }
    }

    fn put(&mut self, at: u8, holder: Holder) -> Option<()> {
        self.holders[usize::from(at)] = Some(holder);
        Some(())
    }

    fn poll(&mut self, setup: &Setup) -> Option<()> {
        if setup.lacks(Broken::OffsetFirst) && self.committed == self.position {
            // The offset first, then the records.
            self.records.get(self.position)?;
            self.committed += 1;
            return Some(());
        }
        self.take_in(setup)
    }

    fn send(&mut self, setup: &Setup, at: u8) -> Option<()> {
        let holder = self.holders[usize::from(at)].filter(|holder| holder.step == Step::Claimed)?;
        let attempt = self.attempts[usize::from(holder.job?)].as_mut()?;
        if attempt.phase > Phase::Fresh && !setup.lacks(Broken::SendsLate) {
            return None;
        }
        attempt.wire = Wire::OnTheWay;
        let (event, payments) = (attempt.event, attempt.payments);
        if payments & self.judge.perhaps_applied != 0 {
            self.breach(Breach::BlindRepeat);
        }
        if setup.newer(event) & self.judge.sent != 0 {
            self.breach(Breach::OutOfOrder);
        }
        self.judge.perhaps_applied |= payments;
        self.judge.sent |= 1 << event;
        self.put(at, Holder { step: Step::Sent, ..holder })
    }

    fn not_sent(&mut self, setup: &Setup, at: u8) -> Option<()> {
        let mut holder = self.holders[usize::from(at)].filter(|holder| holder.step == Step::Claimed)?;
        if self.attempt(holder.job?)?.phase == Phase::Fresh {
            self.suffer(setup, Fault::NotSent)?;
        }
        (holder.view.intents, holder.step) = ([None; 2], Step::Answered { named: false });
        self.put(at, holder)
    }

    fn apply(&mut self, setup: &Setup, at: u8, answer: Answer) -> Option<()> {
        if answer == Answer::Unclear {
            self.suffer(setup, Fault::Unclear)?;
        }
        let attempt = self.attempts[usize::from(at)].as_mut().filter(|attempt| attempt.wire == Wire::OnTheWay)?;
        attempt.wire = Wire::Answering(answer);
        let payments = attempt.payments;
        for (payment, count) in self.applied.iter_mut().enumerate() {
            *count += payments >> payment & 1;
        }
        Some(())
    }

    fn refuse(&mut self, setup: &Setup, at: u8, answer: Answer) -> Option<()> {
        self.suffer(setup, if answer == Answer::Refused { Fault::Refusal } else { Fault::Unclear })?;
        let attempt = self.attempts[usize::from(at)].as_mut().filter(|attempt| attempt.wire == Wire::OnTheWay)?;
        attempt.wire = Wire::Answering(answer);
        if answer == Answer::Refused {
            self.judge.sent &= !(1 << attempt.event);
        }
        Some(())
    }

    fn hear(&mut self, at: u8) -> Option<()> {
        let mut holder = self.holders[usize::from(at)].filter(|holder| holder.step == Step::Sent)?;
        let attempt = self.attempts[usize::from(holder.job?)].as_mut()?;
        let Wire::Answering(answer) = attempt.wire else { return None };
        attempt.wire = Wire::Over;
        let progress = &mut holder.view.progress[usize::from(attempt.no)];
        match answer {
            Answer::Accepted => {
                progress.delivered = true;
                holder.view.held |= attempt.payments;
                holder.view.intents = [None; 2];
            }
            Answer::Refused => {
                progress.refused = true;
                holder.view.intents = [None; 2];
                self.judge.perhaps_applied &= !attempt.payments;
            }
            Answer::Unclear => holder.stand(Stands::Unclear),
        }
        holder.step = Step::Answered { named: answer == Answer::Accepted };
        self.put(at, holder)
    }

    fn no_answer(&mut self, setup: &Setup, at: u8) -> Option<()> {
        let mut holder = self.holders[usize::from(at)].filter(|holder| holder.step == Step::Sent)?;
        if self.attempt(holder.job?)?.phase == Phase::Fresh {
            self.suffer(setup, Fault::Reset)?;
        }
        let attempt = self.attempts[usize::from(holder.job?)].as_mut()?;
        attempt.phase = attempt.phase.max(Phase::Ended);
        if let Wire::Answering(_) = attempt.wire {
            attempt.wire = Wire::Over;
        }
        holder.stand(Stands::NoAnswer);
        holder.step = Step::Answered { named: false };
        self.put(at, holder)
    }

    fn read(&mut self, setup: &Setup, at: u8) -> Option<()> {
        let mut holder = self.holders[usize::from(at)].filter(|holder| holder.step == Step::Reading)?;
        holder.view.learn_from_read(self, setup);
        holder.step = Step::Answered { named: true };
        let on_the_way = self.attempts.iter().flatten().filter(|attempt| attempt.wire == Wire::OnTheWay);
        let perhaps = on_the_way.fold(self.at_bwp(), |bits, attempt| bits | attempt.payments);
        self.judge.perhaps_applied &= perhaps;
        self.put(at, holder)
    }

    fn deadline(&mut self, setup: &Setup, number: u8) -> Option<()> {
        self.attempts[usize::from(number)].filter(|attempt| attempt.phase == Phase::Fresh)?;
        let works = |holder: &Holder| matches!(holder.step, Step::Claimed | Step::Sent) || self.holds(holder);
        if self.holders.iter().flatten().any(|holder| holder.job == Some(number) && works(holder)) {
            self.suffer(setup, Fault::Slow)?;
        }
        self.attempts[usize::from(number)].as_mut()?.phase = Phase::Ended;
        Some(())
    }

    /// Whether anything depends on when a mutation can no longer apply.
    fn matters(&self, number: u8, attempt: &Attempt) -> bool {
        let mut open = self.ledger.lanes.iter().flat_map(|lane| lane.intents).flatten();
        attempt.wire == Wire::OnTheWay || open.any(|intent| intent.attempt == number)
    }

    /// A lease is longer than an attempt may take.
    fn lease_ends(&mut self, setup: &Setup, id: u8) -> Option<()> {
        let lane = self.ledger.lanes[usize::from(id)];
        if !lane.is_leased || lane.is_lease_over {
            return None;
        }
        let mut open = lane.intents.iter().flatten().filter_map(|intent| self.attempt(intent.attempt));
        if open.any(|attempt| attempt.phase == Phase::Fresh) {
            return None;
        }
        match self.holders.iter().flatten().find(|holder| holder.lane == id && self.holds(holder)) {
            Some(Holder { job: Some(job), .. }) if self.attempt(*job)?.phase == Phase::Fresh => return None,
            Some(Holder { job: None, .. }) => self.suffer(setup, Fault::Slow)?,
            _ => {}
        }
        self.ledger.lanes[usize::from(id)].is_lease_over = true;
        Some(())
    }

    fn put_back(&mut self, place: u8) -> Option<()> {
        let outcome = self.ledger.history.get(place).filter(|outcome| outcome.status == Status::Dead)?;
        self.records.push(Record::Letter { event: outcome.event?, number: outcome.number })?;
        self.letters = self.letters.checked_sub(1)?;
        Some(())
    }

    fn take_page(&mut self, setup: &Setup, at: u8) -> Option<()> {
        let (from, to) = (self.ledger.cursor, self.ledger.history.len());
        let is_free = self.ledger.outbox.is_none_or(|holder| holder == at);
        if at >= setup.publishers || self.publishers[usize::from(at)].is_some() || !is_free || from == to {
            return None;
        }
        self.ledger.outbox = Some(at);
        self.publishers[usize::from(at)] = Some(Page { at: from, to });
        if setup.lacks(Broken::CursorFirst) {
            self.ledger.cursor = to;
        }
        Some(())
    }

    fn publish(&mut self, at: u8) -> Option<()> {
        let page = self.publishers[usize::from(at)].as_mut().filter(|page| page.at < page.to)?;
        page.at += 1;
        let reached = page.at;
        if reached > self.published + 1 {
            self.breach(Breach::PublishedOutOfOrder);
        }
        self.published = self.published.max(reached);
        Some(())
    }

    fn move_cursor(&mut self, setup: &Setup, at: u8) -> Option<()> {
        let page = self.publishers[usize::from(at)].filter(|page| page.at == page.to)?;
        self.publishers[usize::from(at)] = None;
        if self.ledger.outbox == Some(at) && !setup.lacks(Broken::CursorFirst) {
            if page.to < self.ledger.cursor {
                self.breach(Breach::CursorWentBack);
            }
            self.ledger.cursor = page.to;
        }
        Some(())
    }
}

impl Holder {
    fn stand(&mut self, stands: Stands) {
        self.view.intents.iter_mut().flatten().for_each(|intent| intent.stands = stands);
    }
}
