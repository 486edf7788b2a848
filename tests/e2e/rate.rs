//! A target's rate is shared by all replicas.

use crate::service::Service;
use crate::support::events::{Event, Kind};
use crate::support::{PATIENCE, wait_until};
use bwp_simulator::{Options, OrderSeed};
use serde_json::json;
use std::time::{Duration, Instant};

const ORDERS: usize = 150;
const RATE: f64 = 40.0;
const BURST: f64 = 4.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_share_a_rate_and_a_lost_one_leaves_its_part_to_the_others() {
    let service = Service::open(2, Options::default()).await;
    let seeds = (0..ORDERS).map(|n| OrderSeed::new(format!("B-{n}")).alias("EXTERNAL_ID", &n.to_string()));
    service.simulator.seed_orders(seeds.collect()).unwrap();
    let builder = service.builder.clone().set("rate.per_second", RATE.to_string()).set("rate.burst", BURST.to_string());
    let mut replicas = [builder.start(), builder.start()];
    for replica in &mut replicas {
        replica.wait_ready().await;
    }
    let share = async |replica: &crate::support::daemon::Daemon| {
        let metrics = replica.metrics().await;
        (metrics.get("bwp_sync_replicas", &[]), metrics.get("bwp_sync_rate_share", &[("target", "default")]))
    };
    for replica in &replicas {
        wait_until("both to be counted", PATIENCE, async || match share(replica).await {
            (Some(2.0), Some(20.0)) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }
    let events: Vec<Event> = (0..ORDERS)
        .map(|n| Event::new(Kind::Order, &format!("o-{n}"), json!({"order": {"id": n.to_string()}, "executionState": "STARTED"})))
        .collect();
    let began = Instant::now();
    crate::merchant::publish(&service.topics, &events.iter().collect::<Vec<_>>()).await;
    service.drained(ORDERS, PATIENCE).await;
    // However slow the machine: never faster than the rate allows, both together.
    let least = Duration::from_secs_f64((ORDERS as f64 - BURST) / RATE);
    assert!(began.elapsed() >= least, "{:?} is less than {least:?}", began.elapsed());
    service.assert_clean().await;

    let [mut stays, mut goes] = replicas;
    assert_eq!(goes.terminate(PATIENCE).await.code(), Some(0));
    wait_until("the whole rate to be its own", PATIENCE, async || match share(&stays).await {
        (Some(1.0), Some(40.0)) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(stays.terminate(PATIENCE).await.code(), Some(0));
}
