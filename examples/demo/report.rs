//! What is printed, except for the story.

use crate::broker::Broker;
use crate::check::Identity;
use crate::daemon::Daemon;
use crate::day::{Day, HERO};
use crate::seen::Seen;
use bwp_simulator::Simulator;
use std::collections::BTreeMap;

const STATUSES: [&str; 6] = ["DELIVERED", "CONFIRMED", "SUPERSEDED", "NOTHING_TO_SEND", "DEAD", "QUARANTINED"];
/// More would hide the verdict.
const WRONG_SHOWN: usize = 25;

/// What is running.
pub fn parts(broker: &Broker, simulator: &Simulator, daemon: &Daemon, day: &Day) {
    println!("broker          {} (librdkafka's mock cluster)", broker.address());
    println!("Buy with Prime  {} (the simulator, as a sandbox)", simulator.base_url());
    println!("daemon          {} (log: {})", daemon.address("/metrics"), daemon.log());
    let (events, orders) = (day.events().count(), day.expected.len());
    println!("\nA merchant's day: {orders} orders, {events} events, {} of them sent twice\n", day.repetitions());
}

/// How many outcomes there are by kind and status.
pub fn outcomes(seen: &Seen) {
    let mut counts: BTreeMap<&str, BTreeMap<&str, usize>> = BTreeMap::new();
    for outcome in seen.outcomes.values() {
        *counts.entry(&outcome.kind).or_default().entry(&outcome.status).or_default() += 1;
    }
    println!("\nWhat became of the events (read from bwp.outcomes)");
    println!("  {:<14}{}", "", STATUSES.map(|status| format!("{status:>16}")).concat());
    for (kind, row) in &counts {
        let cells = STATUSES.map(|status| format!("{:>16}", row.get(status).map_or_else(|| "-".to_owned(), usize::to_string)));
        println!("  {kind:<14}{}", cells.concat());
    }
}

/// What Buy with Prime did wrong.
pub fn faults(simulator: &Simulator) {
    println!("\nWhat went wrong at Buy with Prime meanwhile");
    for fault in simulator.faults().counts() {
        println!("  {:4} x  {}", fault.fired, fault.rule.name.unwrap_or_default());
    }
}

/// What must never happen, and how often it did.
pub fn judge(simulator: &Simulator) {
    let report = simulator.report();
    let asked = |operation: &str| report.requests.get(operation).copied().unwrap_or(0);
    println!(
        "\nWhat the judge at Buy with Prime saw: {} updateOrder, {} updateOrderPackageInformation, {} reads, {} token requests",
        asked("updateOrder"),
        asked("updateOrderPackageInformation"),
        asked("order"),
        asked("token")
    );
    println!(
        "  {} accepted, {} refused, {} unclear, at most {} at once",
        report.accepted, report.refused, report.unclear, report.max_in_flight
    );
    for (kind, what) in never() {
        println!("  {:4} x  {what}", report.count(kind));
    }
}

fn never() -> [(bwp_simulator::Wrong, &'static str); 9] {
    use bwp_simulator::Wrong::{
        BlindRepeat, ConcurrentMutations, InsideRetryAfter, PackageMutationInProduction, PaymentAppliedTwice, ReturnCreatedTwice,
        SeveralMutationsInOneRequest, StateWentBack, TotalWentDown,
    };
    [
        (ConcurrentMutations, "two mutations of one order at once"),
        (StateWentBack, "a state going back"),
        (TotalWentDown, "a refund's total going down"),
        (ReturnCreatedTwice, "a return created twice"),
        (PaymentAppliedTwice, "a payment made twice"),
        (BlindRepeat, "a blind repeat after an unclear answer"),
        (InsideRetryAfter, "a request inside a Retry-After"),
        (PackageMutationInProduction, "a sandbox mutation in production"),
        (SeveralMutationsInOneRequest, "several mutations in one request"),
    ]
}

/// Where every record went.
pub fn identity(identity: &Identity) {
    let Identity { read, tombstones, duplicates, outcomes, backlog, imbalance } = identity;
    println!("\nEvery record accounted for (from /metrics)");
    println!(
        "  read {read} = tombstones {tombstones} + duplicates {duplicates} + final {outcomes} + backlog {backlog}; imbalance {imbalance}"
    );
}

/// Where to look while everything is up.
pub fn places(broker: &Broker, simulator: &Simulator, daemon: &Daemon) {
    println!("\nWhere to look");
    for (what, place) in [
        ("metrics", daemon.address("/metrics")),
        ("state", daemon.address("/state")),
        ("log", daemon.log().to_string()),
        ("an order at Buy with Prime", format!("{}/admin/orders/{HERO}", simulator.base_url())),
        ("the judge", format!("{}/admin/judge", simulator.base_url())),
        ("the broker", broker.address()),
        ("the ledger", format!("psql {}", std::env::var("BWP_DEMO_DATABASE_URL").unwrap_or_default())),
    ] {
        println!("  {what:<27} {place}");
    }
}

/// The last word.
pub fn verdict(wrong: &[String]) {
    if wrong.is_empty() {
        println!(
            "\nNothing lost, nothing doubled: every event has one outcome, and every order is at Buy with Prime as it must be."
        );
        return;
    }
    println!("\nFAILED: {} things are not as expected", wrong.len());
    wrong.iter().take(WRONG_SHOWN).for_each(|one| println!("  {one}"));
    if wrong.len() > WRONG_SHOWN {
        println!("  ... and {} more", wrong.len() - WRONG_SHOWN);
    }
}
