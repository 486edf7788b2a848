//! bwp-sync.

pub mod dispatch;
pub mod prime;
