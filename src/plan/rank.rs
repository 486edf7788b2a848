//! Which snapshot is newer.

use crate::moment;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The place of an event in the order of arrival at its order; grows with every event.
pub type EventNo = i64;

/// What decides between two snapshots of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rank {
    /// The producer's version, where it gave one.
    #[serde(rename = "v", default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// The event's time.
    #[serde(rename = "t", serialize_with = "moment::serialize")]
    pub time: DateTime<Utc>,
    /// When it arrived, among the events of its order.
    #[serde(rename = "n")]
    pub arrival: EventNo,
}

impl Rank {
    /// Whether this snapshot is newer than the other: by version where both have one, else by time, else by arrival.
    pub fn is_newer_than(&self, other: &Rank) -> bool {
        let by_version = match (self.version, other.version) {
            (Some(mine), Some(theirs)) => mine.cmp(&theirs),
            _ => std::cmp::Ordering::Equal,
        };
        by_version.then(self.time.cmp(&other.time)).then(self.arrival.cmp(&other.arrival)).is_gt()
    }
}

/// A value of one member, and the snapshot that it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranked<T> {
    /// What the snapshot says.
    pub value: T,
    /// How new it is.
    pub rank: Rank,
    /// The event that still has to end with it; none once that event is settled.
    #[serde(skip)]
    pub holder: Option<EventNo>,
}
