//! What comes of a run.

use crate::counters::Statement;
use crate::stage::Setup;
use serde::Serialize;

/// What came of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Measures {
    pub setup: Setup,
    pub events: usize,
    pub mutations: usize,
    pub middle_rate: f64,
    pub whole_rate: f64,
    pub age_p50_ms: Option<f64>,
    pub age_p99_ms: Option<f64>,
    /// Processor time of what is measured, for each event.
    pub cpu_us: f64,
    /// The same of its Postgres.
    pub postgres_cpu_us: Option<f64>,
    /// The same of the stand-in: it must have room to spare, or it is what is measured.
    pub stand_in_cpu_us: f64,
    pub peak_memory_mib: f64,
    pub row_versions: Option<f64>,
    pub wal_bytes: Option<f64>,
    pub statements: Option<f64>,
    pub commits: Option<f64>,
    pub order_breaks: usize,
    pub overlaps: u64,
    pub duplicates: usize,
    /// All that the stand-in's judge has found.
    pub violations: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub longest: Vec<Statement>,
    /// Where the daemon's processor time went, by perf.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub symbols: Vec<String>,
}

impl Measures {
    /// Processor time of an event, with Postgres's.
    pub fn all_cpu_us(&self) -> f64 {
        self.cpu_us + self.postgres_cpu_us.unwrap_or_default()
    }

    /// What must not be.
    pub fn wrong(&self) -> u64 {
        self.order_breaks as u64 + self.duplicates as u64 + self.violations
    }
}
