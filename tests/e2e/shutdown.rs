//! The end of a process whose calls do not end in time: what has not left is released, what has is unknown and read first; a
//! second signal does not wait for the grace; the exit code and a sentence say which.

use crate::service::Service;
use crate::support::events::{Event, Kind};
use crate::support::{PATIENCE, wait_until};
use bwp_simulator::{Answer, Apply, Options, OrderSeed, Rule, When};
use serde_json::json;

/// A lease that would keep its order for much longer than the test waits.
const LEASE: &str = "10m";

async fn cut_short(grace: &str, signals: usize, apply: Apply, says: &str) {
    let service = Service::open(1, Options::default()).await;
    service.simulator.seed_order(OrderSeed::new("B-1").alias("EXTERNAL_ID", "1")).unwrap();
    service.simulator.faults().one(Rule {
        when: When { operation: Some("updateOrder".into()), times: Some(1), ..When::default() },
        apply: Some(apply),
        answer: Answer::Never,
        ..Rule::default()
    });
    let builder = service.builder.clone().set("dispatch.lease", LEASE).set("dispatch.request_timeout", "8s");
    let mut daemon = builder.clone().set("shutdown.grace", grace).start();
    daemon.wait_ready().await;
    let data = json!({"order": {"id": "1"}, "refund": {"id": "RF-1"}, "state": "SUCCESS", "total": {"amount": "5.00", "currency": "USD"},
        "payments": [{"id": "p-1", "amount": {"amount": "5.00", "currency": "USD"}, "method": {"type": "AMAZON_PAY", "display": "Visa"}}]});
    let event = Event::new(Kind::Refund, "f-1", data);
    crate::merchant::publish(&service.topics, &[&event]).await;
    wait_until("the call to be on its way", PATIENCE, async || {
        let begun = service.simulator.faults().counts().iter().any(|count| count.fired > 0);
        if begun { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;

    if signals == 2 {
        daemon.signal("TERM");
        wait_until(
            "the drain to begin",
            PATIENCE,
            async || if daemon.log().contains("stopping") { Ok(()) } else { Err(daemon.log()) },
        )
        .await;
    }
    let status = daemon.terminate(PATIENCE).await;
    assert_eq!(status.code(), Some(1), "{}", daemon.log());
    assert!(daemon.log().contains(says), "{}", daemon.log());
    let totals = service.ledger.totals().await.unwrap();
    assert_eq!((totals.backlog.in_flight, totals.backlog.retrying), (0, 1), "what had left is unknown: {totals:?}");

    // Nobody has to wait for the lease: the next process reads, compares and goes on.
    let mut next = builder.set("dispatch.request_timeout", "1s").start();
    service.drained(1, PATIENCE).await;
    let report = service.assert_clean().await;
    assert_eq!(report.accepted + report.unclear, if matches!(apply, Apply::Yes) { 1 } else { 2 }, "{report:?}");
    assert_eq!(next.terminate(PATIENCE).await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_grace_ends_before_the_call() {
    cut_short("500ms", 1, Apply::Yes, "shutdown.grace ended").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_does_not_wait_for_the_grace() {
    cut_short("10m", 2, Apply::No, "a second signal cut the drain short").await;
}
