//! The sandbox's package mutation: steps, splits, trackers, and that it takes its time.

use crate::support::*;
use bwp_simulator::Options;
use serde_json::{Value, json};
use std::time::Duration;

fn step(id: &str, state: &str, reason: Option<&str>) -> Value {
    json!({"id": id, "packageState": {"packageInformationState": {"state": state, "reason": reason}}})
}

fn part(id: &str, state: &str, line: &str, quantity: u32) -> Value {
    let lines = json!([{"lineItemId": {"lineItemId": line}, "amount": {"value": quantity}}]);
    json!({"id": id, "packageState": {"packageInformationState": {
        "state": state, "packageInformationDetailsFor": {"orderLineItemAmounts": lines},
    }}})
}

fn tracked(id: &str, number: &str, code: &str) -> Value {
    json!({"id": id, "packageState": {"packageTrackerState": {
        "packageTrackerIdentifier": {"trackingNumber": number, "carrierCode": "UPS"},
        "latestMilestone": {"status": {"code": code}},
    }}})
}

fn details(order: &Value) -> &Vec<Value> {
    order["packageInformation"]["details"].as_array().unwrap()
}

async fn slow(settle: u64, tracker: u64) -> Api {
    let api = Api::start(Options {
        settle: Duration::from_millis(settle),
        tracker_delay: Duration::from_millis(tracker),
        tracker_limit: 2,
        ..Options::default()
    })
    .await;
    api.simulator.seed_order(order()).unwrap();
    api
}

#[tokio::test]
async fn an_update_shows_later_and_another_one_conflicts_until_then() {
    let api = slow(150, 0).await;
    let now = api.packages(json!([step("package-1", "IN_TRANSIT", None)])).await.order();
    assert_eq!(details(&now)[0]["state"], "PENDING");
    let early = api.packages(json!([step("package-1", "DELIVERED", None)])).await;
    assert_eq!(early.error().0, "ConflictException");
    // What is attached meanwhile survives.
    let name = json!([{"id": "package-1", "aliases": [alias("EXTERNAL_ID", "SH-1")]}]);
    api.update(json!({"packageInformation": {"details": name}})).await.order();
    let order = api.until(|it| details(it)[0]["state"] == "IN_TRANSIT").await;
    assert_eq!(order["packageInformation"]["summary"]["state"], "IN_TRANSIT");
    assert_eq!(details(&order)[0]["aliases"], json!([{"aliasId": "SH-1"}]));
}

#[tokio::test]
async fn only_the_documented_steps_are_legal() {
    let wrong = "InvalidPackageDeliveryDetailStateTransition";
    let api = Api::with_order().await;
    for (state, reason, code) in [
        ("DELIVERED", None, wrong),
        ("PENDING", None, wrong),
        ("CANCELLED", Some("UNDELIVERABLE"), wrong),
        ("CANCELLED", None, "MissingCancellationReason"),
    ] {
        let answer = api.packages(json!([step("package-1", state, reason)])).await;
        assert_eq!(answer.error(), validation(code), "{state} {reason:?}");
    }
    api.packages(json!([step("package-1", "IN_TRANSIT", None)])).await.order();
    for (state, reason) in [("IN_TRANSIT", None), ("CANCELLED", Some("UNFULFILLABLE"))] {
        let answer = api.packages(json!([step("package-1", state, reason)])).await;
        assert_eq!(answer.error(), validation(wrong), "{state} {reason:?}");
    }
    let order = api.packages(json!([step("package-1", "DELIVERED", None)])).await.order();
    assert_eq!(details(&order)[0]["state"], "DELIVERED");
    let answer = api.packages(json!([step("package-1", "IN_TRANSIT", None)])).await;
    assert_eq!(answer.error(), validation(wrong));

    let unknown = api.packages(json!([step("no", "IN_TRANSIT", None)])).await;
    assert_eq!(unknown.error(), validation("PackageInformationDetailIdNotFound"));
    let mut both = step("package-1", "IN_TRANSIT", None);
    both["packageState"]["packageTrackerState"] =
        tracked("package-1", "1Z", "DELAYED")["packageState"]["packageTrackerState"].clone();
    let both = api.packages(json!([both])).await;
    assert_eq!(both.error(), validation("ConflictingPackageStateInput"));
}

#[tokio::test]
async fn what_is_left_of_a_split_package_keeps_its_id() {
    let api = Api::with_order().await;
    let order = api.packages(json!([part("package-1", "IN_TRANSIT", "line-1", 1)])).await.order();
    let after = details(&order);
    assert_eq!(after.len(), 2);
    assert_eq!((&after[0]["id"], &after[0]["state"]), (&json!("package-1"), &json!("PENDING")));
    let lines = |it: &Value| it["packageInformationDetailsFor"]["orderLineItems"].clone();
    let held = |id: &str, value: f64| json!({"lineItem": {"id": id}, "amount": {"value": value}});
    assert_eq!(lines(&after[0]), json!([held("line-1", 1.0), held("line-2", 1.0)]));
    assert_eq!(after[1]["state"], "IN_TRANSIT");
    assert_eq!(lines(&after[1]), json!([held("line-1", 1.0)]));

    let much = api.packages(json!([part("package-1", "IN_TRANSIT", "line-1", 2)])).await;
    assert_eq!(much.error(), validation("InvalidLineItemAmount"));
    let rest = json!([part("package-1", "IN_TRANSIT", "line-1", 1), part("package-1", "CANCELLED", "line-2", 1)]);
    assert_eq!(api.packages(rest).await.error(), validation("MissingCancellationReason"));
    let rest = json!([part("package-1", "IN_TRANSIT", "line-1", 1), part("package-1", "IN_TRANSIT", "line-2", 1)]);
    let order = api.packages(rest).await.order();
    assert_eq!(details(&order).len(), 3);
    assert!(details(&order).iter().all(|it| it["id"] != "package-1"));
}

#[tokio::test]
async fn a_tracker_comes_late_and_takes_its_first_name() {
    let api = slow(0, 150).await;
    let update = |code| json!([tracked("package-1", "1Z999", code)]);
    let unavailable = validation("PackageTrackerNotAvailableForUpdate");
    assert_eq!(api.packages(update("DELAYED")).await.error(), unavailable);
    api.packages(json!([step("package-1", "IN_TRANSIT", None)])).await.order();
    assert_eq!(api.packages(update("DELAYED")).await.error(), unavailable);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    let order = loop {
        let answer = api.packages(update("OUT_FOR_DELIVERY")).await;
        if answer.json().get("errors").is_none() {
            break answer.order();
        }
        assert_eq!(answer.error(), unavailable);
        assert!(std::time::Instant::now() < deadline);
    };
    let it = &details(&order)[0];
    assert_eq!(it["state"], "IN_TRANSIT");
    let tracker = json!({
        "packageTrackerIdentifier": {"trackingNumber": "1Z999", "carrierCode": "UPS"},
        "latestMilestone": {"status": {"code": "OUT_FOR_DELIVERY"}},
    });
    assert_eq!(it["packageTracker"], tracker);

    let other = api.packages(json!([tracked("package-1", "other", "DELIVERED")])).await;
    assert_eq!(other.error(), validation("PackageTrackerNotFound"));
    let order = api.packages(update("DELIVERED")).await.order();
    assert_eq!(details(&order)[0]["state"], "DELIVERED");
}

#[tokio::test]
async fn tracker_updates_are_limited() {
    let api = slow(0, 0).await;
    api.packages(json!([step("package-1", "IN_TRANSIT", None)])).await.order();
    for _ in 0..2 {
        api.packages(json!([tracked("package-1", "1Z", "DELAYED")])).await.order();
    }
    let third = api.packages(json!([tracked("package-1", "1Z", "DELAYED")])).await;
    assert_eq!(third.error(), validation("UpdatePackageTrackerLimitExceeded"));
}
