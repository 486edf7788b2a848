//! A lane's turn, as `plan/turn.rs` takes it, for things whose snapshots grow: each wants its own payment beside the older ones.

use crate::setup::{Broken, ROWS, Setup};
use crate::world::{Bits, Due, Intent, Phase, Stands, Status, View, World, each, has};

/// What a turn comes to.
pub struct Turn {
    pub settled: Vec<(u8, Status)>,
    pub next: Next,
}

/// What a lane does next.
pub enum Next {
    Send { no: u8, payments: Bits },
    Read,
    Rest(Due),
}

impl View {
    /// The lane as its rows have it.
    pub fn load(world: &World, setup: &Setup, id: u8) -> View {
        let lane = &world.ledger.lanes[usize::from(id)];
        let mut view = View { intents: lane.intents, held: lane.held, folded: lane.folded, ..View::default() };
        if setup.lacks(Broken::NoCompare) {
            for intent in &mut view.intents {
                *intent = intent.filter(|intent| intent.stands != Stands::InFlight);
            }
        }
        for (no, row) in world.ledger.work.iter().enumerate() {
            if let Some(row) = row.filter(|row| row.lane == id && !row.is_dead) {
                view.live |= 1 << no;
                view.progress[no] = row.progress;
            }
        }
        view
    }

    /// Takes the turn: what is final is settled.
    pub fn turn(&mut self, world: &World, setup: &Setup) -> Turn {
        let mut settled = Vec::new();
        loop {
            let finals: Vec<u8> =
                each(self.live).filter(|no| !self.is_open(world, *no) && !self.is_pending(world, setup, *no)).collect();
            for no in &finals {
                settled.push((*no, self.ending(world, setup, *no)));
                self.live &= !(1 << no);
                if !self.progress[usize::from(*no)].refused {
                    self.folded |= 1 << world.event(*no);
                }
            }
            if finals.is_empty() {
                return Turn { settled, next: self.choose(world, setup) };
            }
        }
    }

    fn choose(&self, world: &World, setup: &Setup) -> Next {
        if self.intents != [None; 2] {
            return if can_tell(&self.intents, world, setup) { Next::Read } else { Next::Rest(Due::WhenTold) };
        }
        let due = each(self.live).find(|no| self.is_pending(world, setup, *no));
        due.map_or(Next::Rest(Due::Never), |no| Next::Send { no, payments: self.outstanding(world, setup, no) })
    }

    fn ending(&self, world: &World, setup: &Setup, no: u8) -> Status {
        let progress = self.progress[usize::from(no)];
        if progress.refused {
            Status::Dead
        } else if progress.delivered {
            Status::Delivered
        } else if progress.confirmed {
            Status::Confirmed
        } else if self.is_newest(world, setup, no) {
            Status::NothingToSend
        } else {
            Status::Superseded
        }
    }

    /// Whether an event holds what is wanted of its thing, and not all of that is so yet.
    fn is_pending(&self, world: &World, setup: &Setup, no: u8) -> bool {
        let event = world.event(no);
        let open = self.intents.iter().flatten().filter_map(|intent| world.attempt(intent.attempt));
        let is_thing_open = open.into_iter().any(|attempt| has(setup.thing(event), attempt.event));
        let is_wanted = is_thing_open || self.outstanding(world, setup, no) != 0;
        !self.progress[usize::from(no)].refused && is_wanted && self.is_newest(world, setup, no)
    }

    fn is_newest(&self, world: &World, setup: &Setup, no: u8) -> bool {
        let newer = setup.newer(world.event(no));
        let is_live = |other: u8| !self.progress[usize::from(other)].refused && has(newer, world.event(other));
        newer & self.folded == 0 && !each(self.live).any(is_live)
    }

    fn outstanding(&self, world: &World, setup: &Setup, no: u8) -> Bits {
        setup.wants(world.event(no)) & !self.held
    }

    fn is_open(&self, world: &World, no: u8) -> bool {
        self.intents.iter().flatten().filter_map(|intent| world.attempt(intent.attempt)).any(|attempt| attempt.no == no)
    }

    /// Takes in a read of the order, as `plan/answers.rs` does.
    pub fn learn_from_read(&mut self, world: &World, setup: &Setup) {
        let shown = world.at_bwp();
        for place in 0..self.intents.len() {
            let Some(intent) = self.intents[place] else { continue };
            let Some(attempt) = world.attempt(intent.attempt) else { continue };
            let is_so = attempt.payments & shown == attempt.payments;
            if is_so {
                self.progress[usize::from(attempt.no)].confirmed = true;
            }
            if is_so || tells(&intent, world, setup) {
                self.intents[place] = None;
            }
        }
        self.intents.sort_by_key(Option::is_none);
        self.held |= shown;
    }
}

/// Whether a read made now tells what became of all that is open.
pub fn can_tell(intents: &[Option<Intent>], world: &World, setup: &Setup) -> bool {
    intents.iter().flatten().all(|intent| tells(intent, world, setup))
}

fn tells(intent: &Intent, world: &World, setup: &Setup) -> bool {
    let is_quiet = world.attempt(intent.attempt).is_none_or(|attempt| attempt.phase == Phase::Quiet);
    intent.stands == Stands::Unclear || is_quiet || setup.lacks(Broken::NoWait)
}

const _: () = assert!(ROWS <= 8, "a set of rows has eight places");
