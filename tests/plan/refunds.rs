//! Refunds (contract, section 2).

use crate::{Bench, alias, line, money, usd, with};
use bwp_sync::event::AliasKind;
use bwp_sync::plan::outcome::Status;
use serde_json::{Value, json};

fn refund(state: &str, total: &str, more: Value) -> Value {
    with(json!({"refund": {"id": "RF-9"}, "state": state, "total": usd(total)}), more)
}

fn payment(id: &str, amount: &str, state: Option<&str>) -> Value {
    let payment = json!({"id": id, "amount": usd(amount), "method": {"type": "GIFT_CARD", "display": "Gift card"}});
    with(payment, state.map_or(json!({}), |state| json!({"state": state})))
}

fn entry(input: &Value) -> &Value {
    &input["refunds"]["details"][0]
}

fn paid(input: &Value) -> Vec<&str> {
    entry(input)["paymentDetails"].as_array().into_iter().flatten().map(|payment| payment["id"].as_str().unwrap()).collect()
}

fn own() -> Value {
    alias("EXTERNAL_REFUND_ID", "RF-9")
}

#[test]
fn everything_at_once() {
    let mut bench = Bench::new();
    let lines = json!([{"line": {"id": "L-1"}}, line("L-2", 3)]);
    let more = json!({"requestReason": "OTHERS", "statusReason": "PARTIALLY_DECLINED", "aliases": [{"type": "D", "id": "R-9"}],
        "lines": lines, "payments": [with(payment("pt-1", "5.00", Some("SUCCESS")), json!({"payer": {"id": "p"}}))]});
    bench.event("refund", refund("PARTIAL", "8.00", more));
    let expected = json!({"aliases": [own(), alias("D", "R-9")], "refundTotal": {"totalAmount": money("8.00")}, "state": "PARTIAL",
        "refundFor": {"orderLineItems": [{"lineItemId": {"lineItemId": "li-1"}},
            {"lineItemId": {"lineItemId": "li-2"}, "refundedQuantity": {"amount": 3}}]},
        "refundRequestReason": "OTHERS", "refundStatusReason": "PARTIALLY_DECLINED",
        "paymentDetails": [{"id": "pt-1", "amount": money("5.00"), "state": "SUCCESS", "payer": {"id": "p"},
            "paymentMethod": {"type": "GIFT_CARD", "displayString": "Gift card"}}]});
    assert_eq!(*entry(&bench.sends()), expected);
}

#[test]
fn without_an_id_the_own_alias_always_goes_and_the_rest_only_where_it_is_new() {
    let mut bench = Bench::new();
    let more = json!({"requestReason": "OTHERS", "lines": [line("L-1", 1)], "aliases": [{"type": "D", "id": "a"}]});
    bench.event("refund", refund("PARTIAL", "1.00", more.clone()));
    bench.play();
    bench.event("refund", refund("PARTIAL", "2.00", with(more, json!({"aliases": [{"type": "D", "id": "b"}]}))));
    let expected =
        json!({"aliases": [own(), alias("D", "b")], "refundTotal": {"totalAmount": money("2.00")}, "state": "PARTIAL"});
    assert_eq!(*entry(&bench.sends()), expected);
    bench.event("refund", refund("PARTIAL", "2.00", json!({"aliases": [{"type": "D", "id": "a"}]})));
    assert_eq!(entry(&bench.sends())["aliases"], json!([own(), alias("D", "a")]), "merged by type: the old one was overwritten");
}

#[test]
fn with_an_id_only_aliases_that_are_not_held_go() {
    let mut bench = Bench::new();
    bench.row(AliasKind::Refund, "EXTERNAL_REFUND_ID", "RF-9", Some("r1"));
    bench.event("refund", refund("PARTIAL", "1.00", json!({})));
    assert_eq!(
        *entry(&bench.sends()),
        json!({"id": "r1", "aliases": [own()], "refundTotal": {"totalAmount": money("1.00")}, "state": "PARTIAL"})
    );
    bench.event("refund", refund("PARTIAL", "2.00", json!({})));
    assert_eq!(*entry(&bench.sends()), json!({"id": "r1", "refundTotal": {"totalAmount": money("2.00")}, "state": "PARTIAL"}));
}

#[test]
fn payments_go_once_each_and_only_when_they_are_final() {
    let mut bench = Bench::new();
    let payments = |second: Option<&str>| {
        let list = [payment("pt-1", "5.00", None), payment("pt-2", "3.00", second), payment("pt-3", "9.00", Some("FAILED"))];
        json!({"payments": list})
    };
    bench.event("refund", refund("PARTIAL", "8.00", payments(Some("IN_PROGRESS"))));
    assert_eq!(paid(&bench.sends()), ["pt-1", "pt-3"]);
    let same = bench.event("refund", refund("PARTIAL", "8.00", payments(Some("AUTHORIZED"))));
    assert!(bench.play().is_empty(), "held back");
    assert_eq!(bench.status(same), Some(Status::NothingToSend));
    bench.event("refund", refund("PARTIAL", "8.00", payments(Some("CANCELLED"))));
    assert_eq!(paid(&bench.sends()), ["pt-2"]);
    let nothing = bench.event("refund", refund("PARTIAL", "8.00", payments(Some("SUCCESS"))));
    assert!(bench.play().is_empty());
    assert_eq!((bench.status(nothing), bench.code(nothing)), (Some(Status::NothingToSend), "ALREADY_HELD"));
}

#[test]
fn contradictions_end_dead_and_point_at_the_member() {
    let sent = || json!({"payments": [payment("pt-1", "5.00", None)]});
    let other_method = with(payment("pt-1", "5.00", None), json!({"method": {"type": "CARD", "display": "Gift card"}}));
    let cases = [
        (refund("PARTIAL", "7.99", json!({})), "TOTAL_DECREASED", "/data/total/amount"),
        (refund("PENDING", "8.00", json!({})), "INVALID_TRANSITION", "/data/state"),
        (
            refund("PARTIAL", "8.00", json!({"payments": [payment("pt-0", "1.00", None), payment("pt-1", "4.00", None)]})),
            "PAYMENT_CHANGED",
            "/data/payments/1/amount",
        ),
        (refund("PARTIAL", "8.00", json!({"payments": [other_method]})), "PAYMENT_CHANGED", "/data/payments/0/method"),
        (
            refund("PARTIAL", "8.00", json!({"total": {"amount": "8.00", "currency": "EUR"}})),
            "CURRENCY_CHANGED",
            "/data/total/currency",
        ),
    ];
    for (data, code, pointer) in cases {
        let mut bench = Bench::new();
        bench.event("refund", refund("PARTIAL", "8.00", sent()));
        bench.play();
        let bad = bench.event("refund", data);
        assert!(bench.play().is_empty());
        let (status, reason) = bench.ended[&bad].clone();
        let reason = reason.unwrap();
        assert_eq!((status, reason.code.as_str(), reason.pointer.as_deref()), (Status::Dead, code, Some(pointer)));
        bench.event("refund", refund("SUCCESS", "8.00", sent()));
        assert_eq!(bench.play().len(), 1, "a newer one is tried afresh");
    }
}

#[test]
fn the_transition_table_row_by_row() {
    let states = ["PENDING", "PARTIAL", "SUCCESS", "FAILURE", "REJECTED"];
    let legal: &[(&str, &[&str])] = &[
        ("PENDING", &["PENDING", "PARTIAL", "FAILURE", "SUCCESS", "REJECTED"]),
        ("FAILURE", &["PARTIAL", "FAILURE", "SUCCESS", "REJECTED"]),
        ("PARTIAL", &["PARTIAL", "SUCCESS"]),
        ("SUCCESS", &["SUCCESS"]),
        ("REJECTED", &["REJECTED"]),
    ];
    for (from, to) in legal {
        for state in states {
            let mut bench = Bench::new();
            let first = bench.event("refund", refund(from, "1.00", json!({})));
            bench.play();
            assert_eq!(bench.status(first), Some(Status::Delivered), "a refund may begin in any state");
            let second = bench.event("refund", refund(state, "1.50", json!({})));
            bench.play();
            let expected = if to.contains(&state) { Status::Delivered } else { Status::Dead };
            assert_eq!(bench.status(second), Some(expected), "{from} to {state}");
        }
    }
}

#[test]
fn what_buy_with_prime_asked_for_waits_for_its_id_and_keeps_its_reason() {
    let mut bench = Bench::new().blind();
    let no = bench.event("refund", refund("SUCCESS", "1.00", json!({"initiator": "BWP", "requestReason": "OTHERS"})));
    assert!(bench.play().is_empty());
    assert_eq!(bench.waits_for(no), ["EXTERNAL_REFUND_ID RF-9"]);
    bench.row(AliasKind::Refund, "EXTERNAL_REFUND_ID", "RF-9", Some("r1"));
    let expected = json!({"id": "r1", "aliases": [own()], "refundTotal": {"totalAmount": money("1.00")}, "state": "SUCCESS"});
    assert_eq!(*entry(&bench.sends()), expected);
}

#[test]
fn amounts_are_compared_as_decimals_and_sent_as_they_were_written() {
    let mut bench = Bench::new();
    bench.event("refund", refund("PARTIAL", "8.10", json!({})));
    assert_eq!(entry(&bench.sends())["refundTotal"]["totalAmount"]["amount"].to_string(), "8.10");
    let same = bench.event("refund", refund("PARTIAL", "8.1", json!({})));
    assert!(bench.play().is_empty());
    assert_eq!(bench.status(same), Some(Status::NothingToSend));
}
