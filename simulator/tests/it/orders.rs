//! The order itself: how it is found, what is appended, what is set once, what can change.

use crate::support::*;
use bwp_simulator::{AutoOrders, Options, OrderSeed};
use serde_json::{Value, json};

#[tokio::test]
async fn an_order_is_found_by_id_or_alias_and_exactly_one_of_them() {
    let api = Api::with_order().await;
    let by_alias = json!({"alias": alias("EXTERNAL_ID", "1001")});
    assert_eq!(api.read_as(by_alias).await.order()["id"], ORDER);
    let both = json!({"orderId": ORDER, "alias": alias("EXTERNAL_ID", "1001")});
    for bad in [both, json!({})] {
        let answer = api.read_as(bad).await;
        assert_eq!(answer.error(), validation("InvalidOrderIdentifier"));
    }
    let missing = api.read_as(json!({"alias": alias("external_id", "1001")})).await;
    assert_eq!(missing.status, 200);
    assert_eq!(missing.error().0, "ResourceNotFoundError");
    assert_eq!(missing.json()["data"], json!({"order": null}));
}

#[tokio::test]
async fn order_aliases_are_appended_five_at_most_and_unique_in_the_store() {
    let api = Api::with_order().await;
    let other = OrderSeed::new("322-0000-000002").alias("EXTERNAL_ID", "1002");
    api.simulator.seed_order(other).unwrap();
    let add = |ids: &[&str]| {
        let aliases: Vec<Value> = ids.iter().map(|id| alias("EXTERNAL_ID", id)).collect();
        json!({"aliases": aliases})
    };
    let order = api.update(add(&["a", "b", "1001"])).await.order();
    assert_eq!(order["aliases"].as_array().unwrap().len(), 3);
    let found = api.read_as(json!({"alias": alias("EXTERNAL_ID", "b")})).await;
    assert_eq!(found.order()["id"], ORDER);

    let taken = api.update(add(&["c", "1002"])).await;
    assert_eq!(taken.error(), validation("AliasValueAlreadyExists"));
    let many = api.update(add(&["c", "d", "e"])).await;
    assert_eq!(many.error(), validation("AliasLimitExceeded"));
    let not_found = api.read_as(json!({"alias": alias("EXTERNAL_ID", "c")})).await;
    assert_eq!(not_found.error().0, "ResourceNotFoundError");
}

#[tokio::test]
async fn totals_change_discounts_do_not_and_links_pile_up() {
    let api = Api::with_order().await;
    let discount = |amount: &str| json!({"summary": {"amount": money(amount), "displayString": "TEN"}});
    let link = |url: &str| json!({"destinationType": "EXTERNAL_ORDER_TRACKING", "url": url});
    let input = json!({
        "desiredExecutionState": "STARTED",
        "totalPrice": {"value": money("38.79")},
        "taxes": {"summary": {"collectableTaxAmount": money("1.02")}},
        "discounts": discount("2.80"),
        "orderLinks": [link("https://a.example"), link("https://b.example")],
    });
    let order = api.update(input).await.order();
    assert_eq!(order["metadata"]["executionState"], "STARTED");
    assert_eq!(order["totalPrice"]["value"]["amount"], json!(38.79));

    let input = json!({
        "totalPrice": {"value": money("30")},
        "discounts": discount("2.8"),
        "orderLinks": [link("https://b.example")],
    });
    let order = api.update(input).await.order();
    assert_eq!(order["totalPrice"]["value"]["amount"], json!(30.0));
    assert_eq!(order["orderLinks"].as_array().unwrap().len(), 2);

    let changed = api.update(json!({"discounts": discount("3")})).await;
    assert_eq!(changed.error(), validation("InvalidDiscountUpdate"));
    let back = api.update(json!({"desiredExecutionState": "NOT_STARTED"})).await;
    assert_eq!(back.error(), validation("InvalidExecutionStateTransition"));
}

#[tokio::test]
async fn payments_are_kept_by_id_and_lines_and_packages_are_named() {
    let api = Api::with_order().await;
    let payment = |id: &str, state: &str| json!({"id": id, "state": state, "amount": money("5"), "paymentMethod": {"type": "CARD", "displayString": "Visa"}});
    let pay = |list: Value| json!({"payments": {"details": list}});
    api.update(pay(json!([payment("p1", "AUTHORIZED")]))).await.order();
    let order = api.update(pay(json!([payment("p1", "SUCCESS"), payment("p2", "SUCCESS")]))).await.order();
    let payments = order["payments"]["details"].as_array().unwrap();
    assert_eq!(payments.len(), 2);
    assert_eq!(payments[0]["state"], "SUCCESS");

    let line = json!({"id": {"alias": alias("EXTERNAL_ITEM_ID", "L-2")}, "aliases": [alias("SKU", "B-42")]});
    let package = json!({"details": [{"id": "package-1", "aliases": [alias("EXTERNAL_ID", "SH-5")]}]});
    let input = json!({"lineItems": [line], "packageInformation": package});
    let order = api.update(input).await.order();
    assert_eq!(order["lineItems"][1]["aliases"][1], alias("SKU", "B-42"));
    assert_eq!(order["packageInformation"]["details"][0]["aliases"], json!([{"aliasId": "SH-5"}]));

    let line = json!({"lineItems": [{"id": {"lineItemId": "line-9"}}]});
    assert_eq!(api.update(line).await.error(), validation("InvalidLineItemId"));
    let package = json!({"packageInformation": {"details": [{"id": "no", "aliases": []}]}});
    let code = validation("PackageInformationDetailIdNotFound");
    assert_eq!(api.update(package).await.error(), code);
    let six: Vec<Value> = (0..6).map(|n| alias("X", &n.to_string())).collect();
    let package = json!({"packageInformation": {"details": [{"id": "package-1", "aliases": six}]}});
    assert_eq!(api.update(package).await.error(), validation("AliasLimitExceeded"));
}

#[tokio::test]
async fn unknown_orders_come_by_themselves_if_asked_to() {
    let api = Api::start(Options { auto_orders: Some(AutoOrders::default()), ..Options::default() }).await;
    let identifier = json!({"alias": alias("EXTERNAL_ID", "77")});
    let first = api.read_as(identifier.clone()).await.order();
    assert_eq!(first["lineItems"].as_array().unwrap().len(), 3);
    assert_eq!(first["lineItems"][2]["aliases"], json!([alias("EXTERNAL_ITEM_ID", "L-3")]));
    assert_eq!(api.read_as(identifier).await.order()["id"], first["id"]);
    let id = first["id"].as_str().unwrap();
    assert!(id.starts_with("322-") && id.len() == 15, "{id}");
}
