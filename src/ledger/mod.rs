//! The ledger in Postgres: the only place with SQL.

pub mod inbox;

pub use inbox::{Content, Incoming, Original, Place, Report};
