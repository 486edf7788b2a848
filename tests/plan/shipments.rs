//! Shipments (contract, section 2): in the sandbox the states of packages, in production nothing but their aliases.

use crate::{Bench, SANDBOX_INTERVAL, alias, amounts, line, parsed, with};
use bwp_sync::event::AliasKind;
use bwp_sync::plan::Next;
use bwp_sync::plan::answers::Postponed;
use bwp_sync::plan::outcome::{Class, Reason, Status};
use bwp_sync::plan::step::{Mutation, Question};
use chrono::TimeDelta;
use serde_json::{Value, json};

fn shipment(state: &str, more: Value) -> Value {
    let data = json!({"shipment": {"id": "SH-1"}, "package": {"id": "P-1"}, "state": state});
    let data = if state == "CANCELLED" { with(data, json!({"reason": "UNDELIVERABLE"})) } else { data };
    with(data, more)
}

fn milestone(code: &str) -> Value {
    json!({"milestone": code, "tracking": {"carrier": "UPS", "number": "1Z"}})
}

fn state(state: &str) -> Value {
    json!({"packageInformationState": {"state": state}})
}

fn cancelled(reason: &str) -> Value {
    json!({"packageInformationState": {"state": "CANCELLED", "reason": reason}})
}

fn tracker(code: &str) -> Value {
    let identifier = json!({"trackingNumber": "1Z", "carrierCode": "UPS"});
    json!({"packageTrackerState": {"packageTrackerIdentifier": identifier, "latestMilestone": {"status": {"code": code}}}})
}

fn steps(inputs: &[Value]) -> Vec<Value> {
    let one = |input: &Value| {
        let details = input["packageInformation"]["details"].as_array().unwrap().clone();
        assert_eq!(details.len(), 1);
        assert_eq!(details[0]["id"], "pk-1");
        details[0]["packageState"].clone()
    };
    inputs.iter().map(one).collect()
}

fn order(packages: Value) -> Value {
    json!({"id": "322-A", "packageInformation": {"details": packages}})
}

#[test]
fn a_step_from_an_unknown_state_is_taken_to_be_legal() {
    let cases = [
        (shipment("PENDING", json!({})), vec![]),
        (shipment("IN_TRANSIT", json!({})), vec![state("IN_TRANSIT")]),
        (shipment("DELIVERED", json!({})), vec![state("DELIVERED")]),
        (shipment("CANCELLED", json!({})), vec![cancelled("UNDELIVERABLE")]),
        (shipment("CANCELLED", json!({"reason": "CUSTOMER_REQUESTED"})), vec![cancelled("CUSTOMER_REQUESTED")]),
        (shipment("IN_TRANSIT", milestone("OUT_FOR_DELIVERY")), vec![state("IN_TRANSIT"), tracker("OUT_FOR_DELIVERY")]),
        (shipment("DELIVERED", milestone("DELIVERED")), vec![tracker("DELIVERED")]),
        (shipment("IN_TRANSIT", milestone("DELIVERED")), vec![tracker("DELIVERED")]),
    ];
    for (data, expected) in cases {
        let mut bench = Bench::sandbox().blind();
        let no = bench.event("shipment", data.clone());
        assert_eq!(steps(&bench.play()), expected, "{data}");
        let status = if expected.is_empty() { Status::NothingToSend } else { Status::Delivered };
        assert_eq!(bench.status(no), Some(status));
    }
}

#[test]
fn transitions_of_a_package() {
    // From the state that was accepted: the steps, or none where it ends DEAD.
    let cases: &[(&str, &str, &str, Option<usize>)] = &[
        ("IN_TRANSIT", "IN_TRANSIT", "", Some(0)),
        ("IN_TRANSIT", "PENDING", "", Some(0)),
        ("IN_TRANSIT", "DELIVERED", "", Some(1)),
        ("IN_TRANSIT", "CANCELLED", "UNDELIVERABLE", Some(1)),
        ("IN_TRANSIT", "CANCELLED", "UNFULFILLABLE", None),
        ("IN_TRANSIT", "CANCELLED", "CUSTOMER_REQUESTED", None),
        ("DELIVERED", "IN_TRANSIT", "", None),
        ("DELIVERED", "CANCELLED", "UNDELIVERABLE", None),
        ("DELIVERED", "DELIVERED", "", Some(0)),
        ("CANCELLED", "DELIVERED", "", None),
        ("CANCELLED", "IN_TRANSIT", "", None),
        ("CANCELLED", "CANCELLED", "UNFULFILLABLE", Some(0)),
    ];
    for (from, to, reason, expected) in cases {
        let mut bench = Bench::sandbox().blind();
        bench.event("shipment", shipment(from, json!({})));
        bench.play();
        let more = if reason.is_empty() { json!({}) } else { json!({"reason": reason}) };
        let no = bench.event("shipment", shipment(to, more));
        let sent = bench.play().len();
        let dead = (bench.status(no) == Some(Status::Dead)).then_some("INVALID_TRANSITION");
        assert_eq!((sent, dead), (expected.unwrap_or(0), expected.is_none().then_some(bench.code(no))), "{from} {to} {reason}");
    }
}

#[test]
fn a_step_in_between_is_made_first_and_waited_for_in_the_order() {
    let mut bench = Bench::sandbox();
    let no = bench.event("shipment", shipment("DELIVERED", milestone("DELIVERED")));
    let package = |state: &str| order(json!([{"id": "pk-1", "state": state}]));
    let asked = bench.reads(package("PENDING"));
    assert!(matches!(asked[..], [Question::State(_)]), "{asked:?}");
    assert_eq!(steps(&[bench.sends()]), [state("IN_TRANSIT")]);
    let asked = bench.reads(package("PENDING"));
    assert!(matches!(asked[..], [Question::Step(_)]), "{asked:?}");
    assert_eq!(bench.rests(), Some(bench.now + TimeDelta::minutes(SANDBOX_INTERVAL)));
    bench.pass(TimeDelta::minutes(SANDBOX_INTERVAL));
    bench.reads(package("IN_TRANSIT"));
    assert_eq!(steps(&[bench.sends()]), [tracker("DELIVERED")]);
    bench.rests();
    assert_eq!(bench.status(no), Some(Status::Delivered), "accepted is enough");
}

#[test]
fn not_yet_is_tried_again_after_the_interval_and_holds_up_nothing_else() {
    let mut bench = Bench::sandbox();
    let shipped = bench.event("shipment", shipment("DELIVERED", json!({})));
    bench.reads(order(json!([{"id": "pk-1", "state": "IN_TRANSIT"}])));
    bench.begin();
    let later = bench.now + TimeDelta::minutes(SANDBOX_INTERVAL);
    let said = Postponed { reason: Reason::new(Class::Refused, "ConflictException", "busy"), floor: None, charged: bench.now };
    bench.lane.postponed(&said, bench.now, |_| later);
    let other = bench.event("order", json!({"executionState": "STARTED"}));
    assert_eq!(bench.sends(), json!({"desiredExecutionState": "STARTED"}));
    assert_eq!(bench.rests(), Some(later));
    assert_eq!((bench.status(shipped), bench.status(other)), (None, Some(Status::Delivered)));
    bench.now = later;
    bench.sends();
    bench.rests();
    assert_eq!(bench.status(shipped), Some(Status::Delivered));
}

fn part(shipment: &str, state: &str, item: &str, more: Value) -> Value {
    with(json!({"shipment": {"id": shipment}, "package": {"id": "P-1"}, "state": state, "lines": [line(item, 1)]}), more)
}

#[test]
fn parts_of_a_package_are_entries_with_one_id_and_later_the_package_of_their_lines() {
    let mut bench = Bench::sandbox();
    let lost = bench.event("shipment", part("SH-1", "CANCELLED", "L-1", json!({"reason": "UNFULFILLABLE"})));
    let shipped = bench.event("shipment", part("SH-2", "IN_TRANSIT", "L-1", json!({})));
    let holds = |id: &str, state: &str, lines: Value| json!({"id": id, "state": state, "packageInformationDetailsFor": {"orderLineItems": lines}});
    let of = |line: &str, quantity: u32| json!({"lineItem": {"id": line}, "amount": {"value": quantity}});
    bench.reads(order(json!([holds("pk-1", "PENDING", json!([of("li-1", 2)]))])));
    let input = bench.sends();
    let entry = |state: Value| {
        json!({"id": "pk-1", "packageState": {"packageInformationState": with(state, json!({
        "packageInformationDetailsFor": {"orderLineItemAmounts": amounts("li-1", 1)}}))}})
    };
    let expected = [entry(json!({"state": "CANCELLED", "reason": "UNFULFILLABLE"})), entry(json!({"state": "IN_TRANSIT"}))];
    assert_eq!(input["packageInformation"]["details"], json!(expected));
    bench.rests();
    assert_eq!((bench.status(lost), bench.status(shipped)), (Some(Status::Delivered), Some(Status::Delivered)));
    bench.event("shipment", part("SH-2", "DELIVERED", "L-1", json!({})));
    bench.reads(order(json!([
        holds("pk-2", "CANCELLED", json!([of("li-1", 1)])),
        holds("pk-3", "IN_TRANSIT", json!([of("li-1", 1)]))
    ])));
    let details = &bench.sends()["packageInformation"]["details"];
    assert_eq!(
        *details,
        json!([{"id": "pk-3", "packageState": state("DELIVERED")}]),
        "of several such, the one in the state last sent"
    );
}

#[test]
fn a_part_whose_package_cannot_be_told_waits() {
    let mut bench = Bench::sandbox().blind();
    bench.event("shipment", part("SH-1", "IN_TRANSIT", "L-1", json!({})));
    bench.event("shipment", part("SH-2", "IN_TRANSIT", "L-2", json!({})));
    assert_eq!(bench.play().len(), 1);
    let no = bench.event("shipment", part("SH-2", "DELIVERED", "L-2", json!({})));
    assert!(bench.play().is_empty());
    assert_eq!(bench.waits_for(no), ["EXTERNAL_ID SH-2"]);
    bench.row(AliasKind::Package, "EXTERNAL_ID", "SH-2", Some("pk-9"));
    assert_eq!(bench.play()[0]["packageInformation"]["details"][0]["id"], "pk-9");
}

#[test]
fn an_unknown_package_is_read_for_once_then_waited_for() {
    let mut bench = Bench::sandbox();
    let no = bench.event("shipment", shipment("IN_TRANSIT", json!({"package": {"id": "P-9"}})));
    let asked = bench.reads(order(json!([])));
    assert!(matches!(asked[..], [Question::Name(_)]), "{asked:?}");
    assert_eq!(bench.rests(), Some(bench.now + TimeDelta::minutes(crate::READ_INTERVAL)));
    assert_eq!(bench.waits_for(no), ["EXTERNAL_ID P-9"]);
    bench.pass(TimeDelta::minutes(crate::READ_INTERVAL));
    bench.reads(order(json!([{"id": "pk-9", "state": "PENDING", "aliases": [alias("EXTERNAL_ID", "P-9")]}])));
    assert_eq!(bench.sends()["packageInformation"]["details"][0]["id"], "pk-9");
}

fn attached(id: &str) -> Value {
    json!({"packageInformation": {"details": [{"id": id, "aliases": [alias("EXTERNAL_ID", "SH-1")]}]}})
}

#[test]
fn in_production_the_own_alias_is_attached_to_the_package_that_is_known() {
    let bare = || json!({"shipment": {"id": "SH-1"}, "state": "IN_TRANSIT"});
    let tracked = || with(bare(), json!({"tracking": {"carrier": "UPS", "number": "1Z"}}));
    let shown = order(
        json!([{"id": "pk-7", "packageTracker": {"packageTrackerIdentifier": {"trackingNumber": "1Z", "carrierCode": "UPS"}}}]),
    );

    let mut named = Bench::new();
    let no = named.event("shipment", with(bare(), json!({"package": {"bwpId": "pk-1"}})));
    assert_eq!((named.play(), named.status(no)), (vec![attached("pk-1")], Some(Status::Delivered)));
    let again = named.event("shipment", with(bare(), json!({"state": "DELIVERED"})));
    assert!(named.play().is_empty());
    assert_eq!((named.status(again), named.code(again)), (Some(Status::NothingToSend), "ALREADY_HELD"));

    let mut in_table = Bench::new();
    in_table.row(AliasKind::Package, "EXTERNAL_ID", "SH-1", Some("pk-2"));
    in_table.event("shipment", bare());
    assert_eq!(in_table.play(), [attached("pk-2")]);

    let mut found = Bench::new();
    found.event("shipment", tracked());
    let asked = found.reads(shown);
    assert_eq!(asked, [Question::Tracking("1Z".into())]);
    assert_eq!(found.play(), [attached("pk-7")]);

    let mut unknown = Bench::new();
    let (no, bare) =
        (unknown.event("shipment", tracked()), unknown.event("shipment", with(bare(), json!({"shipment": {"id": "SH-2"}}))));
    unknown.reads(order(json!([])));
    assert!(unknown.play().is_empty());
    assert_eq!([no, bare].map(|no| (unknown.status(no), unknown.code(no))), [(Some(Status::NothingToSend), "NO_PACKAGE"); 2]);

    let mut by_bwp = Bench::new();
    let no = by_bwp.event("shipment", json!({"shipment": {"bwpId": "pk-1"}, "state": "DELIVERED"}));
    assert!(by_bwp.play().is_empty());
    assert_eq!((by_bwp.status(no), by_bwp.code(no)), (Some(Status::NothingToSend), "NO_ALIAS"));
}

#[test]
fn in_production_no_shipment_becomes_a_package_mutation() {
    for word in ["PENDING", "IN_TRANSIT", "DELIVERED", "CANCELLED"] {
        let mut bench = Bench::new().blind();
        bench.row(AliasKind::Package, "EXTERNAL_ID", "P-1", Some("pk-1"));
        bench.event("shipment", shipment(word, milestone("OUT_FOR_DELIVERY")));
        match bench.turn() {
            Next::Send(draft) => assert_eq!(draft.mutation, Mutation::UpdateOrder, "{word}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_step_that_is_refused_because_it_was_made_before_is_confirmed_and_the_next_one_follows() {
    let mut bench = Bench::sandbox();
    let first = bench.event("shipment", shipment("IN_TRANSIT", json!({})));
    bench.reads(order(json!([{"id": "pk-1", "state": "PENDING"}])));
    assert_eq!(steps(&[parsed(&bench.begin().variables)["input"].clone()]), [state("IN_TRANSIT")]);
    bench.lost();
    bench.pass(TimeDelta::minutes(SANDBOX_INTERVAL + 1));
    // It was applied, and does not show yet: it goes again, with a newer snapshot behind it.
    bench.reads(order(json!([{"id": "pk-1", "state": "PENDING"}])));
    let second = bench.event("shipment", shipment("DELIVERED", json!({})));
    bench.pass(TimeDelta::minutes(SANDBOX_INTERVAL + 1));
    assert_eq!(steps(&[parsed(&bench.begin().variables)["input"].clone()]), [state("IN_TRANSIT")]);
    let said = Reason::new(Class::Refused, "InvalidPackageDeliveryDetailStateTransition", "it is InTransit");
    bench.lane.refused_perhaps_done(said, bench.now);
    bench.reads(order(json!([{"id": "pk-1", "state": "IN_TRANSIT"}])));
    assert_eq!(steps(&bench.play()), [state("DELIVERED")]);
    assert_eq!((bench.status(first), bench.status(second)), (Some(Status::Superseded), Some(Status::Delivered)));
}
