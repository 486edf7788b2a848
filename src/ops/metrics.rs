//! Every metric of the program: its name, its kind, its labels and its help text, each in one constant.
//!
//! No label names an order, an event or an alias. What is not listed in [`ALL`] does not exist.

use std::collections::BTreeSet;
use std::sync::{LazyLock, Mutex, PoisonError};

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

/// What a metric counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations in seconds, or sizes, with the upper ends of its buckets.
    Histogram(&'static [f64]),
}

/// One metric.
#[derive(Debug)]
pub struct Metric {
    /// The whole name.
    pub name: &'static str,
    /// What it counts.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
}

/// Label values, in the order of the metric's label names.
pub type LabelValues<'a> = &'a [&'a str];

impl Metric {
    const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: Kind::Counter, labels, help }
    }

    const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Self {
        Self { name, kind: Kind::Gauge, labels, help }
    }

    const fn histogram(name: &'static str, labels: &'static [&'static str], buckets: &'static [f64], help: &'static str) -> Self {
        Self { name, kind: Kind::Histogram(buckets), labels, help }
    }

    /// Adds to a counter.
    pub fn add(&self, labels: LabelValues<'_>, count: u64) {
        debug_assert_eq!(self.kind, Kind::Counter, "{}", self.name);
        metrics::counter!(self.name, self.labels(labels)).increment(count);
    }

    /// Brings a counter that is kept elsewhere up to where it is there.
    pub fn reach(&self, labels: LabelValues<'_>, total: u64) {
        debug_assert_eq!(self.kind, Kind::Counter, "{}", self.name);
        metrics::counter!(self.name, self.labels(labels)).absolute(total);
    }

    /// Sets a gauge.
    pub fn set(&self, labels: LabelValues<'_>, value: f64) {
        debug_assert_eq!(self.kind, Kind::Gauge, "{}", self.name);
        metrics::gauge!(self.name, self.labels(labels)).set(value);
    }

    /// Records a duration in a histogram.
    pub fn observe(&self, labels: LabelValues<'_>, duration: std::time::Duration) {
        self.of(labels).record(duration.as_secs_f64());
    }

    /// Records a size in a histogram.
    pub fn record(&self, labels: LabelValues<'_>, size: usize) {
        self.of(labels).record(size as f64);
    }

    fn of(&self, labels: LabelValues<'_>) -> metrics::Histogram {
        debug_assert!(matches!(self.kind, Kind::Histogram(_)), "{}", self.name);
        metrics::histogram!(self.name, self.labels(labels))
    }

    fn labels(&self, values: LabelValues<'_>) -> Vec<metrics::Label> {
        debug_assert_eq!(self.labels.len(), values.len(), "the labels of {} are {:?}", self.name, self.labels);
        self.labels.iter().zip(values).map(|(name, value)| metrics::Label::new(*name, (*value).to_owned())).collect()
    }

    fn describe(&self) {
        match self.kind {
            Kind::Counter => metrics::describe_counter!(self.name, self.help),
            Kind::Gauge => metrics::describe_gauge!(self.name, self.help),
            Kind::Histogram(_) => metrics::describe_histogram!(self.name, self.help),
        }
    }
}

/// From 5 ms to a day: what an event may take.
const LONG: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21_600.0, 86_400.0];
/// From 5 ms to 30 s: what one request may take.
const SHORT: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// From one to the largest batch that can be configured.
const SIZES: &[f64] = &[1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10_000.0];

/// Makes the constants and their list, so that none is forgotten in it.
macro_rules! metrics_list {
    ($($(#[$doc:meta])* $constant:ident = $kind:ident($name:literal, $labels:expr $(, $buckets:ident)?, $help:literal);)+) => {
        $($(#[$doc])* pub const $constant: Metric = Metric::$kind(concat!("bwp_sync_", $name), $labels, $($buckets,)? $help);)+
        /// Every metric there is.
        pub const ALL: &[Metric] = &[$($constant),+];
    };
}

metrics_list! {
    /// Records taken from Kafka.
    RECORDS_READ = counter("records_read_total", &["topic"], "Records made durable in the ledger, or known to be nothing, by topic");
    /// Tombstones.
    TOMBSTONES = counter("tombstones_total", &[], "Records without a value, which are no events");
    /// Duplicates.
    DUPLICATES = counter("duplicates_total", &[], "Records whose event had been read before");
    /// Unreadable records.
    QUARANTINED = counter("quarantined_total", &["topic"], "Records that could not be read as events, by topic");
    /// A topic stopped because most of it is unreadable.
    INGEST_PAUSED = gauge("ingest_paused", &["topic"], "1 while a topic is paused because too many of its records cannot be read, or by an operator");
    /// Records not read yet.
    LAG_RECORDS = gauge("lag_records", &["topic"], "Records of this replica's partitions that are not read yet, by topic");
    /// How old what is not read yet is.
    LAG_SECONDS = gauge("lag_seconds", &["topic"], "For how long the oldest record of this replica's partitions that is not read yet has been there, by topic; 0 where all is read");
    /// Final outcomes.
    OUTCOMES = counter("outcomes_total", &["kind", "status"], "Final outcomes of events, by kind of thing and status");
    /// Events without a final outcome.
    BACKLOG = gauge("backlog", &["state"], "Events of the whole ledger without a final outcome, by state; the same on every replica");
    /// What events wait for.
    WAITING = gauge("waiting", &["kind"], "Events of the whole ledger that wait for a name, by the kind of thing that it names; one that waits for several kinds is counted in each; the same on every replica");
    /// Who will give up first.
    WAITING_OLDEST = gauge("waiting_oldest_seconds", &[], "For how long the oldest of the waiting events has waited, of waiting.give_up_after; 0 where none waits");
    /// When it gives up.
    WAITING_LIMIT = gauge("waiting_limit_seconds", &[], "How long an event may wait for a name: waiting.give_up_after");
    /// Who is next once others have been taken up.
    WAKING_ORDERS = gauge("waking_orders", &["target"], "Orders of the whole ledger that a name has woken and that still wait for their turn, since many were woken at once, by target; the same on every replica");
    /// Names that came to stand for something else.
    ALIAS_CHANGES = counter("alias_changes_total", &[], "Rows of the whole alias table that took the place of one that said something else, from any source; the same on every replica");
    /// How old the oldest of it is.
    BACKLOG_OLDEST = gauge("backlog_oldest_seconds", &["state"], "Age of the oldest event of a state, from its intake; of queued ones: for how long the first order in line has been due; of unpublished ones: since the first of them was settled; 0 where there is none");
    /// What goes to the ledger together.
    BATCH_SIZE = histogram("batch_size", &["step"], SIZES, "What one transaction of the ledger took: records of an intake, orders of a claim, answers of a settle");
    /// The pool.
    CONNECTIONS = gauge("database_connections", &["use"], "Connections to Postgres that this replica holds: in use, or idle");
    /// How scarce they are.
    CONNECTION_WAIT = histogram("database_wait_seconds", &["step"], SHORT, "Time that an intake, a claim or a settle waited for a connection to Postgres");
    /// The accounting identity.
    IMBALANCE = gauge("imbalance", &[], "Records read, less all that the ledger can account for; anything but 0 is an error of the program");
    /// The same, kind by kind.
    IMBALANCE_BY_KIND = gauge("imbalance_by_kind", &["kind"], "The same for each kind of event: records read, less all that the ledger can account for; anything but 0 is an error of the program");
    /// What must be true of the ledger.
    INVARIANT_VIOLATIONS = gauge("invariant_violations", &["invariant"], "Places in the ledger where an invariant does not hold, as the audit sees it now; anything but 0 is an error of the program");
    /// Calls that changed, or meant to change, something.
    ATTEMPTS = counter("attempts_total", &["verdict"], "Mutations for Buy with Prime that were tried, by what became of them");
    /// Calls that changed nothing.
    READS = counter("reads_total", &["verdict"], "Reads of orders that were tried, by what became of them");
    /// Answers that nobody has judged yet.
    UNLISTED_ERRORS = counter("unlisted_errors_total", &["code"], "Errors of Buy with Prime that the table of verdicts does not list, by code; each took the safe verdict");
    /// Turns that orders took.
    TURNS = counter("turns_total", &["by"], "Turns of orders that led to a call: by their intake, by a claim, or by holding the order on after a settle");
    /// Orders that cannot be worked on.
    LANES_PARKED = counter("lanes_parked_total", &[], "Orders put to rest because they killed their holders or cannot be read");
    /// Orders that rest now.
    PARKED_LANES = gauge("parked_lanes", &[], "Orders of the whole ledger that rest because they killed their holders or cannot be read");
    /// Processes that share the work.
    REPLICAS = gauge("replicas", &[], "Replicas that live, as this one sees it");
    /// This replica's part of the rate.
    RATE_SHARE = gauge("rate_share", &["target"], "Requests a second that this replica may make of a target's rate; 0 where there is no limit");
    /// From when it happened to its final outcome.
    EVENT_TO_SETTLED = histogram("event_to_settled_seconds", &[], LONG, "Time from an event's own `time`, by its producer's clock, to its final outcome");
    /// From its intake to its final outcome.
    RECEIVED_TO_SETTLED = histogram("received_to_settled_seconds", &[], LONG, "Time from the intake of an event to its final outcome");
    /// One request.
    CALL_SECONDS = histogram("call_seconds", &["target", "operation"], SHORT, "Time of one request to Buy with Prime, until its answer is read");
    /// Writes that came too late.
    STALE_SETTLES = counter("stale_settles_total", &[], "Results thrown away because the order had been handed to another holder meanwhile");
    /// The brake.
    BREAKER_OPEN = gauge("breaker_open", &["target"], "1 while nothing is sent to a target because its credentials or service fail");
    /// An operator's stop.
    TARGET_PAUSED = gauge("target_paused", &["target"], "1 while nothing is sent to a target because an operator paused it");
    /// The wish of an answer.
    RETRY_AFTER = gauge("retry_after_seconds", &["target"], "For how long a target is still left alone because it asked for that; 0 where it did not");
    /// Token requests.
    TOKEN_REFRESHES = counter("token_refreshes_total", &["result"], "Requests for a token, by result; rejected: one was issued, and the API refused it");
    /// How old the token is.
    TOKEN_AGE = gauge("token_age_seconds", &["target"], "Age of the token that a target is called with; -1 while there is none");
    /// Calls on their way.
    IN_FLIGHT = gauge("in_flight", &["target"], "Calls of this replica that are on their way to a target now");
    /// Calls that may be on their way at once.
    IN_FLIGHT_LIMIT = gauge("in_flight_limit", &["target"], "Calls to a target that this replica may have on their way at once, as it has found out");
    /// Records written to Kafka.
    PUBLISHED = counter("published_total", &["topic"], "Outcomes and dead letters that the broker has confirmed, by topic");
    /// What was forgotten.
    RETENTION_ROWS = counter("retention_rows_total", &[], "Rows of the ledger that retention deleted; a whole day that is dropped counts as one");
    /// Whether retention keeps pace.
    RETENTION_BEHIND = gauge("retention_behind", &[], "1 while there is more to forget than has been forgotten, or while forgetting fails");
    /// Which program this is.
    BUILD_INFO = gauge("build_info", &["version", "commit"], "Always 1; which program this is");
}

/// A word of somebody else's as a label's value: the first few different ones, and one for all further.
pub fn few(word: &str) -> String {
    const MOST: usize = 50;
    static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    if seen.contains(word) || (seen.len() < MOST && seen.insert(word.to_owned())) { word.to_owned() } else { "others".to_owned() }
}

/// The values of `kind`: those of the alias table, and one for what could not be read.
pub const KINDS: [&str; 6] = ["ORDER", "LINE_ITEM", "RETURN", "REFUND", "PACKAGE", "UNKNOWN"];
/// The values of `status`.
pub const STATUSES: [&str; 7] = ["DELIVERED", "CONFIRMED", "SUPERSEDED", "NOTHING_TO_SEND", "DEAD", "QUARANTINED", "DISCARDED"];
/// The values of `state`.
pub const STATES: [&str; 4] = ["waiting", "queued", "retrying", "in_flight"];
/// The values of `use`.
pub const CONNECTION_USES: [&str; 2] = ["busy", "idle"];
/// The values of `by`.
pub const TURN_REASONS: [&str; 3] = ["intake", "claim", "hold"];
/// The values of `result`.
pub const TOKEN_RESULTS: [&str; 3] = ["ok", "error", "rejected"];
/// The values of `step`.
pub const STEPS: [&str; 3] = ["intake", "claim", "settle"];
/// The values of `operation`.
pub const OPERATIONS: [&str; 3] = ["updateOrder", "updateOrderPackageInformation", "order"];

/// CPU, memory and file handles of this process, as the system says, under the customary names with our prefix.
pub fn process() -> &'static metrics_process::Collector {
    static PROCESS: LazyLock<metrics_process::Collector> = LazyLock::new(|| metrics_process::Collector::new("bwp_sync_"));
    &PROCESS
}

/// The label values that are only known at the start.
#[derive(Debug, Default)]
pub struct KnownLabels<'a> {
    /// Topics that are read.
    pub read_topics: Vec<&'a str>,
    /// Topics that are written.
    pub written_topics: Vec<&'a str>,
    /// The verdicts that an attempt may end with.
    pub verdicts: Vec<&'a str>,
    /// The targets.
    pub targets: Vec<&'a str>,
}

/// A recorder with the right buckets, not installed anywhere.
pub fn recorder() -> Result<PrometheusRecorder, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for metric in ALL {
        if let Kind::Histogram(buckets) = metric.kind {
            builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets)?;
        }
    }
    Ok(builder.build_recorder())
}

/// Makes a recorder that of the whole process, with every metric described.
pub fn install() -> Result<PrometheusHandle, InstallError> {
    let recorder = recorder()?;
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|_| InstallError::Installed)?;
    describe();
    process().describe();
    Ok(handle)
}

/// Why metrics cannot be recorded.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// A metric is not what the exporter takes.
    #[error("a metric cannot be built: {0}")]
    Build(#[from] BuildError),
    /// It was done before.
    #[error("metrics are recorded already")]
    Installed,
}

/// Gives every metric its help text, and says which program this is.
pub fn describe() {
    ALL.iter().for_each(Metric::describe);
    BUILD_INFO.set(&[crate::VERSION, crate::COMMIT.unwrap_or("unknown")], 1.0);
}

/// Shows the counters before their first event, so that a rate sees the first one.
pub fn start_at_zero(known: &KnownLabels<'_>) {
    let topics = known.read_topics.iter();
    topics.clone().for_each(|topic| RECORDS_READ.add(&[topic], 0));
    topics.clone().for_each(|topic| QUARANTINED.add(&[topic], 0));
    topics.for_each(|topic| INGEST_PAUSED.set(&[topic], 0.0));
    known.written_topics.iter().for_each(|topic| PUBLISHED.add(&[topic], 0));
    known.verdicts.iter().for_each(|verdict| ATTEMPTS.add(&[verdict], 0));
    known.verdicts.iter().for_each(|verdict| READS.add(&[verdict], 0));
    for target in &known.targets {
        [&BREAKER_OPEN, &TARGET_PAUSED, &RETRY_AFTER, &IN_FLIGHT, &WAKING_ORDERS]
            .iter()
            .for_each(|gauge| gauge.set(&[target], 0.0));
        OPERATIONS.iter().for_each(|operation| drop(CALL_SECONDS.of(&[target, operation])));
    }
    TURN_REASONS.iter().for_each(|by| TURNS.add(&[by], 0));
    TOKEN_RESULTS.iter().for_each(|result| TOKEN_REFRESHES.add(&[result], 0));
    for kind in KINDS {
        STATUSES.iter().for_each(|status| OUTCOMES.add(&[kind, status], 0));
    }
    for counter in [&TOMBSTONES, &DUPLICATES, &STALE_SETTLES, &LANES_PARKED, &ALIAS_CHANGES, &RETENTION_ROWS] {
        counter.add(&[], 0);
    }
    for step in STEPS {
        [&BATCH_SIZE, &CONNECTION_WAIT].iter().for_each(|histogram| drop(histogram.of(&[step])));
    }
    [&EVENT_TO_SETTLED, &RECEIVED_TO_SETTLED].iter().for_each(|histogram| drop(histogram.of(&[])));
}

#[cfg(test)]
#[path = "metrics_page.rs"]
mod page;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;

    #[test]
    fn names_follow_the_customs() {
        let names: BTreeSet<&str> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), ALL.len());
        for metric in ALL {
            assert!(metric.name.starts_with("bwp_sync_") && metric.help.len() > 10, "{}", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Kind::Counter, "{}", metric.name);
            let is_sized = ["_seconds", "_size"].iter().any(|unit| metric.name.ends_with(unit));
            assert!(is_sized || !matches!(metric.kind, Kind::Histogram(_)), "{}", metric.name);
            for label in metric.labels {
                assert!(!["order", "event", "alias", "id"].contains(label), "{}", metric.name);
            }
        }
    }

    #[test]
    fn counters_show_before_the_first_event_and_everything_has_its_help() {
        let recorder = recorder().unwrap();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            describe();
            start_at_zero(&KnownLabels {
                read_topics: vec!["oms.returns"],
                written_topics: vec!["bwp.outcomes"],
                verdicts: vec!["delivered"],
                targets: vec!["default"],
            });
            EVENT_TO_SETTLED.observe(&[], Duration::from_millis(30));
            RECORDS_READ.add(&["oms.returns"], 3);
            BACKLOG.set(&["waiting"], 2.0);
        });
        handle.run_upkeep();
        let text = handle.render();
        for line in [
            "bwp_sync_records_read_total{topic=\"oms.returns\"} 3",
            "bwp_sync_tombstones_total 0",
            "bwp_sync_outcomes_total{kind=\"PACKAGE\",status=\"DEAD\"} 0",
            "bwp_sync_attempts_total{verdict=\"delivered\"} 0",
            "bwp_sync_backlog{state=\"waiting\"} 2",
            "bwp_sync_event_to_settled_seconds_bucket{le=\"0.025\"} 0",
            "bwp_sync_event_to_settled_seconds_bucket{le=\"0.05\"} 1",
            "bwp_sync_event_to_settled_seconds_bucket{le=\"3600\"} 1",
            "bwp_sync_call_seconds_count{target=\"default\",operation=\"order\"} 0",
            "# TYPE bwp_sync_call_seconds histogram",
            "# TYPE bwp_sync_breaker_open gauge",
            "# HELP bwp_sync_duplicates_total Records whose event had been read before",
        ] {
            assert!(text.lines().any(|other| other == line), "{line}\n{text}");
        }
        let described = text.lines().filter(|line| line.starts_with("# HELP")).count();
        let shown = text.lines().filter(|line| line.starts_with("# TYPE")).count();
        assert_eq!(described, shown, "{text}");
    }
}
