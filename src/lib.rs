//! bwp-sync keeps Amazon Buy with Prime true to a merchant's own order management system.
#![deny(missing_docs)]

pub mod audit;
pub mod backoff;
pub mod cli;
pub mod config;
pub mod crash;
pub mod dispatch;
pub mod doctor;
pub mod event;
pub mod ingest;
pub mod kafka;
pub mod ledger;
pub mod map;
pub mod moment;
pub mod ops;
pub mod outcome;
pub mod plan;
pub mod prime;
pub mod publish;
pub mod run;
pub mod tend;
pub mod text;

/// The version of the program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The git commit that it was built from, where the build said so.
pub const COMMIT: Option<&str> = option_env!("BWP_SYNC_COMMIT");
