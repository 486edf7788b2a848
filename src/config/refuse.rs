//! What stops the start: values that cannot work, alone or together. Only what is truly impossible is refused; what is
//! merely odd is a warning. Each target by itself is `refuse_target`'s matter.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::layers::{Origin, Refusal};
use super::load::Values;
use super::{DEFAULT_TARGET, Secret, Settings, keys};

/// What an attempt may take beside its request: writing the outcome down, and the clocks' difference.
pub const SETTLING_MARGIN: Duration = Duration::from_secs(2);

/// What the settings are loaded for; it decides what must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The daemon (and `check`, `doctor`): database and credentials must be there.
    Run,
    /// What only works on the ledger: the database must be there.
    Ledger,
    /// `map`: nothing must be there, and no secret is read.
    Map,
}

/// Refuses, or returns the warnings.
pub(super) fn check(settings: &Settings, values: &Values, purpose: Purpose) -> Result<Vec<String>, Vec<Refusal>> {
    let mut checks = Checks { settings, values, purpose, refusals: Vec::new() };
    checks.secret_pairs();
    checks.kafka();
    checks.database();
    checks.ranges();
    checks.times();
    for (name, target) in &settings.targets {
        checks.target(name, target);
    }
    match checks.refusals {
        refusals if refusals.is_empty() => Ok(warnings(settings)),
        refusals => Err(refusals),
    }
}

fn warnings(settings: &Settings) -> Vec<String> {
    let mut warnings = Vec::new();
    if !settings.targets.contains_key(DEFAULT_TARGET) {
        warnings.push(format!("targets.{DEFAULT_TARGET} is not configured: every event that names no target will end DEAD"));
    }
    if settings.shutdown.grace <= settings.dispatch.request_timeout {
        warnings.push(
            "shutdown.grace is not longer than dispatch.request_timeout: a call in flight at the end may be cut off, and \
             its order is then read before anything else of it is sent"
                .to_owned(),
        );
    }
    warnings
}

pub(super) struct Checks<'a> {
    settings: &'a Settings,
    values: &'a Values,
    pub(super) purpose: Purpose,
    refusals: Vec<Refusal>,
}

impl Checks<'_> {
    pub(super) fn refuse(&mut self, key: impl Into<String>, what: impl Into<String>) {
        let refusal = self.values.refusal(key, what);
        self.refusals.push(refusal);
    }

    fn secret_pairs(&mut self) {
        let both: Vec<(String, String)> = self
            .values
            .all()
            .filter_map(|(file, _)| Some((keys::secret_of_file(file)?.to_owned(), file.to_owned())))
            .filter(|(secret, file)| !self.values.text(secret).is_empty() && !self.values.text(file).is_empty())
            .collect();
        for (secret, file) in both {
            let origin = self.values.origin(&file).map(ToString::to_string).unwrap_or_default();
            self.refuse(secret, format!("is set, and so is {file} ({origin}); set only one of the two"));
        }
    }

    /// Reads a secret; `None` where it is of no use, which is then refused.
    pub(super) fn secret(&mut self, key: &str, secret: &Secret) -> Option<SecretString> {
        match secret.reload() {
            Ok(value) => Some(value),
            Err(error) => {
                self.refuse(format!("{key}{}", keys::FILE), format!("is of no use: {error}"));
                None
            }
        }
    }

    fn kafka(&mut self) {
        let kafka = &self.settings.kafka;
        for (key, value) in [("kafka.brokers", &kafka.brokers), ("kafka.group_id", &kafka.group_id)] {
            if value.trim().is_empty() {
                self.refuse(key, "is empty");
            }
        }
        if kafka.topics.read().is_empty() {
            self.refuse("kafka.topics", "has no topic to read: all of returns, refunds, shipments, orders and aliases are empty");
        }
        let mut used = BTreeMap::new();
        for (key, topic) in kafka.topics.all().into_iter().filter(|(_, topic)| !topic.is_empty()) {
            let legal = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
            if topic.len() > 249 || !topic.chars().all(legal) || topic == "." || topic == ".." {
                self.refuse(
                    format!("kafka.topics.{key}"),
                    format!("is {topic:?}; a topic's name is up to 249 letters, digits, dots, hyphens and underscores"),
                );
            }
            if let Some(other) = used.insert(topic, key) {
                self.refuse(format!("kafka.topics.{key}"), format!("is {topic:?}, and so is kafka.topics.{other}"));
            }
        }
        for (name, value) in &kafka.properties {
            self.property(name, value);
        }
    }

    fn property(&mut self, name: &str, value: &Secret) {
        let key = format!("{}{name}", keys::PROPERTIES);
        let instead = match name {
            "bootstrap.servers" | "metadata.broker.list" => "set kafka.brokers",
            "group.id" => "set kafka.group_id",
            "enable.auto.commit" | "enable.auto.offset.store" | "auto.commit.enable" | "auto.offset.reset" => {
                "offsets move only after the events are durable"
            }
            "enable.idempotence" | "transactional.id" | "enable.partition.eof" => "the program decides it",
            _ => "",
        };
        if !instead.is_empty() {
            return self.refuse(key, format!("cannot be set here: {instead}"));
        }
        if self.purpose == Purpose::Map {
            return;
        }
        let Some(value) = self.secret(&key, value) else {
            return;
        };
        let outcome = rdkafka::ClientConfig::new().set(name, value.expose_secret()).create_native_config().map(drop);
        if let Err(error) = outcome {
            // Its text quotes the value, which may be a secret.
            let what = match error {
                rdkafka::error::KafkaError::ClientConfig(_, text, _, _) if !keys::is_secret(&key) => text,
                _ => "unknown property or impossible value".to_owned(),
            };
            self.refuse(key, format!("is refused by librdkafka: {what}"));
        }
    }

    fn database(&mut self) {
        if self.purpose == Purpose::Map {
            return;
        }
        let database = &self.settings.database;
        if database.url.is_unset() {
            return self.refuse("database.url", "is not set (nor is database.url_file); it says where the ledger is");
        }
        if let Some(url) = self.secret("database.url", &database.url)
            && sqlx::postgres::PgConnectOptions::from_str(url.expose_secret()).is_err()
        {
            self.refuse("database.url", "is not an address such as postgres://user:password@host:5432/name");
        }
    }

    fn ranges(&mut self) {
        let settings = self.settings;
        let max_in_flight = settings.dispatch.max_in_flight;
        if !(1..=1024).contains(&max_in_flight) {
            self.refuse("dispatch.max_in_flight", format!("is {max_in_flight}; it must be from 1 to 1024"));
        }
        let share = settings.ingest.poison_share;
        if !(0.0..=1.0).contains(&share) {
            self.refuse("ingest.poison_share", format!("is {share}; it must be from 0 to 1"));
        }
        if settings.rate.per_second < 0.0 {
            self.refuse("rate.per_second", format!("is {}; it must be 0 (no limit) or more", settings.rate.per_second));
        }
        for (key, value) in [
            ("database.max_connections", settings.database.max_connections as usize),
            ("ingest.batch_records", settings.ingest.batch_records),
            ("ingest.batch_bytes", settings.ingest.batch_bytes),
            ("breaker.failures", settings.breaker.failures as usize),
            ("rate.burst", settings.rate.burst as usize),
        ] {
            if value == 0 {
                self.refuse(key, "is 0; it must be at least 1");
            }
        }
        if !is_log_level(&settings.log.level) {
            let level = &settings.log.level;
            self.refuse(
                "log.level",
                format!("is {level:?}; write a level such as \"info\", or \"info,bwp_sync::dispatch=debug\""),
            );
        }
    }

    fn times(&mut self) {
        let settings = self.settings;
        for (key, duration) in [
            ("dispatch.request_timeout", settings.dispatch.request_timeout),
            ("retry.initial", settings.retry.initial),
            ("waiting.read_interval", settings.waiting.read_interval),
            ("waiting.sandbox_interval", settings.waiting.sandbox_interval),
            ("breaker.probe_interval", settings.breaker.probe_interval),
            ("retention.dedupe", settings.retention.dedupe),
            ("retention.history", settings.retention.history),
            ("retention.known_state", settings.retention.known_state),
        ] {
            if duration.is_zero() {
                self.refuse(key, "is zero; it must be longer");
            }
        }
        if settings.dispatch.lease <= settings.dispatch.request_timeout + SETTLING_MARGIN {
            let what = format!(
                "is {}; it must be longer than dispatch.request_timeout ({}) and {} s for settling together",
                self.values.text("dispatch.lease"),
                self.shown("dispatch.request_timeout"),
                SETTLING_MARGIN.as_secs()
            );
            self.refuse("dispatch.lease", what);
        }
        if settings.retry.initial > settings.retry.max {
            let initial = self.values.text("retry.initial");
            let what = format!("is {initial}; it must not be longer than retry.max ({})", self.shown("retry.max"));
            self.refuse("retry.initial", what);
        }
    }

    /// The other value of a pair, with its source where that is not the default.
    fn shown(&self, key: &str) -> String {
        match self.values.origin(key) {
            Some(origin) if *origin != Origin::Default => {
                format!("{}, {origin}", self.values.text(key))
            }
            _ => self.values.text(key),
        }
    }
}

/// Whether it is what it looks like: `EnvFilter` alone would take a misspelt level for the name of a module.
fn is_log_level(text: &str) -> bool {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let sensible = |part: &str| part.contains('=') || LEVELS.contains(&part.trim().to_ascii_lowercase().as_str());
    text.split(',').all(sensible) && tracing_subscriber::EnvFilter::try_new(text).is_ok()
}
