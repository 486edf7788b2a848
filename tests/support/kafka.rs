//! A set of topics per test on the one broker: writing to them, reading them, and where a group stands on them.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, StreamConsumer};
use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use super::events::{Envelope, Event};

const ANSWER: Duration = Duration::from_secs(20);

/// One topic for each that the daemon has, under names that no other test has.
pub struct Topics {
    pub returns: String,
    pub refunds: String,
    pub shipments: String,
    pub orders: String,
    pub aliases: String,
    pub outcomes: String,
    pub dead_letters: String,
    /// How many partitions each has.
    pub partitions: i32,
    producer: FutureProducer,
}

/// A record to be written.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// By the key where this is `None`.
    pub partition: Option<i32>,
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// The brokers that the scripts started.
pub fn brokers() -> String {
    super::server("BWP_TEST_KAFKA")
}

fn config() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers());
    config
}

impl Topics {
    /// Creates the topics.
    pub async fn create(partitions: i32) -> Self {
        let prefix = super::unique();
        let name = |topic: &str| format!("{prefix}.{topic}");
        let topics = Self {
            returns: name("oms.returns"),
            refunds: name("oms.refunds"),
            shipments: name("oms.shipments"),
            orders: name("oms.orders"),
            aliases: name("oms.aliases"),
            outcomes: name("bwp.outcomes"),
            dead_letters: name("bwp.dead-letters"),
            partitions,
            // Idempotent: a batch that is sent again must not come behind its successors.
            producer: config().set("linger.ms", "1").set("enable.idempotence", "true").create().expect("a producer"),
        };
        create(&topics.all(), partitions).await;
        topics
    }

    /// The key below `kafka.topics` and the name of each topic.
    pub fn named(&self) -> [(&'static str, &str); 7] {
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

    /// The names alone.
    pub fn all(&self) -> [&str; 7] {
        self.named().map(|(_, name)| name)
    }

    /// Writes an event to the topic of its kind; gives its partition and offset.
    pub async fn publish(&self, event: &Event, envelope: Envelope) -> (i32, i64) {
        self.produce(event.topic(self), &event.record(envelope)).await
    }

    /// Writes one record and waits until the broker has it; gives its partition and offset.
    pub async fn produce(&self, topic: &str, record: &Outgoing) -> (i32, i64) {
        self.produce_all(topic, std::slice::from_ref(record)).await[0]
    }

    /// Writes many records, in this order, and waits until the broker has them all.
    pub async fn produce_all(&self, topic: &str, records: &[Outgoing]) -> Vec<(i32, i64)> {
        let mut places = Vec::with_capacity(records.len());
        // Each part is smaller than the producer's queue.
        for part in records.chunks(10_000) {
            let sent: Vec<_> = part
                .iter()
                .map(|record| self.producer.send_result(record.for_topic(topic)).expect("room in the producer's queue"))
                .collect();
            for delivery in sent {
                let place = delivery.await.expect("the producer lives").expect("the broker takes the record");
                places.push((place.partition, place.offset));
            }
        }
        places
    }
}

/// Creates topics of any name.
pub async fn create(names: &[&str], partitions: i32) {
    let admin: AdminClient<DefaultClientContext> = config().create().expect("an admin client");
    let topics: Vec<_> = names.iter().map(|name| NewTopic::new(name, partitions, TopicReplication::Fixed(1))).collect();
    let options = AdminOptions::new().operation_timeout(Some(ANSWER)).request_timeout(Some(ANSWER));
    for topic in admin.create_topics(&topics, &options).await.expect("the broker answers") {
        topic.expect("the topic is created");
    }
}

/// Reads a topic from its beginning until `until` says that it is enough.
///
/// # Panics
/// With what was read, when the deadline passes first.
pub async fn consume_all(topic: &str, until: impl Fn(&[Record]) -> bool, deadline: Duration) -> Vec<Record> {
    let mut records = Vec::new();
    if until(&records) {
        return records;
    }
    let reading = async {
        let consumer: StreamConsumer = reader(&super::unique());
        consumer.assign(&places(&consumer, topic, Offset::Beginning)).expect("assign the partitions");
        while !until(&records) {
            records.push(Record::from(&consumer.recv().await.expect("a record")));
        }
    };
    let ended = tokio::time::timeout(deadline, reading).await;
    let last = records.last();
    assert!(ended.is_ok(), "{topic}: not enough within {deadline:?}: {} records, the last {last:?}", records.len());
    records
}

/// Reads all that a topic holds now.
pub async fn consume_present(topic: &str) -> Vec<Record> {
    let count = usize::try_from(ends(topic).await.values().sum::<i64>()).expect("offsets are not negative");
    consume_all(topic, |records| records.len() >= count, super::PATIENCE).await
}

/// The offset after the last record of each partition.
pub async fn ends(topic: &str) -> BTreeMap<i32, i64> {
    let consumer: BaseConsumer = reader(&super::unique());
    let end = |partition| match consumer.fetch_watermarks(topic, partition, ANSWER) {
        Ok((_, end)) => Ok((partition, end)),
        Err(error) => Err(format!("partition {partition}: {error}")),
    };
    // The broker says that a topic is created before it leads it.
    let ends = async || partitions(&consumer, topic).into_iter().map(end).collect();
    super::wait_until(&format!("the ends of {topic}"), ANSWER, ends).await
}

/// What a group has committed on each partition; without an entry where that is nothing.
pub fn committed(group: &str, topic: &str) -> BTreeMap<i32, i64> {
    let consumer: BaseConsumer = reader(group);
    let offsets = consumer.committed_offsets(places(&consumer, topic, Offset::Invalid), ANSWER).expect("a group's offsets");
    let known = |partition, offset| {
        if let Offset::Offset(offset) = offset { Some((partition, offset)) } else { None }
    };
    offsets.elements().iter().filter_map(|place| known(place.partition(), place.offset())).collect()
}

fn reader<C: rdkafka::config::FromClientConfig>(group: &str) -> C {
    let mut config = config();
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "50")
        .set("fetch.error.backoff.ms", "50");
    config.create().expect("a consumer")
}

fn partitions<C: ConsumerContext>(consumer: &impl Consumer<C>, topic: &str) -> Vec<i32> {
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER).expect("the topic's metadata");
    let ids: Vec<_> = metadata.topics().iter().flat_map(|topic| topic.partitions()).map(|one| one.id()).collect();
    assert!(!ids.is_empty(), "no topic {topic}");
    ids
}

fn places<C: ConsumerContext>(consumer: &impl Consumer<C>, topic: &str, offset: Offset) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions(consumer, topic) {
        list.add_partition_offset(topic, partition, offset).expect("an offset");
    }
    list
}

impl Outgoing {
    /// A record of these bytes, without headers.
    pub fn raw(key: Option<&[u8]>, value: Option<&[u8]>) -> Self {
        Self { key: key.map(<[u8]>::to_vec), value: value.map(<[u8]>::to_vec), ..Self::default() }
    }

    /// The same with one more header.
    pub fn header(mut self, name: &str, value: &[u8]) -> Self {
        self.headers.push((name.to_owned(), Some(value.to_vec())));
        self
    }

    fn for_topic<'a>(&'a self, topic: &'a str) -> FutureRecord<'a, [u8], [u8]> {
        let mut headers = OwnedHeaders::new();
        for (key, value) in &self.headers {
            headers = headers.insert(Header { key, value: value.as_ref() });
        }
        let record = FutureRecord { partition: self.partition, ..FutureRecord::to(topic) }.headers(headers);
        let record = if let Some(key) = &self.key { record.key(&key[..]) } else { record };
        if let Some(value) = &self.value { record.payload(&value[..]) } else { record }
    }
}

impl Record {
    /// The value as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(self.value.as_deref().expect("a value")).expect("JSON")
    }

    /// The first header of that name, as text.
    pub fn text_header(&self, name: &str) -> Option<String> {
        let (_, value) = self.headers.iter().find(|(header, _)| header == name)?;
        Some(String::from_utf8_lossy(value.as_deref()?).into_owned())
    }
}

impl From<&BorrowedMessage<'_>> for Record {
    fn from(message: &BorrowedMessage<'_>) -> Self {
        let header = |header: Header<'_, &[u8]>| (header.key.to_owned(), header.value.map(<[u8]>::to_vec));
        Self {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: message.headers().map(|headers| headers.iter().map(header).collect()).unwrap_or_default(),
        }
    }
}
