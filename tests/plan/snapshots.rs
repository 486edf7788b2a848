//! "Which snapshot counts" (contract, section 1).

use crate::{Bench, alias, line, money, usd, with};
use bwp_sync::event::AliasKind;
use bwp_sync::plan::outcome::Status;
use chrono::TimeDelta;
use serde_json::{Value, json};

fn refund(more: Value) -> Value {
    with(json!({"refund": {"id": "RF-9"}, "state": "PARTIAL", "total": usd("1.00")}), more)
}

fn sent_total(inputs: &[Value]) -> &Value {
    &inputs.last().unwrap()["refunds"]["details"][0]["refundTotal"]["totalAmount"]["amount"]
}

#[test]
fn newer_is_the_higher_version_else_the_later_time_else_the_later_arrival() {
    // (version, minute) of the first and the second to arrive, and whether the second counts.
    let cases = [
        ((Some(1), 9), (Some(2), 1), true),
        ((Some(2), 1), (Some(1), 9), false),
        ((Some(2), 1), (Some(2), 2), true),
        ((Some(2), 2), (Some(2), 1), false),
        ((None, 1), (Some(1), 2), true),
        ((Some(9), 2), (None, 1), false),
        ((Some(9), 1), (None, 2), true),
        ((None, 1), (None, 1), true),
    ];
    for (first, second, second_counts) in cases {
        let mut bench = Bench::new();
        let data = |version: Option<u64>, total: &str| {
            let version = version.map_or(json!({}), |version| json!({"version": version}));
            with(refund(json!({"total": usd(total)})), version)
        };
        let a = bench.event_at(first.1, "refund", data(first.0, "1.00"));
        let b = bench.event_at(second.1, "refund", data(second.0, "2.00"));
        let inputs = bench.play();
        let (winner, loser, total) = if second_counts { (b, a, "2.00") } else { (a, b, "1.00") };
        assert_eq!(sent_total(&inputs).to_string(), total, "{first:?} {second:?}");
        assert_eq!((bench.status(winner), bench.status(loser)), (Some(Status::Delivered), Some(Status::Superseded)));
        assert_eq!(bench.code(loser), "SUPERSEDED");
    }
}

#[test]
fn an_older_snapshot_that_arrives_later_lends_only_what_no_newer_one_has() {
    let mut bench = Bench::new();
    let newer = bench.event("refund", refund(json!({"version": 2, "total": usd("2.00")})));
    assert_eq!(bench.play().len(), 1);
    let nothing = bench.event("refund", refund(json!({"version": 1, "total": usd("1.00"), "state": "PENDING"})));
    let lends = bench.event("refund", refund(json!({"version": 1, "statusReason": "OTHERS"})));
    let inputs = bench.play();
    assert_eq!(inputs.len(), 1);
    let entry = &inputs[0]["refunds"]["details"][0];
    assert_eq!((&entry["refundStatusReason"], &entry["state"]), (&json!("OTHERS"), &json!("PARTIAL")));
    assert_eq!(sent_total(&inputs), &money("2.00")["amount"]);
    let status = [newer, nothing, lends].map(|no| bench.status(no).unwrap());
    assert_eq!(status, [Status::Delivered, Status::Superseded, Status::Delivered]);
}

#[test]
fn members_come_from_older_snapshots_sent_or_not() {
    let mut bench = Bench::new();
    let first = bench.event("refund", refund(json!({"requestReason": "OTHERS", "lines": [line("L-1", 1)]})));
    let second = bench.event("refund", refund(json!({"state": "SUCCESS"})));
    let inputs = bench.play();
    let entry = &inputs[0]["refunds"]["details"][0];
    assert_eq!((inputs.len(), &entry["state"], &entry["refundRequestReason"]), (1, &json!("SUCCESS"), &json!("OTHERS")));
    assert_eq!((bench.status(first), bench.status(second)), (Some(Status::Delivered), Some(Status::Delivered)));
}

#[test]
fn refused_snapshots_lend_nothing() {
    let mut bench = Bench::new();
    let bad = bench.event("refund", refund(json!({"requestReason": "NO_SUCH", "lines": [line("L-1", 1)]})));
    bench.begin();
    bench.refused("InvalidRefund");
    let next = bench.event("refund", refund(json!({"state": "SUCCESS"})));
    let inputs = bench.play();
    let entry = inputs[0]["refunds"]["details"][0].as_object().unwrap();
    assert!(!entry.contains_key("refundRequestReason") && !entry.contains_key("refundFor"), "{entry:?}");
    assert_eq!((bench.status(bad), bench.code(bad)), (Some(Status::Dead), "InvalidRefund"));
    assert_eq!(bench.status(next), Some(Status::Delivered));
}

#[test]
fn contradicting_snapshots_lend_nothing() {
    let mut bench = Bench::new();
    bench.event("refund", refund(json!({"state": "SUCCESS", "total": usd("5.00")})));
    bench.play();
    let bad = bench.event("refund", refund(json!({"state": "SUCCESS", "total": usd("4.00"), "requestReason": "OTHERS"})));
    assert!(bench.play().is_empty());
    let next = bench.event("refund", refund(json!({"state": "SUCCESS", "total": usd("6.00")})));
    let inputs = bench.play();
    assert!(inputs[0]["refunds"]["details"][0].get("refundRequestReason").is_none());
    assert_eq!((bench.code(bad), bench.status(next)), ("TOTAL_DECREASED", Some(Status::Delivered)));
}

#[test]
fn what_died_of_old_age_still_lends_its_members() {
    let mut bench = Bench::new();
    let old = bench.event("refund", refund(json!({"requestReason": "OTHERS", "lines": [line("L-9", 1)]})));
    bench.reads(json!({"id": "322-A"}));
    bench.rests();
    assert_eq!(bench.waits_for(old), ["EXTERNAL_ITEM_ID L-9"]);
    bench.pass(TimeDelta::hours(72));
    bench.turn();
    assert_eq!((bench.status(old), bench.code(old)), (Some(Status::Dead), "ALIAS_UNKNOWN"));
    let new = bench.event("refund", refund(json!({"state": "SUCCESS", "lines": [line("L-1", 1)]})));
    let inputs = bench.play();
    assert_eq!(inputs[0]["refunds"]["details"][0]["refundRequestReason"], "OTHERS");
    assert_eq!(bench.status(new), Some(Status::Delivered));
}

#[test]
fn a_newer_snapshot_does_not_wait_for_the_names_of_what_it_replaces() {
    let mut bench = Bench::new().blind();
    let old = bench.event("refund", refund(json!({"lines": [line("L-9", 1)]})));
    assert!(bench.play().is_empty());
    bench.waits_for(old);
    let new = bench.event("refund", refund(json!({"lines": [line("L-1", 1)]})));
    assert_eq!(bench.play().len(), 1);
    assert_eq!((bench.status(old), bench.status(new)), (Some(Status::Superseded), Some(Status::Delivered)));
}

#[test]
fn an_event_waits_as_a_whole_and_what_follows_it_for_that_thing_waits_with_it() {
    let mut bench = Bench::new().blind();
    let first =
        bench.event("order", json!({"totalPrice": usd("3.00"), "lines": [{"line": {"id": "L-9"}, "taxes": usd("1.00")}]}));
    let second = bench.event("order", json!({"taxes": usd("2.00")}));
    let other = bench.event("refund", refund(json!({})));
    let inputs = bench.play();
    assert_eq!(inputs.len(), 1, "only the other thing goes: {inputs:?}");
    assert_eq!(bench.status(other), Some(Status::Delivered));
    assert_eq!(bench.waits_for(first), ["EXTERNAL_ITEM_ID L-9"]);
    assert_eq!(bench.waits_for(second), ["EXTERNAL_ITEM_ID L-9"]);
    bench.row(AliasKind::LineItem, "EXTERNAL_ITEM_ID", "L-9", Some("li-9"));
    let inputs = bench.play();
    assert_eq!(inputs.len(), 1);
    assert_eq!(
        (&inputs[0]["totalPrice"]["value"], &inputs[0]["lineItems"][0]["id"]),
        (&money("3.00"), &json!({"lineItemId": "li-9"}))
    );
    assert_eq!((bench.status(first), bench.status(second)), (Some(Status::Delivered), Some(Status::Delivered)));
}

#[test]
fn giving_up_ends_only_what_lacks_the_name_itself() {
    let mut bench = Bench::new();
    let first =
        bench.event("order", json!({"totalPrice": usd("3.00"), "lines": [{"line": {"id": "L-9"}, "taxes": usd("1.00")}]}));
    let second = bench.event("order", json!({"taxes": usd("2.00")}));
    bench.reads(json!({"id": "322-A"}));
    bench.rests();
    bench.pass(TimeDelta::hours(72));
    let input = bench.sends();
    assert_eq!(
        (&input["totalPrice"]["value"], input.get("lineItems")),
        (&money("3.00"), None),
        "members of the expired one count"
    );
    bench.rests();
    assert_eq!((bench.status(first), bench.status(second)), (Some(Status::Dead), Some(Status::Delivered)));
}

#[test]
fn what_is_in_flight_is_not_superseded_meanwhile() {
    for applied in [true, false] {
        let mut bench = Bench::new();
        let first = bench.event("refund", refund(json!({})));
        bench.begin();
        bench.lost();
        let second = bench.event("refund", refund(json!({"state": "SUCCESS", "total": usd("2.00")})));
        assert!(bench.rests().is_some());
        assert_eq!(bench.status(first), None);
        bench.pass(TimeDelta::seconds(8));
        let details = json!([{"id": "r1", "state": "PARTIAL", "aliases": [alias("EXTERNAL_REFUND_ID", "RF-9")],
            "refundTotal": {"totalAmount": {"amount": 1.0, "currencyCode": "USD"}}}]);
        bench.reads(json!({"id": "322-A", "refunds": {"details": if applied { details } else { json!([]) }}}));
        assert_eq!(bench.play().len(), 1);
        let expected = if applied { Status::Confirmed } else { Status::Superseded };
        assert_eq!((bench.status(first), bench.status(second)), (Some(expected), Some(Status::Delivered)));
    }
}

#[test]
fn two_names_of_one_thing_are_one_as_soon_as_the_table_says_so() {
    let mut bench = Bench::new();
    let by_id = bench.event("refund", refund(json!({})));
    let by_bwp = bench.event("refund", with(refund(json!({"total": usd("2.00")})), json!({"refund": {"bwpId": "r1"}})));
    bench.row(AliasKind::Refund, "EXTERNAL_REFUND_ID", "RF-9", Some("r1"));
    let inputs = bench.play();
    assert_eq!(inputs.len(), 1);
    let entry = &inputs[0]["refunds"]["details"][0];
    assert_eq!((&entry["id"], &entry["aliases"]), (&json!("r1"), &json!([alias("EXTERNAL_REFUND_ID", "RF-9")])));
    assert_eq!((bench.status(by_id), bench.status(by_bwp)), (Some(Status::Delivered), Some(Status::Delivered)));
    let spelled =
        json!({"refund": {"alias": {"type": "EXTERNAL_REFUND_ID", "id": "RF-9"}}, "total": usd("2.00"), "state": "SUCCESS"});
    bench.event("refund", refund(spelled));
    assert_eq!(bench.play()[0]["refunds"]["details"][0]["id"], "r1");
}
