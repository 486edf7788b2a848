//! What the consumer and the producer share: how their settings come together, and where librdkafka's log goes.
//!
//! Owns the list of properties that an operator may not set, because a guarantee rests on them. It reads and writes nothing.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two warnings of one kind.
const PAUSE: Duration = Duration::from_secs(10);

/// How the brokers are reached.
#[derive(Debug, Clone)]
pub struct KafkaSettings {
    /// `host:port`, separated by commas.
    pub brokers: String,
    /// Handed to librdkafka as they are; any may be a secret.
    pub properties: Vec<(String, SecretString)>,
}

/// Why no client can be made. Only a change of the configuration helps.
#[derive(Debug, thiserror::Error)]
pub enum KafkaConfigError {
    /// A property that the program decides itself.
    #[error("kafka.properties.{name} cannot be set: {instead}")]
    Refused {
        /// Its name.
        name: String,
        /// Why, or what to set instead.
        instead: &'static str,
    },
    /// librdkafka does not take a property. Its value may be a secret and is not shown.
    #[error("kafka.properties.{0} is refused by librdkafka: unknown property or impossible value")]
    Property(String),
    /// librdkafka does not take the properties together.
    #[error("librdkafka cannot be started with these kafka.properties: {0}")]
    Client(String),
}

impl From<KafkaError> for KafkaConfigError {
    fn from(error: KafkaError) -> Self {
        match error {
            // The text of this one quotes the value.
            KafkaError::ClientConfig(_, _, name, _) => KafkaConfigError::Property(name),
            error => KafkaConfigError::Client(error.to_string()),
        }
    }
}

/// Why a property of librdkafka cannot be set by an operator, or what to set instead; none where it can.
pub fn refused_property(name: &str) -> Option<&'static str> {
    Some(match name {
        "bootstrap.servers" | "metadata.broker.list" => "set kafka.brokers",
        "group.id" => "set kafka.group_id",
        "enable.auto.commit" | "auto.commit.enable" | "enable.auto.offset.store" | "offset.store.method" => {
            "offsets move only after the events are durable in Postgres"
        }
        "auto.offset.reset" => "a group without an offset starts at the earliest record, or events would be lost",
        "isolation.level" => "records of aborted transactions are not events",
        "allow.auto.create.topics" => "topics are made by their owners; one that is missing is waited for",
        "partition.assignment.strategy" | "group.protocol" | "group.remote.assignor" => {
            "replicas must agree on how partitions are shared out, and it is cooperative-sticky"
        }
        "enable.idempotence" | "transactional.id" | "acks" | "request.required.acks" | "delivery.report.only.error" => {
            "an outcome is published when every replica of the broker has it, and in order"
        }
        "message.timeout.ms" | "delivery.timeout.ms" | "request.timeout.ms" => {
            "publishing is paced by the program, and a page that fails is sent again"
        }
        "enable.partition.eof" => "the program decides it",
        _ => return None,
    })
}

/// The settings of one client: the program's defaults, then the operator's properties, then what guarantees rest on.
///
/// # Errors
/// Where a property may not be set.
pub(crate) fn client(
    settings: &KafkaSettings,
    defaults: &[(&str, &str)],
    fixed: &[(&str, &str)],
) -> Result<ClientConfig, KafkaConfigError> {
    let mut config = ClientConfig::new();
    config.set("client.id", "bwp-sync").set("log.connection.close", "false");
    // Else the binding asks the `log` crate, which is not used here, and hears of errors only.
    let is_debugging = settings.properties.iter().any(|(name, _)| name == "debug");
    config.set_log_level(if is_debugging { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Info });
    for (name, value) in defaults {
        config.set(*name, *value);
    }
    for (name, value) in &settings.properties {
        if let Some(instead) = refused_property(name) {
            return Err(KafkaConfigError::Refused { name: name.clone(), instead });
        }
        config.set(name, value.expose_secret());
    }
    for (name, value) in fixed {
        config.set(*name, *value);
    }
    config.set("bootstrap.servers", &settings.brokers);
    Ok(config)
}

/// A line of librdkafka's own log.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, text: &str) {
    use RDKafkaLogLevel::{Alert, Critical, Debug, Emerg, Error, Info, Notice, Warning};
    match level {
        // Consumer's properties given to the producer, and the other way round: both get all of them.
        _ if facility == "CONFWARN" => tracing::debug!(target: "librdkafka", facility, "{text}"),
        Emerg | Alert | Critical => tracing::error!(target: "librdkafka", facility, "{text}"),
        // What librdkafka calls an error is mostly a broker that is away, which is no fault of the program.
        Error | Warning => {
            if let Some(kept_back) = not_again(facility) {
                tracing::warn!(target: "librdkafka", facility, kept_back, "{text}");
            }
        }
        Notice | Info => tracing::info!(target: "librdkafka", facility, "{text}"),
        Debug => tracing::debug!(target: "librdkafka", facility, "{text}"),
    }
}

/// An error that librdkafka reports beside the calls. It goes on trying by itself.
pub(crate) fn log_error(error: &KafkaError, reason: &str) {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(
            Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed,
        ) => tracing::error!(target: "librdkafka", "Kafka refuses us: {reason}; correct the credentials or the ACLs"),
        Some(Code::SSL) => tracing::error!(target: "librdkafka", "TLS fails: {reason}; correct the certificates"),
        code => {
            if let Some(kept_back) = not_again(&format!("{code:?}")) {
                tracing::warn!(target: "librdkafka", kept_back, "Kafka: {reason}");
            }
        }
    }
}

/// Whether a warning of this kind is due again, and how many were kept back since the last: while brokers are away, librdkafka warns
/// of each attempt to reach each of them.
fn not_again(kind: &str) -> Option<u64> {
    static SAID: Mutex<Said> = Mutex::new(Said(BTreeMap::new()));
    SAID.lock().unwrap_or_else(PoisonError::into_inner).again(kind, Instant::now())
}

/// Warnings by kind: when one was last written, and how many were kept back since. Kinds are librdkafka's facilities and codes.
struct Said(BTreeMap<String, (Instant, u64)>);

impl Said {
    fn again(&mut self, kind: &str, now: Instant) -> Option<u64> {
        match self.0.get_mut(kind) {
            Some((at, kept_back)) if now.duration_since(*at) < PAUSE => {
                *kept_back += 1;
                None
            }
            last => {
                let kept_back = last.map_or(0, |(_, kept_back)| *kept_back);
                self.0.insert(kind.to_owned(), (now, 0));
                Some(kept_back)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn settings(properties: &[(&str, &str)]) -> KafkaSettings {
        let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        KafkaSettings { brokers: "127.0.0.1:9092".to_owned(), properties }
    }

    #[test]
    fn properties_win_over_defaults_but_not_over_guarantees() {
        let defaults = [("client.id", "ours"), ("fetch.wait.max.ms", "100")];
        let config = client(&settings(&[("fetch.wait.max.ms", "7")]), &defaults, &[("group.id", "g")]).unwrap();
        assert_eq!(config.get("fetch.wait.max.ms"), Some("7"));
        assert_eq!(config.get("client.id"), Some("ours"));
        assert_eq!(config.get("group.id"), Some("g"));
        let error = client(&settings(&[("enable.auto.commit", "true")]), &[], &[]).unwrap_err().to_string();
        assert!(error.contains("kafka.properties.enable.auto.commit"), "{error}");
    }

    #[test]
    fn what_a_deployment_needs_can_be_set() {
        for name in ["security.protocol", "sasl.password", "group.instance.id", "max.poll.interval.ms", "client.id", "debug"] {
            assert_eq!(refused_property(name), None, "{name}");
        }
    }

    #[test]
    fn a_kind_of_warning_is_written_now_and_then_with_the_count_of_what_was_kept_back() {
        let (mut said, now) = (Said(BTreeMap::new()), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        let seen =
            [("a", 0), ("a", 1), ("b", 1), ("a", 9), ("a", 10), ("a", 25)].map(|(kind, second)| said.again(kind, at(second)));
        assert_eq!(seen, [Some(0), None, Some(0), None, Some(2), Some(0)]);
    }

    #[test]
    fn errors_do_not_show_values() {
        let config = client(&settings(&[("session.timeout.ms", "hunter2")]), &[], &[]).unwrap();
        let error = KafkaConfigError::from(config.create_native_config().map(drop).unwrap_err()).to_string();
        assert!(error.contains("session.timeout.ms") && !error.contains("hunter2"), "{error}");
    }
}
