//! Orders that cannot be read or found, and time: what is charged, and how everything comes to its end.

use crate::{Bench, READ_INTERVAL, line, parsed, usd, with};
use bwp_sync::dispatch::apply::{Moment, apply};
use bwp_sync::dispatch::schedule::Schedule;
use bwp_sync::dispatch::verdict::{Overrides, judge};
use bwp_sync::event::AliasKind;
use bwp_sync::plan::Next;
use bwp_sync::plan::lane::Standing;
use bwp_sync::plan::outcome::{Class, Reason, Status};
use bwp_sync::plan::rank::EventNo;
use bwp_sync::prime::answer::Body;
use bwp_sync::prime::documents::Operation;
use bwp_sync::prime::exchange::{Exchange, RetryAfter};
use bwp_sync::prime::view::OrderView;
use chrono::TimeDelta;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

fn refund(bench: &mut Bench, id: &str, payments: &[&str]) -> EventNo {
    let payment = |id: &&str| json!({"id": id, "amount": usd("1.00"), "method": {"type": "CARD", "display": "V"}});
    let payments: Vec<Value> = payments.iter().map(payment).collect();
    bench.event("refund", json!({"refund": {"id": id}, "state": "PARTIAL", "total": usd("9.00"), "payments": payments}))
}

fn nothing() -> Value {
    json!({"id": "322-A", "refunds": {"details": []}, "returns": {"details": []}})
}

fn hours(hours: i64) -> TimeDelta {
    TimeDelta::hours(hours)
}

#[test]
fn a_read_that_misses_the_order_settles_nothing_that_is_unknown() {
    let mut bench = Bench::new();
    let no = refund(&mut bench, "A", &["a"]);
    bench.begin();
    bench.lost();
    bench.pass(TimeDelta::seconds(9));
    bench.reads_nothing();
    let again = bench.now + TimeDelta::minutes(READ_INTERVAL);
    assert_eq!(bench.rests(), Some(again));
    assert_eq!((bench.lane.memo.intents.len(), bench.standings[&no].clone()), (1, Standing::Retrying));
    bench.now = again;
    let shown = json!({"id": "r1", "state": "PARTIAL", "aliases": [crate::alias("EXTERNAL_REFUND_ID", "A")], "paymentDetails": [{"id": "a"}],
        "refundTotal": {"totalAmount": {"amount": 9.0, "currencyCode": "USD"}}});
    bench.reads(json!({"id": "322-A", "refunds": {"details": [shown]}}));
    assert!(bench.play().is_empty());
    assert_eq!(bench.status(no), Some(Status::Confirmed));
}

#[test]
fn an_order_that_was_not_found_is_read_at_once_under_its_new_name() {
    let mut bench = Bench::new();
    let no = refund(&mut bench, "A", &["a"]);
    bench.begin();
    bench.lost();
    bench.pass(TimeDelta::seconds(9));
    bench.reads_nothing();
    assert!(bench.rests().is_some());
    bench.row(AliasKind::Order, "EXTERNAL_ID", "1001", Some("322-A"));
    bench.reads(nothing());
    assert_eq!(bench.play().len(), 1);
    assert_eq!((bench.attempts[&no], bench.status(no)), (2, Some(Status::Delivered)));
}

#[test]
fn a_thing_that_the_order_lacks_is_refused_and_costs_no_other() {
    let mut bench = Bench::new();
    let bad = bench.event("return", json!({"return": {"bwpId": "gone"}, "state": "COMPLETED"}));
    let good = refund(&mut bench, "B", &[]);
    assert_eq!(bench.begin().parts.len(), 2);
    bench.not_found();
    bench.reads(nothing());
    bench.begin();
    bench.not_found();
    bench.reads(nothing());
    assert_eq!(bench.play().len(), 1);
    assert_eq!((bench.status(bad), bench.code(bad)), (Some(Status::Dead), "ResourceNotFoundError"));
    assert_eq!((bench.attempts[&bad], bench.status(good)), (2, Some(Status::Delivered)));
}

#[test]
fn an_order_that_is_found_under_another_name_is_tried_again() {
    let mut bench = Bench::new();
    let no = refund(&mut bench, "A", &[]);
    bench.begin();
    bench.not_found();
    // Its alias came between the mutation and the read.
    bench.reads(nothing());
    assert_eq!(bench.play().len(), 1);
    assert_eq!((bench.attempts[&no], bench.status(no)), (2, Some(Status::Delivered)));
}

#[test]
fn an_order_that_never_comes_is_given_up_however_often_it_is_read() {
    let mut bench = Bench::new();
    let no = refund(&mut bench, "A", &[]);
    bench.begin();
    bench.not_found();
    let begun = bench.now;
    assert!(matches!(bench.turn(), Next::Read { .. }), "at once");
    assert_eq!(bench.waits_for(no), ["EXTERNAL_ID 1001"], "it is waited for from here");
    bench.pass(TimeDelta::seconds(5));
    while bench.status(no).is_none() {
        match bench.turn() {
            Next::Read { .. } => bench.reads_nothing(),
            Next::Rest { until } => bench.now = until.unwrap_or(bench.now),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((bench.code(no), bench.now), ("ALIAS_UNKNOWN", begun + hours(72)));
}

#[test]
fn what_cannot_be_read_holds_back_nothing_else_and_ends_some_day() {
    let mut bench = Bench::new();
    let held = bench.event("return", json!({"return": {"id": "R"}, "state": "CREATED", "lines": [line("L-9", 1)]}));
    bench.read_fails(hours(8));
    let other = refund(&mut bench, "A", &[]);
    assert_eq!(bench.play().len(), 1);
    assert_eq!((bench.status(other), bench.standings[&held].clone()), (Some(Status::Delivered), Standing::Retrying));
    assert_eq!(bench.rests(), Some(bench.now + hours(8)));
    for _ in 0..2 {
        bench.pass(hours(8));
        bench.read_fails(hours(8));
    }
    let late = bench.event("return", json!({"return": {"id": "S"}, "state": "CREATED", "lines": [line("L-9", 1)]}));
    bench.pass(hours(8));
    bench.read_fails(hours(8));
    let reason = bench.ended[&held].1.clone().unwrap();
    assert_eq!((bench.status(held), reason.class, reason.code.as_str()), (Some(Status::Dead), Class::Expired, "HTTP_500"));
    assert!(reason.message.contains("could not be read"), "{}", reason.message);
    assert_eq!(bench.status(late), None, "its own time counts from its own first failure");
    bench.pass(hours(8));
    bench.reads(nothing());
    assert!(bench.lane.memo.unread.is_none());
    bench.rests();
    assert_eq!(bench.waits_for(late), ["EXTERNAL_ITEM_ID L-9"]);
}

#[test]
fn a_read_that_succeeds_gives_the_whole_budget_back() {
    let mut bench = Bench::new();
    let no = bench.event("return", json!({"return": {"id": "R"}, "state": "CREATED", "lines": [line("L-1", 1)]}));
    for _ in 0..3 {
        bench.begin();
        bench.lost();
        bench.pass(TimeDelta::seconds(9));
        bench.read_fails(hours(6));
        bench.pass(hours(6));
        bench.reads(nothing());
    }
    bench.begin();
    bench.lost();
    bench.pass(hours(5));
    bench.read_fails(hours(20));
    bench.pass(hours(20));
    assert!(matches!(bench.turn(), Next::Read { .. }));
    assert_eq!(bench.status(no), None);
}

#[test]
fn what_became_of_a_mutation_that_no_read_ever_told_of_ends_and_pays_nothing_twice() {
    let mut bench = Bench::new();
    let paid = refund(&mut bench, "A", &["a"]);
    let other = bench.event("return", json!({"return": {"id": "R"}, "state": "CREATED", "lines": [line("L-1", 1)]}));
    bench.begin();
    bench.lost();
    bench.pass(TimeDelta::seconds(9));
    bench.read_fails(hours(24));
    assert_eq!(bench.rests(), Some(bench.now + hours(24)));
    assert_eq!(bench.standings[&paid], Standing::Retrying);
    bench.pass(hours(24));
    bench.rests();
    assert_eq!((bench.status(paid), bench.code(paid)), (Some(Status::Dead), "UNVERIFIABLE"));
    assert_eq!((bench.status(other), bench.code(other)), (Some(Status::Dead), "HTTP_500"));
    assert_eq!((bench.attempts[&paid], bench.attempts[&other]), (1, 1));
    let next = refund(&mut bench, "A", &["a", "b"]);
    bench.reads(nothing());
    let payments = bench.sends()["refunds"]["details"][0]["paymentDetails"].clone();
    assert_eq!((payments.as_array().unwrap().len(), &payments[0]["id"]), (1, &json!("b")));
    bench.rests();
    assert_eq!(bench.status(next), Some(Status::Delivered));
}

#[test]
fn nothing_in_flight_or_unknown_expires_for_another_part_of_it() {
    let mut bench = Bench::new();
    let no = bench.event("order", json!({"executionState": "STARTED", "lines": [{"line": {"id": "L-1"}, "taxes": usd("1.00")}]}));
    let line = bench.lane.events[&no].facets[1].0.clone();
    let line = bench.lane.canonical(&line).into_owned();
    let draft = bench.begin();
    bench.lost();
    // The line failed long ago and is not part of what is unknown.
    Arc::make_mut(&mut bench.lane.memo.intents[0].parts).retain(|part| part.subject != line);
    assert_eq!(bench.lane.memo.intents[0].parts.len() + 1, draft.parts.len());
    bench.lane.thing(line).pace.first_failure = Some(bench.now - hours(25));
    bench.rests();
    assert_eq!(bench.status(no), None);
}

#[test]
fn time_with_the_breaker_open_is_charged_to_nobody() {
    let mut bench = Bench::new();
    bench.rules.open_for = hours(100);
    let retried = refund(&mut bench, "A", &[]);
    let waits = bench.event("return", json!({"return": {"id": "R"}, "state": "CREATED", "lines": [line("L-9", 1)]}));
    bench.reads(nothing());
    bench.begin();
    let said = bench.said(Reason::new(Class::Refused, "ThrottlingError", "slow"));
    let again = bench.now + hours(24);
    bench.lane.postponed(&said, bench.now, |_| again);
    bench.lane.memo.asked.iter_mut().for_each(|(_, at)| *at = again + hours(1000));
    bench.rests();
    assert_eq!(bench.waits_for(waits), ["EXTERNAL_ITEM_ID L-9"]);
    // For a day and a half of three the breaker is open.
    bench.pass(hours(72));
    bench.rules.open_for += hours(49);
    assert!(matches!(bench.turn(), Next::Send(_)));
    bench.rules.open_for -= hours(2);
    let end = bench.rests().unwrap();
    assert_eq!((bench.status(retried), bench.status(waits)), (Some(Status::Dead), None));
    assert_eq!(end, bench.now + hours(47), "the end of waiting moves with it");
    bench.now = end;
    bench.rests();
    assert_eq!(bench.status(waits), Some(Status::Dead));
}

#[test]
fn a_moment_that_is_past_does_not_wake_the_lane() {
    let mut bench = Bench::new();
    let no = refund(&mut bench, "A", &[]);
    bench.begin();
    bench.lane.postponed(&bench.said(Reason::new(Class::Refused, "X", "slow")), bench.now, |_| bench.now + hours(1));
    bench.lane.events.get_mut(&no).unwrap().waiting_since = Some(bench.now - hours(100));
    assert_eq!(bench.rests(), Some(bench.now + hours(1)));
}

#[test]
fn a_retry_after_is_a_floor_whatever_was_answered() {
    let order = || Body::Order(Box::<OrderView>::default());
    let cases = [(200, order()), (500, order()), (404, Body::Unreadable { why: "html".into() })];
    for is_read in [false, true] {
        for (status, body) in cases.clone() {
            let mut bench = Bench::new();
            if is_read {
                bench.event("return", json!({"return": {"id": "R"}, "state": "CREATED", "lines": [line("L-9", 1)]}));
            } else {
                refund(&mut bench, "A", &[]);
            }
            let next = bench.turn();
            let operation = if is_read { Operation::ReadOrder } else { Operation::UpdateOrder };
            if let Next::Send(draft) = &next {
                bench.lane.begin(draft, bench.now);
            }
            let retry_after = Some(RetryAfter::Seconds(90));
            let exchange = Exchange::Answered { status, retry_after, body, request_id: None };
            let judgement = judge(operation, &exchange, &Overrides::new());
            let schedule = Schedule { initial: Duration::from_secs(1), max: Duration::from_secs(9) };
            let moment = Moment { rules: &bench.rules, schedule, began: bench.now, now: bench.now, jitter: 0.0 };
            apply(&mut bench.lane, &next, &exchange, &judgement, &moment);
            bench.event("order", json!({"executionState": "STARTED"}));
            assert_eq!(bench.rests(), Some(bench.now + TimeDelta::seconds(90)), "{status} {is_read}");
        }
    }
}

#[test]
fn the_dead_of_old_age_name_nothing_and_wait_for_nothing() {
    let mut bench = Bench::new();
    let old = bench.event(
        "refund",
        json!({"order": {"id": "OLD"}, "refund": {"id": "A"}, "state": "PARTIAL", "total": usd("1.00"),
        "lines": [line("L-9", 1)]}),
    );
    bench.reads(nothing());
    bench.lane.bwp_id = None;
    bench.rests();
    bench.pass(hours(72));
    assert_eq!(bench.rests(), None);
    assert_eq!((bench.status(old), bench.standings.len()), (Some(Status::Dead), 0));
    let data = json!({"refund": {"id": "B"}, "state": "PARTIAL", "total": usd("1.00")});
    let no = bench.event("refund", with(data, json!({"order": {"id": "NEW"}, "lines": [line("L-8", 1)]})));
    let Next::Read { variables, .. } = bench.turn() else { panic!() };
    assert_eq!(parsed(&variables)["orderIdentifier"]["alias"]["aliasId"], "NEW");
    bench.reads_nothing();
    bench.rests();
    assert_eq!(bench.waits_for(no), ["EXTERNAL_ID NEW"]);
}

#[test]
fn giving_up_is_not_late_where_it_comes_before_the_next_read() {
    let mut bench = Bench::new();
    bench.rules.give_up_after = TimeDelta::minutes(1);
    let no = bench.event(
        "return",
        json!({"return": {"id": "RMA-1"}, "state": "CREATED",
        "lines": [{"line": {"alias": {"type": "SKU", "id": "nobody knows it"}}, "quantity": 1}]}),
    );
    bench.reads(json!({"id": "322-A"}));
    assert_eq!(bench.rests(), Some(bench.now + TimeDelta::minutes(1)));
    bench.pass(TimeDelta::minutes(1));
    assert_eq!(bench.rests(), None);
    assert_eq!((bench.status(no), bench.code(no)), (Some(Status::Dead), "ALIAS_UNKNOWN"));
}
