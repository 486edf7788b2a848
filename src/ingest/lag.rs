//! How many records are still to be read: of the partitions that are owned, asked of the brokers themselves.
//!
//! librdkafka's own statistics stand still while partitions are paused, which is when the lag is of most interest.

use super::group::Group;
use super::offsets::Slot;
use super::status::Status;
use crate::ops::metrics;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long one question may take.
const QUESTION: Duration = Duration::from_secs(1);

type Places = BTreeMap<Slot, i64>;

/// Measures and shows the lag of every topic: 0 where none of its partitions is ours. Where a broker does not answer, the last one
/// stays.
pub(super) fn show(consumer: &BaseConsumer<Group>, topics: &[String], status: &Status) {
    let lag = match measure(consumer) {
        Ok(lag) => by_topic(topics.len(), lag),
        Err(error) => return tracing::debug!("the lag could not be asked: {error}"),
    };
    let mut snapshot = status.lock();
    for (topic, records) in topics.iter().zip(lag) {
        metrics::LAG_RECORDS.set(&[topic], records as f64);
        snapshot.lag.insert(topic.clone(), records);
    }
}

fn measure(consumer: &BaseConsumer<Group>) -> KafkaResult<Vec<(Slot, u64)>> {
    let group = consumer.context();
    let (owned, mut at): (Vec<Slot>, Places) = {
        let offsets = &group.lock().offsets;
        let at = offsets.owned().filter_map(|slot| Some((slot, offsets.durable_at(slot)?))).collect();
        (offsets.owned().collect(), at)
    };
    let list = |slots: &[Slot], offset| {
        let mut list = group.list(slots.iter().map(|slot| (*slot, None)));
        list.set_all_offsets(offset).map(|()| list)
    };
    let missing = |at: &Places| -> Vec<Slot> { owned.iter().copied().filter(|slot| !at.contains_key(slot)).collect() };
    if owned.is_empty() {
        return Ok(Vec::new());
    }
    // Where nothing has become durable since the partition is ours, the group's offset counts; without one, the beginning.
    if let unread @ [_, ..] = &missing(&at)[..] {
        at.extend(places(group, &consumer.committed_offsets(list(unread, Offset::Invalid)?, QUESTION)?));
    }
    if let new @ [_, ..] = &missing(&at)[..] {
        at.extend(places(group, &consumer.offsets_for_times(list(new, Offset::Beginning)?, QUESTION)?));
    }
    let ends = places(group, &consumer.offsets_for_times(list(&owned, Offset::End)?, QUESTION)?);
    Ok(behind(&ends, &at))
}

fn places(group: &Group, list: &TopicPartitionList) -> Places {
    let known = |offset| match offset {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    };
    let elements = list.elements();
    let known = elements.iter().filter_map(|part| Some((group.slot(part.topic(), part.partition())?, known(part.offset())?)));
    known.collect()
}

fn behind(ends: &Places, at: &Places) -> Vec<(Slot, u64)> {
    let lag = |(slot, end): (&Slot, &i64)| Some((*slot, u64::try_from(end - at.get(slot)?).unwrap_or(0)));
    ends.iter().filter_map(lag).collect()
}

fn by_topic(topics: usize, lag: Vec<(Slot, u64)>) -> Vec<u64> {
    let mut sums = vec![0; topics];
    lag.into_iter().for_each(|(slot, records)| sums[slot.topic] += records);
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_summed_by_topic_and_never_negative() {
        let slot = |topic, partition| Slot { topic, partition };
        let ends = [(slot(0, 0), 50), (slot(0, 1), 50), (slot(1, 0), 7), (slot(1, 1), 9)].into();
        let at = [(slot(0, 0), 20), (slot(0, 1), 5), (slot(1, 0), 8)].into();
        assert_eq!(by_topic(3, behind(&ends, &at)), [30 + 45, 0, 0]);
    }
}
