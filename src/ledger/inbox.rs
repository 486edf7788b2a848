//! What ingest hands to the ledger.

use super::finals::FinalRow;
use crate::event::{Event, Fault};
use std::collections::BTreeMap;

/// Where a record stood on Kafka.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// A record as it came, byte for byte.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Original {
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Vec<u8>,
    /// Its headers, in their order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// One record of a batch.
#[derive(Debug)]
pub struct Incoming {
    /// Where it stood.
    pub place: Place,
    /// What it is.
    pub content: Content,
}

/// What a record is.
#[derive(Debug)]
pub enum Content {
    /// A record without a value: skipped and counted.
    Tombstone,
    /// An event.
    Event {
        /// The event.
        event: Box<Event>,
        /// The record.
        original: Original,
    },
    /// Not an event: quarantined with its bytes.
    Fault {
        /// What is wrong.
        fault: Box<Fault>,
        /// The record.
        original: Original,
    },
}

/// What became of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Events that are new.
    pub new: u64,
    /// Records that were there before.
    pub duplicates: u64,
    /// Records without a value.
    pub tombstones: u64,
    /// Records that could not be read and are new, by topic.
    pub quarantined: BTreeMap<String, u64>,
    /// Events that were final at once: rows of the alias table, and events for targets that are not configured.
    pub finals: Vec<FinalRow>,
    /// Whether any lane became due.
    pub is_work_due: bool,
}
