//! What one event costs in computing: instructions as valgrind counts them, and allocations. They are the same on every machine, so
//! they are held by a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod way;

use way::{EVENTS, Order, rules};

/// For valgrind: walks so many orders.
#[test]
#[ignore = "run by the test of instructions"]
fn walked() {
    let orders: usize = std::env::var("ORDERS").map_or(1, |orders| orders.parse().unwrap());
    let rules = rules();
    (0..orders).for_each(|order| Order::new(order).walk(&rules));
    let _ = EVENTS;
}
