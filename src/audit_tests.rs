//! One sound ledger, and what breaks each of its invariants, and only that one.

#![allow(clippy::expect_used)]
use super::*;

/// Every kind of lane that there is: at rest, due, leased with a call in flight, left by a dead holder, merged away.
fn sound() -> Facts {
    let balance =
        |kind: &str, read, duplicates, finals, live| Balance { kind: kind.into(), read, tombstones: 0, duplicates, finals, live };
    let lane = |id, lease_no, next_at| LaneFacts { id, lease_no, next_at, ..LaneFacts::default() };
    let event = |no, lane| EventFacts { no, lane, identity: no as u128, ..EventFacts::default() };
    Facts {
        balances: vec![
            balance("refund", 10, 1, 4, 5),
            Balance { tombstones: 3, ..balance("tombstone", 3, 0, 0, 0) },
            balance("alias", 2, 0, 2, 0),
        ],
        lanes: vec![
            lane(1, 9, None),
            lane(2, 0, Some(120)),
            LaneFacts {
                is_leased: true,
                flight: vec![30, 31],
                open: vec![30, 31],
                flight_ends: Some(108),
                ..lane(3, 4, Some(130))
            },
            LaneFacts { flight: vec![40], open: vec![40, 41], flight_ends: Some(90), overdue: 10, ..lane(4, 2, Some(98)) },
            LaneFacts { merged_into: Some(2), ..lane(5, 7, None) },
        ],
        events: vec![
            EventFacts { is_dead: true, outcomes: 2, recorded: 2, ..event(10, 1) },
            // Its outcomes are no longer kept.
            EventFacts { is_dead: true, outcomes: 1, recorded: 0, ..event(11, 1) },
            event(20, 2),
            event(30, 3),
            // It died, and was retried.
            EventFacts { outcomes: 1, recorded: 1, ..event(31, 3) },
            event(40, 4),
            event(41, 4),
        ],
        grace: 10,
    }
}

fn lane(facts: &mut Facts, id: i64) -> &mut LaneFacts {
    facts.lanes.iter_mut().find(|lane| lane.id == id).expect("a lane of the sound ledger")
}

fn event(facts: &mut Facts, no: EventNo) -> &mut EventFacts {
    facts.events.iter_mut().find(|event| event.no == no).expect("an event of the sound ledger")
}

#[test]
fn a_sound_ledger_has_no_violations() {
    assert_eq!(violations(&sound()), []);
    assert_eq!(violations(&Facts::default()), []);
}

/// What is done to the sound ledger, which invariant that breaks, and the lanes and events that it shows in.
type Broken = (&'static str, fn(&mut Facts), Invariant, &'static [i64], &'static [EventNo]);

const BROKEN: [Broken; 18] = [
    ("an event vanished", |facts| facts.balances[0].live -= 1, Invariant::Balance, &[], &[]),
    ("an event was counted twice", |facts| facts.balances[2].finals += 1, Invariant::Balance, &[], &[]),
    ("it is open in a lane that it left", |facts| event(facts, 41).lane = 2, Invariant::OneLease, &[4], &[41]),
    (
        "it is dead and in flight",
        |facts| {
            *event(facts, 30) = EventFacts { is_dead: true, outcomes: 1, recorded: 1, ..event(facts, 30).clone() };
        },
        Invariant::OneLease,
        &[3],
        &[30],
    ),
    ("it was settled and is in flight", |facts| facts.events.retain(|event| event.no != 31), Invariant::OneLease, &[3], &[31]),
    ("it is open and gone", |facts| lane(facts, 1).open.push(99), Invariant::OneLease, &[1], &[99]),
    (
        "it stands in two lanes",
        |facts| {
            let again = EventFacts { lane: 3, ..event(facts, 20).clone() };
            facts.events.push(again);
        },
        Invariant::OneState,
        &[2, 3],
        &[20],
    ),
    ("it was taken in twice", |facts| event(facts, 41).identity = 40, Invariant::OneState, &[4, 4], &[41]),
    ("it ended and still waits", |facts| event(facts, 20).recorded = 1, Invariant::OneState, &[2], &[20]),
    ("it ended again and was not counted", |facts| event(facts, 31).recorded = 2, Invariant::OneState, &[3], &[31]),
    (
        "it is dead and nobody was told",
        |facts| {
            (event(facts, 10).outcomes, event(facts, 10).recorded) = (0, 0);
        },
        Invariant::OneState,
        &[1],
        &[10],
    ),
    ("the call may outlast the lease", |facts| lane(facts, 3).flight_ends = Some(131), Invariant::InTime, &[3], &[30, 31]),
    ("nobody takes over", |facts| lane(facts, 4).overdue = 11, Invariant::InTime, &[4], &[40]),
    ("a lease without an end", |facts| lane(facts, 3).next_at = None, Invariant::InTime, &[3], &[30, 31]),
    ("nothing makes it due", |facts| lane(facts, 2).next_at = None, Invariant::Awake, &[2], &[20]),
    ("its lane is gone", |facts| facts.lanes.retain(|lane| lane.id != 2), Invariant::Awake, &[2], &[20]),
    ("an event stayed behind", |facts| event(facts, 20).lane = 5, Invariant::MergedEmpty, &[5], &[20]),
    ("a merged lane is due", |facts| lane(facts, 5).next_at = Some(100), Invariant::MergedEmpty, &[5], &[]),
];

#[test]
fn each_break_shows_as_what_it_is_and_as_nothing_else() {
    for (what, breaking, invariant, lanes, events) in BROKEN {
        let mut facts = sound();
        breaking(&mut facts);
        let found = violations(&facts);
        let seen: Vec<_> = found.iter().map(|one| (one.invariant, &one.lanes[..], &one.events[..])).collect();
        assert_eq!(seen, [(invariant, lanes, events)], "{what}: {found:#?}");
        assert!(found.iter().all(|one| !one.says.is_empty()));
    }
}

#[test]
fn two_lanes_that_hold_one_event_are_named_together() {
    let mut facts = sound();
    lane(&mut facts, 4).open.push(30);
    let found = Invariant::OneLease.violations(&facts);
    assert!(found.iter().any(|one| one.lanes == [3, 4] && one.events == [30]), "{found:#?}");
}

#[test]
fn every_invariant_is_broken_here_and_has_a_name_of_its_own() {
    let broken: BTreeSet<Invariant> = BROKEN.iter().map(|row| row.2).collect();
    assert_eq!(broken, Invariant::ALL.into_iter().collect());
    let names: BTreeSet<&str> = Invariant::ALL.into_iter().map(Invariant::name).collect();
    assert_eq!(names.len(), Invariant::ALL.len());
}
