//! Everything goes wrong at once, as the seed has it: replicas are killed, frozen and replaced, Postgres and Kafka are killed,
//! Buy with Prime loses answers and goes away; and in the end nothing is lost, doubled, or out of order.
//!
//! Two lengths of the same: a short one in `make test`, a long one by `make chaos`. It has servers of its own, since it kills
//! them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod feed;
mod fleet;
#[allow(dead_code)] // not each of its stories is told here
#[path = "../e2e/merchant.rs"]
mod merchant;
mod plan;
mod servers;
#[allow(dead_code)] // not each of its tools is in use here
#[path = "../e2e/service.rs"]
mod service;
#[path = "../e2e/sound.rs"]
mod sound;
mod storm;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod weather;

use plan::Form;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_storm() {
    storm::pass(Form::short()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make chaos"]
async fn a_long_storm() {
    storm::pass(Form::long()).await;
}
