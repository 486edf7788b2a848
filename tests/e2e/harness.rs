//! The harness itself, so that a failing test points at the daemon and not at what holds it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::{Value, json};

use crate::support::daemon::{Builder, Daemon};
use crate::support::events::{Envelope, Event, Kind};
use crate::support::kafka::{Outgoing, Record, Topics, brokers, committed, consume_all, consume_present, ends};
use crate::support::ops::Metrics;
use crate::support::postgres::fresh_database;
use crate::support::{PATIENCE, wait_until};

#[tokio::test]
async fn a_database_is_empty_and_goes_with_its_guard() {
    let first = fresh_database().await;
    let second = fresh_database().await;
    assert_ne!(first.name, second.name);

    let pool = first.pool().await;
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetch_one(&pool).await.unwrap();
    assert_eq!(tables, 0);

    let name = first.name.clone();
    drop(first); // with a connection still open
    let there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
        .bind(name)
        .fetch_one(&second.pool().await)
        .await
        .unwrap();
    assert!(!there);
}

#[tokio::test]
async fn records_come_back_byte_for_byte() {
    let topics = Topics::create(3).await;
    let written = [
        Outgoing { partition: Some(1), ..Outgoing::raw(Some(b"1001"), Some(b"\xff\x00")).header("h", b"\x00\xfe") },
        Outgoing { partition: Some(1), ..Outgoing::raw(None, None) },
        Outgoing { partition: Some(1), ..Outgoing::raw(Some(b""), Some(b"")) },
    ];
    let places = topics.produce_all(&topics.returns, &written).await;
    assert_eq!(places, [(1, 0), (1, 1), (1, 2)]);

    let read = consume_all(&topics.returns, |records| records.len() == 3, PATIENCE).await;
    for (offset, (record, written)) in (0..).zip(read.iter().zip(written)) {
        let expected = Record { partition: 1, offset, key: written.key, value: written.value, headers: written.headers };
        assert_eq!(*record, expected);
    }
    assert_eq!(consume_present(&topics.returns).await, read);
    assert_eq!(consume_present(&topics.refunds).await, []);
}

#[tokio::test]
async fn a_groups_place_is_seen() {
    let topics = Topics::create(2).await;
    let record = Outgoing { partition: Some(1), ..Outgoing::raw(None, Some(b"x")) };
    topics.produce_all(&topics.orders, &[record.clone(), record]).await;
    assert_eq!(ends(&topics.orders).await, BTreeMap::from([(0, 0), (1, 2)]));

    let group = &topics.orders; // as unique as any
    assert_eq!(committed(group, &topics.orders), BTreeMap::new());
    let consumer: StreamConsumer =
        ClientConfig::new().set("bootstrap.servers", brokers()).set("group.id", group).create().unwrap();
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(&topics.orders, 1, Offset::Offset(1)).unwrap();
    consumer.commit(&place, CommitMode::Sync).unwrap();
    assert_eq!(committed(group, &topics.orders), BTreeMap::from([(1, 1)]));
}

#[tokio::test]
async fn an_event_is_the_same_in_every_envelope() {
    let topics = Topics::create(1).await;
    for kind in Kind::ALL {
        let event = Event::new(kind, "e-1", json!({"order": {"id": "1001"}})).with("target", "other");
        for envelope in Envelope::ALL {
            topics.publish(&event, envelope).await;
        }
        let records = consume_present(event.topic(&topics)).await;
        let [binary, structured, array] = &records[..] else { panic!("three records, not {}", records.len()) };

        assert!(records.iter().all(|record| record.key.as_deref() == Some(b"1001")));
        assert_eq!(binary.json(), event.data);
        assert_eq!(binary.text_header("ce_type").as_deref(), Some(kind.event_type()));
        assert_eq!(binary.text_header("ce_specversion").as_deref(), Some("1.0"));
        assert_eq!(binary.text_header("ce_target").as_deref(), Some("other"));
        assert_eq!(structured.json()["data"], event.data);
        assert_eq!(structured.json()["id"], "e-1");
        assert_eq!(structured.text_header("ce_specversion"), None);
        assert_eq!(array.json(), Value::Array(vec![structured.json()]));
    }
}

#[test]
fn metrics_are_read_by_name_and_labels() {
    let metrics = Metrics::parse(
        "# HELP a_total Some.\n# TYPE a_total counter\na_total{topic=\"x\",kind=\"y\"} 2\na_total{topic=\"x\",kind=\"q\\\"}\"} 3\n\nb 1.5e1\n",
    );
    assert_eq!(metrics.get("a_total", &[]), Some(5.0));
    assert_eq!(metrics.get("a_total", &[("kind", "q\"}")]), Some(3.0));
    assert_eq!(metrics.get("a_total", &[("kind", "z")]), None);
    assert_eq!(metrics.get("b", &[]), Some(15.0));
}

#[tokio::test]
#[should_panic(expected = "not within 50ms: pigs fly; last seen: a pig on the ground")]
async fn waiting_ends_with_what_was_seen() {
    wait_until("pigs fly", Duration::from_millis(50), async || Err::<(), _>("a pig on the ground".to_owned())).await;
}

#[tokio::test]
async fn a_daemon_gets_its_settings_and_ends_as_it_is_told() {
    let builder = Builder::new(&fresh_database().await, &Topics::create(1).await).set("dispatch.max_in_flight", "7");
    let start = |script| -> Daemon { builder.start_program(Path::new("/bin/sh"), &["-c", script]) };
    let says = async |daemon: &Daemon, word: &str| {
        let seen = async || {
            if daemon.log().contains(word) { Ok(()) } else { Err(daemon.log()) }
        };
        wait_until(word, PATIENCE, seen).await;
    };

    let mut polite = start("trap 'exit 3' TERM; echo max $BWP_SYNC__DISPATCH__MAX_IN_FLIGHT; while :; do sleep 0.05; done");
    says(&polite, "max 7").await;
    assert_eq!(polite.exit_status(), None);
    assert_eq!(polite.terminate(PATIENCE).await.code(), Some(3));

    let mut stubborn = start("trap '' TERM; echo up; while :; do sleep 0.05; done");
    says(&stubborn, "up").await;
    stubborn.signal("TERM");
    assert_eq!(stubborn.exit_status(), None);
    stubborn.kill();
    assert_eq!(stubborn.exit_status().and_then(|status| status.code()), None);
}
