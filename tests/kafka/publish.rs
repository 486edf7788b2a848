//! From an outbox in memory to the mock cluster.

use crate::support::{Cluster, until};
use bwp_sync::ledger::{Original, Place};
use bwp_sync::publish::{Cursor, DeadLetter, Outbox, OutboxError, Outgoing, PublishSettings, Published, run};
use rdkafka::Message;
use rdkafka::message::{Headers, OwnedMessage};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const OUTCOMES: &str = "bwp.outcomes";
const DEAD_LETTERS: &str = "bwp.dead-letters";

#[derive(Clone, Default)]
struct InMemory(Arc<Mutex<Vec<Outgoing>>>, Arc<AtomicU64>);

impl InMemory {
    fn is_empty(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }

    /// Waits until a page that was taken from now on has failed: it is asked for again.
    async fn fails(&self, times: u64) {
        let asked = self.1.load(Ordering::SeqCst);
        until("a page fails", async || self.1.load(Ordering::SeqCst) > asked + times).await;
        assert!(!self.is_empty());
    }

    fn fill(&self, seqs: std::ops::Range<i64>) {
        self.0.lock().unwrap().extend(seqs.map(|seq| outgoing(seq, None)));
    }
}

impl Outbox for InMemory {
    async fn next(&self, limit: usize, published: Option<&Published>) -> Result<Vec<Outgoing>, OutboxError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        let mut waiting = self.0.lock().unwrap();
        waiting.retain(|outgoing| published.is_none_or(|published| outgoing.cursor > published.up_to));
        Ok(waiting.iter().take(limit).cloned().collect())
    }
}

fn outgoing(seq: i64, dead: Option<DeadLetter>) -> Outgoing {
    let key = (seq % 2 == 0).then(|| vec![0, 255]);
    Outgoing { cursor: Cursor { xid: 7, seq }, outcome_key: key, outcome: format!(r#"{{"id":"{seq}"}}"#), dead }
}

fn dead(value: Vec<u8>) -> DeadLetter {
    let headers = vec![
        ("ce_id".to_owned(), Some(vec![195, 0, 1])),
        ("nothing".to_owned(), None),
        ("x-bwp-sync-outcome-id".to_owned(), Some(b"old".to_vec())),
    ];
    DeadLetter {
        original: Original { key: Some(vec![1, 0, 2]), value, headers },
        place: Place { topic: "oms.refunds".to_owned(), partition: 3, offset: 17 },
        status: "DEAD".to_owned(),
        code: "UNVERIFIABLE".to_owned(),
        message: "why".to_owned(),
        outcome_id: "/oms#e-1#1".to_owned(),
    }
}

struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn start(cluster: &Cluster, outbox: &InMemory) -> Running {
    let properties = [("topic.metadata.propagation.max.ms", "200"), ("message.max.bytes", "2000000")];
    let settings = PublishSettings {
        kafka: cluster.settings_with(&properties),
        outcomes: OUTCOMES.to_owned(),
        dead_letters: DEAD_LETTERS.to_owned(),
    };
    let stop = CancellationToken::new();
    let running = run(settings, outbox.clone(), Arc::new(Notify::new()), || {}, stop.clone());
    Running { stop, task: tokio::spawn(async move { running.await.unwrap() }) }
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

fn values(records: &[OwnedMessage]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8(record.payload().unwrap().to_vec()).unwrap()).collect()
}

fn expected(seqs: std::ops::Range<i64>) -> Vec<String> {
    seqs.map(|seq| format!(r#"{{"id":"{seq}"}}"#)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outcomes_and_dead_letters_arrive_byte_for_byte_and_in_order() {
    let cluster = Cluster::new(&[(OUTCOMES, 1), (DEAD_LETTERS, 1)]);
    let outbox = InMemory::default();
    outbox.fill(0..1200);
    outbox.0.lock().unwrap().push(outgoing(1200, Some(dead(vec![0, 1, 254, 255]))));
    let running = start(&cluster, &outbox);
    until("the outbox is empty", async || outbox.is_empty()).await;
    let outcomes = cluster.consume(OUTCOMES, 1201).await;
    assert_eq!(values(&outcomes), expected(0..1201));
    assert_eq!((outcomes[0].key(), outcomes[1].key()), (Some(&[0, 255][..]), None));
    let letters = cluster.consume(DEAD_LETTERS, 1).await;
    assert_eq!((letters[0].key(), letters[0].payload()), (Some(&[1, 0, 2][..]), Some(&[0, 1, 254, 255][..])));
    let headers: Vec<(&str, Option<&[u8]>)> =
        letters[0].headers().unwrap().iter().map(|header| (header.key, header.value)).collect();
    assert_eq!(headers[..2], [("ce_id", Some(&[195, 0, 1][..])), ("nothing", None)]);
    assert_eq!(headers[2..4], [("x-bwp-sync-status", Some(&b"DEAD"[..])), ("x-bwp-sync-code", Some(&b"UNVERIFIABLE"[..]))]);
    assert_eq!(headers[8], ("x-bwp-sync-outcome-id", Some(&b"/oms#e-1#1"[..])));
    assert_eq!(headers.len(), 9);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_fails_is_survived_and_the_order_kept() {
    let cluster = Cluster::new(&[(OUTCOMES, 1), (DEAD_LETTERS, 1)]);
    let outbox = InMemory::default();
    let running = start(&cluster, &outbox);
    outbox.fill(0..50);
    until("the first go", async || outbox.is_empty()).await;
    cluster.mock.broker_down(-1).unwrap();
    outbox.fill(50..100);
    outbox.fails(2).await;
    cluster.mock.broker_up(-1).unwrap();
    until("the rest goes", async || outbox.is_empty()).await;
    let mut values = values(&cluster.consume(OUTCOMES, 100).await);
    values.dedup();
    assert_eq!(values, expected(0..100));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_topic_that_is_missing_does_not_repeat_outcomes() {
    let cluster = Cluster::new(&[(OUTCOMES, 1)]);
    cluster.mock.topic_error(DEAD_LETTERS, RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART).unwrap();
    let outbox = InMemory::default();
    outbox.0.lock().unwrap().push(outgoing(0, Some(dead(b"x".to_vec()))));
    let running = start(&cluster, &outbox);
    outbox.fails(4).await;
    cluster.mock.topic_error(DEAD_LETTERS, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    until("the outbox is empty", async || outbox.is_empty()).await;
    outbox.fill(1..2);
    until("the outbox is empty", async || outbox.is_empty()).await;
    assert_eq!(values(&cluster.consume(OUTCOMES, 2).await), expected(0..2));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_that_is_too_large_holds_up_nothing() {
    let cluster = Cluster::new(&[(OUTCOMES, 1), (DEAD_LETTERS, 1)]);
    let outbox = InMemory::default();
    let letters = [vec![1], vec![0; 3_000_000], vec![2], vec![3]];
    outbox.0.lock().unwrap().extend((0..).zip(letters).map(|(seq, value)| outgoing(seq, Some(dead(value)))));
    let running = start(&cluster, &outbox);
    until("the outbox is empty", async || outbox.is_empty()).await;
    let letters = cluster.consume(DEAD_LETTERS, 3).await;
    assert_eq!(letters.iter().map(|letter| letter.payload().unwrap()).collect::<Vec<_>>(), [[1], [2], [3]]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_requests_are_sent_again() {
    let cluster = Cluster::new(&[(OUTCOMES, 1), (DEAD_LETTERS, 1)]);
    let errors =
        [RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED];
    cluster.mock.request_errors(RDKafkaApiKey::Produce, &errors);
    let outbox = InMemory::default();
    outbox.fill(0..20);
    let running = start(&cluster, &outbox);
    until("the outbox is empty", async || outbox.is_empty()).await;
    assert_eq!(values(&cluster.consume(OUTCOMES, 20).await), expected(0..20));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_settled_last_is_published_before_the_end() {
    let cluster = Cluster::new(&[(OUTCOMES, 1), (DEAD_LETTERS, 1)]);
    let outbox = InMemory::default();
    let running = start(&cluster, &outbox);
    outbox.fill(0..1);
    until("it runs", async || outbox.is_empty()).await;
    outbox.fill(1..700);
    running.stop().await;
    assert!(outbox.is_empty());
}
