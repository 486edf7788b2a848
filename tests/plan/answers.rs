//! Answers that are missing or do not tell (contract, guarantee 3).

use crate::{Bench, alias, line, parsed, usd, with};
use bwp_sync::event::{Alias, AliasKind};
use bwp_sync::plan::outcome::Status;
use bwp_sync::plan::subject::{Name, Subject};
use bwp_sync::plan::thing::Known;
use chrono::TimeDelta;
use serde_json::{Value, json};

fn refund(state: &str, total: &str, payments: &[&str]) -> Value {
    let payment = |id: &&str| json!({"id": id, "amount": usd("1.00"), "method": {"type": "CARD", "display": "V"}});
    let payments: Vec<Value> = payments.iter().map(payment).collect();
    let data = json!({"refund": {"id": "RF-9"}, "state": state, "total": usd(total)});
    if payments.is_empty() { data } else { with(data, json!({"payments": payments})) }
}

fn shown(state: &str, total: f64, payments: &[&str]) -> Value {
    let payments: Vec<Value> =
        payments.iter().map(|id| json!({"id": id, "amount": {"amount": 1.0, "currencyCode": "USD"}})).collect();
    json!({"id": "322-A", "refunds": {"details": [{"id": "r1", "state": state, "aliases": [alias("EXTERNAL_REFUND_ID", "RF-9")],
        "refundTotal": {"totalAmount": {"amount": total, "currencyCode": "USD"}}, "paymentDetails": payments}]}})
}

fn none() -> Value {
    json!({"id": "322-A", "refunds": {"details": []}})
}

/// A refund sent, its answer lost, the order read: what the event becomes, and the payments that are sent again.
fn after(before: Option<Value>, data: Value, read: Value) -> (Option<Status>, String, Option<Vec<String>>) {
    let mut bench = Bench::new();
    if let Some(before) = before {
        bench.event("refund", before);
        bench.sends();
    }
    let no = bench.event("refund", data);
    bench.begin();
    bench.lost();
    bench.pass(TimeDelta::seconds(9));
    bench.reads(read);
    let again = bench.play().first().map(|input| {
        let payments = input["refunds"]["details"][0]["paymentDetails"].as_array().cloned().unwrap_or_default();
        payments.iter().map(|payment| payment["id"].as_str().unwrap().to_owned()).collect()
    });
    (bench.status(no), bench.code(no).to_owned(), again)
}

#[test]
fn a_refund_is_judged_by_its_payments_then_by_the_total_else_nobody_can_tell() {
    let first = || Some(refund("PARTIAL", "1.00", &["a"]));
    let no_ids = |total: f64| shown("PARTIAL", total, &[]);
    // What was sent before, what was lost, what the read shows; the end, and what goes again.
    type Case = (&'static str, Option<Value>, Value, Value, Status, Option<&'static [&'static str]>);
    let cases: Vec<Case> = vec![
        ("a create, found", None, refund("PARTIAL", "1.00", &["a"]), shown("PARTIAL", 1.0, &["a"]), Status::Confirmed, None),
        ("a create, not found", None, refund("PARTIAL", "1.00", &["a"]), none(), Status::Delivered, Some(&["a"])),
        ("a create without payments", None, refund("PARTIAL", "1.00", &[]), shown("PARTIAL", 1.0, &[]), Status::Confirmed, None),
        (
            "a create, ids not shown: the total tells",
            None,
            refund("PARTIAL", "1.00", &["a"]),
            no_ids(1.0),
            Status::Confirmed,
            None,
        ),
        (
            "ids found",
            first(),
            refund("PARTIAL", "2.00", &["a", "b"]),
            shown("PARTIAL", 2.0, &["a", "b"]),
            Status::Confirmed,
            None,
        ),
        (
            "only earlier ids found",
            first(),
            refund("PARTIAL", "2.00", &["a", "b"]),
            shown("PARTIAL", 1.0, &["a"]),
            Status::Delivered,
            Some(&["b"]),
        ),
        (
            "some found: the rest goes",
            first(),
            refund("PARTIAL", "3.00", &["a", "b", "c"]),
            shown("PARTIAL", 1.0, &["a", "b"]),
            Status::Delivered,
            Some(&["c"]),
        ),
        ("no ids, the total rose", first(), refund("PARTIAL", "2.00", &["a", "b"]), no_ids(2.0), Status::Confirmed, None),
        (
            "no ids, the total did not rise",
            first(),
            refund("PARTIAL", "2.00", &["a", "b"]),
            no_ids(1.0),
            Status::Delivered,
            Some(&["b"]),
        ),
        (
            "ids found but not the state",
            first(),
            refund("SUCCESS", "2.00", &["a", "b"]),
            shown("PARTIAL", 1.0, &["a", "b"]),
            Status::Delivered,
            Some(&[]),
        ),
        ("state only", first(), refund("SUCCESS", "1.00", &["a"]), shown("PARTIAL", 1.0, &["a"]), Status::Delivered, Some(&[])),
    ];
    for (what, before, data, read, status, again) in cases {
        let again = again.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect());
        assert_eq!(after(before, data, read), (Some(status), String::new(), again), "{what}");
    }
    let (status, code, again) =
        after(Some(refund("PARTIAL", "2.00", &["a"])), refund("PARTIAL", "2.00", &["a", "b"]), no_ids(2.0));
    assert_eq!((status, code.as_str(), again), (Some(Status::Dead), "UNVERIFIABLE", None));
}

#[test]
fn ids_that_a_read_shows_but_nobody_sent_say_nothing() {
    let mut bench = Bench::new();
    let lost = |bench: &mut Bench, data: Value, read: Value| {
        let no = bench.event("refund", data);
        bench.begin();
        bench.lost();
        bench.pass(TimeDelta::seconds(9));
        bench.reads(read);
        assert!(bench.play().is_empty(), "nothing is sent twice");
        assert_eq!(bench.status(no), Some(Status::Confirmed), "the total tells");
    };
    // Buy with Prime shows ids of its own, not ours.
    lost(&mut bench, refund("PARTIAL", "1.00", &["a"]), shown("PARTIAL", 1.0, &["X1"]));
    lost(&mut bench, refund("PARTIAL", "2.00", &["a", "b"]), shown("PARTIAL", 2.0, &["X1", "X2"]));
}

#[test]
fn ids_that_were_sent_count_also_where_only_a_read_showed_them() {
    let mut bench = Bench::new();
    bench.event("refund", refund("PARTIAL", "2.00", &["a", "b"]));
    for payments in [["a", "b"].as_slice(), &["b"], &["b"]] {
        let draft = bench.begin();
        let sent = parsed(&draft.variables)["input"]["refunds"]["details"][0]["paymentDetails"].as_array().unwrap().clone();
        assert_eq!(sent.iter().map(|payment| payment["id"].as_str().unwrap()).collect::<Vec<_>>(), payments);
        bench.lost();
        bench.pass(TimeDelta::seconds(9));
        bench.reads(shown("PARTIAL", 2.0, &["a"]));
    }
}

#[test]
fn a_total_that_was_not_to_change_tells_nothing_whatever_it_is() {
    let before = Some(refund("PARTIAL", "2.00", &["a"]));
    let (status, code, again) = after(before, refund("PARTIAL", "2.00", &["a", "b"]), shown("PARTIAL", 3.0, &["X1"]));
    assert_eq!((status, code.as_str(), again), (Some(Status::Dead), "UNVERIFIABLE", None));
}

#[test]
fn doubts_stay_when_two_names_turn_out_to_be_one_refund() {
    let mut bench = Bench::new();
    bench.event("refund", refund("PARTIAL", "3.00", &["a"]));
    bench.sends();
    bench.event("refund", refund("PARTIAL", "3.00", &["a", "b"]));
    bench.begin();
    bench.lost();
    bench.pass(TimeDelta::seconds(9));
    let mut nameless = shown("PARTIAL", 3.0, &[]);
    nameless["refunds"]["details"][0]["aliases"] = json!([]);
    // Another event makes the refund known under its own id, before the table ties the two.
    bench.event("refund", with(refund("PARTIAL", "3.00", &[]), json!({"refund": {"bwpId": "r1"}})));
    let Known::Refund { held, .. } = &mut bench.lane.thing(alias_subject()).known else { panic!() };
    held.doubtful.insert("b".to_owned(), [2].into());
    bench.lane.memo.intents.clear();
    let view = serde_json::from_value(nameless).unwrap();
    bench.lane.learn_from_read(&view, Vec::new(), &bench.rules, bench.now);
    bench.row(AliasKind::Refund, "EXTERNAL_REFUND_ID", "RF-9", Some("r1"));
    bench.lane.rename_things();
    let thing = &bench.lane.things[&Subject::Refund(Name::Bwp("r1".to_owned()))];
    let Known::Refund { held, .. } = &thing.known else { panic!() };
    assert!(held.doubtful.contains_key("b") && held.sent.contains("a"));
}

fn alias_subject() -> Subject {
    let alias = Alias { alias_type: "EXTERNAL_REFUND_ID".to_owned(), id: "RF-9".to_owned() };
    Subject::Refund(Name::Alias(alias))
}

#[test]
fn what_nobody_can_tell_of_is_not_paid_again_by_a_newer_snapshot() {
    let mut bench = Bench::new();
    bench.event("refund", refund("PARTIAL", "3.00", &["a"]));
    bench.sends();
    let lost = bench.event("refund", refund("PARTIAL", "3.00", &["a", "b"]));
    bench.begin();
    bench.lost();
    bench.pass(TimeDelta::seconds(9));
    bench.reads(shown("PARTIAL", 3.0, &[]));
    bench.rests();
    assert_eq!(bench.code(lost), "UNVERIFIABLE");
    bench.event("refund", refund("SUCCESS", "3.00", &["a", "b", "c"]));
    let input = bench.sends();
    let payments = &input["refunds"]["details"][0]["paymentDetails"];
    assert_eq!((payments.as_array().unwrap().len(), &payments[0]["id"]), (1, &json!("c")));
}

#[test]
fn not_so_counts_only_from_a_read_that_is_late_enough() {
    let mut bench = Bench::new();
    let no = bench.event("refund", refund("PARTIAL", "1.00", &["a"]));
    bench.begin();
    bench.lost();
    assert_eq!(bench.rests(), Some(bench.now + TimeDelta::seconds(8)));
    // A read made for something else, too early: it may confirm, it may not deny.
    let view = serde_json::from_value(none()).unwrap();
    bench.lane.learn_from_read(&view, Vec::new(), &bench.rules, bench.now + TimeDelta::seconds(7));
    assert_eq!(bench.lane.memo.intents.len(), 1);
    bench.pass(TimeDelta::seconds(8));
    bench.reads(none());
    bench.begin();
    // An answer came that does not tell: nothing late can apply any more.
    bench.unknown(true);
    bench.reads(shown("PARTIAL", 1.0, &["a"]));
    bench.rests();
    assert_eq!(bench.status(no), Some(Status::Confirmed));
}

#[test]
fn an_early_read_confirms_what_it_shows_and_counts_the_mutation_once() {
    let mut bench = Bench::new();
    let lines = json!([{"line": {"id": "L-1"}, "taxes": usd("1.00")}]);
    let no = bench.event("order", json!({"executionState": "STARTED", "lines": lines}));
    bench.begin();
    bench.lost();
    let view = serde_json::from_value(json!({"id": "322-A", "metadata": {"executionState": "STARTED"}})).unwrap();
    bench.lane.learn_from_read(&view, Vec::new(), &bench.rules, bench.now);
    assert_eq!(bench.lane.memo.intents[0].parts.len(), 1, "the line may still come");
    bench.pass(TimeDelta::seconds(9));
    bench.reads(json!({"id": "322-A"}));
    bench.sends();
    bench.rests();
    assert_eq!((bench.status(no), bench.attempts[&no]), (Some(Status::Delivered), 2));
}

#[test]
fn nothing_else_of_the_order_is_sent_before_the_read() {
    let mut bench = Bench::new();
    bench.event("refund", refund("PARTIAL", "1.00", &["a"]));
    bench.begin();
    bench.event("order", json!({"executionState": "STARTED"}));
    assert_eq!(bench.rests(), Some(bench.now + TimeDelta::seconds(8)), "in flight");
    bench.unknown(true);
    bench.reads(none());
    assert_eq!(bench.play().len(), 1);
}

#[test]
fn what_is_lost_again_and_again_keeps_its_delay_and_its_budget() {
    let mut bench = Bench::new();
    let no = bench.event("return", json!({"return": {"id": "R"}, "state": "CREATED", "lines": [line("L-1", 1)]}));
    let reason = bwp_sync::plan::outcome::Reason::new(bwp_sync::plan::outcome::Class::Refused, "HTTP_503", "down");
    let said = bwp_sync::plan::answers::Postponed { reason, floor: None, charged: bench.now };
    for failures in 1..=3 {
        bench.begin();
        let now = bench.now;
        bench.lane.unknown(&said, true, now, |count| {
            assert_eq!(count, failures);
            now + TimeDelta::hours(8)
        });
        bench.reads(json!({"id": "322-A", "returns": {"details": []}}));
        assert_eq!(bench.rests(), Some(now + TimeDelta::hours(8)));
        bench.pass(TimeDelta::hours(8));
    }
    bench.rests();
    assert_eq!((bench.status(no), bench.code(no)), (Some(Status::Dead), "HTTP_503"));
}

#[test]
fn every_part_of_an_order_event_is_found_by_a_read() {
    let payment = json!({"id": "p", "amount": usd("5.00"), "state": "SUCCESS", "method": {"type": "CARD", "display": "V"}});
    let read_payment = json!({"id": "p", "amount": {"amount": 5.0, "currencyCode": "USD"}, "state": "SUCCESS"});
    let cases = [
        (json!({"executionState": "STARTED"}), json!({"metadata": {"executionState": "STARTED"}})),
        (json!({"aliases": [{"type": "D", "id": "1"}]}), json!({"aliases": [alias("D", "1")]})),
        (
            json!({"totalPrice": usd("1.10")}),
            json!({"totalPrice": {"value": {"amount": "1.1000000000000001".parse::<serde_json::Number>().unwrap(), "currencyCode": "USD"}}}),
        ),
        (
            json!({"taxes": usd("1.10")}),
            json!({"taxes": {"summary": {"collectableTaxAmount": {"amount": 1.1, "currencyCode": "USD"}}}}),
        ),
        (
            json!({"discount": {"amount": usd("2.80")}}),
            json!({"discounts": {"summary": {"amount": {"amount": 2.8, "currencyCode": "USD"}}}}),
        ),
        (
            json!({"links": [{"destination": "BWP_STOREFRONT", "url": "u"}]}),
            json!({"orderLinks": [{"destinationType": "BWP_STOREFRONT", "url": "u"}]}),
        ),
        (json!({"payments": [payment]}), json!({"payments": {"details": [read_payment]}})),
        (
            json!({"lines": [{"line": {"id": "L-1"}, "payments": [payment]}]}),
            json!({"lineItems": [{"id": "li-1", "payments": {"details": [read_payment]}}]}),
        ),
        (
            json!({"packages": [{"package": {"bwpId": "pk-1"}, "aliases": [{"type": "D", "id": "1"}]}]}),
            json!({"packageInformation": {"details": [{"id": "pk-1", "aliases": [alias("D", "1")]}]}}),
        ),
    ];
    for (data, read) in cases {
        for applied in [true, false] {
            let mut bench = Bench::new();
            let no = bench.event("order", data.clone());
            bench.begin();
            bench.unknown(true);
            bench.reads(if applied { with(json!({"id": "322-A"}), read.clone()) } else { json!({"id": "322-A"}) });
            assert_eq!(bench.play().len(), usize::from(!applied), "{data}");
            assert_eq!(bench.status(no), Some(if applied { Status::Confirmed } else { Status::Delivered }));
        }
    }
}
