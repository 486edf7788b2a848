//! The way of events through everything that computes and neither reads nor writes: read, planned, made into a request, answered,
//! judged, taken in, and what the ledger and the outcome would say of it.

use bwp_sync::dispatch::apply::{Moment, apply};
use bwp_sync::dispatch::mask::text_without_payers;
use bwp_sync::dispatch::schedule::Schedule;
use bwp_sync::dispatch::verdict::{Overrides, Verdict, judge};
use bwp_sync::event::{self, RawRecord, Reading};
use bwp_sync::ledger::Place;
use bwp_sync::outcome::{self, Final};
use bwp_sync::plan::lane::{Live, Settled};
use bwp_sync::plan::subject::AliasTypes;
use bwp_sync::plan::things::Change;
use bwp_sync::plan::{Lane, Next, Rules};
use bwp_sync::prime::answer;
use bwp_sync::prime::documents::Operation;
use bwp_sync::prime::exchange::Exchange;
use bwp_sync::text::json as written;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::hint::black_box;
use std::time::Duration;

/// Refunds of one order, a mutation each.
pub const EVENTS: usize = 10;

/// An order's events as records, and what Buy with Prime answers to each of their mutations.
pub struct Order {
    records: Vec<String>,
    answers: Vec<String>,
}

fn refund(order: usize, number: usize) -> String {
    let payment = |id: &str, amount: &str, kind: &str, display: &str| {
        json!({"id": id, "amount": {"amount": amount, "currency": "USD"}, "state": "SUCCESS",
            "method": {"type": kind, "display": display}})
    };
    let payments =
        [payment("pt-1", "8.00", "CREDIT_CARD", "Visa ending in 1234"), payment("pt-2", "4.50", "GIFT_CARD", "Gift card")];
    let data = json!({"order": {"id": format!("O-{order:05}")}, "refund": {"id": format!("RF-{number:05}")}, "version": 1,
        "state": "SUCCESS", "total": {"amount": "12.50", "currency": "USD"}, "requestReason": "DAMAGED_DEFECTIVE_ITEM",
        "payments": payments});
    json!({"specversion": "1.0", "id": format!("ev-{order}-{number}"), "source": "/oms/refunds", "type": "oms.refund.v1",
        "time": "2025-03-01T00:00:00Z", "subject": format!("O-{order:05}"), "datacontenttype": "application/json", "data": data})
    .to_string()
}

/// All that the order has after so many refunds, as the mutation selects it.
fn shown(order: usize, refunds: usize) -> String {
    let alias = |kind: &str, id: String| json!([{"aliasType": kind, "aliasId": id}]);
    let refund = |number: usize| json!({"id": format!("bwp-refund-{order:05}-{number:05}"), "aliases": alias("EXTERNAL_REFUND_ID", format!("RF-{number:05}"))});
    let line = |number: usize| json!({"id": format!("line-{order:05}-{number}"), "aliases": alias("EXTERNAL_ITEM_ID", format!("SKU-{number}"))});
    let shown = json!({"id": format!("114-{order:07}"), "aliases": alias("EXTERNAL_ID", format!("O-{order:05}")),
        "lineItems": [line(1), line(2)], "returns": {"details": []},
        "refunds": {"details": (0..refunds).map(refund).collect::<Vec<Value>>()}, "packageInformation": {"details": []}});
    json!({"data": {"updateOrder": {"order": shown}}}).to_string()
}

impl Order {
    pub fn new(order: usize) -> Self {
        let records = (0..EVENTS).map(|number| refund(order, number)).collect();
        Self { records, answers: (1..=EVENTS).map(|refunds| shown(order, refunds)).collect() }
    }

    /// Walks all of its events to their outcomes.
    pub fn walk(&self, rules: &Rules) {
        let now: DateTime<Utc> = "2025-03-02T00:00:00Z".parse().unwrap();
        let events = self.records.iter().zip(0..).map(|(record, no)| (no, read(record, no, &rules.alias_types)));
        let mut lane = Lane { events: events.collect(), ..Lane::default() };
        let mut answers = self.answers.iter();
        let (mut turn, mut settled) = (lane.turn(rules, now), 0);
        while let Next::Send(draft) = &turn.next {
            lane.begin(draft, now + rules.request_timeout);
            store(&mut lane);
            black_box(&draft.variables);
            let body = answer::parse(Operation::UpdateOrder, Some("application/json"), answers.next().unwrap().as_bytes());
            let exchange = Exchange::Answered { status: 200, retry_after: None, body, request_id: None };
            let judgement = judge(Operation::UpdateOrder, &exchange, &Overrides::new());
            assert_eq!(judgement.verdict, Verdict::Delivered);
            black_box(text_without_payers(&draft.variables).into_owned());
            let schedule = Schedule { initial: Duration::from_secs(1), max: Duration::from_secs(60) };
            let moment = Moment { rules, schedule, began: now, now, jitter: 0.5 };
            apply(&mut lane, &turn.next, &exchange, &judgement, &moment);
            turn = lane.turn(rules, now);
            turn.settled.iter().for_each(|settled| tell(settled, &lane, now));
            settled += turn.settled.len();
        }
        assert_eq!(settled, EVENTS);
    }
}

fn read(record: &str, no: i64, types: &AliasTypes) -> Live {
    let headers = [("content-type", Some(b"application/cloudevents+json".as_slice()))];
    match event::read(&RawRecord { key: Some(b"O-1"), value: Some(record.as_bytes()), headers: &headers }) {
        Reading::Event(event) => Live::new(no, *event, types),
        other => panic!("{other:?}"),
    }
}

/// What a settle writes of the lane.
fn store(lane: &mut Lane) {
    for (subject, change) in lane.things.changes() {
        let (Change::New(thing) | Change::Changed(thing)) = change else { continue };
        black_box((serde_json::to_string(subject).unwrap(), written(thing, 512)));
    }
    black_box((written(&lane.memo, 512), lane.names.learned()));
    lane.things.stored();
    lane.names.forget_learned();
}

fn tell(settled: &Settled, lane: &Lane, now: DateTime<Utc>) {
    let place = Place { topic: "oms.refunds".into(), partition: 0, offset: settled.no };
    let ending = Final {
        status: settled.status,
        reason: settled.reason.as_ref(),
        attempts: settled.live.progress.attempts,
        order_bwp_id: lane.order_id(),
        entity_bwp_id: None,
        settled_at: now,
        number: 1,
    };
    black_box(outcome::of_event(&settled.live.event, &place, &ending));
}
