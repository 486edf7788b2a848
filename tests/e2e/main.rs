//! End to end: the built program on a real broker and a real database. Run by `make test`, or by
//! `scripts/with-servers cargo test --features failpoints --test e2e`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod aliases;
mod audited;
mod beside;
mod budget;
mod cluster;
mod collector;
mod crashed;
mod dispatch;
mod doctor;
mod examples;
mod explained;
mod handover;
mod harness;
mod held;
mod hot;
mod installed;
mod interleaved;
mod joined;
mod kept;
mod killed;
mod kubelet;
mod late;
mod listed;
mod many;
mod marked;
mod merchant;
mod operators;
mod outage;
mod outbox;
mod outcomes;
mod parked;
mod paused;
mod plans;
mod rate;
mod redacted;
mod replayed;
mod restored;
mod roles;
mod rolled;
mod service;
mod shop;
mod shutdown;
mod sized;
mod sound;
mod steps;
#[path = "../support/mod.rs"]
mod support;
mod tour;
mod traced;
mod traps;
mod weighed;
mod whole;
mod woken;
