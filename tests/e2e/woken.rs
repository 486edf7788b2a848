//! Many orders are woken at once: a metric says how many of them wait for their turn, and that nobody does once all are done.

use crate::service::Service;
use crate::support::daemon::Daemon;
use crate::support::events::{Envelope, Event, Kind};
use crate::support::{PATIENCE, wait_until};
use bwp_simulator::{Options, OrderSeed};
use serde_json::json;
use std::time::Duration;

const ORDERS: usize = 150;
/// So many of them are due at once.
const AT_ONCE: usize = 64;

fn a_return(n: usize) -> Event {
    let data = json!({"order": {"id": n.to_string()}, "return": {"id": format!("RMA-{n}")}, "state": "CREATED",
        "lines": [{"line": {"alias": {"type": "SKU", "id": "LATE"}}, "quantity": 1}]});
    Event::new(Kind::Return, &format!("r-{n}"), data)
}

fn a_row(n: usize) -> Event {
    let alias = json!({"type": "SKU", "id": "LATE"});
    let data = json!({"kind": "LINE_ITEM", "alias": alias, "bwpId": format!("line-{n}"), "order": {"id": n.to_string()}});
    Event::new(Kind::Alias, &format!("a-{n}"), data)
}

async fn shows(daemon: &Daemon, count: usize) {
    wait_until(&format!("{count} orders to wait for their turn"), PATIENCE, async || {
        let shown = daemon.metrics().await.get("bwp_sync_waking_orders", &[("target", "default")]);
        if shown == Some(count as f64) { Ok(()) } else { Err(format!("{shown:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_shown_how_many_orders_wait_for_their_turn() {
    let service = Service::open(3, Options::default()).await;
    let order =
        |n: usize| OrderSeed::new(format!("B-{n}")).line(&format!("line-{n}"), "L-1", 2).alias("EXTERNAL_ID", &n.to_string());
    service.simulator.seed_orders((0..ORDERS).map(order).collect()).unwrap();
    let mut daemon = service.builder.start();
    daemon.wait_ready().await;
    let publish = async |topic: &str, event: fn(usize) -> Event| {
        let records: Vec<_> = (0..ORDERS).map(|n| event(n).record(Envelope::Binary)).collect();
        service.topics.produce_all(topic, &records).await;
    };
    publish(&service.topics.returns, a_return).await;
    let all_wait = |totals: &bwp_sync::ledger::Totals| totals.backlog.waiting as usize == ORDERS;
    service.totals("all to wait for a name", PATIENCE, all_wait).await;
    shows(&daemon, 0).await;
    // While nothing is sent, nobody is taken up, so that the others' turn does not come.
    assert!(service.builder.command(&["pause", "--target", "default"]).status.success());
    wait_until("the target to be paused", PATIENCE, async || {
        let shown = daemon.metrics().await.get("bwp_sync_target_paused", &[]);
        if shown == Some(1.0) { Ok(()) } else { Err(format!("{shown:?}")) }
    })
    .await;
    publish(&service.topics.aliases, a_row).await;
    shows(&daemon, ORDERS - AT_ONCE).await;
    assert!(service.builder.command(&["resume", "--target", "default"]).status.success());
    service.drained(ORDERS * 2, PATIENCE).await;
    shows(&daemon, 0).await;
    service.assert_clean().await;
    assert_eq!(daemon.terminate(Duration::from_secs(15)).await.code(), Some(0), "{}", daemon.log());
}
