//! What the ledger stores of a lane comes back as it was.

use crate::{Bench, line, usd};
use bwp_sync::plan::lane::{Memo, Progress};
use bwp_sync::plan::subject::Subject;
use bwp_sync::plan::thing::Thing;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::fmt::Debug;

fn round<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let text = serde_json::to_string(value).unwrap();
    assert_eq!(serde_json::from_str::<T>(&text).unwrap(), *value, "{text}");
}

#[test]
fn subjects_things_memos_and_progress_survive_their_documents() {
    let mut bench = Bench::sandbox();
    let payment = json!({"id": "p", "amount": usd("5.00"), "state": "SUCCESS", "method": {"type": "CARD", "display": "V"},
        "payer": {"id": "secret"}});
    bench.event("return", json!({"return": {"id": "R"}, "state": "COMPLETED", "lines": [line("L-1", 1)], "aliases": []}));
    bench.event(
        "refund",
        json!({"refund": {"bwpId": "r1"}, "state": "SUCCESS", "total": usd("5.00"), "payments": [payment],
        "requestReason": "OTHERS", "statusReason": "OTHERS", "lines": [{"line": {"id": "L-2"}}], "initiator": "MERCHANT"}),
    );
    bench.event("order", json!({"executionState": "STARTED", "aliases": [{"type": "D", "id": "1"}], "totalPrice": usd("1.00"),
        "discount": {"amount": usd("1.00"), "display": "X"}, "links": [{"destination": "BWP_STOREFRONT", "url": "u"}], "payments": [payment],
        "packages": [{"package": {"bwpId": "pk-1"}, "aliases": [{"type": "D", "id": "1"}]}], "lines": [{"line": {"id": "L-1"}, "taxes": usd("1.00")}]}));
    let package = json!({"bwpId": "pk-1"});
    bench.event(
        "shipment",
        json!({"shipment": {"id": "S"}, "package": package, "state": "CANCELLED", "reason": "UNDELIVERABLE",
        "tracking": {"carrier": "UPS", "number": "1"}, "milestone": "LOST", "lines": [line("L-1", 1)]}),
    );
    let waiting = bench.event("return", json!({"return": {"id": "W"}, "state": "CREATED", "lines": [line("L-9", 1)]}));
    bench.reads(json!({"id": "322-A", "packageInformation": {"details": [{"id": "pk-1", "state": "PENDING"}]}}));
    bench.begin();
    round(&bench.lane.memo);
    let mut unread = bench.lane.clone();
    let reason = bwp_sync::plan::outcome::Reason::nothing("HTTP_500", "down");
    unread.read_failed(reason.clone(), bench.now, bench.now);
    unread.order_unknown(reason, bench.now);
    assert!(unread.memo.unread.as_ref().is_some_and(|unread| !unread.since.is_empty()));
    round(&unread.memo);
    assert!(!bench.lane.memo.intents.is_empty() && !bench.lane.memo.asked.is_empty());
    bench.refused("X");
    round::<Memo>(&bench.lane.memo);
    bench.pass(chrono::TimeDelta::minutes(1));
    bench.reads(json!({"id": "322-A", "refunds": {"details": []}, "packageInformation": {"details": [{"id": "pk-1", "state": "PENDING"}]}}));
    while matches!(bench.turn(), bwp_sync::plan::Next::Send(_)) {
        bench.sends();
    }
    assert!(bench.lane.events.contains_key(&waiting));
    assert!(bench.lane.things.len() >= 6);
    for (subject, thing) in &bench.lane.things {
        round::<Subject>(subject);
        let mut settled = thing.clone();
        settled.known = serde_json::from_value(serde_json::to_value(&thing.known).unwrap()).unwrap();
        round::<Thing>(&settled);
        assert!(!serde_json::to_string(thing).unwrap().contains("secret"), "payers are not stored");
    }
    for live in bench.lane.events.values() {
        round::<Progress>(&live.progress);
    }
}
