//! From Kafka into the ledger: poll, read, gather, write, and only then the offset.
//!
//! ```text
//! poll loop (a thread)                                   writer (a task)
//!   poll -> record -> reader -> gathering --- batch --->   inbox.intake, again until it is durable
//!   commit <- offsets <------------- positions ---------   report
//! ```
//!
//! * The poll loop never waits for the ledger: while it is away, partitions are paused, polling goes on, and the group keeps this
//!   replica. Three batches are in memory at most: one being written, one waiting, one gathering.
//! * One batch is one transaction of the ledger. One that cannot be written is tried again, without an end.
//! * An offset is committed after the records before it are durable, and never goes back ([`offsets`]). What was read and not
//!   committed is read again, by this replica or another, and is a duplicate to the ledger.
//! * A record that is no event goes to the ledger with its bytes; a topic of which most are not is stopped ([`poison`]).
//!
//! It knows nothing of lanes, of SQL or of Buy with Prime.

mod age;
mod batch;
mod commit;
mod flow;
mod group;
mod lag;
pub mod offsets;
pub mod poison;
mod poll;
mod reader;
mod record;
mod status;
mod writer;

pub use batch::Limits;
pub use status::{PausedBy, Snapshot, Status};

use crate::backoff;
use crate::kafka::{self, KafkaConfigError, KafkaSettings};
use crate::ledger::{Incoming, Report};
use crate::ops::metrics;
use commit::Committer;
use poll::{End, Poller, Progress};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use reader::Reader;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// What ingest is told.
#[derive(Debug, Clone)]
pub struct IngestSettings {
    /// How the brokers are reached.
    pub kafka: KafkaSettings,
    /// The group that all replicas share.
    pub group_id: String,
    /// The topics that are read.
    pub topics: Vec<String>,
    /// What one transaction may hold.
    pub limits: Limits,
    /// Above this share of unreadable records a topic is stopped.
    pub poison_share: f64,
}

/// Where records become durable.
pub trait Inbox: Send + Sync {
    /// Takes a batch in, all of it or nothing.
    fn intake(&self, batch: &[Incoming]) -> impl Future<Output = Result<Report, IntakeError>> + Send;
}

/// Why a batch is not durable. It is tried again in any case.
#[derive(Debug, Clone, thiserror::Error)]
pub enum IntakeError {
    /// The ledger is away: it will come back.
    #[error("{0}")]
    Unavailable(String),
    /// The ledger refuses the batch: somebody has to look at it.
    #[error("{0}")]
    Broken(String),
}

/// How ingest and the rest of the program hear of each other. All are called often and must be quick.
#[derive(Clone)]
pub struct Signals {
    /// The poll loop goes round.
    pub tick: Arc<dyn Fn() + Send + Sync>,
    /// The group is joined, or topics are awaited.
    pub ready: Arc<dyn Fn() + Send + Sync>,
    /// Records have become durable; some lane may be due.
    pub taken_in: Arc<dyn Fn(&Report) + Send + Sync>,
    /// Whether an operator has paused a topic.
    pub is_topic_paused: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    /// How ingest is doing.
    pub status: Status,
}

type Consumer = BaseConsumer<group::Group>;

/// Reads until it is stopped: then nothing new is taken, what is handed over is finished and committed, and the group is left.
///
/// # Errors
/// Where the configuration cannot be used. Kafka or the ledger being away never ends it.
pub async fn run(
    settings: IngestSettings,
    inbox: impl Inbox,
    signals: Signals,
    stop: CancellationToken,
) -> Result<(), KafkaConfigError> {
    settings.topics.iter().for_each(|topic| metrics::INGEST_PAUSED.set(&[topic], 0.0));
    if settings.topics.is_empty() {
        tracing::warn!("no topic is read: all of kafka.topics are empty");
        return idle(&signals, &stop).await;
    }
    let mut pauses = backoff::reconnect();
    let mut next = consumer(&settings)?;
    loop {
        let reason = match session(next, &settings, &inbox, &signals, &stop).await {
            End::Stopped => return Ok(()),
            End::Lost(reason) => reason,
        };
        next = loop {
            let pause = backoff::pause(&mut pauses);
            tracing::error!("the consumer cannot go on ({reason}); a new one starts in {} ms", pause.as_millis());
            (signals.tick)();
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return Ok(());
            }
            if let Ok(consumer) = consumer(&settings) {
                break consumer;
            }
        };
    }
}

/// The life of one consumer: its thread polls, and this task writes.
async fn session(
    consumer: Consumer,
    settings: &IngestSettings,
    inbox: &impl Inbox,
    signals: &Signals,
    stop: &CancellationToken,
) -> End {
    let topics: Arc<[String]> = settings.topics.clone().into();
    let (batches, waiting) = mpsc::channel(1);
    let (reports, written) = std::sync::mpsc::channel();
    let consumer = Arc::new(consumer);
    let committer = match Committer::start(&consumer, Arc::clone(&topics), signals.status.clone()) {
        Ok(committer) => committer,
        Err(error) => return End::Lost(format!("no thread for its commits: {error}")),
    };
    let poller = Poller {
        consumer,
        committer,
        reader: Reader::new(Arc::clone(&topics), settings.limits, settings.poison_share, signals.status.clone()),
        topics,
        signals: signals.clone(),
        stop: stop.clone(),
        batches,
        written,
        progress: Progress::new(),
    };
    let (ended, end) = oneshot::channel();
    let thread = std::thread::Builder::new().name("ingest".to_owned()).spawn(move || ended.send(poller.run()).is_ok());
    if let Err(error) = thread {
        return End::Lost(format!("no thread for it: {error}"));
    }
    writer::write(inbox, waiting, reports, signals, stop).await;
    end.await.unwrap_or_else(|_| End::Lost("its thread has died".to_owned()))
}

async fn idle(signals: &Signals, stop: &CancellationToken) -> Result<(), KafkaConfigError> {
    (signals.ready)();
    while stop.run_until_cancelled(tokio::time::sleep(Duration::from_secs(1))).await.is_some() {
        (signals.tick)();
    }
    Ok(())
}

/// Queues are small: the backlog belongs on Kafka or in the ledger, not in memory.
const DEFAULTS: [(&str, &str); 9] = [
    ("queued.min.messages", "2000"),
    ("queued.max.messages.kbytes", "8192"),
    ("fetch.max.bytes", "8388608"),
    ("fetch.message.max.bytes", "1048576"),
    // With small queues the default of a second would be most of the time.
    ("fetch.queue.backoff.ms", "10"),
    ("fetch.wait.max.ms", "100"),
    // A topic that is made later is found as soon.
    ("topic.metadata.refresh.interval.ms", "5000"),
    ("session.timeout.ms", "45000"),
    ("max.poll.interval.ms", "300000"),
];

/// What the guarantees rest on.
const FIXED: [(&str, &str); 7] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "earliest"),
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("isolation.level", "read_committed"),
    ("allow.auto.create.topics", "false"),
    ("enable.partition.eof", "false"),
];

fn consumer(settings: &IngestSettings) -> Result<Consumer, KafkaConfigError> {
    let mut config = kafka::client(&settings.kafka, &DEFAULTS, &FIXED)?;
    config.set("group.id", &settings.group_id);
    let consumer: Consumer = config.create_with_context(group::Group::new(settings.topics.clone().into()))?;
    let topics: Vec<&str> = settings.topics.iter().map(String::as_str).collect();
    consumer.subscribe(&topics)?;
    Ok(consumer)
}
