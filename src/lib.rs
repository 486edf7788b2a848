//! bwp-sync.

pub mod cli;
pub mod config;
pub mod ops;

/// The version of the program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The git commit that it was built from, where the build said so.
pub const COMMIT: Option<&str> = option_env!("BWP_SYNC_COMMIT");
