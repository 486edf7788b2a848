//! What one event costs in computing, against a budget: instructions as valgrind counts them, and allocations. Both are the same on
//! every machine, so that a test can hold them; what it costs Postgres is held by `tests/e2e/budget.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod counted;
#[path = "../support/rules.rs"]
mod rules;
mod way;

use bwp_sync::config::Coalesce;
use bwp_sync::plan::Rules;
use counted::instructions;
use rules::rules;
use way::{EVENTS, Order};

/// What an event may cost, from its record to the text of its outcome, as it was when this was written last. Instructions are those
/// of an unoptimised build, as tests are.
const INSTRUCTIONS: u64 = 2_149_000;
const ALLOCATIONS: u64 = 275;
const BYTES: u64 = 46_768;

/// More than this share above a budget is too much; so much below it, the budget is to be written anew, or it would let that come back.
const GROWTH: f64 = 0.05;
const SHRINKING: f64 = 0.10;

/// Each event is a mutation of its own.
fn alone() -> Rules {
    Rules { coalesce: Coalesce::Off, ..rules() }
}

fn hold(what: &str, seen: u64, budget: u64) {
    println!("{what} of an event: {seen}, budget {budget}");
    let share = seen as f64 / budget as f64 - 1.0;
    assert!(share <= GROWTH, "an event costs {seen} {what}, its budget is {budget}: find out why before raising it");
    assert!(share >= -SHRINKING, "an event costs {seen} {what}, far below its budget of {budget}: write the new figure down");
}

#[test]
fn an_event_allocates_no_more_than_its_budget() {
    let (rules, order) = (alone(), Order::new(1));
    order.walk(&rules);
    let counted = allocation_counter::measure(|| order.walk(&rules));
    hold("allocations", counted.count_total / EVENTS as u64, ALLOCATIONS);
    hold("allocated bytes", counted.bytes_total / EVENTS as u64, BYTES);
}

#[test]
fn an_event_takes_no_more_instructions_than_its_budget() {
    // The difference is free of whatever a process needs to start.
    let more = instructions("walked", 3) - instructions("walked", 1);
    hold("instructions", more / (2 * EVENTS as u64), INSTRUCTIONS);
}

/// What valgrind looks at: so many walks of the same order.
#[test]
#[ignore = "valgrind runs it"]
fn walked() {
    let (rules, order) = (alone(), Order::new(1));
    let walks: u32 = std::env::var("WALKS").unwrap().parse().unwrap();
    (0..walks).for_each(|_| order.walk(&rules));
}
