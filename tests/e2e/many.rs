//! Two thousand orders of every kind, duplicates among their events, six partitions, two replicas: one outcome for each event,
//! and Buy with Prime holds what the merchant wants.

use crate::merchant::{Purchase, STORIES, publish, purchase};
use crate::service::{Service, statuses};
use crate::support::events::Event;
use crate::support::{PATIENCE, wait_until};
use bwp_simulator::Options;
use std::time::{Duration, Instant};

const ORDERS: usize = 2000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_orders_on_two_replicas() {
    let service = Service::open(6, Options { latency: Duration::from_millis(3), ..Options::default() }).await;
    let purchases: Vec<Purchase> = (0..ORDERS).map(purchase).collect();
    service.simulator.seed_orders(purchases.iter().map(|purchase| purchase.seed.clone()).collect()).unwrap();
    let builder = service.builder.clone().set("dispatch.max_in_flight", "16");
    let began = Instant::now();
    let mut replicas = [builder.start(), builder.start()];
    for replica in &mut replicas {
        replica.wait_ready().await;
    }
    let events = rounds(&purchases);
    let late: Vec<&Event> = purchases.iter().flat_map(|purchase| &purchase.late).collect();
    let mut written = publish(&service.topics, &events).await;
    // Names come late: when all else is done.
    let waiting: i64 = purchases.iter().map(|purchase| purchase.waiting).sum();
    assert_eq!(waiting as usize, ORDERS / STORIES * 2);
    let only_waiting = |totals: &bwp_sync::ledger::Totals| {
        totals.backlog.waiting == waiting && totals.backlog.total() == waiting && totals.read == written
    };
    service.totals("only what waits for names is left", PATIENCE * 2, only_waiting).await;
    println!("all but what waits after {:?}", began.elapsed());
    written += publish(&service.topics, &late).await;

    let count = events.len() + late.len();
    let totals = service.drained(count, PATIENCE * 2).await;
    println!("{count} events of {ORDERS} orders after {:?}", began.elapsed());
    assert_eq!((totals.read, totals.duplicates, totals.tombstones), (written, written - count as i64, 0));
    let outcomes = service.outcomes(count).await;
    assert_eq!(outcomes.len(), count);
    let statuses = statuses(&outcomes, events.iter().copied().chain(late.iter().copied()));
    for purchase in &purchases {
        assert_outcomes(purchase, |event| &statuses[event]);
        service.assert_holds(purchase).await;
    }
    let report = service.assert_clean().await;
    println!("{} mutations accepted, at most {} at once", report.accepted, report.max_in_flight);
    // The two replicas may have sixteen on their way each.
    assert!((2..=32).contains(&report.max_in_flight), "orders do not wait for each other, but for a call");
    for replica in &mut replicas {
        wait_until("both replicas to show the same", PATIENCE, async || {
            let metrics = replica.metrics().await;
            let shown = (metrics.get("bwp_sync_imbalance", &[]), metrics.get("bwp_sync_backlog", &[]));
            if shown == (Some(0.0), Some(0.0)) { Ok(()) } else { Err(format!("{shown:?}")) }
        })
        .await;
        let read = replica.metrics().await.get("bwp_sync_records_read_total", &[]).unwrap();
        assert!(read > 0.0, "a replica had no part in it");
        assert_eq!(replica.terminate(Duration::from_secs(15)).await.code(), Some(0));
    }
    println!("with everything after {:?}", began.elapsed());
}

/// First the first event of each order, then the second of each: an order's events are apart from each other.
fn rounds(purchases: &[Purchase]) -> Vec<&Event> {
    let most = purchases.iter().map(|purchase| purchase.events.len()).max().unwrap_or(0);
    (0..most).flat_map(|round| purchases.iter().filter_map(move |purchase| purchase.events.get(round))).collect()
}

/// The last event of an order is delivered, an earlier one too unless a newer one came before its turn; rows of the alias table send
/// nothing.
fn assert_outcomes<'a>(purchase: &Purchase, status: impl Fn(&str) -> &'a String) {
    let id = |event: &Event| event.structured()["id"].as_str().unwrap().to_owned();
    let kind = |event: &Event| event.kind;
    for (n, event) in purchase.events.iter().enumerate() {
        let status = status(&id(event)).as_str();
        let is_followed = purchase.events[n + 1..].iter().any(|later| kind(later) == kind(event));
        assert!(status == "DELIVERED" || (is_followed && status == "SUPERSEDED"), "{}: {status}", id(event));
    }
    for event in &purchase.late {
        assert_eq!(status(&id(event)), "NOTHING_TO_SEND", "{}", id(event));
    }
}
