//! Membership of the consumer group: partitions that come and go, commits and what became of them, topics that do not exist.
//!
//! The callbacks run on the poll loop's own thread, inside its polls. They keep [`Offsets`] true to what is owned, commit what is
//! durable before a partition goes, and leave the rest as news for the loop.

use super::commit::commit_before_revoke;
use super::offsets::{Offsets, Slot};
use crate::kafka;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What the loop is to hear of.
#[derive(Debug)]
pub(super) enum News {
    /// These partitions are ours now, perhaps none.
    Assigned(Vec<Slot>),
    /// These are not ours any more.
    Revoked(Vec<Slot>),
    /// This topic does not exist.
    Missing(String),
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) offsets: Offsets,
    pub(super) news: Vec<News>,
    /// Whether a commit is under way.
    pub(super) is_committing: bool,
    /// When the last commit failed, where it did.
    pub(super) failed: Option<Instant>,
    /// Everything is committed that will be.
    pub(super) is_closing: bool,
}

/// The group as the consumer sees it.
pub(super) struct Group {
    topics: Arc<[String]>,
    shared: Mutex<Shared>,
}

impl Group {
    pub(super) fn new(topics: Arc<[String]>) -> Self {
        Group { topics, shared: Mutex::default() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn slot(&self, topic: &str, partition: i32) -> Option<Slot> {
        self.topics.iter().position(|known| known == topic).map(|topic| Slot { topic, partition })
    }

    fn slots(&self, list: &TopicPartitionList) -> Vec<Slot> {
        list.elements().iter().filter_map(|element| self.slot(element.topic(), element.partition())).collect()
    }

    /// A list of partitions as librdkafka takes it.
    pub(super) fn list(&self, slots: impl IntoIterator<Item = (Slot, Option<i64>)>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for (slot, next) in slots {
            let Some(topic) = self.topics.get(slot.topic) else { continue };
            let mut element = list.add_partition(topic, slot.partition);
            if let Some(next) = next
                && let Err(error) = element.set_offset(Offset::Offset(next))
            {
                tracing::error!(topic, partition = slot.partition, next, "an offset that librdkafka does not take: {error}");
            }
        }
        list
    }

    /// What was asked for is committed, or is due again.
    pub(super) fn settle_commit(&self, due: &[(Slot, i64)], result: KafkaResult<()>) {
        let mut shared = self.lock();
        for (slot, next) in due {
            match result {
                Ok(()) => shared.offsets.confirm(*slot, *next),
                Err(_) => shared.offsets.refuse(*slot),
            }
        }
        let has_failed = shared.failed.is_some();
        shared.failed = result.is_err().then(Instant::now);
        if let Err(error) = result
            && !has_failed
        {
            tracing::warn!("offsets were not committed and will be again: {error}");
        }
    }

    /// The partition of a log line `TOPIC [PARTITION]: ...`.
    fn named_in(&self, text: &str) -> Option<Slot> {
        let (topic, rest) = text.split_once(" [")?;
        let (partition, _) = rest.split_once(']')?;
        self.slot(topic, partition.parse().ok()?)
    }

    /// The topic of a report `Subscribed topic not available: TOPIC: ...`.
    fn missing_in(&self, reason: &str) -> Option<&String> {
        self.topics.iter().find(|topic| reason.contains(&format!(": {topic}: ")))
    }
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        // librdkafka has no other way to tell that it could not begin where the group was.
        if facility == "OFFSET"
            && text.contains("offset reset")
            && let Some(slot) = self.named_in(text)
        {
            self.lock().offsets.start_over(slot);
            let topic = &self.topics[slot.topic];
            tracing::warn!(
                topic,
                partition = slot.partition,
                "the group's offset is not in the log any more, so reading starts at the earliest record: {text}"
            );
            return;
        }
        kafka::log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownTopicOrPartition)
            && let Some(topic) = self.missing_in(reason)
        {
            self.lock().news.push(News::Missing(topic.clone()));
            return;
        }
        kafka::log_error(&error, reason);
    }

    fn stats_raw(&self, _: &[u8]) {}
}

impl ConsumerContext for Group {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                let slots = self.slots(list);
                let mut shared = self.lock();
                slots.iter().for_each(|slot| shared.offsets.assign(*slot));
                shared.news.push(News::Assigned(slots));
            }
            Rebalance::Revoke(list) => {
                commit_before_revoke(consumer);
                let slots = self.slots(list);
                let mut shared = self.lock();
                slots.iter().for_each(|slot| shared.offsets.revoke(*slot));
                shared.news.push(News::Revoked(slots));
            }
            Rebalance::Error(error) => tracing::warn!("the group could not be rebalanced and tries again: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn group() -> Group {
        Group::new(["oms.returns".to_owned(), "oms.returns2".to_owned()].into())
    }

    #[test]
    fn librdkafkas_texts_name_the_topic() {
        let group = group();
        let reason = "Subscribed topic not available: oms.returns2: Broker: Unknown topic or partition";
        assert_eq!(group.missing_in(reason).unwrap(), "oms.returns2");
        assert_eq!(group.missing_in("Subscribed topic not available: oms: Broker"), None);
        let slot =
            group.named_in("oms.returns [11]: offset reset (at offset 7 (leader epoch 0), broker 1) to BEGINNING: x").unwrap();
        assert_eq!(slot, Slot { topic: 0, partition: 11 });
        assert_eq!(group.named_in("oms.orders [1]: offset reset"), None);
    }

    #[test]
    fn a_lost_offset_lets_offsets_start_over() {
        let group = group();
        let slot = Slot { topic: 0, partition: 0 };
        let mut shared = group.lock();
        shared.offsets.assign(slot);
        let position = shared.offsets.read(slot, 9).unwrap();
        shared.offsets.durable(position);
        drop(shared);
        let text = "oms.returns [0]: offset reset (at offset 7) to offset BEGINNING: fetch failed: Broker: Offset out of range";
        group.log(RDKafkaLogLevel::Warning, "OFFSET", text);
        assert_eq!(group.lock().offsets.durable_at(slot), None);
    }

    #[test]
    fn a_refused_commit_is_due_again() {
        let group = group();
        let slot = Slot { topic: 0, partition: 0 };
        let mut shared = group.lock();
        shared.offsets.assign(slot);
        let position = shared.offsets.read(slot, 9).unwrap();
        shared.offsets.durable(position);
        let due = shared.offsets.ask();
        drop(shared);
        group.settle_commit(&due, Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NotCoordinator)));
        assert!(group.lock().failed.is_some());
        assert_eq!(group.lock().offsets.ask(), due);
        group.settle_commit(&due, Ok(()));
        assert!(group.lock().failed.is_none());
        assert_eq!(group.lock().offsets.ask(), []);
    }
}
