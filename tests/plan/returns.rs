//! Returns (contract, section 2).

use crate::{Bench, alias, amounts, line, with};
use bwp_sync::event::AliasKind;
use bwp_sync::plan::outcome::{Class, Reason, Status};
use bwp_sync::plan::step::Question;
use chrono::TimeDelta;
use serde_json::{Value, json};

fn ret(state: &str, more: Value) -> Value {
    with(json!({"return": {"id": "RMA-7"}, "state": state}), more)
}

fn lines() -> Value {
    json!({"lines": [line("L-1", 2), line("L-2", 1)]})
}

fn entry(input: &Value) -> &Value {
    &input["returns"]["details"][0]
}

fn own() -> Value {
    alias("EXTERNAL-RETURN-ID", "RMA-7")
}

#[test]
fn a_return_is_created_with_its_aliases_and_one_entry_per_line() {
    let mut bench = Bench::new();
    let no = bench.event("return", with(ret("CREATED", lines()), json!({"aliases": [{"type": "D", "id": "R-7"}]})));
    let expected = json!({"returns": {"details": [{"aliases": [own(), alias("D", "R-7")], "state": "CREATED", "returnLineItems": [
        {"returnFor": {"orderLineItemAmounts": amounts("li-1", 2)}}, {"returnFor": {"orderLineItemAmounts": amounts("li-2", 1)}}]}]}});
    assert_eq!(bench.play(), [expected]);
    assert_eq!(bench.status(no), Some(Status::Delivered));
    let again = bench.event("return", ret("CREATED", lines()));
    assert!(bench.play().is_empty());
    assert_eq!((bench.status(again), bench.code(again)), (Some(Status::NothingToSend), "ALREADY_HELD"));
}

#[test]
fn a_completed_return_is_created_then_completed() {
    let mut bench = Bench::new();
    let no = bench.event("return", ret("COMPLETED", lines()));
    let inputs = bench.play();
    assert_eq!((inputs.len(), &entry(&inputs[0])["state"]), (2, &json!("CREATED")));
    assert_eq!(*entry(&inputs[1]), json!({"returnIdentifier": {"alias": own()}, "state": "COMPLETED"}));
    assert_eq!(bench.status(no), Some(Status::Delivered));
}

#[test]
fn a_cancelled_return_that_never_was_is_nothing_to_send_and_final() {
    let mut bench = Bench::new();
    let cancelled = bench.event("return", ret("CANCELLED", json!({})));
    assert!(bench.play().is_empty());
    assert_eq!((bench.status(cancelled), bench.code(cancelled)), (Some(Status::NothingToSend), "NEVER_CREATED"));
    let revived = bench.event("return", ret("CREATED", lines()));
    assert!(bench.play().is_empty());
    assert_eq!((bench.status(revived), bench.code(revived)), (Some(Status::Dead), "FINAL_STATE"));
}

#[test]
fn without_lines_nothing_is_created() {
    let mut bench = Bench::new();
    let bare = bench.event("return", ret("CREATED", json!({})));
    bench.rests();
    assert_eq!((bench.status(bare), bench.code(bare)), (Some(Status::Dead), "LINES_REQUIRED"));
    let pointer = bench.ended[&bare].1.as_ref().unwrap().pointer.clone();
    assert_eq!(pointer.as_deref(), Some("/data/lines"));
    bench.event("return", ret("CREATED", lines()));
    assert_eq!(bench.play().len(), 1, "a newer one is tried afresh");
}

#[test]
fn a_known_return_is_updated_by_its_id() {
    for known_by in ["bwpId", "table"] {
        let mut bench = Bench::new();
        let reference = if known_by == "table" { json!({"id": "RMA-7"}) } else { json!({"bwpId": "rt-1"}) };
        bench.row(AliasKind::Return, "EXTERNAL-RETURN-ID", "RMA-7", (known_by == "table").then_some("rt-1"));
        let no = bench.event("return", ret("CANCELLED", json!({"return": reference})));
        assert_eq!(*entry(&bench.sends()), json!({"returnIdentifier": {"id": "rt-1"}, "state": "CANCELLED"}), "{known_by}");
        bench.rests();
        assert_eq!(bench.status(no), Some(Status::Delivered));
    }
}

#[test]
fn the_list_of_aliases_is_complete_and_replaces() {
    let list = |aliases: Value| json!({"aliases": aliases});
    let (a, b) = (json!({"type": "D", "id": "a"}), json!({"type": "D", "id": "b"}));
    let mut bench = Bench::new();
    bench.event("return", with(ret("CREATED", lines()), list(json!([a]))));
    bench.play();
    let cases = [
        (json!([a]), None),
        (json!([b]), Some(json!([own(), alias("D", "b")]))),
        (json!([]), Some(json!([own()]))),
        (json!([{"type": "EXTERNAL-RETURN-ID", "id": "RMA-7"}, a, a]), Some(json!([own(), alias("D", "a")]))),
    ];
    for (aliases, expected) in cases {
        bench.event("return", ret("CREATED", list(aliases.clone())));
        let inputs = bench.play();
        let sent = inputs.first().map(|input| entry(input).clone());
        let expected = expected.map(|list| json!({"returnIdentifier": {"alias": own()}, "aliases": list}));
        assert_eq!(sent, expected, "{aliases}");
    }
    bench.event("return", ret("CREATED", json!({})));
    assert!(bench.play().is_empty(), "absent is unchanged");
    let mut bench = Bench::new();
    bench.event("return", ret("CREATED", json!({"return": {"bwpId": "rt-1"}, "aliases": [a]})));
    assert_eq!(entry(&bench.sends())["aliases"], json!([alias("D", "a")]), "with bwpId the list stands alone");
}

#[test]
fn a_return_whose_list_was_replaced_is_named_by_what_is_left() {
    let mut bench = Bench::new();
    bench.event("return", ret("CREATED", with(lines(), json!({"aliases": [{"type": "D", "id": "a"}]}))));
    bench.play();
    let by_other = json!({"return": {"alias": {"type": "D", "id": "a"}}, "aliases": []});
    bench.event("return", ret("CREATED", by_other));
    assert_eq!(*entry(&bench.sends()), json!({"returnIdentifier": {"alias": own()}, "aliases": [alias("D", "a")]}));
    bench.event("return", ret("COMPLETED", json!({})));
    assert_eq!(*entry(&bench.sends()), json!({"returnIdentifier": {"alias": alias("D", "a")}, "state": "COMPLETED"}));
}

#[test]
fn both_ends_are_final() {
    for (end, other) in
        [("COMPLETED", "CANCELLED"), ("CANCELLED", "COMPLETED"), ("COMPLETED", "CREATED"), ("CANCELLED", "CREATED")]
    {
        let mut bench = Bench::new();
        bench.event("return", ret("CREATED", lines()));
        bench.play();
        bench.event("return", ret(end, json!({})));
        assert_eq!(bench.play().len(), 1);
        let after = bench.event("return", ret(other, json!({})));
        assert!(bench.play().is_empty());
        assert_eq!((bench.status(after), bench.code(after)), (Some(Status::Dead), "FINAL_STATE"), "{end} {other}");
        let same = bench.event("return", ret(end, json!({})));
        assert!(bench.play().is_empty());
        assert_eq!(bench.status(same), Some(Status::NothingToSend));
    }
}

#[test]
fn lines_that_change_later_are_said_not_sent() {
    let mut bench = Bench::new();
    bench.event("return", ret("CREATED", lines()));
    bench.play();
    let changed = bench.event("return", ret("CREATED", json!({"lines": [line("L-1", 1)]})));
    assert!(bench.play().is_empty());
    assert_eq!((bench.status(changed), bench.code(changed)), (Some(Status::NothingToSend), "LINES_FIXED"));
    let completed = bench.event("return", ret("COMPLETED", json!({"lines": [line("L-1", 3)]})));
    assert_eq!(*entry(&bench.sends()), json!({"returnIdentifier": {"alias": own()}, "state": "COMPLETED"}));
    bench.rests();
    assert_eq!((bench.status(completed), bench.code(completed)), (Some(Status::Delivered), "LINES_FIXED"));
}

#[test]
fn a_return_of_buy_with_prime_is_never_written_back() {
    let mut bench = Bench::new();
    let first = bench.event("return", ret("CREATED", with(lines(), json!({"initiator": "BWP"}))));
    let second = bench.event("return", ret("COMPLETED", json!({"return": {"id": "RMA-7"}})));
    assert!(bench.play().is_empty());
    assert_eq!((bench.code(first), bench.code(second)), ("BWP_RETURN", "BWP_RETURN"));
}

#[test]
fn a_return_without_a_name_is_named_after_its_event() {
    let mut bench = Bench::new();
    bench.event("return", json!({"state": "CREATED", "lines": [line("L-1", 1)]}));
    let derived = alias("EXTERNAL-RETURN-ID", "evt-968a3f7519ab049fd2e271ae075c9c0f");
    assert_eq!(entry(&bench.sends())["aliases"], json!([derived]));
}

#[test]
fn an_alias_that_exists_already_is_looked_for() {
    for found in [true, false] {
        let mut bench = Bench::new();
        let no = bench.event("return", ret("COMPLETED", lines()));
        bench.begin();
        bench.lane.refused_perhaps_done(Reason::new(Class::Refused, "AliasValueAlreadyExists", "there"), bench.now);
        let newer = bench.event("return", ret("COMPLETED", json!({})));
        let shown = json!([{"id": "rt-1", "state": "CREATED", "aliases": [own()]}]);
        let asked = bench.reads(json!({"id": "322-A", "returns": {"details": if found { shown } else { json!([]) }}}));
        assert!(matches!(asked[..], [Question::Check(_)]), "{asked:?}");
        let inputs = bench.play();
        if found {
            assert_eq!(inputs.len(), 1);
            assert_eq!(*entry(&inputs[0]), json!({"returnIdentifier": {"id": "rt-1"}, "state": "COMPLETED"}));
            assert_eq!((bench.status(no), bench.status(newer)), (Some(Status::Confirmed), Some(Status::Delivered)));
        } else {
            assert!(inputs.is_empty());
            assert_eq!((bench.status(no), bench.code(no)), (Some(Status::Dead), "AliasValueAlreadyExists"));
            assert_eq!((bench.status(newer), bench.code(newer)), (Some(Status::Dead), "LINES_REQUIRED"));
        }
    }
}

#[test]
fn a_return_is_never_created_twice() {
    let mut bench = Bench::new();
    let no = bench.event("return", ret("CREATED", lines()));
    bench.begin();
    bench.lost();
    let shown = json!({"id": "322-A", "returns": {"details": [{"id": "rt-1", "state": "CREATED", "aliases": [own()]}]}});
    bench.pass(chrono::TimeDelta::seconds(1));
    assert!(bench.rests().is_some(), "a read too early could not tell");
    bench.pass(chrono::TimeDelta::seconds(8));
    bench.reads(shown);
    assert!(bench.play().is_empty());
    assert_eq!(bench.status(no), Some(Status::Confirmed));
}

/// A read of an order in which two lines carry one SKU.
fn bought_twice() -> Value {
    let item = |id: &str, own: &str| json!({"id": id, "aliases": [alias("SKU", "B-42"), alias("OWN", own)]});
    json!({"id": "322-ABC1-AAAAAA", "lineItems": [item("li-7", "a"), item("li-8", "b")]})
}

#[test]
fn a_line_that_could_be_two_is_refused_and_not_guessed() {
    let sku = json!({"line": {"alias": {"type": "SKU", "id": "B-42"}}, "quantity": 1});
    let mut bench = Bench::new();
    let two = bench.event("return", json!({"return": {"id": "R-1"}, "state": "CREATED", "lines": [line("L-1", 1), sku]}));
    bench.reads(bought_twice());
    bench.rests();
    assert_eq!((bench.status(two), bench.code(two)), (Some(Status::Dead), "AMBIGUOUS_ALIAS"));
    let reason = bench.ended[&two].1.clone().unwrap();
    assert_eq!((reason.class, reason.pointer.as_deref()), (Class::Contradiction, Some("/data/lines/1/line")));
    assert!(reason.message.contains("SKU B-42 stands on several lines"), "{}", reason.message);
    // Whatever a merchant's row says of it; and by an alias of its own each line can be named.
    bench.row(AliasKind::LineItem, "SKU", "B-42", Some("li-7"));
    let again = bench.event("return", json!({"return": {"id": "R-2"}, "state": "CREATED", "lines": [sku]}));
    let own = json!({"line": {"alias": {"type": "OWN", "id": "b"}}, "quantity": 1});
    let named = bench.event("return", json!({"return": {"id": "R-3"}, "state": "CREATED", "lines": [own]}));
    let refund =
        json!({"refund": {"id": "F-1"}, "state": "SUCCESS", "total": {"amount": "1.00", "currency": "USD"}, "lines": [sku]});
    let refund = bench.event("refund", refund);
    let input = bench.sends();
    assert_eq!(input["returns"]["details"][0]["returnLineItems"][0]["returnFor"]["orderLineItemAmounts"], amounts("li-8", 1));
    bench.rests();
    assert_eq!(bench.status(named), Some(Status::Delivered));
    for no in [again, refund] {
        assert_eq!((bench.status(no), bench.code(no)), (Some(Status::Dead), "AMBIGUOUS_ALIAS"));
    }
}

#[test]
fn giving_up_says_which_name_is_missing_and_what_was_tried() {
    let mut bench = Bench::new();
    let sku = json!({"line": {"alias": {"type": "SKU", "id": "B-42"}}, "quantity": 1});
    let no = bench.event("return", json!({"return": {"id": "R-1"}, "state": "CREATED", "lines": [sku]}));
    bench.reads(json!({"id": "322-ABC1-AAAAAA", "lineItems": []}));
    bench.rests();
    bench.pass(TimeDelta::hours(72));
    bench.rests();
    let reason = bench.ended[&no].1.clone().unwrap();
    assert_eq!((reason.class, reason.code.as_str()), (Class::Expired, "ALIAS_UNKNOWN"));
    assert!(
        reason.message.contains("LINE_ITEM SKU B-42 (not in the alias table, and the order as it was read at 2025-03-0"),
        "{}",
        reason.message
    );
}
