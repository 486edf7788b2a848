//! bwp-sync.

pub mod config;
