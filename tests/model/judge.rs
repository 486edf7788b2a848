//! The model, what must be true of every state of it, and what has to be reached for the search to mean anything.

use crate::facts::facts;
use crate::setup::Setup;
use crate::steps::{self, Action};
use crate::world::{Breach, Holder, Intent, Outcome, Stands, Status, Step, Wire, World};
use bwp_sync::audit;
use stateright::{Model, Property};

/// The protocol in one setup.
#[derive(Debug, Clone)]
pub struct Protocol {
    pub setup: Setup,
    /// What has to be reached.
    pub reaches: Vec<&'static str>,
    /// Where only one thing is looked for that must not be.
    pub watches: Option<&'static str>,
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(&self.setup)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        steps::all(world, actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = *world;
        next.step(&self.setup, action)?;
        next.tidy(&self.setup);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Protocol>> {
        let wanted = REACHED.into_iter().filter(|(name, _)| self.reaches.contains(name));
        let reached = wanted.map(|(name, condition)| Property::sometimes(name, condition));
        // One for all: the checker looks each property up by its name in each state.
        let always: Condition = |protocol, world| {
            let mut watched = ALWAYS.iter().filter(|(name, _)| protocol.watches.is_none_or(|watched| watched == *name));
            watched.all(|(_, condition)| condition(protocol, world))
        };
        [Property::always("nothing is wrong", always)].into_iter().chain(reached).collect()
    }
}

type Condition = fn(&Protocol, &World) -> bool;

/// The invariants that the program audits itself with.
pub const AUDIT: &str = "the audit finds nothing";
/// No refund is paid twice.
pub const APPLIED_ONCE: &str = "nothing is applied twice";
/// Nothing is sent again that may have been applied, before a read has shown that it was not.
pub const NOT_BLIND: &str = "nothing is repeated blindly";
/// Of an order, under all its names.
pub const ONE_IN_FLIGHT: &str = "one mutation of an order is in flight";
/// Of one thing.
pub const IN_ORDER: &str = "snapshots are sent in order";
/// Each outcome has its number.
pub const RECORDED_ONCE: &str = "an outcome is recorded once";
/// None is left out.
pub const PUBLISHED_IN_ORDER: &str = "outcomes are published in order";
/// What the cursor has passed is with the broker.
pub const CURSOR: &str = "the cursor is never beyond what is published, nor goes back";
/// What Kafka may forget is in the ledger.
pub const OFFSETS: &str = "offsets are committed of durable records only";
/// A letter that comes again is a duplicate.
pub const RETRIED_ONCE: &str = "an outcome is retried once";
/// Whatever has happened, it goes on by itself until all is settled and published.
pub const NOT_STUCK: &str = "nothing is stuck";

/// What must be true of every state.
const ALWAYS: [(&str, Condition); 11] = [
    (AUDIT, |_, world| audit::violations(&facts(world)).is_empty()),
    (APPLIED_ONCE, |_, world| world.applied.iter().all(|count| *count < 2)),
    (NOT_BLIND, |_, world| holds(world, Breach::BlindRepeat)),
    (ONE_IN_FLIGHT, |_, world| holds(world, Breach::TwoInFlight)),
    (IN_ORDER, |_, world| holds(world, Breach::OutOfOrder)),
    (RECORDED_ONCE, |_, world| {
        let history = &world.ledger.history;
        history
            .iter()
            .enumerate()
            .all(|(at, one)| history.iter().take(at).all(|other| (one.event, one.number) != (other.event, other.number)))
    }),
    (PUBLISHED_IN_ORDER, |_, world| holds(world, Breach::PublishedOutOfOrder)),
    (CURSOR, |_, world| {
        let recorded = world.ledger.history.len();
        world.published <= recorded && world.ledger.cursor <= world.published && holds(world, Breach::CursorWentBack)
    }),
    (OFFSETS, |_, world| (0..world.committed).all(|offset| world.judge.durable >> offset & 1 == 1)),
    (RETRIED_ONCE, |_, world| holds(world, Breach::RetriedTwice)),
    (NOT_STUCK, |protocol, world| world.is_done(&protocol.setup) || goes_on(protocol, world)),
];

fn holds(world: &World, breach: Breach) -> bool {
    !world.judge.breaches[breach as usize]
}

/// Whether something can happen that nobody has to do wrong for, or ask for.
fn goes_on(protocol: &Protocol, world: &World) -> bool {
    let mut actions = Vec::new();
    steps::all(world, &mut actions);
    actions.into_iter().any(|action| {
        let next = protocol.next_state(world, action);
        next.is_some_and(|next| next.faults == world.faults && next.letters == world.letters)
    })
}

/// A holder dies and leaves its lane leased.
pub const CRASH: &str = "a holder dies";
/// A mutation was applied, and its holder will never hear of it.
pub const LOST: &str = "an answer is lost";
/// A mutation applies after its holder has given it up.
pub const LATE_REQUEST: &str = "a request applies late";
/// A holder whose lease is gone comes to settle.
pub const LATE_SETTLE: &str = "a settle comes late";
/// A lane is merged while its holder sends.
pub const MERGE: &str = "a lane is merged in flight";
/// Both lanes have a mutation in flight when they are merged.
pub const MERGE_BOTH: &str = "both lanes are merged in flight";
/// A dead event is retried, and accepted.
pub const RETRY: &str = "a dead event is retried and delivered";
/// Records are read again.
pub const REREAD: &str = "records are read again";
/// A page is published twice.
pub const TWICE: &str = "a page is published again";
/// All ends well, although all that may go wrong did.
pub const DONE: &str = "all is settled and published";

/// What may have to be reached.
const REACHED: [(&str, Condition); 10] = [
    (CRASH, |_, world| {
        let is_held =
            |id: usize| world.holders.iter().flatten().any(|holder| usize::from(holder.lane) == id && world.holds(holder));
        world.ledger.lanes.iter().enumerate().any(|(id, lane)| lane.is_leased && !is_held(id))
    }),
    (LOST, |_, world| {
        let lost = |intent: Intent| {
            let attempt = world.attempt(intent.attempt);
            intent.stands == Stands::NoAnswer && attempt.is_some_and(|attempt| attempt.payments & !world.at_bwp() == 0)
        };
        world.ledger.lanes.iter().flat_map(|lane| lane.intents).flatten().any(lost)
    }),
    (LATE_REQUEST, |_, world| {
        let waits = |number: usize| {
            let is_it = |holder: &Holder| holder.job.map(usize::from) == Some(number) && holder.step == Step::Sent;
            world.holders.iter().flatten().any(is_it)
        };
        let mut attempts = world.attempts.iter().enumerate();
        attempts
            .any(|(number, attempt)| attempt.is_some_and(|attempt| matches!(attempt.wire, Wire::Answering(_)) && !waits(number)))
    }),
    (LATE_SETTLE, |_, world| {
        let mut holders = world.holders.iter().flatten();
        holders.any(|holder| matches!(holder.step, Step::Answered { .. }) && !world.holds(holder))
    }),
    (MERGE, |_, world| {
        let is_merged = world.ledger.lanes.iter().any(|lane| lane.merged_into.is_some());
        let sends = |holder: &Holder| matches!(holder.step, Step::Claimed | Step::Sent) && !world.holds(holder);
        is_merged && world.holders.iter().flatten().any(sends)
    }),
    (MERGE_BOTH, |_, world| world.ledger.lanes.iter().any(|lane| lane.intents.iter().all(Option::is_some))),
    (RETRY, |protocol, world| {
        let is_it = |outcome: Outcome| outcome.number == 2 && outcome.status == Status::Delivered;
        world.ledger.history.iter().any(is_it) && world.is_done(&protocol.setup)
    }),
    (REREAD, |_, world| world.judge.durable >> world.position & 1 == 1),
    (TWICE, |_, world| world.publishers.iter().flatten().any(|page| page.at < world.published)),
    (DONE, |protocol, world| world.faults == 0 && world.is_done(&protocol.setup)),
];
