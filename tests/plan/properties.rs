//! Random events, in any order and any interleaving with what is sent.

use crate::{Bench, usd, with};
use bwp_sync::config::Coalesce;
use bwp_sync::event::AliasKind;
use bwp_sync::plan::Next;
use bwp_sync::plan::draft;
use bwp_sync::plan::outcome::Status;
use bwp_sync::plan::step::Mutation;
use bwp_sync::prime::view::OrderView;
use chrono::TimeDelta;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A snapshot of the order's own members: the version, and which members it has.
#[derive(Debug, Clone)]
struct Snapshot {
    version: u64,
    price: Option<u8>,
    taxes: Option<u8>,
    started: Option<bool>,
}

fn snapshot() -> impl Strategy<Value = Snapshot> {
    let parts = (0_u64..6, prop::option::of(1_u8..9), prop::option::of(1_u8..9), prop::option::of(any::<bool>()));
    parts.prop_map(|(version, price, taxes, started)| Snapshot { version, price, taxes, started })
}

fn data(snapshot: &Snapshot) -> Value {
    let mut data = json!({"version": snapshot.version});
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            data[name] = value;
        }
    };
    set("totalPrice", snapshot.price.map(|n| usd(&n.to_string())));
    set("taxes", snapshot.taxes.map(|n| usd(&n.to_string())));
    set("executionState", snapshot.started.map(|started| json!(if started { "STARTED" } else { "NOT_STARTED" })));
    data
}

/// The member-wise rule, said in one line per member: the newest snapshot that has it. Versions alone decide here, then arrival.
fn newest<T: Copy>(snapshots: &[Snapshot], member: impl Fn(&Snapshot) -> Option<T>) -> Option<T> {
    let having = snapshots.iter().enumerate().filter_map(|(at, s)| Some((s.version, at, member(s)?)));
    having.max_by_key(|(version, at, _)| (*version, *at)).map(|(_, _, value)| value)
}

/// What Buy with Prime holds of the order's own members after a mutation.
fn hold(held: &mut BTreeMap<String, Value>, input: &Value) {
    for (name, value) in input.as_object().unwrap() {
        held.insert(name.clone(), value.clone());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_interleaving_ends_with_what_the_newest_snapshots_say(
        snapshots in prop::collection::vec(snapshot(), 1..9),
        plays in prop::collection::vec(0_u8..3, 9),
    ) {
        let mut bench = Bench::new();
        let mut held = BTreeMap::new();
        for (at, (one, play)) in snapshots.iter().zip(&plays).enumerate() {
            bench.event_at(u32::try_from(at).unwrap(), "order", data(one));
            match play {
                0 => {}
                1 => bench.play().iter().for_each(|input| hold(&mut held, input)),
                _ => if let Next::Send(draft) = bench.turn() {
                    // The answer is lost, and the order shows nothing of it: not applied.
                    bench.lane.begin(&draft, bench.now);
                    bench.unknown(true);
                    bench.reads(json!({"id": "322-A"}));
                }
            }
        }
        bench.play().iter().for_each(|input| hold(&mut held, input));
        let amount = |name: &str, path: &str| held.get(name).map(|value| value.pointer(path).unwrap().to_string());
        prop_assert_eq!(amount("totalPrice", "/value/amount"), newest(&snapshots, |s| s.price).map(|n| n.to_string()));
        prop_assert_eq!(amount("taxes", "/summary/collectableTaxAmount/amount"), newest(&snapshots, |s| s.taxes).map(|n| n.to_string()));
        let started = newest(&snapshots, |s| s.started).map(|started| json!(if started { "STARTED" } else { "NOT_STARTED" }));
        prop_assert_eq!(held.get("desiredExecutionState").cloned(), started);
        prop_assert_eq!(bench.ended.len(), snapshots.len());
        prop_assert!(bench.lane.events.is_empty());
    }

    #[test]
    fn nothing_is_lost_and_production_knows_no_package_mutation(
        events in prop::collection::vec((0_u8..8, 0_u8..3, 0_u8..4, prop::option::of(0_u64..4), any::<bool>()), 1..14),
        answers in prop::collection::vec(0_u8..8, 60),
        alone in any::<bool>(),
    ) {
        let mut bench = Bench::new();
        bench.rules.coalesce = if alone { Coalesce::Off } else { Coalesce::Order };
        bench.row(AliasKind::Package, "EXTERNAL_ID", "0", Some("pk-0"));
        bench.rules.read_interval = TimeDelta::hours(12);
        for (kind, id, state, version, newest) in &events {
            let version = version.map_or(json!({}), |version| json!({"version": version}));
            let (kind, data) = random(*kind, &id.to_string(), usize::from(*state));
            bench.event_at(u32::from(*newest), kind, with(data, version));
        }
        let mut answers = answers.into_iter();
        for _ in 0..200 {
            let next = bench.turn();
            for no in bench.standings.keys() {
                prop_assert!(!bench.ended.contains_key(no) && bench.lane.events.contains_key(no));
            }
            let alive = bench.lane.events.values().filter(|live| !live.is_ghost).count();
            prop_assert_eq!(bench.ended.len() + alive, events.len(), "each event is somewhere");
            let mut whole = bench.lane.whole_survey(&bench.rules, bench.now);
            let all = draft::next(&bench.lane, &mut whole, &bench.rules, bench.now);
            match &next {
                Next::Send(some) => {
                    prop_assert!(all.is_some() && (alone || Some(&**some) == all.as_ref()), "{:?} {:?}", some, all);
                }
                Next::Rest { .. } if bench.lane.memo.intents.is_empty() && bench.lane.memo.not_before.is_none() => {
                    prop_assert!(all.is_none(), "what is due is found, however little is looked at: {:?}", all);
                }
                Next::Read { .. } | Next::Rest { .. } => {}
            }
            match next {
                Next::Send(draft) => {
                    prop_assert_eq!(draft.mutation, Mutation::UpdateOrder);
                    bench.lane.begin(&draft, bench.now);
                    let joined = draft.parts.len() > 1;
                    match answers.next() {
                        Some(0) => bench.refused("ValidationError"),
                        Some(1) => bench.unknown(true),
                        Some(2) => bench.lost(),
                        Some(3) if !joined => {
                            let reason = bwp_sync::plan::outcome::Reason::new(bwp_sync::plan::outcome::Class::Refused, "AliasValueAlreadyExists", "x");
                            bench.lane.refused_perhaps_done(reason, bench.now);
                        }
                        Some(4) => bench.lane.withdraw(),
                        Some(5) => bench.not_found(),
                        _ => bench.lane.accepted(&OrderView::default(), bench.now),
                    }
                }
                Next::Read { questions, .. } => {
                    match answers.next() {
                        Some(6) => {
                            bench.read_fails(TimeDelta::hours(5));
                            continue;
                        }
                        Some(7) => {
                            bench.reads_nothing();
                            continue;
                        }
                        _ => {}
                    }
                    let view = serde_json::from_value(json!({"id": "322-A", "returns": {"details": []}, "refunds": {"details": []}})).unwrap();
                    bench.lane.learn_from_read(&view, questions, &bench.rules, bench.now);
                }
                Next::Rest { until: Some(until) } => bench.now = until,
                Next::Rest { until: None } => break,
            }
        }
        let alive = bench.lane.events.iter().filter(|(_, live)| !live.is_ghost).count();
        prop_assert_eq!(alive, 0, "everything comes to its end: {:#?}", bench.lane.events);
        prop_assert_eq!(bench.ended.len(), events.len());
        prop_assert!(bench.ended.values().all(|(status, reason)| *status != Status::Dead || reason.is_some()));
    }
}

/// An event of some kind about one of a few things; the last line and package are known to nobody.
fn random(kind: u8, id: &str, state: usize) -> (&'static str, Value) {
    let lines = json!([{"line": {"id": format!("L-{}", state + 1)}, "quantity": 1}]);
    let returns = ["CREATED", "CANCELLED", "COMPLETED", "CREATED"];
    let refunds = ["PENDING", "PARTIAL", "SUCCESS", "REJECTED"];
    let shipments = ["PENDING", "IN_TRANSIT", "DELIVERED", "IN_TRANSIT"];
    match kind {
        0 => ("return", json!({"return": {"id": id}, "state": returns[state], "lines": lines})),
        1 => ("return", json!({"return": {"id": id}, "state": returns[state]})),
        2 => (
            "refund",
            json!({"refund": {"id": id}, "state": refunds[state], "total": usd(&(state + 1).to_string()),
            "payments": [{"id": format!("p{state}"), "amount": usd("1"), "method": {"type": "CARD", "display": "V"}}]}),
        ),
        3 => ("refund", json!({"refund": {"id": id}, "state": refunds[state], "total": usd("4"), "lines": lines})),
        4 => ("shipment", json!({"shipment": {"id": id}, "state": shipments[state], "tracking": {"carrier": "U", "number": id}})),
        5 => (
            "shipment",
            json!({"shipment": {"id": format!("s{id}")}, "package": {"id": id}, "state": shipments[state], "lines": lines}),
        ),
        6 => (
            "order",
            json!({"executionState": "STARTED", "aliases": [{"type": "D", "id": id}], "lines": [{"line": {"id": format!("L-{}", state + 1)}, "taxes": usd("1")}]}),
        ),
        _ => (
            "order",
            json!({"totalPrice": usd(&(state + 1).to_string()), "packages": [{"package": {"id": id}, "aliases": [{"type": "D", "id": id}]}]}),
        ),
    }
}
