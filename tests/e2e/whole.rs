//! The whole way: Kafka -> daemon -> simulator -> outcomes, as processes on real parts.

use crate::service::target;
use crate::shop::order;
use crate::support::daemon::Builder;
use crate::support::events::{Envelope, Event, Kind};
use crate::support::kafka::{Outgoing, Topics, consume_all};
use crate::support::postgres::fresh_database;
use crate::support::{PATIENCE, wait_until};
use bwp_simulator::{Options, Simulator};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn an_event_becomes_a_mutation_and_an_outcome() {
    let (database, topics) = (fresh_database().await, Topics::create(2).await);
    let simulator = Simulator::start(Options::default()).await.unwrap();
    simulator.seed_order(order("322-ABC1-AAAAAA", "1001")).unwrap();
    let builder = Builder::new(&database, &topics).target("default", &target(&simulator));
    let mut daemon = builder.start();
    daemon.wait_ready().await;
    let refund = json!({"order": {"id": "1001"}, "refund": {"id": "RF-9"}, "state": "SUCCESS",
        "total": {"amount": "8.00", "currency": "USD"}});
    let event =
        Event::new(Kind::Refund, "e-1", refund).with("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    for envelope in Envelope::ALL {
        topics.publish(&event, envelope).await;
    }
    topics.produce(&topics.refunds, &Outgoing::raw(Some(b"1001"), None)).await;
    topics.produce(&topics.refunds, &Outgoing::raw(Some(b"key"), Some(b"{ not json"))).await;
    let outcomes = consume_all(&topics.outcomes, |records| records.len() >= 2, PATIENCE).await;
    let delivered = outcomes.iter().map(|record| record.json()).find(|outcome| outcome["data"]["status"] == "DELIVERED").unwrap();
    assert_eq!(delivered["id"], "/oms#e-1#1");
    assert_eq!(delivered["data"]["order"], json!({"id": "1001", "bwpId": "322-ABC1-AAAAAA"}));
    assert_eq!(delivered["data"]["entity"]["kind"], "REFUND");
    assert!(delivered["data"]["entity"]["bwpId"].is_string(), "{delivered:#}");
    assert_eq!(delivered["data"]["attempts"], 1);
    let letters = consume_all(&topics.dead_letters, |records| !records.is_empty(), PATIENCE).await;
    assert_eq!(letters[0].value.as_deref(), Some(&b"{ not json"[..]));
    assert_eq!(letters[0].text_header("x-bwp-sync-code").as_deref(), Some("NOT_JSON"));
    wait_until("the totals to be shown", PATIENCE, async || {
        let metrics = daemon.metrics().await;
        let read = metrics.get("bwp_sync_records_read_total", &[("topic", &topics.refunds)]);
        let imbalance = metrics.get("bwp_sync_imbalance", &[]);
        let queued = metrics.get("bwp_sync_backlog", &[("state", "queued")]);
        let seen = (read, imbalance, queued);
        if seen == (Some(5.0), Some(0.0), Some(0.0)) { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
    let status = daemon.terminate(Duration::from_secs(15)).await;
    assert_eq!(status.code(), Some(0), "{}", daemon.log());
    assert_eq!(simulator.report().violations, 0);
}
