//! One order with two thousand things due, each to be sent alone, beside five thousand orders with one: are the others slower than
//! without it? Alternating runs on the same machine, so that the figure is a ratio. Run by `make bench`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[allow(dead_code)] // not each of its stories is told here
#[path = "../tests/e2e/merchant.rs"]
mod merchant;
#[allow(dead_code)] // not each of its tools is in use here
#[path = "../tests/e2e/service.rs"]
mod service;
#[path = "../tests/e2e/sound.rs"]
mod sound;
#[path = "../tests/support/mod.rs"]
mod support;

use bwp_simulator::{Options, OrderSeed};
use chrono::{DateTime, Utc};
use serde_json::json;
use service::Service;
use std::time::Duration;
use support::events::{Envelope, Event, Kind};

const OTHERS: usize = 5_000;
const HOT: usize = 2_000;
const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(600);

fn a_refund(order: &str, n: usize) -> Event {
    let data = json!({"order": {"id": order}, "refund": {"id": format!("RF-{n}")}, "state": "SUCCESS",
        "total": {"amount": "0.01", "currency": "USD"}});
    Event::new(Kind::Refund, &format!("{order}-{n}"), data)
}

/// When the events of the other orders were settled, as soon as all of them are.
async fn settled_others(service: &Service) -> Vec<DateTime<Utc>> {
    let pool = service.pool().await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let statement = "SELECT settled_at FROM history WHERE record_key <> 'hot' ORDER BY settled_at";
        let settled: Vec<DateTime<Utc>> = sqlx::query_scalar(statement).fetch_all(&pool).await.unwrap();
        if settled.len() == OTHERS {
            return settled;
        }
        assert!(tokio::time::Instant::now() < deadline, "{} of {OTHERS} were settled in time", settled.len());
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Events settled a second, in the middle four fifths of them.
fn rate(settled: &[DateTime<Utc>]) -> f64 {
    let (from, to) = (settled.len() / 10, settled.len() * 9 / 10);
    (to - from) as f64 / (settled[to] - settled[from]).as_seconds_f64()
}

async fn run(hot: usize) -> f64 {
    let service = Service::open(6, Options { latency: Duration::from_millis(20), ..Options::default() }).await;
    let names = std::iter::once("hot".to_owned()).chain((0..OTHERS).map(|n| format!("cool-{n}")));
    let seeds = names.map(|name| OrderSeed::new(format!("B-{name}")).alias("EXTERNAL_ID", &name));
    service.simulator.seed_orders(seeds.collect()).unwrap();
    let others = (0..OTHERS).map(|n| a_refund(&format!("cool-{n}"), 0));
    let records: Vec<_> =
        (0..hot).map(|n| a_refund("hot", n)).chain(others).map(|event| event.record(Envelope::Binary)).collect();
    service.topics.produce_all(&service.topics.refunds, &records).await;
    let builder =
        service.builder.clone().set("dispatch.coalesce", "off").set("dispatch.max_in_flight", "64").set("log.level", "warn");
    let mut daemon = builder.start();
    daemon.wait_ready().await;
    let settled = settled_others(&service).await;
    assert_eq!(daemon.terminate(PATIENCE).await.code(), Some(0));
    service.assert_clean().await;
    rate(&settled)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    println!("{OTHERS} orders with one event, beside one with {HOT}; others settled a second, middle four fifths");
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let (alone, beside) = (run(0).await, run(HOT).await);
        println!("round {round}: {alone:.0}/s alone, {beside:.0}/s beside the hot order: {:.2}", beside / alone);
        ratios.push(beside / alone);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio: {:.2}", ratios[ROUNDS / 2]);
}
