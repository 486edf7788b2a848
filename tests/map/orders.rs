//! What several events make of each other: names, waiting, duplicates, targets.

use super::play;
use bwp_sync::config::{Coalesce, Environment};
use bwp_sync::event::read_alias_data;
use bwp_sync::map::{Book, Settings, Target, Targets, table};
use bwp_sync::plan::subject::AliasTypes;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn event(id: &str, kind: &str, data: Value) -> Value {
    json!({"specversion": "1.0", "source": "/oms", "id": id, "type": format!("oms.{kind}.v1"), "time": "2025-03-01T12:00:00Z", "data": data})
}

fn refund(id: &str, order: Value, total: &str) -> Value {
    event(
        id,
        "refund",
        json!({"order": order, "refund": {"id": "RF"}, "state": "PARTIAL", "total": {"amount": total, "currency": "USD"}}),
    )
}

fn order_row(id: &str, alias_type: &str, alias: &str, bwp_id: Value) -> Value {
    event(id, "alias", json!({"kind": "ORDER", "alias": {"type": alias_type, "id": alias}, "bwpId": bwp_id}))
}

fn off(events: &[Value]) -> Vec<Value> {
    play(Environment::Production, Coalesce::Off, Vec::new(), events)
}

fn statuses(lines: &[Value]) -> Vec<String> {
    let one = |line: &Value| {
        let ids: Vec<&str> = line["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap()).collect();
        format!("{} {}", line["status"].as_str().unwrap(), ids.join("+"))
    };
    lines.iter().map(one).collect()
}

#[test]
fn an_alias_releases_what_waits_and_ends_itself() {
    let line = |id: &str| json!({"order": {"id": "1"}, "return": {"id": id}, "state": "COMPLETED", "lines": [{"line": {"id": "L"}, "quantity": 1}]});
    let row = json!({"kind": "LINE_ITEM", "alias": {"type": "EXTERNAL_ITEM_ID", "id": "L"}, "bwpId": "li", "order": {"id": "1"}});
    let lines = off(&[
        event("a", "return", line("R")),
        event("x", "alias", row),
        event("b", "return", line("S")),
        event("a", "return", line("S")),
    ]);
    assert_eq!(statuses(&lines), ["NOTHING_TO_SEND x", "SEND a", "SEND a", "SEND b", "SEND b", "DUPLICATE a"]);
    let lines = off(&[event("a", "return", line("R"))]);
    assert_eq!(lines[0]["waitsFor"], json!([{"kind": "LINE_ITEM", "alias": {"type": "EXTERNAL_ITEM_ID", "id": "L"}}]));
    assert_eq!(lines[0].as_object().unwrap().len(), 3);
}

#[test]
fn an_order_is_one_under_all_its_names() {
    let by = |name: &str| if name == "322" { json!({"bwpId": "322"}) } else { json!({"id": name}) };
    let tie = || order_row("t", "EXTERNAL_ID", "1", json!("322"));
    // The second refund is nothing new, since the first was sent under the other name.
    for events in [
        [refund("a", by("1"), "1.00"), tie(), refund("b", by("322"), "1.00")],
        [tie(), refund("a", by("322"), "1.00"), refund("b", by("1"), "1.00")],
        [refund("a", by("322"), "1.00"), tie(), refund("b", by("1"), "1.00")],
        [refund("a", by("322"), "1.00"), refund("b", by("1"), "1.00"), tie()],
    ] {
        let lines = off(&events);
        let last = statuses(&lines).contains(&"NOTHING_TO_SEND b".to_owned());
        assert_eq!(last, events[2]["id"] != "t", "{:?}", statuses(&lines));
    }
}

#[test]
fn accepted_aliases_name_the_order_and_unsent_ones_do_not() {
    let aliased = |id: &str| event(id, "order", json!({"order": {"id": "1"}, "aliases": [{"type": "D", "id": "#1"}]}));
    let by_alias = || json!({"alias": {"type": "D", "id": "#1"}});
    let lines = off(&[refund("a", json!({"id": "1"}), "1.00"), aliased("o"), refund("b", by_alias(), "1.00")]);
    assert_eq!(statuses(&lines), ["SEND a", "SEND o", "NOTHING_TO_SEND b"]);
    let lines = off(&[refund("a", json!({"id": "1"}), "1.00"), refund("b", by_alias(), "1.00")]);
    assert_eq!(statuses(&lines), ["SEND a", "SEND b"]);
}

#[test]
fn a_corrected_row_leads_elsewhere_and_a_removed_one_nowhere() {
    let identifiers = |events: &[Value]| -> Vec<Value> {
        off(events)
            .iter()
            .filter(|line| line["status"] == "SEND")
            .map(|line| line["variables"]["orderIdentifier"].clone())
            .collect()
    };
    let row = |id: &str, bwp: Value| order_row(id, "EXTERNAL_ID", "1", bwp);
    let by_alias = json!({"alias": {"aliasType": "EXTERNAL_ID", "aliasId": "1"}});
    let one = || json!({"id": "1"});
    let events = [
        row("x", json!("A")),
        refund("a", one(), "1.00"),
        row("y", json!("B")),
        refund("b", one(), "2.00"),
        row("z", Value::Null),
        refund("c", one(), "3.00"),
    ];
    assert_eq!(identifiers(&events), [json!({"orderId": "A"}), json!({"orderId": "B"}), by_alias]);
}

#[test]
fn rows_may_come_before_the_order_is_known_by_their_name() {
    let row = event(
        "x",
        "alias",
        json!({"kind": "REFUND", "alias": {"type": "EXTERNAL_REFUND_ID", "id": "RF"}, "bwpId": "r1", "order": {"bwpId": "322"}}),
    );
    let lines = off(&[row, order_row("t", "EXTERNAL_ID", "1", json!("322")), refund("a", json!({"id": "1"}), "1.00")]);
    assert_eq!(lines[2]["variables"]["input"]["refunds"]["details"][0]["id"], "r1");
}

#[test]
fn a_row_of_the_topic_wins_over_an_imported_one_without_a_version() {
    let data =
        |bwp: &str, more: &str| format!(r#"{{"kind":"ORDER","alias":{{"type":"EXTERNAL_ID","id":"1"}},"bwpId":"{bwp}"{more}}}"#);
    for (imported, version, wins) in
        [("", json!({}), "T"), (r#","version":2"#, json!({"version": 1}), "I"), (r#","version":2"#, json!({"version": 3}), "T")]
    {
        let rows = vec![read_alias_data(data("I", imported).as_bytes()).unwrap()];
        let mut topic = order_row("t", "EXTERNAL_ID", "1", json!("T"));
        topic["data"].as_object_mut().unwrap().extend(version.as_object().unwrap().clone());
        let lines = play(Environment::Production, Coalesce::Off, rows, &[topic, refund("a", json!({"id": "1"}), "1.00")]);
        assert_eq!(lines[1]["variables"]["orderIdentifier"]["orderId"], wins, "{imported}");
    }
}

#[test]
fn targets_are_apart_and_an_unknown_one_is_a_matter_of_configuration() {
    let mut elsewhere = refund("b", json!({"id": "1"}), "1.00");
    elsewhere["target"] = json!("de");
    let events = [refund("a", json!({"id": "1"}), "1.00"), elsewhere];
    assert_eq!(statuses(&off(&events)), ["SEND a", "SEND b"]);
    let target =
        Target { environment: Environment::Production, alias_types: AliasTypes { order: "ERP".into(), ..AliasTypes::default() } };
    let targets = Targets::Only(BTreeMap::from([("default".to_owned(), target)]));
    let mut book = Book::new(Settings { coalesce: Coalesce::Off, targets }, Vec::new());
    events.iter().for_each(|event| book.take(event.to_string().as_bytes()));
    let lines = book.finish();
    assert!(lines[1].is_bad() && table(&lines).contains("UNKNOWN_TARGET"));
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::to_value(line).unwrap()).collect();
    assert_eq!(lines[0]["variables"]["orderIdentifier"]["alias"]["aliasType"], "ERP");
    assert_eq!((&lines[1]["reason"]["class"], &lines[1]["reason"]["pointer"]), (&json!("configuration"), &json!("/target")));
}

#[test]
fn joined_all_events_count_before_the_first_mutation() {
    let events = [
        refund("a", json!({"id": "1"}), "1.00"),
        refund("b", json!({"id": "1"}), "2.00"),
        refund("c", json!({"id": "2"}), "1.00"),
        order_row("t", "EXTERNAL_ID", "1", json!("322")),
    ];
    let lines = play(Environment::Production, Coalesce::Order, Vec::new(), &events);
    assert_eq!(statuses(&lines), ["NOTHING_TO_SEND t", "SUPERSEDED a", "SEND b", "SEND c"]);
    assert_eq!(lines[2]["variables"]["orderIdentifier"], json!({"orderId": "322"}));
    assert_eq!(statuses(&off(&events)), ["SEND a", "SEND b", "SEND c", "NOTHING_TO_SEND t"]);
}

#[test]
fn what_is_no_event_is_told_as_far_as_it_could_be_read() {
    let bad = event(
        "q",
        "refund",
        json!({"order": {"id": "1"}, "refund": {"id": "RF"}, "state": "DONE", "total": {"amount": "1", "currency": "USD"}}),
    );
    let lines = off(&[bad, json!(7), refund("q", json!({"id": "1"}), "1.00")]);
    assert_eq!(lines[0]["events"], json!([{"source": "/oms", "id": "q", "type": "oms.refund.v1"}]));
    assert_eq!((&lines[0]["reason"]["code"], &lines[0]["reason"]["pointer"]), (&json!("BAD_VALUE"), &json!("/data/state")));
    assert_eq!(
        (&lines[1]["status"], &lines[1]["events"]),
        (&json!("QUARANTINED"), &json!([{"source": null, "id": null, "type": null}]))
    );
    assert_eq!(lines[2]["status"], "SEND", "what could not be read takes no identity");
}
