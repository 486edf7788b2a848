//! The invariants of the ledger, as functions over plain values: what must be true of its rows at any moment, whoever has just
//! died. The running program audits itself with them, and so do its model and its tests.
//!
//! Pure: facts in, violations out. The facts have to be of one moment. A part of the ledger may be looked at by itself, as long as
//! each of its lanes comes with the events that it has open and, if it has any, with some of its unsettled ones. Times are plain
//! numbers of any unit: milliseconds in the ledger, steps in a model.

use crate::plan::rank::EventNo;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What must be true of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// Of each kind: every record read is a tombstone, a duplicate, has a present outcome, or is not settled yet.
    Balance,
    /// No event is in flight or unknown in two lanes, and what is so in a lane is an unsettled event of that very lane.
    OneLease,
    /// No event is there twice, none is unsettled and has a present outcome, and none that is dead lacks one.
    OneState,
    /// What is in flight is over before its lease is, and a lane whose time has come is taken up.
    InTime,
    /// A lane with unsettled events is leased or has a due time: else they are forgotten.
    Awake,
    /// A lane that was merged into another has no events, nothing open, no lease and no due time.
    MergedEmpty,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Invariant; 6] = [
        Invariant::Balance,
        Invariant::OneLease,
        Invariant::OneState,
        Invariant::InTime,
        Invariant::Awake,
        Invariant::MergedEmpty,
    ];

    /// Its name, as metrics and logs have it.
    pub const fn name(self) -> &'static str {
        match self {
            Invariant::Balance => "balance",
            Invariant::OneLease => "one_lease",
            Invariant::OneState => "one_state",
            Invariant::InTime => "in_time",
            Invariant::Awake => "awake",
            Invariant::MergedEmpty => "merged_empty",
        }
    }
}

impl Serialize for Invariant {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What is known of one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The running totals, kind by kind.
    pub balances: Vec<Balance>,
    /// Lanes.
    pub lanes: Vec<LaneFacts>,
    /// Their events, or some of them.
    pub events: Vec<EventFacts>,
    /// How long a lane may stay due although it could be taken up.
    pub grace: i64,
}

/// One kind's side of the accounting identity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Balance {
    /// The kind: of an event, or what else a record may be.
    pub kind: String,
    /// Records read.
    pub read: i64,
    /// Records without a value.
    pub tombstones: i64,
    /// Records that were there before.
    pub duplicates: i64,
    /// Present outcomes.
    pub finals: i64,
    /// Events that are not settled.
    pub live: i64,
}

impl Balance {
    /// What does not add up. Zero, always.
    pub fn imbalance(&self) -> i64 {
        self.read - self.tombstones - self.duplicates - self.finals - self.live
    }
}

/// A lane.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LaneFacts {
    /// Its id.
    pub id: i64,
    /// Whether somebody holds it.
    pub is_leased: bool,
    /// The number of its lease.
    pub lease_no: i64,
    /// When it is due; while it is leased, the end of the lease.
    pub next_at: Option<i64>,
    /// For how long nobody has taken it up although its time had come and its turn was there.
    pub overdue: i64,
    /// The events in the mutation that is in flight.
    pub flight: Vec<EventNo>,
    /// When what is in flight is over at the latest.
    pub flight_ends: Option<i64>,
    /// The events in mutations that are in flight or of which it is not known what became of them.
    pub open: Vec<EventNo>,
    /// The lane that it was merged into.
    pub merged_into: Option<i64>,
}

/// A row of an event that is not settled, or dead.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFacts {
    /// Its number.
    pub no: EventNo,
    /// Its lane.
    pub lane: i64,
    /// What stands for its source and id.
    pub identity: u128,
    /// Whether it is dead, and can be retried; else it is not settled.
    pub is_dead: bool,
    /// The outcomes that it has had, by its own count.
    pub outcomes: i64,
    /// The outcomes of it that are recorded, as far as they are still kept. One that is recorded and not counted is a present one.
    pub recorded: i64,
}

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Violation {
    /// What is not true.
    pub invariant: Invariant,
    /// The lanes that it shows in.
    pub lanes: Vec<i64>,
    /// The events that it shows in.
    pub events: Vec<EventNo>,
    /// What is wrong.
    pub says: String,
}

impl Violation {
    fn new(invariant: Invariant, lanes: &[i64], events: &[EventNo], says: impl Into<String>) -> Violation {
        Violation { invariant, lanes: lanes.to_vec(), events: events.to_vec(), says: says.into() }
    }
}

/// All that the facts show to be wrong, in the order of the invariants.
pub fn violations(facts: &Facts) -> Vec<Violation> {
    Invariant::ALL.into_iter().flat_map(|invariant| invariant.violations(facts)).collect()
}

impl Invariant {
    /// Where it is not true.
    pub fn violations(self, facts: &Facts) -> Vec<Violation> {
        match self {
            Invariant::Balance => balance(facts),
            Invariant::OneLease => one_lease(facts),
            Invariant::OneState => one_state(facts),
            Invariant::InTime => in_time(facts),
            Invariant::Awake => awake(facts),
            Invariant::MergedEmpty => merged_empty(facts),
        }
    }
}

fn balance(facts: &Facts) -> Vec<Violation> {
    let wrong = facts.balances.iter().filter(|balance| balance.imbalance() != 0);
    wrong
        .map(|balance| {
            let Balance { kind, read, tombstones, duplicates, finals, live } = balance;
            let says = format!(
                "{kind}: {read} read, less {tombstones} tombstones, {duplicates} duplicates, {finals} outcomes and {live} not \
                 settled leaves {}",
                balance.imbalance()
            );
            Violation::new(Invariant::Balance, &[], &[], says)
        })
        .collect()
}

fn one_lease(facts: &Facts) -> Vec<Violation> {
    let mut wrong = Vec::new();
    let live: BTreeSet<(i64, EventNo)> =
        facts.events.iter().filter(|event| !event.is_dead).map(|event| (event.lane, event.no)).collect();
    let mut holders: BTreeMap<EventNo, Vec<i64>> = BTreeMap::new();
    for lane in &facts.lanes {
        let held: BTreeSet<EventNo> = lane.flight.iter().chain(&lane.open).copied().collect();
        held.iter().for_each(|no| holders.entry(*no).or_default().push(lane.id));
        let strange: Vec<EventNo> = held.into_iter().filter(|no| !live.contains(&(lane.id, *no))).collect();
        if !strange.is_empty() {
            let says = "in flight or unknown, and no unsettled event of this lane";
            wrong.push(Violation::new(Invariant::OneLease, &[lane.id], &strange, says));
        }
    }
    let twice = holders.iter().filter(|(_, lanes)| lanes.len() > 1);
    wrong
        .extend(twice.map(|(no, lanes)| Violation::new(Invariant::OneLease, lanes, &[*no], "in flight or unknown in two lanes")));
    wrong
}

fn one_state(facts: &Facts) -> Vec<Violation> {
    let mut wrong = Vec::new();
    let mut add = |lanes: &[i64], event: EventNo, says: &str| {
        wrong.push(Violation::new(Invariant::OneState, lanes, &[event], says));
    };
    let mut numbers: BTreeMap<EventNo, i64> = BTreeMap::new();
    let mut identities: BTreeMap<u128, (i64, EventNo)> = BTreeMap::new();
    for event in &facts.events {
        if let Some(lane) = numbers.insert(event.no, event.lane) {
            add(&[lane, event.lane], event.no, "there twice under one number");
        } else if let Some((lane, no)) = identities.insert(event.identity, (event.lane, event.no)) {
            add(&[lane, event.lane], event.no, &format!("the same event as {no}"));
        }
        if event.recorded > event.outcomes {
            add(&[event.lane], event.no, "has an outcome that its row does not count: it ended, and is there to be sent again");
        }
        if event.is_dead && event.outcomes < 1 {
            add(&[event.lane], event.no, "dead without an outcome");
        }
    }
    wrong
}

fn in_time(facts: &Facts) -> Vec<Violation> {
    let mut wrong = Vec::new();
    for lane in &facts.lanes {
        let mut add = |says: String| wrong.push(Violation::new(Invariant::InTime, &[lane.id], &lane.flight, says));
        if lane.is_leased && lane.flight_ends.zip(lane.next_at).is_some_and(|(end, lease)| end > lease) {
            add(format!("in flight for longer than its lease {}", lane.lease_no));
        }
        if lane.is_leased && lane.next_at.is_none() {
            add(format!("its lease {} has no end", lane.lease_no));
        }
        if lane.next_at.is_some() && lane.overdue > facts.grace {
            let what = if lane.is_leased { "its lease has ended" } else { "it is due" };
            add(format!("{what}, and nobody takes it up (lease {})", lane.lease_no));
        }
    }
    wrong
}

fn awake(facts: &Facts) -> Vec<Violation> {
    let lanes: BTreeMap<i64, &LaneFacts> = facts.lanes.iter().map(|lane| (lane.id, lane)).collect();
    let mut asleep: BTreeMap<i64, Vec<EventNo>> = BTreeMap::new();
    for event in facts.events.iter().filter(|event| !event.is_dead) {
        // A lane that was merged away is the matter of another invariant.
        let is_awake = |lane: &&LaneFacts| lane.is_leased || lane.next_at.is_some() || lane.merged_into.is_some();
        let is_awake = lanes.get(&event.lane).is_some_and(is_awake);
        if !is_awake {
            asleep.entry(event.lane).or_default().push(event.no);
        }
    }
    let says = |lane| if lanes.contains_key(lane) { "nothing makes it due" } else { "there is no such lane" };
    let all = asleep.iter().map(|(lane, events)| {
        Violation::new(Invariant::Awake, &[*lane], events, format!("{}: its events are forgotten", says(lane)))
    });
    all.collect()
}

fn merged_empty(facts: &Facts) -> Vec<Violation> {
    let mut wrong = Vec::new();
    for lane in facts.lanes.iter().filter(|lane| lane.merged_into.is_some()) {
        let own = facts.events.iter().filter(|event| event.lane == lane.id).map(|event| event.no);
        let events: BTreeSet<EventNo> = own.chain(lane.flight.iter().chain(&lane.open).copied()).collect();
        if !events.is_empty() || lane.is_leased || lane.next_at.is_some() {
            let events: Vec<EventNo> = events.into_iter().collect();
            wrong.push(Violation::new(Invariant::MergedEmpty, &[lane.id], &events, "merged into another, and not empty"));
        }
    }
    wrong
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
