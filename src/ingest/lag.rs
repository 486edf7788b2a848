//! How many records are still to be read: from the consumer's own statistics, for the partitions that are owned.
//!
//! Pure.

use super::offsets::{Offsets, Slot};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What of librdkafka's statistics is used.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Statistics {
    #[serde(default)]
    topics: BTreeMap<String, Topic>,
    #[serde(default)]
    cgrp: Group,
}

#[derive(Debug, Default, Deserialize)]
struct Group {
    #[serde(default)]
    join_state: String,
}

#[derive(Debug, Deserialize)]
struct Topic {
    #[serde(default)]
    partitions: BTreeMap<String, Partition>,
}

/// Offsets below zero are unknown.
#[derive(Debug, Deserialize)]
struct Partition {
    partition: i32,
    lo_offset: i64,
    ls_offset: i64,
    committed_offset: i64,
}

impl Statistics {
    /// Whether this consumer has its share of the group's partitions, be it none.
    pub(super) fn is_joined(&self) -> bool {
        self.cgrp.join_state == "steady"
    }

    /// The lag of every topic, 0 where none of its partitions is ours.
    pub(super) fn lag(&self, topics: &[String], offsets: &Offsets) -> Vec<u64> {
        let mut lag = vec![0; topics.len()];
        for slot in offsets.owned() {
            if let Some(records) = self.behind(topics, slot, offsets.durable_at(slot)) {
                lag[slot.topic] += records;
            }
        }
        lag
    }

    fn behind(&self, topics: &[String], slot: Slot, durable: Option<i64>) -> Option<u64> {
        let topic = self.topics.get(topics.get(slot.topic)?)?;
        let partition = topic.partitions.values().find(|partition| partition.partition == slot.partition)?;
        // A partition that was never committed is read from its beginning.
        let at =
            [durable, Some(partition.committed_offset), Some(partition.lo_offset)].into_iter().flatten().find(|at| *at >= 0)?;
        Some(u64::try_from(partition.ls_offset - at).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_owned_partitions_lag() {
        let statistics: Statistics = serde_json::from_str(
            r#"{"name":"x","cgrp":{"join_state":"steady","state":"up"},"topics":{
                "a":{"topic":"a","partitions":{
                    "0":{"partition":0,"lo_offset":5,"hi_offset":99,"ls_offset":50,"committed_offset":20},
                    "1":{"partition":1,"lo_offset":5,"hi_offset":99,"ls_offset":50,"committed_offset":-1001},
                    "2":{"partition":2,"lo_offset":0,"hi_offset":99,"ls_offset":50,"committed_offset":0},
                    "-1":{"partition":-1,"lo_offset":-1,"hi_offset":-1,"ls_offset":-1,"committed_offset":-1001}}},
                "b":{"topic":"b","partitions":{
                    "0":{"partition":0,"lo_offset":-1001,"hi_offset":-1001,"ls_offset":-1001,"committed_offset":-1001}}}}}"#,
        )
        .unwrap();
        let topics = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let mut offsets = Offsets::default();
        assert_eq!(statistics.lag(&topics, &offsets), [0, 0, 0]);
        let slot = |topic, partition| Slot { topic, partition };
        for owned in [slot(0, 0), slot(0, 1), slot(1, 0), slot(2, 7)] {
            offsets.assign(owned);
        }
        assert_eq!(statistics.lag(&topics, &offsets), [30 + 45, 0, 0]);
        offsets.durable(offsets.read(slot(0, 0), 47).unwrap());
        assert_eq!(statistics.lag(&topics, &offsets), [2 + 45, 0, 0]);
        offsets.revoke(slot(0, 1));
        assert_eq!(statistics.lag(&topics, &offsets), [2, 0, 0]);
        assert!(statistics.is_joined());
    }
}
