//! bwp-sync keeps Amazon Buy with Prime true to a merchant's own order management system.
#![deny(missing_docs)]

pub mod dispatch;
pub mod event;
pub mod ledger;
pub mod plan;
pub mod prime;
