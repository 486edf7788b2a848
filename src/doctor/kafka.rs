//! Whether Kafka is there, with the topics, the rights and the sizes that are needed.

use super::{Check, DEADLINE};
use crate::config::Settings;
use crate::kafka::{self, KafkaSettings};
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::{ClientConfig, TopicPartitionList};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const BROKERS: &str = "kafka brokers";
const GROUP: &str = "kafka group";
/// The largest record that is read as an event.
const LARGEST: u64 = 1024 * 1024;
/// A dead letter is its original record with headers of ours.
const LETTER: u64 = LARGEST + 8 * 1024;
/// Below the deadline of a check, so that librdkafka's own words are heard.
const QUESTION: Duration = Duration::from_millis(4_500);

/// Remembers what librdkafka complains about, which says more than a timeout.
#[derive(Clone, Default)]
struct Ear(Arc<Mutex<Option<Complaint>>>);

/// A code, where there is one, and librdkafka's words.
type Complaint = (Option<Code>, String);

impl ClientContext for Ear {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        tracing::debug!(severity = ?level, facility, "{text}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let code = error.rdkafka_error_code();
        // "All brokers are down" is the least that can be said.
        if heard.is_none() || code != Some(Code::AllBrokersDown) {
            *heard = Some((code, reason.to_owned()));
        }
    }

    fn stats_raw(&self, _: &[u8]) {}
}

impl ConsumerContext for Ear {}

impl Ear {
    fn heard(&self) -> Option<Complaint> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Looks at Kafka.
pub(super) async fn examine(settings: &Settings) -> Vec<Check> {
    let config = match config(settings) {
        Ok(config) => config,
        Err(text) => return vec![Check::fail(BROKERS, text, "correct kafka.properties; see config/default.toml")],
    };
    let (asked, sizes) = (settings.clone(), sizes(settings, &config));
    let client = config.clone();
    let rest = tokio::task::spawn_blocking(move || brokers_and_topics(&asked, &client));
    let (rest, sizes) = tokio::join!(tokio::time::timeout(DEADLINE * 3, rest), sizes);
    let mut checks = match rest {
        Ok(Ok(checks)) => checks,
        _ => vec![Check::fail(BROKERS, "librdkafka does not answer", "see whether the brokers are up")],
    };
    if !checks.iter().any(|check| check.name == BROKERS && check.verdict == super::Verdict::Fail) {
        checks.extend(sizes);
    }
    checks
}

fn config(settings: &Settings) -> Result<ClientConfig, String> {
    let properties = settings.kafka.properties.iter().map(|(name, value)| (name.clone(), value.current()));
    let own = KafkaSettings { brokers: settings.kafka.brokers.clone(), properties: properties.collect() };
    let fixed = [("group.id", settings.kafka.group_id.as_str()), ("allow.auto.create.topics", "false")];
    kafka::client(&own, &[("socket.connection.setup.timeout.ms", "4000")], &fixed).map_err(|error| error.to_string())
}

fn brokers_and_topics(settings: &Settings, config: &ClientConfig) -> Vec<Check> {
    let ear = Ear::default();
    let consumer: BaseConsumer<Ear> = match config.create_with_context(ear.clone()) {
        Ok(consumer) => consumer,
        Err(error) => {
            let text = kafka::KafkaConfigError::from(error).to_string();
            return vec![Check::fail(BROKERS, text, "correct kafka.properties")];
        }
    };
    let asked = Instant::now();
    match consumer.fetch_metadata(Some(settings.kafka.topics.read().first().copied().unwrap_or_default()), QUESTION) {
        Err(error) => {
            // Complaints are heard while it is polled.
            for _ in 0..5 {
                drop(consumer.poll(Duration::from_millis(20)));
            }
            vec![unreachable(settings, &error, ear.heard())]
        }
        Ok(metadata) => {
            let (count, took) = (metadata.brokers().len(), asked.elapsed().as_millis());
            let first = Check::ok(BROKERS, format!("{} of them answer as {}, in {took} ms", count, settings.kafka.brokers));
            let mut checks = vec![first];
            let topics = settings.kafka.topics.all().into_iter().filter(|(_, topic)| !topic.is_empty());
            // One after another they could take longer than all may; a broker that answers does so in milliseconds.
            checks.extend(topics.map(|(key, topic)| named(&consumer, key, topic)));
            checks.push(group(settings, &consumer));
            checks
        }
    }
}

fn unreachable(settings: &Settings, error: &KafkaError, heard: Option<Complaint>) -> Check {
    let at = &settings.kafka.brokers;
    let Some((code, reason)) = heard else {
        let text = format!("none of {at} answers: {error}");
        return Check::fail(BROKERS, text, "see that kafka.brokers names the brokers' listener, and that they are up");
    };
    let text = format!("none of {at} can be used: {reason}");
    match code {
        Some(Code::Authentication | Code::SaslAuthenticationFailed) => {
            Check::fail(BROKERS, text, "correct sasl.mechanism, sasl.username and sasl.password in kafka.properties")
        }
        Some(Code::SSL) => Check::fail(BROKERS, text, "correct security.protocol and ssl.ca.location in kafka.properties"),
        Some(Code::Resolve) => Check::fail(BROKERS, text, "correct the host names in kafka.brokers, or the DNS"),
        _ => Check::fail(
            BROKERS,
            text,
            "see that kafka.brokers names the right host and port, that the brokers are up, and that security.protocol is theirs",
        ),
    }
}

fn named(consumer: &BaseConsumer<Ear>, key: &str, topic: &str) -> Check {
    let name = format!("kafka topic {topic}");
    let metadata = match consumer.fetch_metadata(Some(topic), QUESTION) {
        Ok(metadata) => metadata,
        Err(error) => return Check::fail(name, error.to_string(), "see whether all brokers are up"),
    };
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
        return Check::warn(name, "the broker says nothing of it", create(topic));
    };
    let is_read = !["outcomes", "dead_letters"].contains(&key);
    match found.error().map(Code::from) {
        None => {
            let leaderless = found.partitions().iter().filter(|partition| partition.leader() < 0).count();
            let (count, s) = (found.partitions().len(), if found.partitions().len() == 1 { "" } else { "s" });
            if leaderless > 0 {
                let text = format!("{leaderless} of {count} partitions have no leader");
                return Check::fail(name, text, "bring the brokers that hold them back");
            }
            Check::ok(name, format!("{count} partition{s}, {}", if is_read { "read" } else { "written" }))
        }
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic) => {
            let text = if is_read {
                "it does not exist; it is waited for"
            } else {
                "it does not exist; what it should hold waits in the ledger"
            };
            Check::warn(name, text, format!("{}, or set kafka.topics.{key} to \"\" where it is not used", create(topic)))
        }
        Some(Code::TopicAuthorizationFailed) => {
            let right = if is_read { "Read and Describe" } else { "Write and Describe" };
            Check::fail(
                name,
                "the broker does not let us see it",
                format!("allow {right} on the topic to our principal (kafka-acls.sh --add)"),
            )
        }
        Some(code) => Check::fail(name, code.to_string(), "see the brokers' logs"),
    }
}

fn create(topic: &str) -> String {
    format!("kafka-topics.sh --bootstrap-server ... --create --topic {topic} --partitions 6 --replication-factor 3")
}

/// Asks where the group stands: that needs the right to read the group.
fn group(settings: &Settings, consumer: &BaseConsumer<Ear>) -> Check {
    let group = &settings.kafka.group_id;
    let mut place = TopicPartitionList::new();
    for topic in settings.kafka.topics.read() {
        place.add_partition(topic, 0);
    }
    let error = match consumer.committed_offsets(place, QUESTION) {
        Ok(list) => list.elements().iter().find_map(|one| one.error().err()),
        Err(error) => Some(error),
    };
    match error.as_ref().map(KafkaError::rdkafka_error_code) {
        Some(Some(Code::GroupAuthorizationFailed)) => Check::fail(
            GROUP,
            format!("the broker does not let us use the group {group}"),
            "allow Read on the group to our principal (kafka-acls.sh --add --group), or set kafka.group_id to one that is allowed",
        ),
        // A topic that is missing or closed has a line of its own.
        None | Some(Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::TopicAuthorizationFailed)) => {
            Check::ok(GROUP, format!("{group} may be used"))
        }
        Some(_) => {
            let text = error.map(|error| error.to_string()).unwrap_or_default();
            Check::warn(
                GROUP,
                format!("where {group} stands could not be asked: {text}"),
                "see whether the group's coordinator is up",
            )
        }
    }
}

/// Whether records of the largest size go through the topics. Not everybody may ask that.
async fn sizes(settings: &Settings, config: &ClientConfig) -> Vec<Check> {
    let (name, way_out) = ("kafka record size", "allow DescribeConfigs on the topics where this is to be looked at");
    let topics: Vec<(&str, u64)> = settings
        .kafka
        .topics
        .all()
        .into_iter()
        .filter(|(_, topic)| !topic.is_empty())
        .map(|(key, topic)| (topic, if key == "dead_letters" { LETTER } else { LARGEST }))
        .collect();
    let admin: AdminClient<Ear> = match config.create_with_context(Ear::default()) {
        Ok(admin) => admin,
        Err(_) => return Vec::new(),
    };
    let asked: Vec<ResourceSpecifier<'_>> = topics.iter().map(|(topic, _)| ResourceSpecifier::Topic(topic)).collect();
    let options = AdminOptions::new().request_timeout(Some(QUESTION));
    let answer = tokio::time::timeout(DEADLINE, admin.describe_configs(&asked, &options)).await;
    let Ok(Ok(found)) = answer else {
        return vec![Check::warn(name, "the topics' settings could not be read", way_out)];
    };
    let most = |found: &ConfigResource| found.get("max.message.bytes")?.value.as_ref()?.parse::<u64>().ok();
    let known: Vec<(&str, u64, u64)> = topics
        .iter()
        .zip(&found)
        .filter_map(|((topic, needed), found)| Some((*topic, *needed, most(found.as_ref().ok()?)?)))
        .collect();
    let small: Vec<String> = known
        .iter()
        .filter(|(_, needed, most)| most < needed)
        .map(|(topic, needed, most)| format!("{topic} takes {most} bytes, of {needed} that may come"))
        .collect();
    vec![match (known.is_empty(), small.is_empty()) {
        (true, _) => Check::warn(name, "the topics' settings could not be read", way_out),
        (false, true) => Check::ok(name, "records of up to 1 MiB go through every topic"),
        (false, false) => Check::warn(
            name,
            small.join("; "),
            format!(
                "kafka-configs.sh --alter --entity-type topics --entity-name ... --add-config max.message.bytes={}",
                2 * LARGEST
            ),
        ),
    }]
}
