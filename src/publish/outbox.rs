//! What the ledger hands to the publisher.

use crate::ledger::{Original, Place};
use std::future::Future;

/// The place of an outcome in the order of publishing. Only its order means something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// The transaction that settled it.
    pub xid: u64,
    /// Its place among those.
    pub seq: i64,
}

/// One outcome, and the dead letter that goes with it.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Its place.
    pub cursor: Cursor,
    /// The key of the outcome's record.
    pub outcome_key: Option<Vec<u8>>,
    /// The CloudEvent, as JSON.
    pub outcome: String,
    /// For what ended `DEAD` or `QUARANTINED`: its record.
    pub dead: Option<DeadLetter>,
}

/// A record that came to nothing, and why.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The record, byte for byte.
    pub original: Original,
    /// Where it stood.
    pub place: Place,
    /// `DEAD` or `QUARANTINED`.
    pub status: String,
    /// The reason's code.
    pub code: String,
    /// The reason's message.
    pub message: String,
    /// The id of the outcome: put back with it, the record is a retry of the stored event.
    pub outcome_id: String,
}

/// What is with the broker, and need not be given again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// All up to this place.
    pub up_to: Cursor,
    /// Those of a page with a dead letter.
    pub letters: Vec<i64>,
}

/// Where outcomes wait to be published. One replica at a time is given any.
pub trait Outbox: Send + Sync {
    /// Marks what has been published, and gives the next outcomes in the order of their cursors: at most `limit`, and not more than
    /// some MiB. The same ones again until they are marked. None where another replica is at it.
    fn next(
        &self,
        limit: usize,
        published: Option<&Published>,
    ) -> impl Future<Output = Result<Vec<Outgoing>, OutboxError>> + Send;
}

/// The outbox cannot be read or marked now.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct OutboxError(pub String);
