//! One order with far more to do than the others, each thing alone: its turns follow each other without a claim, new events of it
//! are taken in between, and the others get their place.

use crate::service::Service;
use crate::support::PATIENCE;
use crate::support::events::{Event, Kind};
use bwp_simulator::{Options, OrderSeed};
use serde_json::json;

const REFUNDS: usize = 120;
const OTHERS: usize = 40;

pub fn a_refund(order: &str, n: usize) -> Event {
    let data = json!({"order": {"id": order}, "refund": {"id": format!("RF-{n}")}, "state": "SUCCESS",
        "total": {"amount": "0.01", "currency": "USD"}});
    Event::new(Kind::Refund, &format!("{order}-{n}"), data)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hot_order_takes_its_turns_one_after_another_and_lets_others_in() {
    let service = Service::open(3, Options::default()).await;
    let names = std::iter::once("hot".to_owned()).chain((0..OTHERS).map(|n| format!("cool-{n}")));
    let seeds = names.map(|name| OrderSeed::new(format!("B-{name}")).alias("EXTERNAL_ID", &name));
    service.simulator.seed_orders(seeds.collect()).unwrap();
    // Two places: were it never to give its own up, the others would share one.
    let builder = service.builder.clone().set("dispatch.coalesce", "off").set("dispatch.max_in_flight", "2");
    let mut daemon = builder.start();
    daemon.wait_ready().await;
    let hot = (0..REFUNDS).map(|n| a_refund("hot", n));
    let events: Vec<Event> = hot.chain((0..OTHERS).map(|n| a_refund(&format!("cool-{n}"), 0))).collect();
    crate::merchant::publish(&service.topics, &events.iter().collect::<Vec<_>>()).await;
    service.drained(events.len(), PATIENCE).await;
    let report = service.assert_clean().await;
    assert_eq!(report.accepted as usize, events.len());
    let metrics = daemon.metrics().await;
    let turns = |by| metrics.get("bwp_sync_turns_total", &[("by", by)]).unwrap_or_default();
    let (claimed, held) = (turns("claim") + turns("intake"), turns("hold"));
    assert_eq!(claimed + held, events.len() as f64, "one turn for each mutation");
    assert!(held > REFUNDS as f64 / 2.0, "{claimed} turns by intakes and claims, {held} by holding the order on");
    assert!(claimed >= (OTHERS + REFUNDS / 16) as f64, "it never gave its place up: {claimed} intakes and claims");
    assert_eq!(daemon.terminate(PATIENCE).await.code(), Some(0));
}
