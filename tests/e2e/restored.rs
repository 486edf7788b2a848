//! The ledger is lost, and an older backup of it is restored into another cluster, after refunds were paid that the backup does not
//! know of. Everything is read again from Kafka.

use crate::cluster::Cluster;
use crate::service::Service;
use crate::shop::order;
use crate::sound::assert_sound;
use crate::support::events::{Envelope, Event, Kind};
use crate::support::kafka::consume_all;
use crate::support::postgres::fresh_database;
use crate::support::{PATIENCE, wait_until};
use bwp_simulator::{Options, Report, Wrong};
use bwp_sync::config::ReadFirst;
use bwp_sync::ledger::Ledger;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::{Command, Stdio};

fn usd(amount: &str) -> Value {
    json!({"amount": amount, "currency": "USD"})
}

/// A refund of all these payments, and perhaps of a line that has a name which is not known yet.
fn refund(id: &str, order: &str, version: u64, payments: &[(&str, u32)], line: Option<&str>) -> Event {
    let total: u32 = payments.iter().map(|payment| payment.1).sum();
    let payments: Vec<Value> = payments
        .iter()
        .map(|(id, amount)| {
            json!({"id": id, "amount": usd(&format!("{amount}.00")), "state": "SUCCESS",
                "method": {"type": "AMAZON_PAY", "display": "Visa ending in 1234"}})
        })
        .collect();
    let mut data = json!({"order": {"id": order}, "refund": {"id": format!("RF-{order}")}, "version": version, "state": "PARTIAL",
        "total": usd(&format!("{total}.00")), "payments": payments});
    if let Some(line) = line {
        data["lines"] = json!([{"line": {"alias": {"type": "SKU", "id": line}}, "quantity": 1}]);
    }
    Event::new(Kind::Refund, id, data)
}

fn a_return(id: &str, order: &str, version: u64, state: &str) -> Event {
    let data = json!({"order": {"id": order}, "return": {"id": format!("RMA-{order}")}, "version": version, "state": state,
        "lines": [{"line": {"id": "L-1"}, "quantity": 1}]});
    Event::new(Kind::Return, id, data)
}

/// What is delivered before the backup is taken.
fn early() -> Vec<Event> {
    vec![refund("grows-1", "1001", 1, &[("p-1", 5)], None), a_return("ends-1", "1003", 1, "CREATED")]
}

/// What the backup holds unsent: it waits for a name.
fn waiting() -> Event {
    refund("waits", "1002", 1, &[("p-1", 7)], Some("B-42"))
}

/// What comes, and is done, after the backup was taken.
fn late() -> Vec<Event> {
    let row = json!({"kind": "LINE_ITEM", "alias": {"type": "SKU", "id": "B-42"}, "bwpId": "line-1", "order": {"id": "1002"}});
    vec![
        refund("grows-2", "1001", 2, &[("p-1", 5), ("p-2", 3)], None),
        a_return("ends-2", "1003", 2, "COMPLETED"),
        Event::new(Kind::Alias, "name", row),
        refund("new", "1004", 1, &[("p-1", 9)], None),
        a_return("new-return", "1005", 1, "CREATED"),
    ]
}

const EVENTS: usize = 8;

/// A real, logical backup: text, from one cluster into another.
fn copy(from: &str, to: &str) {
    let mut dump = Command::new("pg_dump").arg(from).stdout(Stdio::piped()).spawn().unwrap();
    let text = dump.stdout.take().unwrap();
    let restored =
        Command::new("psql").args(["-qX", "-v", "ON_ERROR_STOP=1", to]).stdin(text).stdout(Stdio::null()).status().unwrap();
    assert!(restored.success() && dump.wait().unwrap().success());
}

struct Restored {
    report: Report,
    /// Mutations that Buy with Prime had accepted when the ledger was lost.
    accepted_before: u64,
    /// Of each event, its outcomes as they were published from the restored ledger.
    outcomes: BTreeMap<String, Vec<Value>>,
}

/// Plays the whole story, with this `dispatch.read_first` after the restore.
async fn restored(read_first: &str) -> Restored {
    let service = Service::open(1, Options::default()).await;
    let seeds = ["1001", "1002", "1003", "1004", "1005"].map(|name| order(&format!("322-ABC1-{name}"), name));
    service.simulator.seed_orders(seeds.into()).unwrap();
    // Restored into a cluster that has seen less, its transaction ids would be from the future.
    let pool = service.pool().await;
    sqlx::raw_sql("DO $$ BEGIN FOR i IN 1..3000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$")
        .execute(&pool)
        .await
        .unwrap();
    let builder = service.builder.clone();
    let mut daemon = builder.start();
    daemon.wait_ready().await;
    for event in early().iter().chain([&waiting()]) {
        service.topics.publish(event, Envelope::Structured).await;
    }
    let is_halfway = |totals: &bwp_sync::ledger::Totals| totals.finals == 2 && totals.backlog.waiting == 1;
    service.totals("the backup's moment", PATIENCE, is_halfway).await;
    service.outcomes(2).await;

    let cluster = Cluster::start();
    copy(&service.database.url, &cluster.url());
    for event in late() {
        service.topics.publish(&event, Envelope::Structured).await;
    }
    service.drained(EVENTS, PATIENCE).await;
    let before = service.assert_clean().await;
    let published = service.outcomes(EVENTS).await;
    assert_eq!(published.len(), EVENTS);
    assert_eq!(daemon.terminate(PATIENCE).await.code(), Some(0));

    let ledger = Ledger::new(&cluster.url().into(), 2).unwrap();
    let there = cluster.database().pool().await;
    let (top, now): (i64, i64) =
        sqlx::query_as("SELECT max(xid::text::bigint), max(pg_snapshot_xmax(pg_current_snapshot())::text::bigint) FROM history")
            .fetch_one(&there)
            .await
            .unwrap();
    assert!(top > now, "the test does not test what it should: {top} is in the past of {now}");
    // As if the backup had been taken before its outcomes were published.
    sqlx::raw_sql("UPDATE cursor SET xid = '0', seq = 0").execute(&there).await.unwrap();
    let builder = builder
        .set("database.url", cluster.url())
        .set("kafka.group_id", format!("{}-again", service.builder.group()))
        .set("dispatch.read_first", read_first);
    let mut replicas = [builder.start(), builder.start()];
    for replica in &mut replicas {
        replica.wait_ready().await;
    }
    wait_until("everything to have its outcome again", PATIENCE, async || {
        let totals = ledger.totals().await.map_err(|error| error.to_string())?;
        let is_done = totals.finals == EVENTS as i64 && totals.backlog.total() == 0 && totals.read == EVENTS as i64 + 3;
        if is_done { Ok(()) } else { Err(format!("{totals:?}")) }
    })
    .await;
    assert_sound(&ledger).await;
    // The two of the backup once more, as they were, and six that it does not know of.
    let records = consume_all(&service.topics.outcomes, |records| records.len() >= EVENTS + EVENTS, PATIENCE).await;
    let mut outcomes: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for record in &records[EVENTS..] {
        let data = record.json()["data"].clone();
        outcomes.entry(data["event"]["id"].as_str().unwrap().to_owned()).or_default().push(data);
    }
    for event in ["grows-1", "ends-1"] {
        let first = published[event].values().next().unwrap();
        assert_eq!(outcomes[event].iter().collect::<Vec<_>>(), [first], "an outcome that the backup holds is repeated as it was");
    }
    assert_eq!(outcomes.values().map(Vec::len).collect::<Vec<_>>(), [1; EVENTS], "{outcomes:#?}");
    for replica in &mut replicas {
        assert_eq!(replica.terminate(PATIENCE).await.code(), Some(0), "{}", replica.log());
    }
    Restored { report: service.simulator.report(), accepted_before: before.accepted, outcomes }
}

impl Restored {
    /// What became of the events that the backup does not know the end of: grows-2, ends-2, waits, new, new-return.
    fn endings(&self) -> [&str; 5] {
        ["grows-2", "ends-2", "waits", "new", "new-return"].map(|event| self.outcomes[event][0]["status"].as_str().unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refunds_that_are_read_first_are_not_paid_twice() {
    let restored = restored("refunds").await;
    assert_eq!(restored.report.violations, 0, "{:#?}", restored.report.findings);
    // A return needs no read to be safe: what Buy with Prime has already it refuses, or takes as it is.
    assert_eq!(restored.endings(), ["NOTHING_TO_SEND", "DELIVERED", "NOTHING_TO_SEND", "NOTHING_TO_SEND", "NOTHING_TO_SEND"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_all_things_read_first_nothing_is_sent_again() {
    let restored = restored("all").await;
    assert_eq!(restored.report.violations, 0, "{:#?}", restored.report.findings);
    assert_eq!(restored.endings(), ["NOTHING_TO_SEND"; 5]);
    assert_eq!(restored.report.accepted, restored.accepted_before);
}

/// What reading first is for: of a payment made after the backup the ledger knows nothing, whether the backup had its refund
/// delivered in part, or waiting, or not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_reading_first_refunds_would_be_paid_twice() {
    let restored = restored("off").await;
    let mut twice: Vec<&str> = restored.report.findings.iter().map(|finding| finding.order.as_str()).collect();
    twice.sort_unstable();
    assert_eq!(twice, ["322-ABC1-1001", "322-ABC1-1002", "322-ABC1-1004"], "{:#?}", restored.report.findings);
    assert!(restored.report.findings.iter().all(|finding| finding.kind == Wrong::PaymentAppliedTwice));
}

#[tokio::test]
async fn what_is_known_comes_into_doubt_with_a_restore_and_when_reading_first_begins() {
    let database = fresh_database().await;
    let ledger = Ledger::new(&database.url.clone().into(), 2).unwrap();
    ledger.migrate().await.unwrap();
    let starts = async |read_first| ledger.come_home(read_first).await.unwrap();
    assert_eq!([starts(ReadFirst::Off).await, starts(ReadFirst::Off).await], [None, None]);
    let began = starts(ReadFirst::Refunds).await.expect("doubt from here");
    assert_eq!(starts(ReadFirst::Refunds).await, Some(began), "the next start changes nothing");
    assert_eq!(starts(ReadFirst::Off).await, None);
    let again = starts(ReadFirst::All).await.expect("doubt from here");
    assert!(again > began);
    // The rows come from somewhere else. Whichever replica is the first to see it, all of them doubt the same.
    sqlx::raw_sql("UPDATE home SET place = 'elsewhere'").execute(&database.pool().await).await.unwrap();
    let (one, other) = tokio::join!(starts(ReadFirst::All), starts(ReadFirst::All));
    assert!(one == other && one > Some(again), "{one:?} {other:?}");
}
