//! A mock cluster, and a client of it that writes, reads and looks at the group.

use bwp_sync::kafka::KafkaSettings;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{DefaultProducerContext, FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};

pub const PATIENCE: Duration = Duration::from_secs(120);

pub struct Cluster {
    pub mock: MockCluster<'static, DefaultProducerContext>,
    pub brokers: String,
    producer: FutureProducer,
}

impl Cluster {
    pub fn new(topics: &[(&str, i32)]) -> Self {
        // RUST_LOG=debug shows what happened.
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        let mock = MockCluster::new(1).unwrap();
        let brokers = mock.bootstrap_servers();
        topics.iter().for_each(|(topic, partitions)| mock.create_topic(topic, *partitions, 1).unwrap());
        let producer = ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
        Cluster { mock, brokers, producer }
    }

    pub fn settings(&self) -> KafkaSettings {
        self.settings_with(&[])
    }

    pub fn settings_with(&self, properties: &[(&str, &str)]) -> KafkaSettings {
        // The mock takes a session, less a second, for every rebalance but the first.
        let quick =
            [("topic.metadata.refresh.interval.ms", "500"), ("session.timeout.ms", "3000"), ("heartbeat.interval.ms", "300")];
        let all = quick.iter().chain(properties);
        KafkaSettings {
            brokers: self.brokers.clone(),
            properties: all.map(|(name, value)| ((*name).to_owned(), (*value).into())).collect(),
        }
    }

    pub async fn produce(&self, topic: &str, partition: i32, value: Option<&[u8]>, headers: &[(&str, Option<&[u8]>)]) {
        let headers =
            headers.iter().fold(OwnedHeaders::new(), |all, (name, value)| all.insert(Header { key: name, value: *value }));
        let mut record = FutureRecord::<[u8], [u8]>::to(topic).partition(partition).headers(headers);
        record.payload = value;
        self.producer.send(record, PATIENCE).await.unwrap();
    }

    /// Where the group stands.
    pub async fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        let (brokers, group, topic) = (self.brokers.clone(), group.to_owned(), topic.to_owned());
        let ask = move || {
            let consumer: BaseConsumer =
                ClientConfig::new().set("bootstrap.servers", brokers).set("group.id", group).create().unwrap();
            let mut list = TopicPartitionList::new();
            list.add_partition(&topic, partition);
            let list = consumer.committed_offsets(list, PATIENCE).ok()?;
            match list.elements()[0].offset() {
                Offset::Offset(next) => Some(next),
                _ => None,
            }
        };
        tokio::task::spawn_blocking(ask).await.unwrap()
    }

    /// Puts the group somewhere.
    pub async fn commit(&self, group: &str, topic: &str, partition: i32, next: i64) {
        let (brokers, group, topic) = (self.brokers.clone(), group.to_owned(), topic.to_owned());
        let commit = move || {
            let consumer: BaseConsumer =
                ClientConfig::new().set("bootstrap.servers", brokers).set("group.id", group).create().unwrap();
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(&topic, partition, Offset::Offset(next)).unwrap();
            consumer.commit(&list, CommitMode::Sync).unwrap();
        };
        tokio::task::spawn_blocking(commit).await.unwrap();
    }

    /// The first records of partition 0 of a topic.
    pub async fn consume(&self, topic: &str, count: usize) -> Vec<OwnedMessage> {
        let (brokers, topic) = (self.brokers.clone(), topic.to_owned());
        let read = move || {
            let consumer: BaseConsumer = ClientConfig::new()
                .set("bootstrap.servers", brokers)
                .set("group.id", "reader")
                .set("enable.auto.commit", "false")
                .set("auto.offset.reset", "earliest")
                .create()
                .unwrap();
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(&topic, 0, Offset::Beginning).unwrap();
            consumer.assign(&list).unwrap();
            let deadline = Instant::now() + PATIENCE;
            let mut records = Vec::new();
            while records.len() < count {
                assert!(Instant::now() < deadline, "{} of {count} records of {topic}", records.len());
                if let Some(Ok(record)) = consumer.poll(Duration::from_millis(50)) {
                    records.push(record.detach());
                }
            }
            records
        };
        tokio::task::spawn_blocking(read).await.unwrap()
    }
}

/// Waits for a condition.
pub async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
