//! Order events (contract, section 2).

use crate::{Bench, alias, money, parsed, usd, with};
use bwp_sync::event::AliasKind;
use bwp_sync::plan::outcome::Status;
use serde_json::{Value, json};

fn payment(id: &str, state: &str) -> Value {
    json!({"id": id, "amount": usd("5.00"), "state": state, "method": {"type": "CARD", "display": "V"}})
}

fn paid(id: &str, state: &str) -> Value {
    json!({"id": id, "amount": money("5.00"), "state": state, "paymentMethod": {"type": "CARD", "displayString": "V"}})
}

/// Each member of an order event, and what it becomes.
fn members() -> Vec<(Value, Value)> {
    let url = "https://oms/1";
    vec![
        (json!({"executionState": "STARTED"}), json!({"desiredExecutionState": "STARTED"})),
        (json!({"aliases": [{"type": "D", "id": "#1"}]}), json!({"aliases": [alias("D", "#1")]})),
        (json!({"totalPrice": usd("38.79")}), json!({"totalPrice": {"value": money("38.79")}})),
        (json!({"taxes": usd("1.02")}), json!({"taxes": {"summary": {"collectableTaxAmount": money("1.02")}}})),
        (json!({"discount": {"amount": usd("2.80")}}), json!({"discounts": {"summary": {"amount": money("2.80")}}})),
        (
            json!({"links": [{"destination": "BWP_STOREFRONT", "url": url}]}),
            json!({"orderLinks": [{"destinationType": "BWP_STOREFRONT", "url": url}]}),
        ),
        (json!({"payments": [payment("p", "IN_PROGRESS")]}), json!({"payments": {"details": [paid("p", "IN_PROGRESS")]}})),
        (
            json!({"packages": [{"package": {"bwpId": "pk-1"}, "aliases": [{"type": "E", "id": "S"}]}]}),
            json!({"packageInformation": {"details": [{"id": "pk-1", "aliases": [alias("E", "S")]}]}}),
        ),
        (
            json!({"lines": [{"line": {"id": "L-2"}, "aliases": [{"type": "SKU", "id": "B"}], "taxes": usd("1.00"),
                "discount": {"amount": usd("0.50"), "display": "TEN"}, "payments": [payment("q", "SUCCESS")]},
                {"line": {"id": "L-1"}, "taxes": usd("2.00")}]}),
            json!({"lineItems": [{"id": {"lineItemId": "li-2"}, "aliases": [alias("SKU", "B")],
                "taxes": {"summary": {"collectableTaxAmount": money("1.00")}},
                "discounts": {"summary": {"amount": money("0.50"), "displayString": "TEN"}}, "payments": {"details": [paid("q", "SUCCESS")]}},
                {"id": {"lineItemId": "li-1"}, "taxes": {"summary": {"collectableTaxAmount": money("2.00")}}}]}),
        ),
    ]
}

#[test]
fn each_member_alone_and_all_together() {
    let (mut all, mut expected) = (json!({}), json!({}));
    for (data, input) in members() {
        let mut bench = Bench::new();
        let no = bench.event("order", data.clone());
        assert_eq!(bench.play(), std::slice::from_ref(&input));
        assert_eq!(bench.status(no), Some(Status::Delivered));
        let again = bench.event("order", data.clone());
        assert!(bench.play().is_empty(), "{data}");
        assert_eq!(bench.status(again), Some(Status::NothingToSend));
        (all, expected) = (with(all, data), with(expected, input));
    }
    for coalesce in ["order", "off"] {
        let mut bench = Bench::new();
        bench.rules.coalesce = coalesce.parse().unwrap();
        let no = bench.event("order", all.clone());
        assert_eq!(bench.play(), [expected.clone()], "{coalesce}");
        assert_eq!(bench.status(no), Some(Status::Delivered));
    }
}

#[test]
fn an_event_with_nothing_in_it_is_nothing_to_send() {
    let mut bench = Bench::new();
    let no = bench.event("order", json!({}));
    assert!(bench.play().is_empty());
    assert_eq!((bench.status(no), bench.code(no)), (Some(Status::NothingToSend), "EMPTY"));
}

#[test]
fn only_new_aliases_and_links_and_new_or_changed_payments_go() {
    let link = |url: &str| json!({"destination": "BWP_STOREFRONT", "url": url});
    let mut bench = Bench::new();
    let first = json!({"aliases": [{"type": "D", "id": "1"}], "links": [link("https://a")], "payments": [payment("p", "CREATED"), payment("q", "CREATED")]});
    bench.event("order", first);
    bench.play();
    let second = json!({"aliases": [{"type": "D", "id": "1"}, {"type": "D", "id": "2"}], "links": [link("https://b"), link("https://a")],
        "payments": [payment("p", "CREATED"), payment("q", "SUCCESS"), payment("r", "CREATED")]});
    bench.event("order", second);
    let expected = json!({"aliases": [alias("D", "2")], "orderLinks": [{"destinationType": "BWP_STOREFRONT", "url": "https://b"}],
        "payments": {"details": [paid("q", "SUCCESS"), paid("r", "CREATED")]}});
    assert_eq!(bench.play(), [expected]);
}

#[test]
fn unsent_aliases_and_links_unite_and_other_lists_are_taken_whole() {
    let mut bench = Bench::new();
    let first = json!({"aliases": [{"type": "D", "id": "1"}], "payments": [payment("p", "CREATED")], "taxes": usd("1.00")});
    let first = bench.event("order", first);
    let second = bench.event("order", json!({"aliases": [{"type": "D", "id": "2"}], "payments": [payment("q", "CREATED")]}));
    let expected = json!({"aliases": [alias("D", "1"), alias("D", "2")], "payments": {"details": [paid("q", "CREATED")]},
        "taxes": {"summary": {"collectableTaxAmount": money("1.00")}}});
    assert_eq!(bench.play(), [expected]);
    assert_eq!((bench.status(first), bench.status(second)), (Some(Status::Delivered), Some(Status::Delivered)));
}

#[test]
fn the_orders_own_reference_is_not_added() {
    let mut bench = Bench::new();
    let no = bench.event("order", json!({"aliases": [{"type": "EXTERNAL_ID", "id": "1001"}]}));
    assert!(bench.play().is_empty());
    assert_eq!(bench.status(no), Some(Status::NothingToSend));
}

#[test]
fn an_order_is_named_by_its_id_where_the_table_knows_it() {
    let mut bench = Bench::new();
    bench.event("order", json!({"taxes": usd("1.00")}));
    assert_eq!(parsed(&bench.begin().variables)["orderIdentifier"], json!({"alias": alias("EXTERNAL_ID", "1001")}));
    bench.lane.withdraw();
    bench.row(AliasKind::Order, "EXTERNAL_ID", "1001", Some("322-A"));
    assert_eq!(parsed(&bench.begin().variables)["orderIdentifier"], json!({"orderId": "322-A"}));
}

#[test]
fn names_learned_from_an_answer_are_known_to_be_held() {
    let mut bench = Bench::new();
    bench.event("order", json!({"taxes": usd("1.00")}));
    bench.begin();
    let view = json!({"id": "322-A", "aliases": [alias("D", "#1")], "lineItems": [{"id": "li-9", "aliases": [alias("EXTERNAL_ITEM_ID", "L-9")]}],
        "packageInformation": {"details": [{"id": "pk-1", "aliases": [alias("EXTERNAL_ID", "SH-1")]}]}});
    bench.lane.accepted(&serde_json::from_value(view).unwrap(), bench.now);
    let line = json!({"line": {"id": "L-9"}, "aliases": [{"type": "EXTERNAL_ITEM_ID", "id": "L-9"}]});
    let package = json!({"package": {"id": "SH-1"}, "aliases": [{"type": "EXTERNAL_ID", "id": "SH-1"}]});
    let no = bench.event("order", json!({"aliases": [{"type": "D", "id": "#1"}], "lines": [line], "packages": [package]}));
    assert!(bench.play().is_empty());
    assert_eq!(bench.status(no), Some(Status::NothingToSend));
}
