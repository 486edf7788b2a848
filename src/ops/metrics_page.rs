//! `docs/metrics.md` is made of the constants.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::audit::Invariant;
use crate::dispatch::verdict::Verdict;
use std::fmt::Write;

const HEAD: &str = "# Metrics

`/metrics` on the ops port, in Prometheus text. Durations are in seconds, sizes in bytes or records. No label names an order, an event or an
alias. This page is written by `UPDATE_DOCS=1 cargo test metrics` from `src/ops/metrics.rs`; a test sees that it is true.

Values that are the same on every replica, since they are the whole ledger's, are not to be added up: `alias_changes_total`, `backlog`,
`backlog_oldest_seconds`, `imbalance`, `imbalance_by_kind`, `invariant_violations`, `parked_lanes`, `replicas`, `target_paused`, `waiting`,
`waiting_oldest_seconds`, `waking_orders`.

| name | kind | labels | meaning |
|---|---|---|---|
";

const TAIL: &str = "
The process itself, read at each scrape where the system tells: `bwp_sync_process_cpu_seconds_total`,
`bwp_sync_process_resident_memory_bytes`, `bwp_sync_process_virtual_memory_bytes`, `bwp_sync_process_open_fds`, `bwp_sync_process_max_fds`,
`bwp_sync_process_threads`, `bwp_sync_process_start_time_seconds`.
";

fn values(metric: &Metric, label: &str) -> String {
    let words = |words: &[&str]| words.join(", ");
    match (label, metric.name) {
        ("kind", "bwp_sync_imbalance_by_kind") => {
            "return, refund, shipment, order, alias, unreadable, tombstone, earlier".to_owned()
        }
        ("kind", _) => words(&KINDS),
        ("status", _) => words(&STATUSES),
        ("state", "bwp_sync_backlog_oldest_seconds") => words(&STATES[..3]),
        ("state", _) => words(&STATES),
        ("by", _) => words(&TURN_REASONS),
        ("step", _) => words(&STEPS),
        ("operation", _) => words(&OPERATIONS),
        ("result", _) => words(&TOKEN_RESULTS),
        ("use", _) => words(&CONNECTION_USES),
        ("verdict", _) => words(&Verdict::ALL.map(Verdict::name)),
        ("invariant", _) => words(&Invariant::ALL.map(Invariant::name)),
        ("topic", _) => "the names of kafka.topics".to_owned(),
        ("target", _) => "the names of targets".to_owned(),
        ("code", _) => "Buy with Prime's own words, the first fifty; then `others`".to_owned(),
        ("version" | "commit", _) => "the program's".to_owned(),
        (other, name) => panic!("what values has {other} of {name}?"),
    }
}

fn markdown() -> String {
    let mut page = HEAD.to_owned();
    for metric in ALL {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`: {}", values(metric, label))).collect();
        writeln!(page, "| `{}` | {kind} | {} | {} |", metric.name, labels.join("; "), metric.help).unwrap();
    }
    page + TAIL
}

#[test]
fn every_operation_has_its_label() {
    assert_eq!(OPERATIONS, crate::prime::documents::Operation::ALL.map(|operation| operation.name()));
}

/// `UPDATE_DOCS=1 cargo test metrics` writes the page.
#[test]
fn the_page_is_the_list_of_metrics() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, markdown()).unwrap();
    }
    let written = std::fs::read_to_string(path).expect("docs/metrics.md");
    assert_eq!(written, markdown(), "run UPDATE_DOCS=1 cargo test metrics");
}
