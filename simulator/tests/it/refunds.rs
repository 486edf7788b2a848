//! Refunds: upsert, alias merge, transitions, totals, payments, and each refusal.

use crate::support::*;
use bwp_simulator::{Alias, RefundSeed};
use serde_json::{Value, json};

fn payment(id: &str, amount: &str) -> Value {
    json!({
        "id": id,
        "amount": money(amount),
        "paymentMethod": {"type": "AMAZON_PAY", "displayString": "Visa ending in 1234"},
        "state": "SUCCESS",
    })
}

fn with(mut entry: Value, members: Value) -> Value {
    for (name, value) in members.as_object().unwrap() {
        entry[name] = value.clone();
    }
    entry
}

async fn with_bwp_refund() -> Api {
    let mut seed = order();
    seed.refunds = vec![RefundSeed {
        id: Some("bwp-refund".to_owned()),
        aliases: vec![Alias::new("EXTERNAL_REFUND_ID", "RF-B")],
        reason: Some("CANCELLED_ORDER".to_owned()),
        ..RefundSeed::default()
    }];
    Api::with(seed).await
}

#[tokio::test]
async fn totals_are_cumulative_and_payments_are_increments() {
    let api = Api::with_order().await;
    let lines = json!({"orderLineItems": [{"lineItemId": {"lineItemId": "line-1"}, "refundedQuantity": {"amount": 1}}]});
    let first = with(
        refund("RF-1", "PARTIAL", "5.00"),
        json!({"paymentDetails": [payment("pt-1", "5.00")], "refundFor": lines, "refundRequestReason": "ANY_WORD"}),
    );
    let order = api.update(refunds(&[first])).await.order();
    let it = &order["refunds"]["details"][0];
    let part = json!({"lineItem": {"id": "line-1"}, "amount": {"value": 1.0}});
    assert_eq!(it["refundFor"]["orderLineItems"], json!([part]));
    assert_eq!(it["refundRequestReason"], "ANY_WORD");

    let second = with(refund("RF-1", "SUCCESS", "8.00"), json!({"paymentDetails": [payment("pt-2", "3.00")]}));
    let order = api.update(refunds(&[second])).await.order();
    let it = &order["refunds"]["details"][0];
    assert_eq!(it["refundTotal"]["totalAmount"]["amount"], json!(8.0));
    assert_eq!(it["paymentDetails"].as_array().unwrap().len(), 2);
    let kept = serde_json::to_value(&*api.simulator.order(ORDER).unwrap()).unwrap();
    let total = &kept["refunds"][0]["refundTotal"]["totalAmount"]["amount"];
    assert_eq!(total.to_string(), "8.00", "the digits are kept as they were sent");
}

#[tokio::test]
async fn aliases_merge_by_type() {
    let api = Api::with_order().await;
    api.update(refunds(&[refund("RF-1", "PENDING", "0")])).await.order();
    let two = json!([alias("EXTERNAL_REFUND_ID", "RF-1"), alias("DISPLAY_REFUND_ID", "R-1")]);
    let entry = with(refund("RF-1", "PENDING", "0"), json!({"aliases": two}));
    let order = api.update(refunds(&[entry])).await.order();
    assert_eq!(order["refunds"]["details"][0]["aliases"], two);
    let other = json!([alias("EXTERNAL_REFUND_ID", "RF-2"), alias("DISPLAY_REFUND_ID", "R-1")]);
    let entry = with(refund("RF-1", "PENDING", "0"), json!({"aliases": other}));
    let order = api.update(refunds(&[entry])).await.order();
    let details = order["refunds"]["details"].as_array().unwrap();
    assert_eq!((details.len(), &details[0]["aliases"]), (1, &other));
}

#[tokio::test]
async fn the_transition_table() {
    const STATES: [&str; 5] = ["PENDING", "PARTIAL", "SUCCESS", "FAILURE", "REJECTED"];
    let allowed = |from: &str, to: &str| match from {
        "PENDING" => true,
        "FAILURE" => to != "PENDING",
        "PARTIAL" => to == "PARTIAL" || to == "SUCCESS",
        _ => from == to,
    };
    let api = Api::with_order().await;
    for from in STATES {
        for to in STATES {
            let id = format!("{from}-{to}");
            api.update(refunds(&[refund(&id, from, "1")])).await.order();
            let answer = api.update(refunds(&[refund(&id, to, "1")])).await;
            if allowed(from, to) {
                answer.order();
            } else {
                let code = validation("InvalidRefundStateTransition");
                assert_eq!(answer.error(), code, "{from} to {to}");
            }
        }
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let api = with_bwp_refund().await;
    api.update(refunds(&[refund("RF-1", "PARTIAL", "5")])).await.order();
    let nameless = json!({"refundTotal": {"totalAmount": money("1")}, "state": "PENDING"});
    let of = |id: &str| with(nameless.clone(), json!({"id": id}));
    let aliased = |entry: Value, id: &str| with(entry, json!({"aliases": [alias("EXTERNAL_REFUND_ID", id)]}));
    let euros =
        with(refund("RF-1", "PARTIAL", "6"), json!({"refundTotal": {"totalAmount": {"amount": 6, "currencyCode": "EUR"}}}));
    let twice = with(refund("RF-1", "PARTIAL", "6"), json!({"paymentDetails": [payment("pt-1", "1"), payment("pt-1", "1")]}));
    let line = with(
        refund("RF-1", "PARTIAL", "6"),
        json!({"refundFor": {"orderLineItems": [{"lineItemId": {"lineItemId": "line-9"}}]}}),
    );
    let word = with(refund("RF-1", "PARTIAL", "6"), json!({"refundRequestReason": "lower"}));
    for (entries, code) in [
        (vec![of("unknown")], "InvalidRefundId"),
        (vec![nameless.clone()], "MissingRefundId"),
        (vec![of("bwp-refund"), of("bwp-refund")], "DuplicateRefundId"),
        (vec![of("bwp-refund"), refund("RF-B", "PENDING", "1")], "DuplicateRefundId"),
        (vec![refund("RF-7", "PENDING", "1"), refund("RF-7", "PENDING", "1")], "DuplicateAliasId"),
        (vec![aliased(of("bwp-refund"), "RF-1")], "InvalidAliasId"),
        (vec![refund("RF-1", "PARTIAL", "4.99")], "InvalidRefundTotal"),
        (vec![euros], "InvalidRefundTotal"),
        (vec![twice], "DuplicatePaymentId"),
        (vec![line], "InvalidLineItemId"),
        (vec![word], "InvalidEnumValue"),
    ] {
        let before = api.simulator.order(ORDER).unwrap().accepted;
        let answer = api.update(refunds(&entries)).await;
        assert_eq!(answer.error(), validation(code), "{entries:?}");
        assert_eq!(api.simulator.order(ORDER).unwrap().accepted, before);
    }
}

#[tokio::test]
async fn the_reason_of_a_refund_of_buy_with_prime_stays() {
    let api = with_bwp_refund().await;
    let entry = |reason: &str| with(refund("RF-B", "SUCCESS", "3"), json!({"refundRequestReason": reason}));
    let refused = api.update(refunds(&[entry("LOST_IN_TRANSIT")])).await;
    assert_eq!(refused.error(), validation("InvalidRefundRequestReasonUpdate"));
    let order = api.update(refunds(&[entry("CANCELLED_ORDER")])).await.order();
    assert_eq!(order["refunds"]["details"][0]["id"], "bwp-refund");
    assert_eq!(order["refunds"]["details"][0]["state"], "SUCCESS");
}

#[tokio::test]
async fn one_bad_entry_spoils_the_whole_mutation() {
    let api = Api::with_order().await;
    let entries = [refund("RF-1", "SUCCESS", "1"), json!({"id": "no", "refundTotal": {"totalAmount": money("1")}})];
    let mut input = refunds(&entries);
    input["returns"] = returns(&[new_return("RMA-1", 1)])["returns"].clone();
    assert_eq!(api.update(input).await.error(), validation("InvalidRefundId"));
    let order = api.read().await.order();
    assert_eq!(order["refunds"]["details"], json!([]));
    assert_eq!(order["returns"]["details"], json!([]));
}
