//! The ledger in Postgres: the only place with SQL.
//!
//! Owns the tables, their locks and their statements. It knows events and lanes as values, and decides nothing about them:
//! planning is handed in as a function that runs between the loading and the saving of a lane, inside one transaction.
//!
//! | file | what it does |
//! |---|---|
//! | `intake`, `retry` | a batch of records becomes rows, in one transaction; dead letters come back |
//! | `naming`, `alias_rows`, `waking` | names lead to lanes; rows of the alias table; those that waited for one are due |
//! | `aliases` | the alias table as operators see it |
//! | `merge` | two lanes turn out to be one order |
//! | `claim`, `load` | due lanes are leased and loaded |
//! | `heads`, `work`, `handover` | lanes are found or made, and locked; events come into them; what has just arrived is leased by its intake |
//! | `parking` | a lane that cannot be worked on rests |
//! | `settle`, `write`, `writes` | what came of a lane's turn is written back, if the lease still stands: all in one statement |
//! | `finals`, `save` | events end: outcomes, dead letters, running totals |
//! | `outbox`, `home` | outcomes wait for the publisher; a ledger that was restored |
//! | `connect`, `kept` | the pool and the schema; connections that the busiest steps keep |
//! | `standing`, `pause`, `replicas` | what the replicas have to agree on; what operators stopped; which of them live |
//! | `totals`, `oldest`, `audit` | the accounting identity; the age of the backlog; facts for the audit |
//! | `retention` | what is dropped when |
//! | `events`, `story`, `attempts` | what operators ask: events, the story of an order, every call |
//! | `discard`, `forget`, `acts` | what operators do, and the record of it (to retry: `retry`) |
//! | `checkup` | what `doctor` asks |
//!
//! Locks are taken in one order everywhere: `seen` by hash, `order_name` by key, `lane` by id, then what hangs on a locked
//! lane, `tally` by key last.

pub mod acts;
mod alias_rows;
pub mod aliases;
pub mod attempts;
pub mod audit;
pub mod checkup;
pub mod claim;
mod codec;
pub mod connect;
pub mod discard;
pub mod events;
pub mod finals;
pub mod forget;
pub mod handover;
mod heads;
mod home;
pub mod inbox;
pub mod intake;
mod kept;
mod load;
mod merge;
mod naming;
pub mod oldest;
pub mod outbox;
pub mod parking;
pub mod pause;
pub mod replicas;
pub mod retention;
mod retry;
mod save;
mod seen;
pub mod settle;
mod settled;
pub mod standing;
pub mod story;
pub mod totals;
mod waking;
mod work;
mod write;
mod writes;

pub use claim::{ClaimRequest, Claimed};
pub use connect::{Ledger, LedgerError};
pub use inbox::{Content, Incoming, Original, Place, Report};
pub use outbox::LedgerOutbox;
pub use totals::{Backlog, Totals};

use crate::plan::subject::AliasTypes;
use std::collections::BTreeMap;

/// The targets that are configured, with the alias types of each: events for any other end `DEAD`.
pub type Targets = BTreeMap<String, AliasTypes>;
