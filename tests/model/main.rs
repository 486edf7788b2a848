//! The protocol of lanes, searched through for small sizes: docs/model.md says what is in it and what is not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod facts;
mod judge;
mod ledger;
mod plan;
mod setup;
mod steps;
mod tidy;
mod world;

use judge::{CRASH, DONE, LATE_REQUEST, LATE_SETTLE, LOST, MERGE, Protocol, REREAD, RETRY, TWICE};
use setup::{Broken, Fault, Record, Setup, Tie};
use stateright::{Checker, HasDiscoveries, Model};
use std::time::Instant;

/// Searches all states, of which there must be at least so many.
fn holds(what: &str, setup: Setup, reaches: &[&'static str], at_least: usize) {
    let began = Instant::now();
    let checker = Protocol { setup, reaches: reaches.to_vec() }.checker().spawn_bfs().join();
    let states = checker.unique_state_count();
    println!("{what}: {states} states, {} steps deep, {:.1?}", checker.max_depth(), began.elapsed());
    checker.assert_properties();
    assert!(states >= at_least, "{what}: only {states} states: something can no longer happen");
}

/// Searches for what a broken variant does wrong: the property that shows it has to be this one.
fn is_caught(broken: Broken, setup: Setup, by: &str) {
    let began = Instant::now();
    let protocol = Protocol { setup: Setup { broken: Some(broken), ..setup }, reaches: Vec::new() };
    let checker = protocol.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let states = checker.unique_state_count();
    let found = checker.discoveries();
    for (name, path) in &found {
        println!("{broken:?}: {name} ({states} states, {:.1?})", began.elapsed());
        path.clone().into_actions().iter().for_each(|action| println!("    {action:?}"));
    }
    assert!(!found.is_empty(), "{broken:?} goes unnoticed in {states} states");
    assert!(found.contains_key(by), "{broken:?} is caught by other properties: {:?}", found.keys());
}

/// Two snapshots of one thing, in one lane.
fn one_order() -> Setup {
    Setup {
        records: vec![Record::Event(0), Record::Event(1)],
        names: [0, 0, 1],
        tie: Tie::ByRecord,
        faults: vec![Fault::Crash, Fault::Slow, Fault::Reset, Fault::Unclear, Fault::Refusal, Fault::NotSent, Fault::ReadFails],
        faults_in_all: 2,
        letters: 0,
        publishers: 0,
        keeps_numbers: false,
        broken: None,
    }
}

/// Two names, each with an event, that become one order by a record of the alias topic.
fn two_names() -> Setup {
    Setup {
        records: vec![Record::Event(0), Record::Event(1), Record::Tie],
        names: [0, 1, 1],
        faults: vec![Fault::Crash, Fault::Slow, Fault::Reset],
        ..one_order()
    }
}

/// The same, where an answer of Buy with Prime tells it.
fn two_names_by_answer() -> Setup {
    Setup { records: vec![Record::Event(0), Record::Event(1)], tie: Tie::ByAnswer, ..two_names() }
}

/// One event that is refused, and retried by its letter, twice put back; two replicas publish.
fn letters() -> Setup {
    Setup {
        records: vec![Record::Event(0)],
        faults: vec![Fault::Refusal, Fault::PublisherDies, Fault::HoldEnds, Fault::Reread, Fault::Crash],
        faults_in_all: 3,
        letters: 2,
        publishers: 2,
        ..one_order()
    }
}

/// Records that come again, from the producer and after a rebalance.
fn intake() -> Setup {
    Setup {
        records: vec![Record::Event(0), Record::Event(0), Record::Event(1)],
        faults: vec![Fault::Reread, Fault::Crash, Fault::PublisherDies],
        publishers: 1,
        ..one_order()
    }
}

#[test]
fn one_order_is_kept_right_through_faults() {
    holds("one order", one_order(), &[CRASH, LOST, LATE_REQUEST, LATE_SETTLE, DONE], 10);
}

#[test]
fn two_names_that_a_record_ties_are_kept_right() {
    holds("two names, tied by a record", two_names(), &[CRASH, LOST, LATE_REQUEST, LATE_SETTLE, MERGE, DONE], 10);
}

#[test]
fn two_names_that_an_answer_ties_are_kept_right() {
    holds("two names, tied by an answer", two_names_by_answer(), &[CRASH, LOST, LATE_REQUEST, LATE_SETTLE, MERGE, DONE], 10);
}

#[test]
fn dead_letters_are_retried_and_outcomes_published_right() {
    holds("letters", letters(), &[RETRY, TWICE, DONE], 10);
}

#[test]
fn records_that_come_again_change_nothing() {
    holds("intake", intake(), &[REREAD, CRASH, TWICE, DONE], 10);
}

#[test]
fn broken() {
    for b in [Broken::NoLeaseNumber, Broken::NoIntent, Broken::NoCompare, Broken::NoWait, Broken::SendsLate, Broken::DirtyIgnored]
    {
        let _ = std::panic::catch_unwind(|| is_caught(b, one_order(), "x"));
    }
    for b in [Broken::MergeKeepsLeases, Broken::MergeForgetsFlight, Broken::MergeKeepsNumbers] {
        for s in [two_names(), two_names_by_answer()] {
            let _ = std::panic::catch_unwind(|| is_caught(b, s, "x"));
        }
    }
    for b in [Broken::CursorFirst, Broken::OutcomeApart, Broken::OffsetFirst, Broken::DuplicatesTaken] {
        let _ = std::panic::catch_unwind(|| is_caught(b, intake(), "x"));
    }
    for b in [Broken::AnyLetterRetries] {
        let _ = std::panic::catch_unwind(|| is_caught(b, letters(), "x"));
    }
}
