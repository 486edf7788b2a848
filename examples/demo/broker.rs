//! librdkafka's mock cluster as the broker, and what the demo itself writes to it and reads from it.

use crate::Problem;
use crate::event::Kind;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::OwnedHeaders;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{DefaultProducerContext, DeliveryFuture, FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use std::time::Duration;

/// Where outcomes come out.
pub const OUTCOMES: &str = "bwp.outcomes";
/// Where dead and unreadable records come out.
pub const DEAD_LETTERS: &str = "bwp.dead-letters";

const PARTITIONS: i32 = 3;
const ANSWER: Duration = Duration::from_secs(5);

/// The broker; it ends when dropped.
pub struct Broker {
    cluster: MockCluster<'static, DefaultProducerContext>,
    producer: FutureProducer,
}

impl Broker {
    /// Starts it with all topics.
    pub fn start() -> Result<Self, Problem> {
        let cluster = MockCluster::new(1)?;
        let kinds = [Kind::Return, Kind::Refund, Kind::Shipment, Kind::Order, Kind::Alias];
        for topic in kinds.map(Kind::topic).into_iter().chain([OUTCOMES, DEAD_LETTERS]) {
            cluster.create_topic(topic, PARTITIONS, 1)?;
        }
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", cluster.bootstrap_servers()).set("linger.ms", "2").set("message.timeout.ms", "20000");
        Ok(Self { producer: config.create()?, cluster })
    }

    /// Its address.
    pub fn address(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// Hands a record to the producer. Without a key any partition may get it.
    pub fn send(
        &self,
        topic: &str,
        key: Option<&str>,
        body: Option<&[u8]>,
        headers: OwnedHeaders,
    ) -> Result<DeliveryFuture, Problem> {
        let mut record: FutureRecord<'_, str, [u8]> = FutureRecord::to(topic).headers(headers);
        if let Some(key) = key {
            record = record.key(key);
        }
        if let Some(body) = body {
            record = record.payload(body);
        }
        Ok(self.producer.send_result(record).map_err(|(error, _)| error)?)
    }

    /// Reads outcomes and dead letters from their beginning.
    pub fn reader(&self) -> Result<StreamConsumer, Problem> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.address()).set("group.id", "demo").set("enable.auto.commit", "false");
        let consumer: StreamConsumer = config.set("fetch.wait.max.ms", "50").create()?;
        let mut places = TopicPartitionList::new();
        for topic in [OUTCOMES, DEAD_LETTERS] {
            for partition in 0..PARTITIONS {
                places.add_partition_offset(topic, partition, Offset::Beginning)?;
            }
        }
        consumer.assign(&places)?;
        Ok(consumer)
    }

    /// How many outcomes and dead letters there are now.
    pub fn written(&self, consumer: &StreamConsumer) -> Result<u64, Problem> {
        let mut count = 0;
        for topic in [OUTCOMES, DEAD_LETTERS] {
            for partition in 0..PARTITIONS {
                count += u64::try_from(consumer.fetch_watermarks(topic, partition, ANSWER)?.1)?;
            }
        }
        Ok(count)
    }
}
