//! What is taken of what Kafka gives: everything of owned partitions, but nothing of a topic that is mostly unreadable.

use super::batch::{Gathering, Limits};
use super::group::Group;
use super::poison::{Poison, WINDOW};
use super::record;
use super::status::{PausedBy, Status};
use crate::ledger::{Content, Place};
use crate::ops::metrics;
use rdkafka::Message;
use rdkafka::message::BorrowedMessage;
use std::sync::Arc;

/// Reads records into batches.
pub(super) struct Reader {
    pub(super) gathering: Gathering,
    topics: Arc<[String]>,
    paused: Vec<Option<PausedBy>>,
    poison: Vec<Poison>,
    poison_share: f64,
    status: Status,
}

impl Reader {
    pub(super) fn new(topics: Arc<[String]>, limits: Limits, poison_share: f64, status: Status) -> Self {
        // What an earlier consumer of this process has stopped stays so.
        let known = status.snapshot().paused;
        let paused = topics.iter().map(|topic| known.get(topic).copied()).collect();
        let poison = topics.iter().map(|_| Poison::new(poison_share)).collect();
        Reader { gathering: Gathering::new(limits), topics, paused, poison, poison_share, status }
    }

    /// Whether nothing is to be read of a topic.
    pub(super) fn is_paused(&self, topic: usize) -> bool {
        self.paused.get(topic).is_some_and(Option::is_some)
    }

    /// Takes a record; true where it made its topic stop.
    pub(super) fn take(&mut self, message: &BorrowedMessage<'_>, group: &Group) -> bool {
        let Some(slot) = group.slot(message.topic(), message.partition()) else { return false };
        // A record of an operator's paused topic that was on its way is taken: passing over it would lose it.
        if self.paused[slot.topic] == Some(PausedBy::Unreadable) {
            return false;
        }
        let mut shared = group.lock();
        let Some(position) = shared.offsets.read(slot, message.offset()) else { return false };
        message.timestamp().to_millis().into_iter().for_each(|millis| shared.offsets.written(slot, millis));
        drop(shared);
        let (record, bytes) = record::read(message);
        if self.poison[slot.topic].observe(matches!(record.content, Content::Fault { .. })) {
            self.stop(slot.topic, &record.place);
            return true;
        }
        self.gathering.push(record, position, bytes);
        false
    }

    /// Follows what operators have paused and resumed; true where that changed.
    pub(super) fn follow_operators(&mut self, is_topic_paused: &dyn Fn(&str) -> bool) -> bool {
        let mut is_changed = false;
        for (index, topic) in self.topics.clone().iter().enumerate() {
            let wanted = match (self.paused[index], is_topic_paused(topic)) {
                (Some(PausedBy::Unreadable), _) => continue,
                (_, true) => Some(PausedBy::Operator),
                (_, false) => None,
            };
            if self.paused[index] != wanted {
                tracing::info!(topic, "{}", if wanted.is_some() { "paused by an operator" } else { "resumed by an operator" });
                self.set(index, wanted);
                is_changed = true;
            }
        }
        is_changed
    }

    fn stop(&mut self, topic: usize, place: &Place) {
        tracing::error!(
            topic = place.topic,
            partition = place.partition,
            offset = place.offset,
            "this topic is not read any further: more than {} of its last {WINDOW} records are not events, so that something else \
             seems to be written to it. Nothing from this record on is taken, and its offset stays. Correct the producer or the \
             topic, or raise ingest.poison_share, and restart",
            self.poison_share
        );
        self.set(topic, Some(PausedBy::Unreadable));
    }

    fn set(&mut self, topic: usize, paused: Option<PausedBy>) {
        self.paused[topic] = paused;
        let name = &self.topics[topic];
        metrics::INGEST_PAUSED.set(&[name], if paused.is_some() { 1.0 } else { 0.0 });
        let mut snapshot = self.status.lock();
        match paused {
            Some(by) => drop(snapshot.paused.insert(name.clone(), by)),
            None => drop(snapshot.paused.remove(name)),
        }
    }
}
