//! What the world is told of events: outcomes and dead letters, in detail.

use crate::service::{Service, target};
use crate::shop::order;
use crate::support::PATIENCE;
use crate::support::daemon::Daemon;
use crate::support::events::{Envelope, Event, Kind};
use crate::support::kafka::{Outgoing, Record, consume_all};
use bwp_simulator::{Answer, Apply, Options, Rule, When};
use serde_json::{Value, json};

const ORDER: &str = "322-ABC1-AAAAAA";

async fn open() -> (Service, Daemon) {
    let service = Service::open(1, Options::default()).await;
    service.simulator.seed_order(order(ORDER, "1001")).unwrap();
    let mut daemon = service.builder.start();
    daemon.wait_ready().await;
    (service, daemon)
}

fn refund(id: &str, version: u64, of: Value) -> Event {
    let total = json!({"amount": "8.00", "currency": "USD"});
    let data = json!({"order": of, "refund": {"id": "RF-9"}, "version": version, "state": "SUCCESS", "total": total});
    Event::new(Kind::Refund, id, data)
}

fn a_return(id: &str, quantity: u64) -> Event {
    let lines = json!([{"line": {"id": "L-1"}, "quantity": quantity}]);
    let data = json!({"order": {"id": "1001"}, "return": {"id": format!("RMA-{id}")}, "state": "CREATED", "lines": lines});
    Event::new(Kind::Return, id, data)
}

fn fault(operation: &str, apply: Apply, answer: Answer) -> Rule {
    let when = When { operation: Some(operation.to_owned()), times: Some(1), ..When::default() };
    Rule { when, apply: Some(apply), answer, ..Rule::default() }
}

/// The n-th published outcome.
async fn nth(service: &Service, n: usize) -> Record {
    consume_all(&service.topics.outcomes, |records| records.len() > n, PATIENCE).await.swap_remove(n)
}

async fn letter(service: &Service, n: usize) -> Record {
    consume_all(&service.topics.dead_letters, |records| records.len() > n, PATIENCE).await.swap_remove(n)
}

fn put_back(letter: &Record) -> Outgoing {
    Outgoing { key: letter.key.clone(), value: letter.value.clone(), headers: letter.headers.clone(), partition: None }
}

#[tokio::test]
async fn each_status_has_its_shape() {
    let (service, _daemon) = open().await;
    let topics = &service.topics;
    // One after another, so that each outcome has its place.
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let delivered = refund("e#1%", 2, json!({"id": "1001"})).with("source", "/oms#eu").with("traceparent", trace);
    topics.publish(&delivered, Envelope::Binary).await;
    let record = nth(&service, 0).await;
    let outcome = record.json();
    assert_eq!(record.key.as_deref(), Some(&b"1001"[..]));
    assert_eq!(outcome["id"], "/oms%23eu#e%231%25#1");
    assert_eq!([&outcome["specversion"], &outcome["source"], &outcome["type"]], ["1.0", "/bwp-sync", "bwp.outcome.v1"]);
    assert_eq!((&outcome["traceparent"], &outcome["time"]), (&json!(trace), &outcome["data"]["settledAt"]));
    let held = service.simulator.order(ORDER).unwrap();
    let expected = json!({
        "event": {"source": "/oms#eu", "id": "e#1%", "type": "oms.refund.v1", "topic": topics.refunds, "partition": 0, "offset": 0},
        "target": "default", "order": {"id": "1001", "bwpId": ORDER},
        "entity": {"kind": "REFUND", "id": "RF-9", "bwpId": held.refunds[0].id},
        "status": "DELIVERED", "reason": null, "attempts": 1,
        "eventTime": "2026-01-05T10:00:00.000Z", "settledAt": outcome["data"]["settledAt"]});
    assert_eq!(outcome["data"], expected);

    // The key is the id in the reference to the order, whatever its form.
    topics.publish(&refund("older", 1, json!({"bwpId": ORDER})), Envelope::Structured).await;
    let record = nth(&service, 1).await;
    assert_eq!(record.key.as_deref(), Some(ORDER.as_bytes()));
    assert_ending(&record.json(), "SUPERSEDED", "superseded", "SUPERSEDED", 0);
    assert_eq!(record.json()["data"]["order"], json!({"id": null, "bwpId": ORDER}));

    let alias = json!({"alias": {"type": "EXTERNAL_ID", "id": "1001"}});
    topics.publish(&refund("same", 3, alias).keyed(Some(b"another")), Envelope::ArrayOfOne).await;
    let record = nth(&service, 2).await;
    assert_eq!(record.key.as_deref(), Some(&b"1001"[..]));
    assert_ending(&record.json(), "NOTHING_TO_SEND", "nothing", "ALREADY_HELD", 0);

    service.simulator.faults().one(fault("updateOrder", Apply::Yes, Answer::Reset));
    topics.publish(&a_return("r-1", 1), Envelope::Structured).await;
    let confirmed = nth(&service, 3).await.json();
    assert_eq!((&confirmed["data"]["status"], &confirmed["data"]["attempts"]), (&json!("CONFIRMED"), &json!(1)), "{confirmed:#}");

    topics.publish(&a_return("r-99", 99), Envelope::Structured).await;
    assert_ending(&nth(&service, 4).await.json(), "DEAD", "refused", "InvalidReturnQuantity", 1);

    let row = json!({"kind": "LINE_ITEM", "alias": {"type": "SKU", "id": "B-42"}, "bwpId": "line-1", "order": {"id": "1001"}});
    topics.publish(&Event::new(Kind::Alias, "a-1", row), Envelope::Binary).await;
    let stored = nth(&service, 5).await.json();
    assert_ending(&stored, "NOTHING_TO_SEND", "nothing", "ALIAS_STORED", 0);
    assert_eq!(stored["data"]["entity"], json!({"kind": "LINE_ITEM", "id": "B-42", "bwpId": "line-1"}));

    let shipment = json!({"order": {"id": "1001"}, "shipment": {"id": "SH-1"}, "state": "PENDING"});
    topics.publish(&Event::new(Kind::Shipment, "s-1", shipment), Envelope::Binary).await;
    let pending = nth(&service, 6).await.json();
    assert_eq!(pending["data"]["entity"], json!({"kind": "PACKAGE", "id": "SH-1", "bwpId": null}));
    assert_eq!(service.drained(7, PATIENCE).await.duplicates, 0);
    service.assert_clean().await;
}

fn assert_ending(outcome: &Value, status: &str, class: &str, code: &str, attempts: u64) {
    let data = &outcome["data"];
    assert_eq!([&data["status"], &data["reason"]["class"], &data["reason"]["code"]], [status, class, code], "{outcome:#}");
    assert_eq!(data["attempts"], attempts, "{outcome:#}");
    assert!(data["reason"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{outcome:#}");
}

#[tokio::test]
async fn what_cannot_be_read_is_null_and_its_letter_is_the_record() {
    let (service, _daemon) = open().await;
    let topics = &service.topics;
    let junk = Outgoing::raw(Some(b"\xffkey"), Some(b"\x00{ not json")).header("h", b"\xfe\x00").header("h", b"");
    topics.produce(&topics.returns, &junk).await;
    let place = format!("{}/0/0", topics.returns);
    let record = nth(&service, 0).await;
    let outcome = record.json();
    assert_eq!((record.key.as_deref(), &outcome["id"]), (Some(&b"\xffkey"[..]), &json!(place)));
    let event = json!({"source": null, "id": null, "type": null, "topic": topics.returns, "partition": 0, "offset": 0});
    assert_eq!(outcome["data"]["event"], event);
    for member in ["target", "order", "entity", "eventTime"] {
        assert_eq!(outcome["data"][member], Value::Null, "{member}");
    }
    assert_ending(&outcome, "QUARANTINED", "invalid", "NOT_JSON", 0);
    assert_eq!(outcome["data"]["reason"]["pointer"], "");
    let letter_of_junk = letter(&service, 0).await;
    assert_letter(&letter_of_junk, &junk, ["QUARANTINED", "NOT_JSON", &topics.returns, "0", "0", &place]);

    // Readable but for one member: all else is shown, and the key is the order's.
    let mut wrong = refund("e-1", 1, json!({"id": "1001"}));
    wrong.data["state"] = "DONE".into();
    topics.publish(&wrong.keyed(Some(b"another")), Envelope::Structured).await;
    let record = nth(&service, 1).await;
    let outcome = record.json();
    assert_ending(&outcome, "QUARANTINED", "invalid", outcome["data"]["reason"]["code"].as_str().unwrap(), 0);
    assert_eq!(outcome["data"]["reason"]["pointer"], "/data/state");
    assert_eq!((&outcome["data"]["event"]["id"], record.key.as_deref()), (&json!("e-1"), Some(&b"1001"[..])));
    assert_eq!(outcome["data"]["order"]["id"], "1001");
    // It took no identity: a corrected record with its id is an event.
    topics.publish(&refund("e-1", 1, json!({"id": "1001"})), Envelope::Structured).await;
    assert_eq!(nth(&service, 2).await.json()["data"]["status"], "DELIVERED");
    // A quarantined record that is put back as it was is a new record.
    topics.produce(&topics.returns, &put_back(&letter_of_junk)).await;
    assert_eq!(nth(&service, 3).await.json()["id"], format!("{}/0/1", topics.returns));
    let last = |record: &Record| record.headers.last().and_then(|(_, value)| value.clone());
    assert_eq!(last(&letter(&service, 2).await), Some(format!("{}/0/1", topics.returns).into_bytes()));
    service.drained(4, PATIENCE).await;
    service.assert_clean().await;
}

/// A letter is the record, with seven headers more.
fn assert_letter(letter: &Record, record: &Outgoing, [status, code, topic, partition, offset, id]: [&str; 6]) {
    assert_eq!((&letter.key, &letter.value), (&record.key, &record.value));
    let (first, ours) = letter.headers.split_at(record.headers.len());
    assert_eq!(first, record.headers);
    let ours: std::collections::BTreeMap<_, _> =
        ours.iter().map(|(name, value)| (name.as_str(), String::from_utf8(value.clone().unwrap()).unwrap())).collect();
    assert_eq!(ours.len(), 7, "{ours:?}");
    let message = &ours["x-bwp-sync-message"];
    assert!(!message.is_empty());
    let expected = [("status", status), ("code", code), ("topic", topic), ("partition", partition), ("offset", offset)];
    for (name, value) in expected.into_iter().chain([("outcome-id", id)]) {
        assert_eq!(ours[format!("x-bwp-sync-{name}").as_str()], value);
    }
}

#[tokio::test]
async fn a_dead_letter_put_back_is_a_retry() {
    let (service, mut daemon) = open().await;
    let topics = &service.topics;
    let refused =
        Answer::Errors { kind: "ValidationError".into(), code: Some("InvalidReturnQuantity".into()), retry_after: None };
    let mut rule = fault("updateOrder", Apply::No, refused);
    rule.when.times = Some(2);
    service.simulator.faults().one(rule);
    let event = a_return("r-1", 1);
    let record = event.record(Envelope::Binary).header("own", b"\xff");
    topics.produce(&topics.returns, &record).await;
    let first = letter(&service, 0).await;
    assert_letter(&first, &record, ["DEAD", "InvalidReturnQuantity", &topics.returns, "0", "0", "/oms#r-1#1"]);
    let without = Outgoing { headers: record.headers.clone(), ..put_back(&first) };
    topics.produce(&topics.returns, &without).await;
    let totals = service.totals("the duplicate to be counted", PATIENCE, |totals| totals.duplicates == 1).await;
    assert_eq!((totals.finals, totals.backlog.total()), (1, 0), "without the header it is a duplicate");

    topics.produce(&topics.returns, &put_back(&first)).await;
    let second = letter(&service, 1).await;
    assert_letter(&second, &record, ["DEAD", "InvalidReturnQuantity", &topics.returns, "0", "0", "/oms#r-1#2"]);
    // The old outcome is not the present one any more.
    topics.produce(&topics.returns, &put_back(&first)).await;
    let totals = service.totals("the old letter to be counted", PATIENCE, |totals| totals.read == 4).await;
    assert_eq!((totals.finals, totals.backlog.total()), (1, 0));

    topics.produce(&topics.returns, &put_back(&second)).await;
    let outcomes = service.outcomes(3).await;
    let statuses: Vec<(&str, &Value)> = outcomes["r-1"].iter().map(|(id, data)| (id.as_str(), &data["status"])).collect();
    let [dead, delivered] = [json!("DEAD"), json!("DELIVERED")];
    assert_eq!(statuses, [("/oms#r-1#1", &dead), ("/oms#r-1#2", &dead), ("/oms#r-1#3", &delivered)]);
    assert_eq!(outcomes["r-1"]["/oms#r-1#3"]["event"]["offset"], 0, "it is the stored event that is retried");
    // What is delivered is no retry.
    topics.produce(&topics.returns, &put_back(&second)).await;
    let totals = service.totals("the last letter to be counted", PATIENCE, |totals| totals.read == 6).await;
    assert_eq!((totals.finals, totals.backlog.total()), (1, 0));
    assert_eq!(service.simulator.order(ORDER).unwrap().returns.len(), 1);
    assert_eq!(daemon.terminate(PATIENCE).await.code(), Some(0));
    service.assert_clean().await;
}

#[tokio::test]
async fn an_unknown_target_is_dead_until_it_is_configured() {
    let (service, mut daemon) = open().await;
    let topics = &service.topics;
    let event = refund("e-1", 1, json!({"id": "1001"})).with("target", "emea");
    let record = event.record(Envelope::Structured);
    topics.produce(&topics.refunds, &record).await;
    let outcome = nth(&service, 0).await.json();
    assert_ending(&outcome, "DEAD", "configuration", "UNKNOWN_TARGET", 0);
    assert_eq!([&outcome["data"]["target"], &outcome["data"]["reason"]["pointer"]], ["emea", "/target"]);
    let first = letter(&service, 0).await;
    assert_letter(&first, &record, ["DEAD", "UNKNOWN_TARGET", &topics.refunds, "0", "0", "/oms#e-1#1"]);
    // A retry while the target is still unknown dies again, and is counted as what it is: the same event.
    topics.produce(&topics.refunds, &put_back(&first)).await;
    let again = nth(&service, 1).await.json();
    assert_eq!((&again["id"], &again["data"]["status"]), (&json!("/oms#e-1#2"), &json!("DEAD")), "{again:#}");
    let second = letter(&service, 1).await;
    let totals = service.totals("the letter to be counted", PATIENCE, |totals| totals.duplicates == 1).await;
    assert_eq!((totals.finals, totals.backlog.total(), totals.imbalance()), (1, 0, 0));
    assert_eq!(daemon.terminate(PATIENCE).await.code(), Some(0));

    let builder = service.builder.clone().target("emea", &target(&service.simulator));
    let mut daemon = builder.start();
    daemon.wait_ready().await;
    topics.produce(&topics.refunds, &put_back(&second)).await;
    let third = nth(&service, 2).await.json();
    assert_eq!((&third["id"], &third["data"]["status"]), (&json!("/oms#e-1#3"), &json!("DELIVERED")), "{third:#}");
    service.drained(1, PATIENCE).await;
    service.assert_clean().await;
}
