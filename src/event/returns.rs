//! `oms.return.v1`: the whole present state of one return.

use super::vocabulary::vocabulary;
use super::{Alias, Line, Reference};

/// A return as the merchant's system has it now.
#[derive(Debug, Clone, PartialEq)]
pub struct ReturnSnapshot {
    /// The order it belongs to.
    pub order: Reference,
    /// Its name; where absent, the name is derived from the event's identity.
    pub reference: Option<Reference>,
    /// The producer's version of this return.
    pub version: Option<u64>,
    /// Where it stands.
    pub state: ReturnState,
    /// What comes back; needed to create it.
    pub lines: Option<Vec<Line>>,
    /// The complete list beside the alias in `reference`; absent means unchanged.
    pub aliases: Option<Vec<Alias>>,
    /// Who opened it; the merchant where absent.
    pub initiator: Option<super::Initiator>,
}

vocabulary! {
    /// Where a return stands: `ReturnStateInput`.
    pub enum ReturnState {
        /// `CREATED`
        Created = "CREATED",
        /// `CANCELLED`
        Cancelled = "CANCELLED",
        /// `COMPLETED`
        Completed = "COMPLETED",
    }
}
