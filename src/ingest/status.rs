//! What ingest lets others see of itself, for `/state`. It is written by the poll loop and read from memory.

use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Why a topic is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PausedBy {
    /// An operator; until an operator resumes it.
    Operator,
    /// Too many of its records cannot be read; until a restart.
    Unreadable,
}

/// How ingest is doing.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Snapshot {
    /// Whether this replica has its share of the group's partitions.
    pub is_joined: bool,
    /// Whether reading stands still because the ledger does not keep up.
    pub is_held_back: bool,
    /// Records still to be read of the partitions that this replica owns, by topic.
    pub lag: BTreeMap<String, u64>,
    /// Topics that are not read.
    pub paused: BTreeMap<String, PausedBy>,
    /// Topics that do not exist yet.
    pub awaited: BTreeSet<String>,
}

/// The present [`Snapshot`]. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Status(Arc<Mutex<Snapshot>>);

impl Status {
    /// How ingest is doing now.
    pub fn snapshot(&self) -> Snapshot {
        self.lock().clone()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Snapshot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
