//! From an event in the ledger to an accepted mutation and a recorded outcome.

use crate::shop::{Shop, order};
use crate::support::events::{Event, Kind};
use bwp_simulator::{Answer, Apply, Body, Options, Rule, When};
use serde_json::{Value, json};

fn event(kind: Kind, id: &str, data: Value) -> Event {
    Event::new(kind, id, data)
}

fn a_return(id: &str, state: &str) -> Event {
    let data = json!({"order": {"id": "1001"}, "return": {"id": "RMA-1"}, "state": state,
        "lines": [{"line": {"id": "L-1"}, "quantity": 1}]});
    event(Kind::Return, id, data)
}

fn a_refund(id: &str, version: u64, total: &str, state: &str, payments: &[(&str, &str)]) -> Event {
    let payments: Vec<Value> = payments
        .iter()
        .map(|(id, amount)| {
            json!({"id": id, "amount": {"amount": amount, "currency": "USD"}, "state": "SUCCESS",
                "method": {"type": "AMAZON_PAY", "display": "Visa"}})
        })
        .collect();
    let data = json!({"order": {"id": "1001"}, "refund": {"id": "RF-1"}, "version": version, "state": state,
        "total": {"amount": total, "currency": "USD"}, "payments": payments});
    event(Kind::Refund, id, data)
}

#[tokio::test]
async fn returns_refunds_and_orders_are_accepted_and_recorded() {
    let mut shop = Shop::open(Options::default(), &[]).await;
    shop.simulator.seed_order(order("322-ABC1-AAAAAA", "1001")).unwrap();
    let started = event(Kind::Order, "o-1", json!({"order": {"id": "1001"}, "executionState": "STARTED"}));
    shop.take(&[a_return("r-1", "COMPLETED"), a_refund("f-1", 1, "5.00", "PARTIAL", &[("p-1", "5.00")]), started]).await;
    shop.settled().await;
    for id in ["r-1", "f-1", "o-1"] {
        assert_eq!(shop.outcome(id).await.0, "DELIVERED", "{id}");
    }
    shop.take(&[a_refund("f-2", 2, "8.00", "SUCCESS", &[("p-1", "5.00"), ("p-2", "3.00")]), a_return("r-2", "COMPLETED")]).await;
    shop.settled().await;
    assert_eq!(shop.outcome("f-2").await.0, "DELIVERED");
    assert_eq!(shop.outcome("r-2").await.0, "NOTHING_TO_SEND");
    assert_eq!(shop.take(&[a_return("r-1", "CANCELLED")]).await.duplicates, 1);
    shop.stop().await;
    let report = shop.assert_clean().await;
    assert!(report.max_in_flight >= 1);
    let order = shop.simulator.order("322-ABC1-AAAAAA").unwrap();
    let order = serde_json::to_value(&*order).unwrap();
    assert_eq!(order["returns"][0]["state"], "COMPLETED", "{order:#}");
    assert_eq!(order["refunds"][0]["state"], "SUCCESS", "{order:#}");
}

#[tokio::test]
async fn a_late_alias_wakes_what_waits_for_it() {
    let shop = Shop::open(Options::default(), &[]).await;
    shop.simulator.seed_order(order("322-ABC1-AAAAAA", "1001")).unwrap();
    let data = json!({"order": {"id": "1001"}, "return": {"id": "RMA-1"}, "state": "CREATED",
        "lines": [{"line": {"alias": {"type": "SKU", "id": "B-42"}}, "quantity": 1}]});
    shop.take(&[event(Kind::Return, "r-1", data), a_refund("f-1", 1, "5.00", "SUCCESS", &[])]).await;
    let totals = shop.settled().await;
    assert_eq!(totals.backlog.waiting, 1, "the refund does not wait with the return");
    let row = json!({"kind": "LINE_ITEM", "alias": {"type": "SKU", "id": "B-42"}, "bwpId": "line-1", "order": {"id": "1001"}});
    shop.take(&[event(Kind::Alias, "a-1", row)]).await;
    let totals = crate::support::wait_until("the return to be sent", crate::support::PATIENCE, async || {
        let totals = shop.ledger.totals().await.unwrap();
        if totals.backlog.total() == 0 { Ok(totals) } else { Err(format!("{totals:?}")) }
    })
    .await;
    assert_eq!(totals.finals, 3);
    assert_eq!(shop.outcome("r-1").await.0, "DELIVERED");
    assert_eq!(shop.outcome("a-1").await.0, "NOTHING_TO_SEND");
    shop.assert_clean().await;
}

#[tokio::test]
async fn an_answer_that_is_lost_is_read_and_not_sent_again() {
    for apply in [Apply::Yes, Apply::No] {
        let shop = Shop::open(Options::default(), &["dispatch.request_timeout=500ms", "dispatch.lease=5s"]).await;
        shop.simulator.seed_order(order("322-ABC1-AAAAAA", "1001")).unwrap();
        shop.simulator.faults().one(Rule {
            when: When { operation: Some("updateOrder".into()), times: Some(1), ..When::default() },
            apply: Some(apply),
            answer: Answer::Reset,
            ..Rule::default()
        });
        shop.take(&[a_refund("f-1", 1, "5.00", "SUCCESS", &[("p-1", "5.00")])]).await;
        shop.settled().await;
        let expected = if matches!(apply, Apply::Yes) { "CONFIRMED" } else { "DELIVERED" };
        assert_eq!(shop.outcome("f-1").await.0, expected);
        shop.assert_clean().await;
    }
}

/// Version by version, what the order's name stands for.
fn order_row(id: &str, version: u64, bwp_id: Value) -> Event {
    let data = json!({"kind": "ORDER", "alias": {"type": "EXTERNAL_ID", "id": "1001"}, "bwpId": bwp_id, "version": version});
    event(Kind::Alias, id, data)
}

#[tokio::test]
async fn what_is_unknown_stays_with_its_order_when_its_name_is_taken_from_it() {
    let shop = Shop::open(Options::default(), &["dispatch.request_timeout=1s", "dispatch.lease=5s"]).await;
    shop.simulator.seed_order(order("322-ABC1-AAAAAA", "1001")).unwrap();
    shop.simulator.faults().one(Rule {
        when: When { operation: Some("updateOrder".into()), times: Some(1), ..When::default() },
        apply: Some(Apply::Yes),
        answer: Answer::Reset,
        ..Rule::default()
    });
    shop.take(&[order_row("a-1", 1, json!("322-ABC1-AAAAAA"))]).await;
    shop.take(&[a_refund("f-1", 1, "5.00", "SUCCESS", &[("p-1", "5.00")])]).await;
    let pool = shop.database.pool().await;
    crate::support::wait_until("the refund to be unknown", crate::support::PATIENCE, async || {
        let unknown = "SELECT count(*) FROM lane WHERE memo::jsonb ? 'intents' AND NOT is_leased AND flight = '{}'";
        let lanes: i64 = sqlx::query_scalar(unknown).fetch_one(&pool).await.unwrap();
        if lanes == 1 { Ok(()) } else { Err(lanes.to_string()) }
    })
    .await;
    shop.take(&[order_row("a-2", 2, Value::Null)]).await;
    shop.settled().await;
    assert_eq!(shop.outcome("f-1").await.0, "CONFIRMED");
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_holder_does_not_go_on_with_events_that_left_its_lane_with_their_name() {
    let shop = Shop::open(Options::default(), &["dispatch.coalesce=off"]).await;
    // Only the table knows the name: no answer gives it back to the order that it is taken from.
    shop.simulator.seed_order(order("322-ABC1-AAAAAA", "A")).unwrap();
    shop.simulator.seed_order(order("322-ABC1-BBBBBB", "B")).unwrap();
    shop.simulator.faults().one(Rule {
        when: When { operation: Some("updateOrder".into()), times: Some(1), ..When::default() },
        latency_ms: 1_000,
        answer: Answer::Normal,
        ..Rule::default()
    });
    shop.take(&[order_row("a-1", 1, json!("322-ABC1-AAAAAA"))]).await;
    let second = json!({"order": {"id": "1001"}, "refund": {"id": "RF-2"}, "state": "SUCCESS",
        "total": {"amount": "1.00", "currency": "USD"}, "payments": [{"id": "p-9", "amount": {"amount": "1.00", "currency": "USD"},
        "state": "SUCCESS", "method": {"type": "AMAZON_PAY", "display": "Visa"}}]});
    shop.take(&[a_refund("f-1", 1, "5.00", "SUCCESS", &[("p-1", "5.00")]), event(Kind::Refund, "f-2", second)]).await;
    let pool = shop.database.pool().await;
    crate::support::wait_until("the first refund to be in flight", crate::support::PATIENCE, async || {
        let sql = "SELECT count(*) FROM lane WHERE is_leased AND cardinality(flight) = 1";
        let lanes: i64 = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
        if lanes == 1 { Ok(()) } else { Err(lanes.to_string()) }
    })
    .await;
    shop.take(&[order_row("a-2", 2, json!("322-ABC1-BBBBBB"))]).await;
    shop.settled().await;
    for id in ["f-1", "f-2"] {
        assert_eq!(shop.outcome(id).await.0, "DELIVERED", "{id}");
    }
    // The second refund is the other order's now, and only that one's.
    for (id, payment) in [("322-ABC1-AAAAAA", "p-1"), ("322-ABC1-BBBBBB", "p-9")] {
        let order = serde_json::to_value(&*shop.simulator.order(id).unwrap()).unwrap();
        let refunds = order["refunds"].as_array().unwrap();
        assert_eq!(refunds.len(), 1, "{order:#}");
        assert!(order.to_string().contains(payment), "{order:#}");
    }
    shop.assert_clean().await;
}

#[tokio::test]
async fn two_names_of_one_order_become_one_lane() {
    let shop = Shop::open(Options::default(), &["dispatch.request_timeout=1s", "dispatch.lease=5s"]).await;
    shop.simulator.seed_order(order("322-ABC1-AAAAAA", "1001")).unwrap();
    let by_id = json!({"order": {"bwpId": "322-ABC1-AAAAAA"}, "refund": {"id": "RF-2"}, "state": "SUCCESS",
        "total": {"amount": "1.00", "currency": "USD"}});
    shop.take(&[event(Kind::Refund, "f-2", by_id), a_refund("f-1", 1, "5.00", "SUCCESS", &[])]).await;
    shop.settled().await;
    // What was in flight under the other name when the tie was learned is read instead of believed.
    for id in ["f-1", "f-2"] {
        let (status, _) = shop.outcome(id).await;
        assert!(["DELIVERED", "CONFIRMED"].contains(&status.as_str()), "{id}: {status}");
    }
    let lanes: i64 = sqlx::query_scalar("SELECT count(*) FROM lane WHERE merged_into IS NULL")
        .fetch_one(&shop.database.pool().await)
        .await
        .unwrap();
    assert_eq!(lanes, 1);
    let totals = shop.ledger.totals().await.unwrap();
    assert_eq!(totals.imbalance(), 0, "{totals:?}");
}

#[tokio::test]
async fn a_dead_event_says_why_and_does_not_block_its_order() {
    let shop = Shop::open(Options::default(), &[]).await;
    shop.simulator.seed_order(order("322-ABC1-AAAAAA", "1001")).unwrap();
    let too_many = json!({"order": {"id": "1001"}, "return": {"id": "RMA-9"}, "state": "CREATED",
        "lines": [{"line": {"id": "L-1"}, "quantity": 99}]});
    shop.take(&[event(Kind::Return, "r-9", too_many), a_refund("f-1", 1, "5.00", "SUCCESS", &[])]).await;
    shop.settled().await;
    let (status, code) = shop.outcome("r-9").await;
    assert_eq!((status.as_str(), code.as_str()), ("DEAD", "InvalidReturnQuantity"));
    assert_eq!(shop.outcome("f-1").await.0, "DELIVERED");
    let elsewhere = a_return("t-1", "CREATED").with("target", "other");
    shop.take(&[elsewhere]).await;
    assert_eq!(shop.outcome("t-1").await.1, "UNKNOWN_TARGET");
    shop.assert_clean().await;
}

#[tokio::test]
async fn what_a_gateway_gave_up_may_still_be_applied() {
    let flags = ["dispatch.request_timeout=1s", "dispatch.lease=4s", "retry.initial=10ms"];
    let mut shop = Shop::open(Options::default(), &flags).await;
    shop.simulator.seed_order(order("322-ABC1-AAAAAA", "1001")).unwrap();
    shop.simulator.faults().one(Rule {
        when: When { operation: Some("updateOrder".to_owned()), nth: Some(1), ..When::default() },
        apply: Some(Apply::LateMs(600)),
        answer: Answer::Status { status: 504, body: Body::Json, retry_after: None },
        ..Rule::default()
    });
    shop.take(&[a_refund("f-1", 1, "5.00", "SUCCESS", &[("p-1", "5.00")])]).await;
    shop.settled().await;
    assert_eq!(shop.outcome("f-1").await.0, "CONFIRMED");
    shop.stop().await;
    assert_eq!(shop.assert_clean().await.unclear, 1);
}
