//! The examples of Amazon's reference pages of version 2024-11-01, word for word (only indented): each is valid GraphQL on the
//! pinned SDL, is accepted, and leaves the order as the page shows it. What the pages contradict in themselves (ids that
//! differ between request and answer, line ids, dates) is not looked at.

use crate::support::{Answer, Api};
use bwp_simulator::{Alias, LineSeed, Options, OrderSeed, PackageSeed, PackageState, RefundSeed, ReturnSeed, TrackerIdentifier};
use serde_json::{Value, json};
use std::time::Duration;

const ORDER: &str = "123-4567-8910";

fn example(name: &str) -> String {
    let path = format!("{}/tests/it/examples/{name}.graphql", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

fn line(id: &str) -> LineSeed {
    LineSeed {
        id: Some(id.to_owned()),
        aliases: Vec::new(),
        quantity: 1,
        product: Some(serde_json_bytes::json!({
            "title": "example-product-title",
            "price": {"amount": 10, "currencyCode": "USD"},
        })),
    }
}

fn seed() -> OrderSeed {
    OrderSeed { lines: vec![line("1234567"), line("7654321")], ..OrderSeed::new(ORDER) }
}

fn external_return(n: u32) -> ReturnSeed {
    ReturnSeed {
        id: Some(format!("return-id-{n}")),
        aliases: vec![Alias::new("EXTERNAL-RETURN-ID", format!("external-return-id-{n}"))],
        external: true,
        ..ReturnSeed::default()
    }
}

fn stored_refund(alias: Option<&str>) -> RefundSeed {
    RefundSeed {
        id: Some("refund-123".to_owned()),
        aliases: alias.map(|it| Alias::new(it, "external-refund-id-1")).into_iter().collect(),
        reason: Some("CANCELLED_ORDER".to_owned()),
        ..RefundSeed::default()
    }
}

async fn run(seed: OrderSeed, name: &str) -> (Api, Answer) {
    let api = Api::with(seed).await;
    let answer = api.graphql(&example(name), &json!({})).await;
    (api, answer)
}

async fn returns_after(returns: Vec<ReturnSeed>, name: &str) -> Vec<Value> {
    let seed = OrderSeed { returns, ..seed() };
    let (_api, answer) = run(seed, name).await;
    let order = answer.order();
    assert_eq!(order["id"], ORDER);
    order["returns"]["details"].as_array().unwrap().clone()
}

async fn refunds_after(refunds: Vec<RefundSeed>, name: &str) -> Vec<Value> {
    let seed = OrderSeed { refunds, ..seed() };
    let (_api, answer) = run(seed, name).await;
    answer.order()["refunds"]["details"].as_array().unwrap().clone()
}

fn assert_return(it: &Value, state: &str, aliases: &Value) {
    assert_eq!(it["state"], state);
    assert_eq!(it["aliases"], *aliases);
    assert!(it["createdAt"].as_str().unwrap().ends_with('Z'));
}

fn return_alias(n: u32) -> Value {
    json!([{"aliasType": "EXTERNAL-RETURN-ID", "aliasId": format!("external-return-id-{n}")}])
}

#[tokio::test]
async fn r01_and_r02_cancel_a_return_by_id_or_by_alias() {
    for name in ["r01", "r02"] {
        let after = returns_after(vec![external_return(1)], name).await;
        assert_eq!(after.len(), 1, "{name}");
        assert_eq!(after[0]["id"], "return-id-1");
        assert_return(&after[0], "CANCELLED", &return_alias(1));
    }
}

#[tokio::test]
async fn r03_and_r04_update_a_refund_by_alias_value_or_by_id() {
    let paid = json!({
        "id": "refund-123",
        "state": "SUCCESS",
        "refundRequestReason": "CANCELLED_ORDER",
        "aliases": [{"aliasType": "EXTERNAL_REFUND_ID", "aliasId": "external-refund-id-1"}],
        "refundTotal": {"totalAmount": {"amount": 10.0, "currencyCode": "USD"}},
    });
    let known = vec![stored_refund(Some("EXTERNAL_REFUND_ID"))];
    assert_eq!(refunds_after(known, "r03").await, std::slice::from_ref(&paid));
    assert_eq!(refunds_after(vec![stored_refund(None)], "r04").await, [paid]);
}

#[tokio::test]
async fn r05_cancels_two_returns() {
    let after = returns_after(vec![external_return(1), external_return(2)], "r05").await;
    assert_eq!(after.len(), 2);
    assert_return(&after[0], "CANCELLED", &return_alias(1));
    assert_return(&after[1], "CANCELLED", &return_alias(2));
}

#[tokio::test]
async fn r06_and_r07_create_a_return() {
    for name in ["r06", "r07"] {
        let after = returns_after(Vec::new(), name).await;
        assert_eq!(after.len(), 1, "{name}");
        assert_eq!(after[0]["state"], "CREATED");
        let line = &after[0]["returnLineItems"][0]["returnFor"]["orderLineItemAmounts"][0];
        let wanted = json!({"amount": {"value": 1.0}, "lineItem": {"id": "1234567", "amount": {"value": 1.0}}});
        assert_eq!(*line, wanted);
    }
}

#[tokio::test]
async fn r08_creates_a_refund() {
    let after = refunds_after(Vec::new(), "r08").await;
    assert_eq!(after.len(), 1);
    assert_eq!(after[0]["id"].as_str().unwrap().len(), 64);
    assert_eq!(after[0]["state"], "SUCCESS");
    assert_eq!(after[0]["refundRequestReason"], "DAMAGED_DEFECTIVE_ITEM");
    assert_eq!(after[0]["refundTotal"], json!({"totalAmount": {"amount": 3.0}}));
}

#[tokio::test]
async fn r09_creates_two_returns_of_another_order() {
    let seed = OrderSeed { id: Some("12345678910".to_owned()), ..seed() };
    let (_api, answer) = run(seed, "r09").await;
    let order = answer.order();
    let after = order["returns"]["details"].as_array().unwrap();
    assert_eq!(after.len(), 2);
    assert_return(&after[0], "CREATED", &return_alias(1));
    assert_return(&after[1], "CREATED", &return_alias(2));
}

#[tokio::test]
async fn r10_rejects_a_refund_by_its_alias() {
    let after = refunds_after(vec![stored_refund(Some("externalRefundId"))], "r10").await;
    let wanted = json!({
        "id": "refund-123",
        "state": "REJECTED",
        "refundRequestReason": "CANCELLED_ORDER",
        "refundStatusReason": "REFUND_ALREADY_PROCESSED",
        "aliases": [{"aliasType": "externalRefundId", "aliasId": "external-refund-id-1"}],
        "refundTotal": {"totalAmount": {"amount": 0.0}},
    });
    assert_eq!(after, [wanted]);
}

#[tokio::test]
async fn r11_updates_everything_at_once() {
    let seed = OrderSeed {
        lines: vec![line("example-line-item-id"), line("ofmmgl63ta8u14")],
        packages: vec![PackageSeed { id: Some("123-456".to_owned()), ..PackageSeed::default() }],
        ..OrderSeed::new("322-ABC1-AAAAAA")
    };
    let (api, answer) = run(seed, "r11").await;
    let order = answer.order();
    assert_eq!(order["id"], "322-ABC1-AAAAAA");
    assert_eq!(order["lineItems"][0]["amount"], json!({"unit": "ONE", "value": 1.0}));
    assert_eq!(order["lineItems"][0]["product"], json!({"title": "example-product-title"}));
    let aliases = json!([
        {"aliasType": "ID", "aliasId": "123-456"},
        {"aliasType": "EXTERNAL_ITEM_ID", "aliasId": "external-line-item-id-123-456"},
    ]);
    assert_eq!(order["aliases"], aliases);

    let order = api.simulator.order("322-ABC1-AAAAAA").unwrap();
    assert_eq!(order.line_items[0].aliases.len(), 3);
    assert_eq!(order.packages[0].aliases, [Alias::new("EXTERNAL_ID", "123-456")]);
    assert_eq!(order.refunds[0].aliases.len(), 2);
    assert_eq!(order.refunds[0].payment_details.len(), 1);
    assert_eq!(order.returns[0].aliases, [Alias::new("ID", "123-456")]);
    assert_eq!(order.order_links.len(), 1);
    let order = serde_json::to_value(&*order).unwrap();
    assert_eq!(order["executionState"], "STARTED");
    assert_eq!(order["taxes"]["summary"]["collectableTaxAmount"]["amount"].to_string(), "10");
    assert_eq!(order["discounts"]["summary"]["amount"]["amount"].to_string(), "2.8");
}

#[tokio::test]
async fn r12_and_r13_start_fulfilment_by_id_or_by_alias() {
    let seed = OrderSeed::new("322-ABC1-AAAAAA").alias("EXTERNAL_ID", ORDER);
    let (api, answer) = run(seed, "r13").await;
    assert_eq!(answer.order(), json!({"id": "322-ABC1-AAAAAA"}));
    let order = serde_json::to_value(&*api.simulator.order(ORDER).unwrap()).unwrap();
    assert_eq!(order["executionState"], "STARTED");
    let (_api, answer) = run(OrderSeed::new(ORDER), "r12").await;
    assert_eq!(answer.order(), json!({"id": ORDER}));
}

const PACKAGE: &str = "example-package-information-details-id";

fn package(id: &str, state: PackageState) -> PackageSeed {
    PackageSeed {
        id: Some(id.to_owned()),
        state: Some(state),
        tracker: Some(TrackerIdentifier {
            tracking_number: "example-package-tracker-tracking-number".to_owned(),
            carrier_code: "example-package-tracker-carrier-code".to_owned(),
        }),
        ..PackageSeed::default()
    }
}

/// State, reason and lines of each package once the example has settled.
async fn packages_after(packages: Vec<PackageSeed>, name: &str) -> Vec<(String, Value, Value)> {
    let line = |n: u32, quantity| LineSeed { quantity, ..line(&format!("example-line-item-id-{n}")) };
    let lines = if name == "p01" { vec![line(1, 2)] } else { vec![line(1, 1), line(2, 1)] };
    let seed = OrderSeed { packages, lines, ..OrderSeed::new(ORDER) };
    let api = Api::start(Options { settle: Duration::ZERO, ..Options::default() }).await;
    api.simulator.seed_order(seed).unwrap();
    let answer = api.graphql(&example(name), &json!({})).await;
    assert_eq!(answer.order(), json!({"id": ORDER}), "{name}");
    let order = serde_json::to_value(&*api.simulator.order(ORDER).unwrap()).unwrap();
    let packages = order["packages"].as_array().unwrap();
    let shown = |it: &Value| {
        let lines = it["packageInformationDetailsFor"]["orderLineItems"].as_array().unwrap();
        let lines = lines.iter().map(|it| it["lineItem"]["id"].clone()).collect();
        (format!("{} {}", it["state"], it["reason"]), it["id"].clone(), lines)
    };
    packages.iter().map(shown).collect()
}

fn states(packages: &[(String, Value, Value)]) -> Vec<&str> {
    packages.iter().map(|(state, ..)| state.as_str()).collect()
}

#[tokio::test]
async fn p01_splits_by_quantity() {
    let after = packages_after(vec![package(PACKAGE, PackageState::Pending)], "p01").await;
    assert_eq!(states(&after), ["\"CANCELLED\" \"UNFULFILLABLE\"", "\"IN_TRANSIT\" null"]);
    assert!(after.iter().all(|(_, id, _)| id != PACKAGE), "each part has an id of its own");
    assert!(after.iter().all(|(.., lines)| *lines == json!(["example-line-item-id-1"])));
}

#[tokio::test]
async fn p02_to_p08_change_whole_packages() {
    use PackageState::{InTransit, Pending};
    for (name, from, to) in [
        ("p02", InTransit, "\"DELIVERED\" null"),
        ("p03", InTransit, "\"DELIVERED\" null"),
        ("p04", InTransit, "\"CANCELLED\" \"UNDELIVERABLE\""),
        ("p06", InTransit, "\"IN_TRANSIT\" null"),
        ("p07", Pending, "\"CANCELLED\" \"CUSTOMER_REQUESTED\""),
        ("p08", Pending, "\"IN_TRANSIT\" null"),
    ] {
        let after = packages_after(vec![package(PACKAGE, from)], name).await;
        assert_eq!(states(&after), [to], "{name}");
        assert_eq!(after[0].1, PACKAGE, "{name}");
    }
}

#[tokio::test]
async fn p05_delivers_two_packages() {
    let two = [1, 2].map(|n| package(&format!("{PACKAGE}-{n}"), PackageState::InTransit));
    let after = packages_after(two.to_vec(), "p05").await;
    assert_eq!(states(&after), ["\"DELIVERED\" null"; 2]);
}

#[tokio::test]
async fn p09_splits_by_line() {
    let after = packages_after(vec![package(PACKAGE, PackageState::Pending)], "p09").await;
    assert_eq!(states(&after), ["\"IN_TRANSIT\" null"; 2]);
    assert_eq!(after[0].2, json!(["example-line-item-id-1"]));
    assert_eq!(after[1].2, json!(["example-line-item-id-2"]));
}
