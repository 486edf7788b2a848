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

use judge::{
    APPLIED_ONCE, AUDIT, CRASH, CURSOR, DONE, LATE_REQUEST, LATE_SETTLE, LOST, MERGE, MERGE_BOTH, NOT_BLIND, NOT_STUCK, OFFSETS,
    ONE_IN_FLIGHT, PUBLISHED_IN_ORDER, Protocol, RECORDED_ONCE, REREAD, RETRIED_ONCE, RETRY, TWICE,
};
use setup::{Broken, Fault, Record, Setup, Tie};
use stateright::{Checker, HasDiscoveries, Model};
use std::time::Instant;

/// Searches all states, of which there must be at least so many.
fn holds(what: &str, setup: Setup, reaches: &[&'static str], at_least: usize) {
    let began = Instant::now();
    let checker = Protocol { setup, reaches: reaches.to_vec(), watches: None }.checker().spawn_bfs().join();
    let states = checker.unique_state_count();
    println!("{what}: {states} states, {} steps deep, {:.1?}", checker.max_depth(), began.elapsed());
    checker.assert_properties();
    assert!(states >= at_least, "{what}: only {states} states: something can no longer happen");
}

/// Searches for each of the things that a broken variant has to do wrong, and prints the shortest way there.
fn is_caught(broken: Broken, setup: &Setup, by: &[&'static str]) {
    for wrong in by {
        let setup = Setup { broken: Some(broken), ..setup.clone() };
        let protocol = Protocol { setup, reaches: Vec::new(), watches: Some(wrong) };
        let checker = protocol.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
        let states = checker.unique_state_count();
        let found = checker.discoveries().into_values().next();
        let Some(path) = found else { panic!("{broken:?}: \"{wrong}\" holds in all {states} states") };
        println!("{broken:?}: not \"{wrong}\", after {states} states, by");
        path.into_actions().iter().for_each(|action| println!("    {action:?}"));
    }
}

/// Two snapshots of one thing, in one lane.
fn one_order() -> Setup {
    Setup {
        records: vec![Record::Event(0), Record::Event(1)],
        names: [0, 0, 1],
        things: [0, 0, 1],
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
        things: [0, 1, 1],
        faults: vec![Fault::Crash, Fault::Slow, Fault::Reset],
        faults_in_all: 1,
        ..one_order()
    }
}

/// The same, where an answer of Buy with Prime tells it.
fn two_names_by_answer() -> Setup {
    Setup { records: vec![Record::Event(0), Record::Event(1)], tie: Tie::ByAnswer, ..two_names() }
}

/// One name with two events of different things, and a row that takes the name from its order.
fn name_taken() -> Setup {
    Setup {
        records: vec![Record::Event(0), Record::Event(1), Record::Part],
        things: [0, 1, 2],
        faults: vec![Fault::Crash, Fault::Slow, Fault::Reset, Fault::Unclear],
        faults_in_all: 1,
        ..one_order()
    }
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
        faults_in_all: 2,
        publishers: 1,
        ..one_order()
    }
}

#[test]
fn one_order_is_kept_right_through_faults() {
    let reaches = [CRASH, LOST, LATE_REQUEST, LATE_SETTLE, DONE];
    // With its lease numbers as they are, the search ends only if no lane can be claimed for ever.
    holds("one order, two faults", Setup { keeps_numbers: true, ..one_order() }, &reaches, 14_000);
    let faults = vec![Fault::Crash, Fault::Slow, Fault::Reset, Fault::Refusal];
    holds("one order, three faults", Setup { faults, faults_in_all: 3, ..one_order() }, &reaches, 75_000);
}

#[test]
fn two_names_that_a_record_ties_are_kept_right() {
    let reaches = [CRASH, LOST, LATE_REQUEST, LATE_SETTLE, MERGE, MERGE_BOTH, DONE];
    holds("two names, tied by a record", two_names(), &reaches, 25_000);
}

#[test]
fn two_names_that_an_answer_ties_are_kept_right() {
    let reaches = [CRASH, LOST, LATE_REQUEST, LATE_SETTLE, MERGE, DONE];
    holds("two names, tied by an answer", two_names_by_answer(), &reaches, 9_000);
}

#[test]
fn dead_letters_are_retried_and_outcomes_published_right() {
    holds("letters", letters(), &[CRASH, REREAD, RETRY, TWICE, DONE], 43_000);
}

#[test]
fn records_that_come_again_change_nothing() {
    holds("intake", intake(), &[CRASH, REREAD, TWICE, DONE], 29_000);
}

#[test]
fn a_name_that_is_taken_from_its_order_is_kept_right() {
    holds("a name taken", name_taken(), &[CRASH, LOST, LATE_REQUEST, LATE_SETTLE, DONE], 9_000);
}

/// Minutes, and for a change of the protocol: `cargo test --test model -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes"]
fn more_may_go_wrong() {
    holds("one order, more", Setup { faults_in_all: 3, ..one_order() }, &[DONE], 10);
    holds("two names, more", Setup { faults_in_all: 2, ..two_names() }, &[DONE], 10);
    let third = vec![Record::Event(0), Record::Event(1), Record::Event(2)];
    holds("by answer, more", Setup { records: third, faults_in_all: 2, ..two_names_by_answer() }, &[DONE], 10);
}

#[test]
fn a_settle_without_the_lease_number_is_caught() {
    let setup = Setup { faults: vec![Fault::Slow, Fault::Reset], ..one_order() };
    is_caught(Broken::NoLeaseNumber, &setup, &[AUDIT, APPLIED_ONCE]);
}

#[test]
fn a_merge_that_leaves_leases_standing_is_caught() {
    is_caught(Broken::MergeKeepsLeases, &two_names(), &[AUDIT, ONE_IN_FLIGHT]);
}

#[test]
fn a_merge_that_ends_leases_need_not_raise_their_numbers() {
    holds("numbers kept", Setup { broken: Some(Broken::MergeKeepsNumbers), ..two_names() }, &[MERGE, DONE], 30_000);
}

#[test]
fn a_merge_that_forgets_what_is_in_flight_is_caught() {
    is_caught(Broken::MergeForgetsFlight, &two_names(), &[ONE_IN_FLIGHT, APPLIED_ONCE]);
}

#[test]
fn a_cursor_that_moves_before_the_broker_answers_is_caught() {
    is_caught(Broken::CursorFirst, &intake(), &[CURSOR, PUBLISHED_IN_ORDER]);
}

#[test]
fn an_outcome_recorded_in_a_transaction_of_its_own_is_caught() {
    is_caught(Broken::OutcomeApart, &one_order(), &[AUDIT]);
}

#[test]
fn a_send_without_a_written_intent_is_caught() {
    is_caught(Broken::NoIntent, &one_order(), &[NOT_BLIND, APPLIED_ONCE]);
}

#[test]
fn a_blind_repeat_after_a_crash_is_caught() {
    is_caught(Broken::NoCompare, &one_order(), &[NOT_BLIND, APPLIED_ONCE]);
}

#[test]
fn a_read_that_does_not_wait_for_late_requests_is_caught() {
    is_caught(Broken::NoWait, &one_order(), &[APPLIED_ONCE]);
}

#[test]
fn a_send_after_its_deadline_is_caught() {
    is_caught(Broken::SendsLate, &one_order(), &[NOT_BLIND, APPLIED_ONCE]);
}

#[test]
fn an_offset_committed_before_its_records_are_durable_is_caught() {
    is_caught(Broken::OffsetFirst, &intake(), &[OFFSETS]);
}

#[test]
fn duplicates_that_are_not_recognised_are_caught() {
    is_caught(Broken::DuplicatesTaken, &intake(), &[AUDIT, RECORDED_ONCE]);
}

#[test]
fn a_dirty_flag_ignored_at_release_is_caught() {
    is_caught(Broken::DirtyIgnored, &one_order(), &[AUDIT, NOT_STUCK]);
}

#[test]
fn a_letter_that_retries_whatever_outcome_is_caught() {
    is_caught(Broken::AnyLetterRetries, &letters(), &[RETRIED_ONCE]);
}

#[test]
fn a_holder_that_goes_on_with_a_dirty_lane_is_caught() {
    is_caught(Broken::HoldsOnDirty, &one_order(), &[AUDIT, NOT_STUCK]);
}

#[test]
fn unknown_events_that_go_with_their_name_are_caught() {
    is_caught(Broken::PartTakesUnknown, &name_taken(), &[AUDIT, NOT_BLIND, APPLIED_ONCE]);
}

#[test]
fn a_name_taken_from_a_lane_that_stays_clean_is_caught() {
    is_caught(Broken::PartLeavesClean, &name_taken(), &[AUDIT, NOT_BLIND, APPLIED_ONCE]);
}
