//! Names that come late: of thousands of events, three in ten name something that nobody knows yet; the names come after them in any
//! order, while two replicas work and one of them is killed. Everything is sent, once, and in order.

use crate::merchant::{Purchase, STORIES, purchase};
use crate::service::{Service, statuses};
use crate::support::PATIENCE;
use crate::support::events::{Envelope, Event};
use bwp_simulator::Options;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The stories whose names come late: of a line item, and of the order itself.
const LATE: [usize; 2] = [5, 7];
const EARLY: [usize; 6] = [0, 1, 2, 3, 4, 6];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_come_late_in_any_order() {
    play(1_500).await;
}

/// The same with as many events as a merchant's bad day has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: scripts/with-servers cargo test --features failpoints --test e2e -- --ignored late"]
async fn twenty_thousand_events_whose_names_come_late() {
    play(20_000).await;
}

async fn play(count: usize) {
    let seed = std::env::var("BWP_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("BWP_TEST_SEED={seed}");
    let mut dice = fastrand::Rng::with_seed(seed);
    let service = Service::open(6, Options { latency: Duration::from_millis(3), ..Options::default() }).await;
    let purchases = purchases(count, &mut dice);
    service.simulator.seed_orders(purchases.iter().map(|purchase| purchase.seed.clone()).collect()).unwrap();
    let events = shuffled(&purchases, &mut dice);
    let late = purchases.iter().map(|purchase| purchase.late.len()).sum::<usize>();
    println!("{} events of {} orders, {late} names that come late", events.len(), purchases.len());

    let builder = service.builder.clone().set("dispatch.max_in_flight", "16").set("dispatch.lease", "5s");
    // Else the group waits for the one that was killed for most of a minute.
    let builder = builder.set("kafka.properties.session_timeout_ms", "6000");
    let mut replicas = [builder.start(), builder.start()];
    for replica in &mut replicas {
        replica.wait_ready().await;
    }
    let began = Instant::now();
    for (n, page) in events.chunks(events.len() / 4 + 1).enumerate() {
        publish(&service, page).await;
        if n == 1 {
            // While it holds orders, and some of what it took in still waits.
            let some = |totals: &bwp_sync::ledger::Totals| totals.finals as usize > count / 10 && totals.backlog.waiting > 0;
            service.totals("some work to be done and some to wait", PATIENCE, some).await;
            replicas[0].kill();
        }
    }
    replicas[0] = builder.start();
    service.drained(events.len(), PATIENCE * 2 + Duration::from_millis(20 * count as u64)).await;
    println!("all settled after {:?}", began.elapsed());
    let outcomes = service.outcomes(events.len()).await;
    let good = ["DELIVERED", "CONFIRMED", "SUPERSEDED", "NOTHING_TO_SEND"];
    for (id, status) in statuses(&outcomes, events.iter().copied()) {
        assert!(good.contains(&status.as_str()), "{id}: {status}");
    }
    for purchase in &purchases {
        service.assert_holds(purchase).await;
    }
    service.assert_clean().await;
    for replica in &mut replicas {
        assert_eq!(replica.terminate(PATIENCE).await.code(), Some(0));
    }
}

/// Purchases with about so many events, three in ten of whose names come late.
fn purchases(count: usize, dice: &mut fastrand::Rng) -> Vec<Purchase> {
    let (mut purchases, mut events) = (Vec::new(), 0);
    while events < count {
        let story = if dice.f64() < 0.6 { LATE[dice.usize(..2)] } else { EARLY[dice.usize(..6)] };
        let purchase = purchase(purchases.len() * STORIES + story);
        events += purchase.events.len() + purchase.late.len();
        purchases.push(purchase);
    }
    purchases
}

/// All events at random, but that those of one purchase keep their order and its names come after them.
fn shuffled<'a>(purchases: &'a [Purchase], dice: &mut fastrand::Rng) -> Vec<&'a Event> {
    let mut placed: Vec<(f64, &Event)> = Vec::new();
    for purchase in purchases {
        let mut at: Vec<f64> = (0..purchase.events.len() + purchase.late.len()).map(|_| dice.f64()).collect();
        at.sort_by(f64::total_cmp);
        placed.extend(at.into_iter().zip(purchase.events.iter().chain(&purchase.late)));
    }
    placed.sort_by(|one, other| one.0.total_cmp(&other.0));
    placed.into_iter().map(|(_, event)| event).collect()
}

/// In the order given, topic by topic.
async fn publish(service: &Service, events: &[&Event]) {
    let mut records: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for (n, event) in events.iter().enumerate() {
        records.entry(event.topic(&service.topics)).or_default().push(event.record(Envelope::ALL[n % 3]));
    }
    for (topic, records) in &records {
        service.topics.produce_all(topic, records).await;
    }
}
