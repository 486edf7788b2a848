//! Joining (contract, section 2), and what becomes of a joined mutation that is refused.

use crate::{Bench, SANDBOX_INTERVAL, alias, line, parsed, usd};
use bwp_sync::config::Coalesce;
use bwp_sync::plan::answers::Postponed;
use bwp_sync::plan::outcome::{Class, Reason, Status};
use bwp_sync::plan::rank::EventNo;
use chrono::TimeDelta;
use serde_json::{Value, json};

fn ret(bench: &mut Bench, id: &str, state: &str) -> EventNo {
    bench.event("return", json!({"return": {"id": id}, "state": state, "lines": [line("L-1", 1)]}))
}

fn refund(bench: &mut Bench, id: &str) -> EventNo {
    bench.event("refund", json!({"refund": {"id": id}, "state": "SUCCESS", "total": usd("1.00")}))
}

fn aliases(details: &Value) -> Vec<&str> {
    let details = details.as_array().into_iter().flatten();
    details.map(|entry| entry["aliases"][0]["aliasId"].as_str().unwrap()).collect()
}

#[test]
fn all_that_is_due_goes_together_in_the_order_of_intake_and_second_steps_follow() {
    let mut bench = Bench::sandbox();
    let all = [
        ret(&mut bench, "Z", "COMPLETED"),
        refund(&mut bench, "Y"),
        ret(&mut bench, "A", "CREATED"),
        refund(&mut bench, "B"),
        bench.event("order", json!({"executionState": "STARTED"})),
        bench.event("shipment", json!({"shipment": {"bwpId": "pk-1"}, "state": "IN_TRANSIT"})),
    ];
    bench.rules.blind = true;
    let inputs = bench.play();
    assert_eq!(inputs.len(), 3, "{inputs:#?}");
    assert_eq!(aliases(&inputs[0]["returns"]["details"]), ["Z", "A"]);
    assert_eq!(aliases(&inputs[0]["refunds"]["details"]), ["Y", "B"]);
    assert_eq!(inputs[0]["desiredExecutionState"], "STARTED");
    assert_eq!(inputs[1]["returns"]["details"].as_array().unwrap().len(), 1);
    assert_eq!(inputs[2]["packageInformation"]["details"][0]["id"], "pk-1");
    for no in all {
        let attempts = if no == 1 { 2 } else { 1 };
        assert_eq!((bench.status(no), bench.attempts[&no]), (Some(Status::Delivered), attempts));
    }
}

#[test]
fn off_each_thing_goes_alone() {
    let mut bench = Bench::new();
    bench.rules.coalesce = Coalesce::Off;
    ret(&mut bench, "Z", "CREATED");
    ret(&mut bench, "A", "CREATED");
    refund(&mut bench, "B");
    let inputs = bench.play();
    assert_eq!(inputs.len(), 3);
    assert_eq!(aliases(&inputs[0]["returns"]["details"]), ["Z"]);
}

#[test]
fn an_event_counts_a_mutation_once_however_many_things_it_speaks_of() {
    let mut bench = Bench::new();
    let lines = json!([{"line": {"id": "L-1"}, "taxes": usd("1.00")}, {"line": {"id": "L-2"}, "taxes": usd("1.00")}]);
    let no = bench.event("order", json!({"executionState": "STARTED", "lines": lines}));
    bench.begin();
    bench.lost();
    bench.pass(TimeDelta::seconds(9));
    bench.reads(json!({"id": "322-A", "metadata": {"executionState": "STARTED"}}));
    assert_eq!(bench.lane.events[&no].progress.attempts, 1);
    assert_eq!(bench.play().len(), 2, "joined once, then one thing at a time");
    assert_eq!(bench.status(no), Some(Status::Delivered));
}

#[test]
fn one_bad_part_costs_no_other() {
    let mut bench = Bench::new();
    let (done, bad, good) = (refund(&mut bench, "A"), ret(&mut bench, "B", "CREATED"), refund(&mut bench, "C"));
    let draft = bench.begin();
    assert_eq!(draft.parts.len(), 3);
    bench.refused("ValidationError");
    let shown = json!({"id": "r1", "state": "SUCCESS", "aliases": [alias("EXTERNAL_REFUND_ID", "A")],
        "refundTotal": {"totalAmount": {"amount": 1.0, "currencyCode": "USD"}}});
    bench.reads(json!({"id": "322-A", "returns": {"details": []}, "refunds": {"details": [shown]}}));
    assert_eq!(aliases(&parsed(&bench.begin().variables)["input"]["returns"]["details"]), ["B"]);
    assert_eq!(bench.status(done), Some(Status::Confirmed));
    bench.refused("AliasLimitExceeded");
    assert_eq!(aliases(&bench.sends()["refunds"]["details"]), ["C"]);
    bench.rests();
    assert_eq!((bench.status(bad), bench.code(bad)), (Some(Status::Dead), "AliasLimitExceeded"));
    assert_eq!(bench.status(good), Some(Status::Delivered));
}

#[test]
fn a_thing_that_failed_waits_alone_and_its_budget_counts_from_the_first_failure() {
    let mut bench = Bench::new();
    let no = refund(&mut bench, "A");
    let said = Postponed { reason: Reason::new(Class::Refused, "ThrottlingError", "slow"), floor: None, charged: bench.now };
    for _ in 0..2 {
        bench.begin();
        let due = bench.now + TimeDelta::hours(12);
        bench.lane.postponed(&said, bench.now, |_| due);
        assert_eq!(bench.rests(), Some(due));
        assert_eq!(bench.status(no), None);
        bench.now = due;
    }
    bench.rests();
    assert_eq!((bench.status(no), bench.code(no)), (Some(Status::Dead), "ThrottlingError"));
    let reason = bench.ended[&no].1.as_ref().unwrap();
    assert_eq!(reason.class, Class::Expired);
    refund(&mut bench, "A");
    assert_eq!(bench.play().len(), 1, "a newer one is tried afresh");
}

#[test]
fn a_floor_of_the_order_holds_back_everything_of_it() {
    let mut bench = Bench::new();
    refund(&mut bench, "A");
    bench.begin();
    let floor = bench.now + TimeDelta::minutes(SANDBOX_INTERVAL);
    let said =
        Postponed { reason: Reason::new(Class::Refused, "ThrottlingError", "slow"), floor: Some(floor), charged: bench.now };
    let now = bench.now;
    bench.lane.postponed(&said, now, |_| now);
    refund(&mut bench, "B");
    assert_eq!(bench.rests(), Some(floor));
    bench.now = floor;
    assert_eq!(bench.play().len(), 1);
}

#[test]
fn an_order_that_is_not_known_is_waited_for() {
    let mut bench = Bench::new();
    let no = refund(&mut bench, "A");
    bench.begin();
    bench.not_found();
    bench.reads_nothing();
    bench.rests();
    assert_eq!(bench.waits_for(no), ["EXTERNAL_ID 1001"]);
    bench.row(bwp_sync::event::AliasKind::Order, "EXTERNAL_ID", "1001", Some("322-A"));
    assert_eq!(
        parsed(&bench.begin().variables)["orderIdentifier"],
        json!({"orderId": "322-A"}),
        "a new name is worth a try at once"
    );
    bench.not_found();
    bench.reads_nothing();
    let again = bench.rests().unwrap();
    bench.now = again;
    bench.reads(json!({"id": "322-A"}));
    assert_eq!(bench.play().len(), 1);
    assert_eq!(bench.status(no), Some(Status::Delivered));
}
