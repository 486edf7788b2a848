//! A merchant's day is read once more from the beginning of every topic: it is known, and nothing happens.

use crate::merchant::{Purchase, STORIES, doomed, publish, purchase, tied};
use crate::service::Service;
use crate::support::PATIENCE;
use crate::support::events::Event;
use crate::support::kafka::{Outgoing, consume_present};
use bwp_simulator::Options;
use bwp_sync::ledger::Totals;
use std::time::Duration;

/// Two events of each doomed order, and the record that cannot be read.
const DEAD: usize = 5;

/// Three orders of each story, two that are tied together by an answer, two with events that end dead.
fn day() -> Vec<Purchase> {
    let n = STORIES * 3;
    (0..n).map(purchase).chain((n..n + 2).map(tied)).chain((n + 2..n + 4).map(doomed)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_that_is_read_again_from_the_beginning_sends_nothing() {
    let service = Service::open(3, Options::default()).await;
    let purchases = day();
    service.simulator.seed_orders(purchases.iter().map(|purchase| purchase.seed.clone()).collect()).unwrap();
    let mut daemon = service.builder.start();
    daemon.wait_ready().await;
    let events: Vec<&Event> = purchases.iter().flat_map(|purchase| &purchase.events).collect();
    let late: Vec<&Event> = purchases.iter().flat_map(|purchase| &purchase.late).collect();
    let waiting: i64 = purchases.iter().map(|purchase| purchase.waiting).sum();
    let mut written = publish(&service.topics, &events).await;
    service.topics.produce(&service.topics.refunds, &Outgoing::raw(Some(b"gone"), None)).await;
    service.topics.produce(&service.topics.orders, &Outgoing::raw(Some(b"key"), Some(b"{ not json"))).await;
    written += 2;
    let only_waiting =
        |totals: &Totals| totals.backlog.waiting == waiting && totals.backlog.total() == waiting && totals.read == written;
    service.totals("only what waits for names is left", PATIENCE, only_waiting).await;
    written += publish(&service.topics, &late).await;
    // One outcome more than there are events: that of the record which cannot be read.
    let finals = events.len() + late.len() + 1;
    let first = service.drained(finals, PATIENCE).await;
    assert_eq!((first.read, first.tombstones), (written, 1));
    let outcomes = service.outcomes(finals).await;
    let before = service.assert_clean().await;
    assert_eq!(daemon.terminate(Duration::from_secs(15)).await.code(), Some(0), "{}", daemon.log());

    // Another group has no offsets: it begins where each topic does.
    let builder = service.builder.clone().set("kafka.group_id", format!("{}-again", service.builder.group()));
    let mut replicas = [builder.start(), builder.start()];
    for replica in &mut replicas {
        replica.wait_ready().await;
    }
    let again = service.totals("everything to be read again", PATIENCE, |totals| totals.read == written * 2).await;
    let known = (again.finals, again.backlog.total(), again.tombstones, again.duplicates);
    assert_eq!(known, (finals as i64, 0, 2, first.duplicates + written - 1), "all but the tombstone are duplicates");
    let after = service.assert_clean().await;
    assert_eq!((after.requests, after.accepted), (before.requests, before.accepted), "no call was made");
    for purchase in &purchases {
        service.assert_holds(purchase).await;
    }
    for replica in &mut replicas {
        assert_eq!(replica.terminate(Duration::from_secs(15)).await.code(), Some(0), "{}", replica.log());
    }
    let told = async |topic: &str| consume_present(topic).await.len();
    let told = (told(&service.topics.outcomes).await, told(&service.topics.dead_letters).await);
    assert_eq!(told, (finals, DEAD), "nobody is told anything twice");
    assert_eq!(service.outcomes(finals).await, outcomes);
}
