//! The simulator over the wire: Amazon's examples, every refusal, every fault, and each wrong thing that the judge must find.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod fast;
mod faults;
mod judge;
mod orders;
mod packages;
mod reference;
mod refunds;
mod returns;
mod support;
mod transport;
