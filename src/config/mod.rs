//! The configuration: typed settings, where each value comes from, and what is refused.
//!
//! [`Settings::load`] puts four layers on each other (`load`): `config/default.toml`, the file, the environment, the flags.
//! What cannot work is refused in sentences that name the key (`refuse`), and `print` shows what is in force with the
//! secrets masked. Nothing here looks at the network, and nothing outside reads settings of our own from the environment
//! (those of OpenTelemetry, `OTEL_*`, are read by its exporter).
//!
//! `config/default.toml` is the reference of the keys. The types below take exactly its keys, neither more nor fewer, and
//! leave no default of their own.

mod keys;
mod layers;
mod load;
mod print;
mod refuse;
mod refuse_target;
mod secret;
mod target;
#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

pub use layers::{Origin, Refusal, Sources};
pub use load::{ConfigErrors, Loaded};
pub use print::{Entry, entries, table};
pub use refuse::{Purpose, SETTLING_MARGIN};
pub use secret::{Secret, SecretError};
pub use target::{AliasTypes, Environment, Headers, OwnHeader, Target};
pub use values::parse_duration;

use values::{address, duration, flag, number, text, whole, words};

/// The built-in layer, and the reference of every key.
pub const DEFAULTS: &str = include_str!("../../config/default.toml");

/// The name of the target that events mean when they name none.
pub const DEFAULT_TARGET: &str = "default";

/// Everything that can be configured. See `config/default.toml` for the meaning of each key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The broker side.
    pub kafka: Kafka,
    /// The ledger's place.
    pub database: Database,
    /// The ops port.
    pub ops: Ops,
    /// Batches, and the brake on unreadable topics.
    pub ingest: Ingest,
    /// The Buy with Prime accounts by name; the names are `[a-z][a-z0-9]*`.
    #[serde(default)]
    pub targets: BTreeMap<String, Target>,
    /// How orders are worked on.
    pub dispatch: Dispatch,
    /// The schedule of a thing that fails.
    pub retry: Retry,
    /// What waits for an alias or for a sandbox.
    pub waiting: Waiting,
    /// The end of the process.
    pub shutdown: Shutdown,
    /// How long things are remembered.
    pub retention: Retention,
    /// The brake on a failing target.
    pub breaker: Breaker,
    /// The limit of our own on requests.
    pub rate: Rate,
    /// Verdicts for single codes or types of Buy with Prime's errors, in small letters.
    #[serde(default)]
    pub verdicts: BTreeMap<String, Overruling>,
    /// What is logged and how.
    pub log: Log,
}

/// The broker side.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kafka {
    /// `host:port`, separated by commas.
    #[serde(deserialize_with = "text")]
    pub brokers: String,
    /// The group that all replicas share.
    #[serde(deserialize_with = "text")]
    pub group_id: String,
    /// The names of the topics.
    pub topics: Topics,
    /// What is handed to librdkafka as it is. Each value may be a secret, so all are held as such.
    #[serde(default)]
    pub properties: BTreeMap<String, Secret>,
}

/// The names of the topics; an empty one is not used.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topics {
    /// In: returns.
    #[serde(deserialize_with = "text")]
    pub returns: String,
    /// In: refunds.
    #[serde(deserialize_with = "text")]
    pub refunds: String,
    /// In: shipments.
    #[serde(deserialize_with = "text")]
    pub shipments: String,
    /// In: orders.
    #[serde(deserialize_with = "text")]
    pub orders: String,
    /// In: rows of the alias table.
    #[serde(deserialize_with = "text")]
    pub aliases: String,
    /// Out: outcomes.
    #[serde(deserialize_with = "text")]
    pub outcomes: String,
    /// Out: the original records of dead and quarantined events.
    #[serde(deserialize_with = "text")]
    pub dead_letters: String,
}

impl Topics {
    /// Every key with its topic, used or not: those read first, then those written.
    pub fn all(&self) -> [(&'static str, &str); 7] {
        [
            ("returns", &self.returns),
            ("refunds", &self.refunds),
            ("shipments", &self.shipments),
            ("orders", &self.orders),
            ("aliases", &self.aliases),
            ("outcomes", &self.outcomes),
            ("dead_letters", &self.dead_letters),
        ]
    }

    /// The topics that are read.
    pub fn read(&self) -> Vec<&str> {
        self.all().into_iter().take(5).map(|(_, topic)| topic).filter(|topic| !topic.is_empty()).collect()
    }

    /// The topic of outcomes, where it is used.
    pub fn outcomes(&self) -> Option<&str> {
        Some(self.outcomes.as_str()).filter(|topic| !topic.is_empty())
    }

    /// The topic of dead letters, where it is used.
    pub fn dead_letters(&self) -> Option<&str> {
        Some(self.dead_letters.as_str()).filter(|topic| !topic.is_empty())
    }
}

/// The ledger's place.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// The address of the ledger; it may hold a password.
    pub url: Secret,
    /// Connections of one replica.
    #[serde(deserialize_with = "whole")]
    pub max_connections: u32,
    /// Whether `run` applies pending migrations.
    #[serde(deserialize_with = "flag")]
    pub migrate_on_start: bool,
}

/// The ops port.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ops {
    /// Where it listens.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
}

/// Batches, and the brake on unreadable topics.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ingest {
    /// Above this share of unreadable records a topic is paused; 0 to 1.
    #[serde(deserialize_with = "number")]
    pub poison_share: f64,
    /// Records in a batch, at least 1.
    #[serde(deserialize_with = "whole")]
    pub batch_records: usize,
    /// Bytes in a batch, at least 1.
    #[serde(deserialize_with = "whole")]
    pub batch_bytes: usize,
    /// How long after the one before a batch goes that is not full.
    #[serde(deserialize_with = "duration")]
    pub batch_wait: Duration,
}

words! {
    /// Whether what is due for an order goes together.
    Coalesce {
        /// In one mutation per operation.
        Order = "order",
        /// Each thing alone.
        Off = "off",
    }
}

words! {
    /// Which things unknown to the ledger are read before their first mutation.
    ReadFirst {
        /// None.
        Off = "off",
        /// Refunds only.
        Refunds = "refunds",
        /// All things.
        All = "all",
    }
}

/// How orders are worked on.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dispatch {
    /// Joining.
    pub coalesce: Coalesce,
    /// Orders of one replica in flight, 1 to 1024.
    #[serde(deserialize_with = "whole")]
    pub max_in_flight: usize,
    /// One request's time.
    #[serde(deserialize_with = "duration")]
    pub request_timeout: Duration,
    /// How long an order is held; longer than `request_timeout` and [`SETTLING_MARGIN`] together.
    #[serde(deserialize_with = "duration")]
    pub lease: Duration,
    /// What is read first.
    pub read_first: ReadFirst,
}

/// The schedule of a thing that fails.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// The first pause.
    #[serde(deserialize_with = "duration")]
    pub initial: Duration,
    /// The longest pause.
    #[serde(deserialize_with = "duration")]
    pub max: Duration,
    /// The time from the first failure until `DEAD`.
    #[serde(deserialize_with = "duration")]
    pub budget: Duration,
}

/// What waits for an alias or for a sandbox.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiting {
    /// How often a waiting event's order is read.
    #[serde(deserialize_with = "duration")]
    pub read_interval: Duration,
    /// When an event stops waiting.
    #[serde(deserialize_with = "duration")]
    pub give_up_after: Duration,
    /// The time that a sandbox gets to show a step.
    #[serde(deserialize_with = "duration")]
    pub sandbox_interval: Duration,
}

/// The end of the process.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {
    /// How long calls in flight may go on.
    #[serde(deserialize_with = "duration")]
    pub grace: Duration,
}

/// How long things are remembered.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Identities of events.
    #[serde(deserialize_with = "duration")]
    pub dedupe: Duration,
    /// Settled events.
    #[serde(deserialize_with = "duration")]
    pub history: Duration,
    /// What Buy with Prime is known to hold, and orders with all their names.
    #[serde(deserialize_with = "duration")]
    pub known_state: Duration,
}

/// The brake on a failing target.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Breaker {
    /// Failures in a row that open it, at least 1.
    #[serde(deserialize_with = "whole")]
    pub failures: u32,
    /// How long it stays open before a probe.
    #[serde(deserialize_with = "duration")]
    pub probe_interval: Duration,
}

/// The limit of our own on requests to each target, for all replicas together.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Requests a second; 0 means no limit. See [`Rate::limit`].
    #[serde(deserialize_with = "number")]
    pub per_second: f64,
    /// Requests at once after a quiet time, at least 1.
    #[serde(deserialize_with = "whole")]
    pub burst: u32,
}

impl Rate {
    /// The limit in requests a second, where there is one.
    pub fn limit(&self) -> Option<f64> {
        Some(self.per_second).filter(|limit| *limit > 0.0)
    }
}

words! {
    /// A verdict that may stand in place of the table's: none that takes an error for success.
    Overruling {
        /// It may have been applied: read and compare.
        Unknown = "unknown",
        /// The credentials fail.
        Credentials = "credentials",
        /// Too fast.
        Throttled = "throttled",
        /// The order is not known there.
        OrderUnknown = "order_unknown",
        /// Again after `waiting.sandbox_interval`.
        NotYet = "not_yet",
        /// Surely not applied: again with the usual delays.
        Retry = "retry",
        /// It exists already.
        AlreadyExists = "already_exists",
        /// It may be so already: read; what is not so is refused.
        CheckState = "check_state",
        /// Refused for good.
        Refused = "refused",
    }
}

words! {
    /// The form of the log.
    LogFormat {
        /// One object a line.
        Json = "json",
        /// For eyes.
        Pretty = "pretty",
    }
}

/// What is logged and how.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The form.
    pub format: LogFormat,
    /// The level, also by module.
    #[serde(deserialize_with = "text")]
    pub level: String,
}
