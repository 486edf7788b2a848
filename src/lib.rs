//! bwp-sync.

pub mod prime;
