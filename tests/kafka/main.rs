//! The loops that touch Kafka, against librdkafka's own mock cluster, with inboxes and outboxes in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod ingest;
mod publish;
mod support;
