//! From the mock cluster into an inbox in memory.

use crate::support::{Cluster, until};
use bwp_sync::ingest::{Inbox, IngestSettings, IntakeError, Limits, PausedBy, Signals, Status, run};
use bwp_sync::ledger::{Content, Incoming, Report};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const GROUP: &str = "bwp-sync";

/// What the ledger would hold.
#[derive(Default)]
struct Memory {
    /// Every place that was taken in, and how often.
    places: Mutex<BTreeMap<(String, i32, i64), usize>>,
    batches: Mutex<Vec<usize>>,
    faults: AtomicU64,
    refusals: AtomicU64,
    is_away: AtomicBool,
    /// An offset that is refused.
    refused: Mutex<Option<i64>>,
}

#[derive(Clone, Default)]
struct InMemory(Arc<Memory>);

impl Inbox for InMemory {
    async fn intake(&self, batch: &[Incoming]) -> Result<Report, IntakeError> {
        let memory = &self.0;
        if memory.is_away.load(Ordering::SeqCst) {
            memory.refusals.fetch_add(1, Ordering::SeqCst);
            return Err(IntakeError::Unavailable("away".to_owned()));
        }
        let refused = *memory.refused.lock().unwrap();
        if batch.iter().any(|record| Some(record.place.offset) == refused) {
            memory.refusals.fetch_add(1, Ordering::SeqCst);
            return Err(IntakeError::Broken("no".to_owned()));
        }
        memory.batches.lock().unwrap().push(batch.len());
        let mut report = Report::default();
        for Incoming { place, content } in batch {
            match content {
                Content::Tombstone => report.tombstones += 1,
                Content::Event { .. } => report.new += 1,
                Content::Fault { .. } => {
                    memory.faults.fetch_add(1, Ordering::SeqCst);
                }
            }
            *memory.places.lock().unwrap().entry((place.topic.clone(), place.partition, place.offset)).or_default() += 1;
        }
        Ok(report)
    }
}

impl InMemory {
    fn places(&self) -> BTreeSet<(String, i32, i64)> {
        self.0.places.lock().unwrap().keys().cloned().collect()
    }

    fn has_once(&self, topic: &str, partition: i32, records: i64) -> bool {
        let places = self.0.places.lock().unwrap();
        (0..records).all(|offset| places.get(&(topic.to_owned(), partition, offset)) == Some(&1))
    }
}

/// One replica.
struct Replica {
    inbox: InMemory,
    status: Status,
    ticks: Arc<AtomicU64>,
    is_ready: Arc<AtomicBool>,
    operators: Arc<Mutex<BTreeSet<String>>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Replica {
    fn start(cluster: &Cluster, topics: &[&str], inbox: InMemory) -> Self {
        let settings = IngestSettings {
            kafka: cluster.settings(),
            group_id: GROUP.to_owned(),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            limits: Limits { records: 50, bytes: 4 << 20, wait: Duration::from_millis(5) },
            poison_share: 0.5,
        };
        Replica::with(settings, inbox)
    }

    fn with(settings: IngestSettings, inbox: InMemory) -> Self {
        let (ticks, is_ready, operators) =
            (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default(), Arc::<Mutex<_>>::default());
        let (status, stop) = (Status::default(), CancellationToken::new());
        let signals = Signals {
            tick: counter(&ticks),
            ready: {
                let is_ready = Arc::clone(&is_ready);
                Arc::new(move || is_ready.store(true, Ordering::SeqCst))
            },
            taken_in: Arc::new(|_| {}),
            is_topic_paused: {
                let operators: Arc<Mutex<BTreeSet<String>>> = Arc::clone(&operators);
                Arc::new(move |topic| operators.lock().unwrap().contains(topic))
            },
            status: status.clone(),
        };
        let running = run(settings, inbox.clone(), signals, stop.clone());
        let task = tokio::spawn(async move { running.await.unwrap() });
        Replica { inbox, status, ticks, is_ready, operators, stop, task }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

fn counter(count: &Arc<AtomicU64>) -> Arc<dyn Fn() + Send + Sync> {
    let count = Arc::clone(count);
    Arc::new(move || {
        count.fetch_add(1, Ordering::SeqCst);
    })
}

fn event(id: i64) -> Vec<u8> {
    format!(
        r#"{{"specversion":"1.0","id":"e-{id}","source":"/oms","type":"oms.order.v1","time":"2026-01-01T00:00:00Z",
            "data":{{"order":{{"id":"{id}"}},"executionState":"STARTED"}}}}"#
    )
    .into_bytes()
}

async fn fill(cluster: &Cluster, topic: &str, partition: i32, records: std::ops::Range<i64>) {
    for id in records {
        cluster.produce(topic, partition, Some(&event(id)), &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_record_arrives_once_and_only_then_the_offset_moves() {
    let cluster = Cluster::new(&[("oms.orders", 2), ("oms.refunds", 1)]);
    for partition in 0..2 {
        fill(&cluster, "oms.orders", partition, 0..300).await;
    }
    cluster.produce("oms.refunds", 0, None, &[]).await;
    cluster.produce("oms.refunds", 0, Some(b"{"), &[("h", None)]).await;
    let inbox = InMemory::default();
    inbox.0.is_away.store(true, Ordering::SeqCst);
    let replica = Replica::start(&cluster, &["oms.orders", "oms.refunds"], inbox.clone());
    until("intake is tried", async || inbox.0.refusals.load(Ordering::SeqCst) > 2).await;
    assert!(replica.is_ready.load(Ordering::SeqCst) && replica.status.snapshot().is_joined);
    assert_eq!(cluster.committed(GROUP, "oms.orders", 0).await, None);

    inbox.0.is_away.store(false, Ordering::SeqCst);
    until("all arrive", async || inbox.places().len() == 602).await;
    for (topic, partition, records) in [("oms.orders", 0, 300), ("oms.orders", 1, 300), ("oms.refunds", 0, 2)] {
        assert!(inbox.has_once(topic, partition, records));
        until("the offset moves", async || cluster.committed(GROUP, topic, partition).await == Some(records)).await;
    }
    assert_eq!(inbox.0.faults.load(Ordering::SeqCst), 1);
    assert!(inbox.0.batches.lock().unwrap().iter().all(|records| *records <= 50));
    let none = BTreeMap::from([("oms.orders".to_owned(), 0), ("oms.refunds".to_owned(), 0)]);
    until("there is no lag", async || replica.status.snapshot().lag == none).await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_ledger_is_away_polling_goes_on_and_nothing_is_lost_or_read_twice() {
    let cluster = Cluster::new(&[("oms.orders", 1)]);
    fill(&cluster, "oms.orders", 0, 0..200).await;
    let replica = Replica::start(&cluster, &["oms.orders"], InMemory::default());
    let inbox = replica.inbox.clone();
    until("all arrive", async || inbox.places().len() == 200).await;
    inbox.0.is_away.store(true, Ordering::SeqCst);
    fill(&cluster, "oms.orders", 0, 200..700).await;
    until("reading is held back", async || replica.status.snapshot().is_held_back).await;
    let ticks = replica.ticks.load(Ordering::SeqCst);
    until("polling goes on", async || replica.ticks.load(Ordering::SeqCst) > ticks + 10).await;
    until("lag shows", async || replica.status.snapshot().lag.get("oms.orders") >= Some(&500)).await;
    inbox.0.is_away.store(false, Ordering::SeqCst);
    until("the rest arrives", async || inbox.places().len() == 700).await;
    until("reading goes on", async || !replica.status.snapshot().is_held_back).await;
    fill(&cluster, "oms.orders", 0, 700..710).await;
    until("more arrives", async || inbox.places().len() == 710).await;
    assert!(inbox.has_once("oms.orders", 0, 710));
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_commits_what_is_durable_and_leaves_the_group() {
    let cluster = Cluster::new(&[("oms.orders", 1)]);
    fill(&cluster, "oms.orders", 0, 0..100).await;
    let first = Replica::start(&cluster, &["oms.orders"], InMemory::default());
    let inbox = first.inbox.clone();
    until("some arrive", async || !inbox.places().is_empty()).await;
    first.stop().await;
    let taken = i64::try_from(inbox.places().len()).unwrap();
    assert_eq!(cluster.committed(GROUP, "oms.orders", 0).await, Some(taken));

    let second = Replica::start(&cluster, &["oms.orders"], inbox.clone());
    fill(&cluster, "oms.orders", 0, 100..120).await;
    until("the rest arrives", async || inbox.places().len() == 120).await;
    assert!(inbox.has_once("oms.orders", 0, 120));
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_while_the_ledger_is_away_ends_and_commits_nothing() {
    let cluster = Cluster::new(&[("oms.orders", 1)]);
    fill(&cluster, "oms.orders", 0, 0..100).await;
    let inbox = InMemory::default();
    inbox.0.is_away.store(true, Ordering::SeqCst);
    let replica = Replica::start(&cluster, &["oms.orders"], inbox.clone());
    until("intake is tried", async || inbox.0.refusals.load(Ordering::SeqCst) > 0).await;
    tokio::time::timeout(Duration::from_secs(10), replica.stop()).await.unwrap();
    assert_eq!(cluster.committed(GROUP, "oms.orders", 0).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_share_partitions_and_together_take_everything() {
    let cluster = Cluster::new(&[("oms.orders", 4)]);
    let inbox = InMemory::default();
    let first = Replica::start(&cluster, &["oms.orders"], inbox.clone());
    for partition in 0..4 {
        fill(&cluster, "oms.orders", partition, 0..50).await;
    }
    until("the first half arrives", async || inbox.places().len() == 200).await;
    let second = Replica::start(&cluster, &["oms.orders"], inbox.clone());
    until("the second has joined", async || second.status.snapshot().is_joined).await;
    for partition in 0..4 {
        fill(&cluster, "oms.orders", partition, 50..100).await;
    }
    until("all arrive", async || inbox.places().len() == 400).await;
    first.stop().await;
    for partition in 0..4 {
        fill(&cluster, "oms.orders", partition, 100..110).await;
    }
    until("the rest arrives", async || inbox.places().len() == 440).await;
    for partition in 0..4 {
        until("offsets move", async || cluster.committed(GROUP, "oms.orders", partition).await == Some(110)).await;
    }
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_lost_its_offset_starts_at_the_earliest_and_moves_from_there() {
    let cluster = Cluster::new(&[("oms.orders", 1)]);
    fill(&cluster, "oms.orders", 0, 0..10).await;
    cluster.commit(GROUP, "oms.orders", 0, 1000).await;
    let replica = Replica::start(&cluster, &["oms.orders"], InMemory::default());
    until("all arrive", async || replica.inbox.places().len() == 10).await;
    until("the offset moves", async || cluster.committed(GROUP, "oms.orders", 0).await == Some(10)).await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_without_partitions_is_ready_all_the_same() {
    let cluster = Cluster::new(&[("oms.orders", 1)]);
    let first = Replica::start(&cluster, &["oms.orders"], InMemory::default());
    let second = Replica::start(&cluster, &["oms.orders"], InMemory::default());
    for replica in [&first, &second] {
        until("it has joined", async || replica.is_ready.load(Ordering::SeqCst)).await;
    }
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_missing_is_waited_for() {
    let cluster = Cluster::new(&[("oms.orders", 1)]);
    let replica = Replica::start(&cluster, &["oms.orders", "oms.refunds"], InMemory::default());
    until("it is awaited", async || replica.status.snapshot().awaited.contains("oms.refunds")).await;
    assert!(replica.is_ready.load(Ordering::SeqCst));
    fill(&cluster, "oms.orders", 0, 0..5).await;
    until("the other topic is read", async || replica.inbox.places().len() == 5).await;
    cluster.mock.create_topic("oms.refunds", 1, 1).unwrap();
    fill(&cluster, "oms.refunds", 0, 0..5).await;
    until("the new topic is read", async || replica.inbox.places().len() == 10).await;
    assert!(replica.status.snapshot().awaited.is_empty());
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_full_of_rubbish_stops_and_the_others_go_on() {
    let cluster = Cluster::new(&[("oms.orders", 1), ("oms.refunds", 1)]);
    for _ in 0..600 {
        cluster.produce("oms.refunds", 0, Some(b"rubbish"), &[]).await;
    }
    let replica = Replica::start(&cluster, &["oms.orders", "oms.refunds"], InMemory::default());
    until("it stops", async || replica.status.snapshot().paused.get("oms.refunds") == Some(&PausedBy::Unreadable)).await;
    fill(&cluster, "oms.orders", 0, 0..20).await;
    until("the other goes on", async || replica.inbox.places().len() == 520).await;
    until("its offset stays", async || cluster.committed(GROUP, "oms.refunds", 0).await == Some(500)).await;
    let inbox = replica.inbox.clone();
    replica.stop().await;
    assert_eq!(inbox.0.faults.load(Ordering::SeqCst), 500);
    assert_eq!(cluster.committed(GROUP, "oms.refunds", 0).await, Some(500));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_pause_a_topic_and_resume_it_without_loss() {
    let cluster = Cluster::new(&[("oms.orders", 1), ("oms.refunds", 1)]);
    let replica = Replica::start(&cluster, &["oms.orders", "oms.refunds"], InMemory::default());
    let inbox = replica.inbox.clone();
    fill(&cluster, "oms.refunds", 0, 0..10).await;
    until("some arrive", async || inbox.places().len() == 10).await;
    replica.operators.lock().unwrap().insert("oms.refunds".to_owned());
    until("it is paused", async || replica.status.snapshot().paused.contains_key("oms.refunds")).await;
    fill(&cluster, "oms.refunds", 0, 10..20).await;
    fill(&cluster, "oms.orders", 0, 0..10).await;
    until("the other goes on", async || inbox.places().len() >= 20).await;
    assert_eq!(inbox.places().len(), 20);
    replica.operators.lock().unwrap().clear();
    until("it goes on", async || inbox.places().len() == 30).await;
    assert!(inbox.has_once("oms.refunds", 0, 20));
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_the_ledger_refuses_holds_up_no_earlier_one_and_is_tried_again() {
    let cluster = Cluster::new(&[("oms.orders", 1)]);
    fill(&cluster, "oms.orders", 0, 0..40).await;
    let inbox = InMemory::default();
    *inbox.0.refused.lock().unwrap() = Some(17);
    let replica = Replica::start(&cluster, &["oms.orders"], inbox.clone());
    until("those before it are taken", async || inbox.places().len() == 17).await;
    *inbox.0.refused.lock().unwrap() = None;
    until("all arrive", async || inbox.places().len() == 40).await;
    assert!(inbox.has_once("oms.orders", 0, 40));
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_may_be_away() {
    let cluster = Cluster::new(&[("oms.orders", 1)]);
    cluster.mock.broker_down(-1).unwrap();
    let replica = Replica::start(&cluster, &["oms.orders"], InMemory::default());
    until("it polls", async || replica.ticks.load(Ordering::SeqCst) > 5).await;
    cluster.mock.broker_up(-1).unwrap();
    fill(&cluster, "oms.orders", 0, 0..10).await;
    let inbox = replica.inbox.clone();
    until("all arrive", async || inbox.places().len() == 10).await;
    cluster.mock.broker_down(-1).unwrap();
    let ticks = replica.ticks.load(Ordering::SeqCst);
    until("it polls", async || replica.ticks.load(Ordering::SeqCst) > ticks + 20).await;
    cluster.mock.broker_up(-1).unwrap();
    fill(&cluster, "oms.orders", 0, 10..20).await;
    until("the rest arrives", async || inbox.places().len() == 20).await;
    until("the offset moves", async || cluster.committed(GROUP, "oms.orders", 0).await == Some(20)).await;
    replica.stop().await;
}
