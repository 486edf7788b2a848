//! The contract with producers: what is read as an event, what is not, and that parser, schemas and examples say the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod documents;
mod forms;
mod money;
mod properties;
mod schemas;
