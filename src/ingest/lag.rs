//! How many records are still to be read, and how old they are: of the partitions that are owned, asked of the brokers themselves.
//!
//! librdkafka's own statistics stand still while partitions are paused, which is when the lag is of most interest.

use super::age::Ages;
use super::group::Group;
use super::offsets::Slot;
use super::status::Status;
use crate::ops::metrics;
use chrono::Utc;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long one question may take.
const QUESTION: Duration = Duration::from_secs(1);

type Places = BTreeMap<Slot, i64>;

/// How far an owned partition is behind.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Behind {
    slot: Slot,
    /// Where reading goes on.
    at: i64,
    /// Where the log ends.
    end: i64,
    /// How old the last record was that was read of it.
    read_age: Option<Duration>,
}

/// Measures and shows the lag.
#[derive(Debug, Default)]
pub(super) struct Lag(Ages);

impl Lag {
    /// Measures and shows the lag of every topic: 0 where none of its partitions is ours. Where a broker does not answer, the last
    /// one stays.
    pub(super) fn show(&mut self, consumer: &BaseConsumer<Group>, topics: &[String], status: &Status) {
        let behind = match measure(consumer) {
            Ok(behind) => behind,
            Err(error) => return tracing::debug!("the lag could not be asked: {error}"),
        };
        let sums = self.by_topic(topics.len(), &behind, Instant::now());
        let mut snapshot = status.lock();
        for (topic, (records, age)) in topics.iter().zip(sums) {
            metrics::LAG_RECORDS.set(&[topic], records as f64);
            metrics::LAG_SECONDS.set(&[topic], age.as_secs_f64());
            snapshot.lag.insert(topic.clone(), records);
        }
    }

    /// The records that are not read yet, and the age of the oldest, of each topic.
    fn by_topic(&mut self, topics: usize, behind: &[Behind], now: Instant) -> Vec<(u64, Duration)> {
        let owned: BTreeSet<Slot> = behind.iter().map(|behind| behind.slot).collect();
        self.0.retain(|slot| owned.contains(slot));
        let mut sums = vec![(0, Duration::ZERO); topics];
        for Behind { slot, at, end, read_age } in behind {
            let (records, oldest) = &mut sums[slot.topic];
            *records += u64::try_from(end - at).unwrap_or(0);
            *oldest = self.0.observe(*slot, (*at, *end), *read_age, now).max(*oldest);
        }
        sums
    }
}

fn measure(consumer: &BaseConsumer<Group>) -> KafkaResult<Vec<Behind>> {
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
    let now = Utc::now().timestamp_millis();
    let offsets = &group.lock().offsets;
    let read_age = |slot| offsets.written_at(slot).map(|at| Duration::from_millis(u64::try_from(now - at).unwrap_or(0)));
    let behind =
        |(slot, end): (&Slot, &i64)| at.get(slot).map(|at| Behind { slot: *slot, at: *at, end: *end, read_age: read_age(*slot) });
    Ok(ends.iter().filter_map(behind).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_summed_by_topic_and_never_negative() {
        let behind = |topic, partition, at, end| Behind { slot: Slot { topic, partition }, at, end, read_age: None };
        let (mut lag, now) = (Lag::default(), Instant::now());
        let partitions = [behind(0, 0, 20, 50), behind(0, 1, 5, 50), behind(1, 0, 8, 7)];
        lag.by_topic(3, &partitions, now);
        let later = lag.by_topic(3, &partitions, now + Duration::from_secs(9));
        assert_eq!(later, [(30 + 45, Duration::from_secs(9)), (0, Duration::ZERO), (0, Duration::ZERO)]);
        // A partition that went and came back is looked at anew.
        lag.by_topic(3, &[], now + Duration::from_secs(10));
        assert_eq!(lag.by_topic(3, &partitions[..1], now + Duration::from_secs(20))[0], (30, Duration::ZERO));
    }
}
