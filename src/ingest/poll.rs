//! The poll loop: a thread of its own that owns the consumer. It never waits for the ledger longer than a moment, so that the group
//! keeps this replica whatever Postgres does.

use super::batch::Batch;
use super::commit::Committer;
use super::flow::Flow;
use super::group::News;
use super::offsets::{Position, Slot};
use super::reader::Reader;
use super::{Consumer as GroupConsumer, Signals};
use fail::fail_point;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{Sender, error::TrySendError};
use tokio_util::sync::CancellationToken;

/// A poll that finds nothing waits so long.
const IDLE: Duration = Duration::from_millis(100);
/// How soon a ready batch is offered again while the one before is being written.
const NUDGE: Duration = Duration::from_millis(2);
/// How long a full batch waits for the ledger before partitions are paused.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often offsets are committed, at most; a commit that failed waits [`PATIENCE`].
const COMMIT_EVERY: Duration = Duration::from_millis(200);
/// How often operators' pauses are looked up.
const LOOK_UP_EVERY: Duration = Duration::from_millis(200);
/// How long a question to the brokers may hold up reading, when partitions have come.
const QUESTION: Duration = Duration::from_secs(3);
/// How long the end waits for its last commit.
const FAREWELL: Duration = Duration::from_secs(3);

/// How a consumer ended.
#[derive(Debug)]
pub(super) enum End {
    /// As asked for.
    Stopped,
    /// It cannot go on; a new one may.
    Lost(String),
}

/// The loop's state.
pub(super) struct Poller {
    pub(super) consumer: Arc<GroupConsumer>,
    pub(super) committer: Committer,
    pub(super) topics: Arc<[String]>,
    pub(super) reader: Reader,
    pub(super) signals: Signals,
    pub(super) stop: CancellationToken,
    /// Where full batches go: room for one, beside the one that is being written.
    pub(super) batches: Sender<Batch>,
    /// What has been written.
    pub(super) written: Receiver<Vec<Position>>,
    pub(super) progress: Progress,
}

/// What the loop remembers from turn to turn.
pub(super) struct Progress {
    flow: Flow,
    /// Batches that are handed over and not reported back.
    outstanding: usize,
    full_since: Option<Instant>,
    is_held_back: bool,
    is_flow_due: bool,
    committed_at: Instant,
    looked_up_at: Option<Instant>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Progress {
            flow: Flow::default(),
            outstanding: 0,
            full_since: None,
            is_held_back: false,
            is_flow_due: false,
            committed_at: Instant::now(),
            looked_up_at: None,
        }
    }
}

impl Poller {
    /// Goes round until it is stopped or the consumer is lost; then what is handed over is finished, committed, and the group left.
    pub(super) fn run(mut self) -> End {
        let end = loop {
            if self.stop.is_cancelled() {
                break End::Stopped;
            }
            (self.signals.tick)();
            self.hear_reports();
            self.hear_news();
            self.look_up_pauses();
            self.hand_over();
            self.hold_back();
            self.commit();
            if let Err(reason) = self.read() {
                break End::Lost(reason);
            }
        };
        self.finish();
        end
    }

    fn hear_reports(&mut self) {
        while let Ok(positions) = self.written.try_recv() {
            self.hear_report(&positions);
        }
    }

    fn hear_report(&mut self, positions: &[Position]) {
        fail_point!("offset-reported");
        self.progress.outstanding -= 1;
        let mut shared = self.consumer.context().lock();
        positions.iter().for_each(|position| shared.offsets.durable(*position));
        fail_point!("offset-durable");
    }

    fn hear_news(&mut self) {
        let news = std::mem::take(&mut self.consumer.context().lock().news);
        for item in news {
            match item {
                News::Assigned(slots) => self.assigned(&slots),
                News::Revoked(slots) => {
                    tracing::info!(partitions = slots.len(), "partitions were taken away");
                    self.progress.flow.forget(&self.consumer, &slots);
                }
                News::Missing(topic) => {
                    tracing::warn!(topic, "this topic does not exist; it is waited for");
                    self.signals.status.lock().awaited.insert(topic);
                    (self.signals.ready)();
                }
            }
        }
    }

    fn assigned(&mut self, slots: &[Slot]) {
        tracing::info!(partitions = slots.len(), "joined the group");
        self.progress.flow.forget(&self.consumer, slots);
        self.progress.is_flow_due = true;
        self.tell_beginnings(slots);
        self.look_for_awaited(slots);
        self.signals.status.lock().is_joined = true;
        (self.signals.ready)();
    }

    /// Says where the group has no offset yet: there, reading starts at the earliest record.
    fn tell_beginnings(&self, slots: &[Slot]) {
        if slots.is_empty() {
            return;
        }
        let list = self.consumer.context().list(slots.iter().map(|slot| (*slot, None)));
        match self.consumer.committed_offsets(list, QUESTION) {
            Ok(list) => {
                for (topic, partitions) in without_offset(&list) {
                    tracing::warn!(topic, ?partitions, "the group has no offset here, so reading starts at the earliest record");
                }
            }
            Err(error) => tracing::info!("where the group stands could not be asked: {error}"),
        }
    }

    fn look_for_awaited(&self, slots: &[Slot]) {
        let awaited = self.signals.status.snapshot().awaited;
        for topic in awaited {
            let is_ours = slots.iter().any(|slot| self.topics[slot.topic] == topic);
            let is_there = || {
                let metadata = self.consumer.fetch_metadata(Some(&topic), QUESTION);
                metadata.is_ok_and(|metadata| metadata.topics().iter().any(|there| there.error().is_none()))
            };
            if is_ours || is_there() {
                tracing::info!(topic, "this topic exists now");
                self.signals.status.lock().awaited.remove(&topic);
            }
        }
    }

    fn look_up_pauses(&mut self) {
        let now = Instant::now();
        if self.progress.looked_up_at.is_none_or(|at| now.duration_since(at) >= LOOK_UP_EVERY) {
            self.progress.looked_up_at = Some(now);
            self.progress.is_flow_due |= self.reader.follow_operators(&*self.signals.is_topic_paused);
        }
    }

    fn hand_over(&mut self) {
        while self.reader.gathering.ready_in(Instant::now()) == Some(Duration::ZERO) {
            match self.batches.try_reserve() {
                Ok(permit) => {
                    fail_point!("batch-gathered");
                    permit.send(self.reader.gathering.take(Instant::now()));
                    fail_point!("batch-handed-over");
                    self.progress.outstanding += 1;
                }
                Err(TrySendError::Full(()) | TrySendError::Closed(())) => return,
            }
        }
    }

    /// Pauses all partitions when the ledger has kept a full batch waiting, and resumes them once it has caught up.
    fn hold_back(&mut self) {
        let (progress, gathering) = (&mut self.progress, &self.reader.gathering);
        let now = Instant::now();
        progress.full_since = gathering.is_full().then(|| progress.full_since.unwrap_or(now));
        let is_held_back = match progress.is_held_back {
            false => progress.full_since.is_some_and(|since| now.duration_since(since) >= PATIENCE),
            true => !(gathering.is_empty() && progress.outstanding <= 1),
        };
        if is_held_back != progress.is_held_back {
            tracing::info!("{}", if is_held_back { "reading pauses until the ledger keeps up" } else { "reading goes on" });
            progress.is_held_back = is_held_back;
            progress.is_flow_due = true;
            self.signals.status.lock().is_held_back = is_held_back;
        }
        if std::mem::take(&mut progress.is_flow_due) {
            let reader = &self.reader;
            progress.flow.follow(&self.consumer, |slot| is_held_back || reader.is_paused(slot.topic));
        }
    }

    fn commit(&mut self) {
        let now = Instant::now();
        let group = self.consumer.context();
        let has_just_failed = group.lock().failed.is_some_and(|since| now.duration_since(since) < PATIENCE);
        if !has_just_failed && now.duration_since(self.progress.committed_at) >= COMMIT_EVERY {
            self.progress.committed_at = now;
            self.committer.commit_due(group);
        }
    }

    /// Reads until a batch is full or nothing is there; an error only where the consumer cannot go on.
    fn read(&mut self) -> Result<(), String> {
        if self.reader.gathering.is_full() && !self.progress.is_held_back {
            if let Ok(positions) = self.written.recv_timeout(IDLE) {
                self.hear_report(&positions);
            }
            return Ok(());
        }
        let mut timeout = match self.reader.gathering.ready_in(Instant::now()) {
            Some(Duration::ZERO) if !self.progress.is_held_back => NUDGE,
            Some(left) if !left.is_zero() => whole(left).min(IDLE),
            _ => IDLE,
        };
        while let Some(polled) = self.consumer.poll(timeout) {
            timeout = Duration::ZERO;
            fail_point!("poll-answered");
            match polled {
                Ok(message) => self.progress.is_flow_due |= self.reader.take(&message, self.consumer.context()),
                Err(KafkaError::MessageConsumptionFatal(code)) => return Err(code.to_string()),
                // Logged where librdkafka reports it; it goes on by itself.
                Err(_) => {}
            }
            fail_point!("poll-taken");
            if self.progress.is_flow_due || self.reader.gathering.is_full() {
                break;
            }
        }
        Ok(())
    }

    fn finish(self) {
        let Poller { consumer, committer, batches, written, signals, .. } = self;
        // The writer ends when the batches do, and its reports end with it.
        drop(batches);
        loop {
            match written.recv_timeout(IDLE) {
                Ok(positions) => {
                    let mut shared = consumer.context().lock();
                    positions.iter().for_each(|position| shared.offsets.durable(*position));
                }
                Err(RecvTimeoutError::Timeout) => (signals.tick)(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        fail_point!("drain-written");
        let deadline = Instant::now() + FAREWELL;
        loop {
            committer.commit_due(consumer.context());
            if !consumer.context().lock().is_committing || Instant::now() >= deadline {
                break;
            }
            // What comes now is not taken: it is read again by whoever owns its partition next.
            drop(consumer.poll(NUDGE));
        }
        consumer.context().lock().is_closing = true;
        signals.status.lock().is_joined = false;
        committer.end(consumer.context());
        fail_point!("drain-committed");
        // Leaves the group.
        drop(consumer);
    }
}

/// In whole milliseconds, and not less: the client waits in such, and spins for what is left over.
fn whole(left: Duration) -> Duration {
    Duration::from_millis(u64::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX))
}

/// The partitions, by topic, for which the group has no offset.
fn without_offset(list: &TopicPartitionList) -> Vec<(String, Vec<i32>)> {
    let mut topics: Vec<(String, Vec<i32>)> = Vec::new();
    for element in list.elements().iter().filter(|element| element.offset() == Offset::Invalid && element.error().is_ok()) {
        match topics.iter_mut().find(|(topic, _)| topic == element.topic()) {
            Some((_, partitions)) => partitions.push(element.partition()),
            None => topics.push((element.topic().to_owned(), vec![element.partition()])),
        }
    }
    topics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_whole_milliseconds_and_never_shorter() {
        for (micros, millis) in [(0, 0), (1, 1), (999, 1), (1_000, 1), (1_001, 2), (4_700, 5)] {
            assert_eq!(whole(Duration::from_micros(micros)), Duration::from_millis(millis), "{micros} us");
        }
    }
}
