//! Returns: create, update, alias rules, and each refusal.

use crate::support::*;
use bwp_simulator::{Alias, PartSeed, ReturnSeed};
use serde_json::{Value, json};

fn named(id: &str) -> Value {
    json!({"alias": alias("EXTERNAL-RETURN-ID", id)})
}

fn step(id: &str, state: &str) -> Value {
    returns(&[json!({"returnIdentifier": named(id), "state": state})])
}

#[tokio::test]
async fn a_return_is_created_and_completed_and_stays_so() {
    let api = Api::with_order().await;
    let order = api.update(returns(&[new_return("RMA-1", 2)])).await.order();
    let it = &order["returns"]["details"][0];
    assert_eq!(it["state"], "CREATED");
    let part = &it["returnLineItems"][0]["returnFor"]["orderLineItemAmounts"][0];
    let line = json!({"id": "line-1", "amount": {"value": 2.0}});
    assert_eq!(*part, json!({"amount": {"value": 2.0}, "lineItem": line}));

    for _ in 0..2 {
        let order = api.update(step("RMA-1", "COMPLETED")).await.order();
        assert_eq!(order["returns"]["details"][0]["state"], "COMPLETED");
    }
    for state in ["CREATED", "CANCELLED"] {
        let refused = api.update(step("RMA-1", state)).await;
        assert_eq!(refused.error(), validation("InvalidReturnStateTransition"));
    }
}

#[tokio::test]
async fn an_entry_without_identifier_creates_even_with_a_known_alias() {
    let api = Api::with_order().await;
    api.update(returns(&[new_return("RMA-1", 1)])).await.order();
    let again = api.update(returns(&[new_return("RMA-1", 1)])).await;
    assert_eq!(again.error(), validation("AliasValueAlreadyExists"));
    let twice = api.update(returns(&[new_return("RMA-2", 1), new_return("RMA-2", 1)])).await;
    assert_eq!(twice.error(), validation("AliasValueAlreadyExists"));
    assert_eq!(twice.json()["data"], json!({"updateOrder": null}));
    let order = api.read().await.order();
    assert_eq!(order["returns"]["details"].as_array().unwrap().len(), 1);

    let nameless = json!({"returnLineItems": []});
    api.update(returns(std::slice::from_ref(&nameless))).await.order();
    let order = api.update(returns(&[nameless])).await.order();
    assert_eq!(order["returns"]["details"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn aliases_are_replaced_whole_and_are_two_at_most() {
    let api = Api::with_order().await;
    api.update(returns(&[new_return("RMA-1", 1), new_return("RMA-2", 1)])).await.order();
    let with = |aliases: Value| returns(&[json!({"returnIdentifier": named("RMA-1"), "aliases": aliases})]);
    let (own, display) = (alias("EXTERNAL-RETURN-ID", "RMA-1"), alias("DISPLAY-RETURN-ID", "R-1"));
    let order = api.update(with(json!([own, display]))).await.order();
    assert_eq!(order["returns"]["details"][0]["aliases"], json!([own, display]));
    assert_eq!(order["returns"]["details"][0]["state"], "CREATED");
    let order = api.update(with(json!([own]))).await.order();
    assert_eq!(order["returns"]["details"][0]["aliases"], json!([own]));

    let three = api.update(with(json!([own, display, alias("C", "c")]))).await;
    assert_eq!(three.error(), validation("AliasLimitExceeded"));
    let taken = api.update(with(json!([alias("EXTERNAL-RETURN-ID", "RMA-2")]))).await;
    assert_eq!(taken.error(), validation("AliasValueAlreadyExists"));
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let api = Api::with_order().await;
    let unknown = api.update(step("RMA-9", "CANCELLED")).await;
    assert_eq!(unknown.error(), validation("InvalidReturnId"));
    let many = api.update(returns(&[new_return("RMA-1", 3)])).await;
    assert_eq!(many.error(), validation("InvalidReturnQuantity"));
    let mut line = new_return("RMA-1", 1);
    line["returnLineItems"][0]["returnFor"]["orderLineItemAmounts"][0]["lineItemId"] = json!({"lineItemId": "line-9"});
    let line = api.update(returns(&[line])).await;
    assert_eq!(line.error(), validation("InvalidLineItemId"));
    assert_eq!(api.simulator.order(ORDER).unwrap().accepted, 0);
}

#[tokio::test]
async fn returns_of_buy_with_prime_are_not_to_be_written() {
    let mut seed = order();
    seed.returns = vec![ReturnSeed {
        id: Some("bwp-return".to_owned()),
        aliases: vec![Alias::new("ID", "x")],
        lines: vec![PartSeed { line: "line-1".to_owned(), quantity: 1 }],
        ..ReturnSeed::default()
    }];
    let api = Api::with(seed).await;
    let entry = json!({"returnIdentifier": {"id": "bwp-return"}, "state": "CANCELLED"});
    let refused = api.update(returns(&[entry])).await;
    assert_eq!(refused.error(), validation("ReturnNotExternal"));
}
