//! The planner's rules, and the other pure decisions, as tables of what happens and what becomes of it, and as properties: no I/O,
//! no clock.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod already_so;
mod answers;
mod budgets;
mod comparison;
mod documents;
mod in_flight;
mod joining;
mod limits;
mod offsets;
mod orders;
mod outage;
mod pacing;
mod properties;
mod read_first;
mod refunds;
mod returns;
#[path = "../support/rules.rs"]
mod rules;
mod shipments;
mod snapshots;
mod verdicts;

use bwp_sync::config::Environment;
use bwp_sync::event::{self, Alias, AliasKind, Reading};
use bwp_sync::plan::answers::Postponed;
use bwp_sync::plan::lane::{Draft, Live, Standing};
use bwp_sync::plan::names::{NameRow, Origin};
use bwp_sync::plan::outcome::{Class, Reason, Status};
use bwp_sync::plan::rank::EventNo;
use bwp_sync::plan::step::Question;
use bwp_sync::plan::{Lane, Next, Rules, Turn};
use bwp_sync::prime::view::OrderView;
use chrono::{DateTime, TimeDelta, Utc};
use rules::rules;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One order, played by hand.
struct Bench {
    lane: Lane,
    rules: Rules,
    now: DateTime<Utc>,
    ended: BTreeMap<EventNo, (Status, Option<Reason>)>,
    standings: BTreeMap<EventNo, Standing>,
    attempts: BTreeMap<EventNo, u32>,
    taken: EventNo,
}

/// `waiting.read_interval` and the others, in minutes.
const READ_INTERVAL: i64 = 15;
const SANDBOX_INTERVAL: i64 = 5;

impl Bench {
    fn new() -> Bench {
        let (read_interval, sandbox_interval) = (TimeDelta::minutes(READ_INTERVAL), TimeDelta::minutes(SANDBOX_INTERVAL));
        let rules = Rules { read_interval, sandbox_interval, ..rules() };
        let now = "2025-03-02T00:00:00Z".parse().unwrap();
        let mut bench = Bench {
            lane: Lane::default(),
            rules,
            now,
            ended: BTreeMap::new(),
            standings: BTreeMap::new(),
            attempts: BTreeMap::new(),
            taken: 0,
        };
        for line in ["1", "2", "3"] {
            bench.row(AliasKind::LineItem, "EXTERNAL_ITEM_ID", &format!("L-{line}"), Some(&format!("li-{line}")));
        }
        bench
    }

    fn sandbox() -> Bench {
        let mut bench = Bench::new();
        bench.rules.environment = Environment::Sandbox;
        bench.row(AliasKind::Package, "EXTERNAL_ID", "P-1", Some("pk-1"));
        bench
    }

    /// As `map` plays: no reads.
    fn blind(mut self) -> Bench {
        self.rules.blind = true;
        self
    }

    fn row(&mut self, kind: AliasKind, alias_type: &str, id: &str, bwp_id: Option<&str>) {
        let alias = Alias { alias_type: alias_type.into(), id: id.into() };
        let row = NameRow { bwp_id: bwp_id.map(str::to_owned), origin: Origin::Topic, version: None, time: self.now };
        self.lane.names.offer(kind, alias, row);
    }

    /// Takes in an event with a time of its own: `minute` decides what is newer where there is no version.
    fn event_at(&mut self, minute: u32, kind: &str, mut data: Value) -> EventNo {
        self.taken += 1;
        data.as_object_mut().unwrap().entry("order").or_insert(json!({"id": "1001"}));
        let event = json!({"specversion": "1.0", "source": "/oms", "id": format!("e-{}", self.taken), "type": format!("oms.{kind}.v1"),
            "time": format!("2025-03-01T{:02}:{:02}:00Z", minute / 60, minute % 60), "data": data});
        let Reading::Event(event) = event::read_structured(event.to_string().as_bytes()) else {
            panic!("not an event: {event} {:?}", event::read_structured(event.to_string().as_bytes()))
        };
        self.lane.events.insert(self.taken, Live::new(self.taken, *event, &self.rules.alias_types));
        self.taken
    }

    /// Takes in an event that is newer than those before.
    fn event(&mut self, kind: &str, data: Value) -> EventNo {
        self.event_at(u32::try_from(self.taken + 1).unwrap(), kind, data)
    }

    fn turn(&mut self) -> Next {
        let Turn { settled, standings, next, .. } = self.lane.turn(&self.rules, self.now);
        for settled in settled {
            self.attempts.insert(settled.no, settled.live.progress.attempts);
            assert!(
                self.ended.insert(settled.no, (settled.status, settled.reason.clone())).is_none(),
                "{} ends twice",
                settled.no
            );
        }
        for (no, standing) in &standings {
            let live = self.lane.events.get_mut(no).unwrap();
            let charged = self.rules.charged(self.now);
            live.waiting_since = matches!(standing, Standing::Waiting(_)).then(|| live.waiting_since.unwrap_or(charged));
        }
        self.standings = standings;
        next
    }

    /// The next thing is a mutation; it is sent, and nothing is known of it yet.
    fn begin(&mut self) -> Draft {
        match self.turn() {
            Next::Send(draft) => {
                self.lane.begin(&draft, self.now);
                *draft
            }
            other => panic!("not a mutation: {other:?}"),
        }
    }

    /// The next thing is a mutation, and Buy with Prime accepts it. Returns its input.
    fn sends(&mut self) -> Value {
        let draft = self.begin();
        self.lane.accepted(&OrderView::default(), self.now);
        parsed(&draft.variables)["input"].clone()
    }

    /// The next thing is a read; it shows this. Returns what was asked.
    fn reads(&mut self, order: Value) -> Vec<Question> {
        match self.turn() {
            Next::Read { questions, .. } => {
                let view: OrderView = serde_json::from_value(order).unwrap();
                self.lane.learn_from_read(&view, questions.clone(), &self.rules, self.now);
                questions
            }
            other => panic!("not a read: {other:?}"),
        }
    }

    /// Nothing is left to do now. Returns when to look again.
    fn rests(&mut self) -> Option<DateTime<Utc>> {
        match self.turn() {
            Next::Rest { until } => until,
            other => panic!("no rest: {other:#?}"),
        }
    }

    /// Everything that is sent until the lane rests, each accepted: the inputs.
    fn play(&mut self) -> Vec<Value> {
        let mut inputs = Vec::new();
        loop {
            match self.turn() {
                Next::Send(draft) => {
                    self.lane.begin(&draft, self.now);
                    self.lane.accepted(&OrderView::default(), self.now);
                    inputs.push(parsed(&draft.variables)["input"].clone());
                }
                Next::Rest { .. } => return inputs,
                read => panic!("{read:?}"),
            }
            assert!(inputs.len() < 50, "does not come to rest: {inputs:#?}");
        }
    }

    /// Bytes left and no answer came.
    fn lost(&mut self) {
        self.unknown(false);
    }

    /// An answer came that does not tell.
    fn unknown(&mut self, answered: bool) {
        let reason = Reason::new(Class::Refused, "TIMEOUT", "no answer");
        let now = self.now;
        self.lane.unknown(&self.said(reason), answered, now, |_| now);
    }

    fn said(&self, reason: Reason) -> Postponed {
        Postponed { reason, floor: None, charged: self.rules.charged(self.now) }
    }

    /// A read fails; the next one is due after the given time.
    fn read_fails(&mut self, again: TimeDelta) {
        assert!(matches!(self.turn(), Next::Read { .. }));
        let reason = Reason::new(Class::Refused, "HTTP_500", "down");
        self.lane.read_failed(reason, self.now + again, self.rules.charged(self.now));
    }

    /// Buy with Prime answers a mutation that it does not know the order, or something in it.
    fn not_found(&mut self) {
        let reason = Reason::new(Class::Refused, "ResourceNotFoundError", "not found");
        self.lane.order_unknown(reason, self.now);
    }

    /// The next thing is a read, and Buy with Prime does not know the order.
    fn reads_nothing(&mut self) {
        assert!(matches!(self.turn(), Next::Read { .. }));
        let reason = Reason::new(Class::Refused, "ResourceNotFoundError", "not found");
        self.lane.order_not_read(reason, &self.rules, self.now);
    }

    fn refused(&mut self, code: &str) {
        self.lane.refused(Reason::new(Class::Refused, code, "refused"), self.now);
    }

    fn pass(&mut self, time: TimeDelta) {
        self.now += time;
    }

    fn status(&self, no: EventNo) -> Option<Status> {
        self.ended.get(&no).map(|(status, _)| *status)
    }

    fn code(&self, no: EventNo) -> &str {
        let reason = self.ended.get(&no).and_then(|(_, reason)| reason.as_ref());
        reason.map_or("", |reason| &reason.code)
    }

    fn waits_for(&self, no: EventNo) -> Vec<String> {
        match self.standings.get(&no) {
            Some(Standing::Waiting(needs)) => needs.iter().map(|need| need.name.to_string()).collect(),
            other => panic!("{no} does not wait: {other:?}, {:?}", self.ended.get(&no)),
        }
    }
}

/// The variables of a request. They are sent as they would be written anew.
fn parsed(variables: &str) -> Value {
    let value: Value = serde_json::from_str(variables).unwrap();
    assert_eq!(value.to_string(), variables);
    value
}

fn usd(amount: &str) -> Value {
    json!({"amount": amount, "currency": "USD"})
}

fn money(amount: &str) -> Value {
    json!({"amount": amount.parse::<serde_json::Number>().unwrap(), "currencyCode": "USD"})
}

fn alias(alias_type: &str, id: &str) -> Value {
    json!({"aliasType": alias_type, "aliasId": id})
}

fn line(id: &str, quantity: u32) -> Value {
    json!({"line": {"id": id}, "quantity": quantity})
}

fn amounts(id: &str, quantity: u32) -> Value {
    json!([{"lineItemId": {"lineItemId": id}, "amount": {"value": quantity}}])
}

/// What a test says of an event's data: the first with the members of the second laid over it.
fn with(mut data: Value, more: Value) -> Value {
    data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    data
}
