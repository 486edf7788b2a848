//! The producer, and how letters are given to it: in order, with every answer awaited.

use super::letter::Letter;
use crate::kafka::{self, KafkaConfigError, KafkaSettings};
use fail::fail_point;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::Producer as _;
use rdkafka::producer::future_producer::{DeliveryFuture, FutureProducer, FutureRecord};
use std::collections::VecDeque;
use std::time::Duration;

/// How long librdkafka tries to deliver one record.
const DELIVERY: &str = "10000";
/// How long all answers of a page may take: more than librdkafka should need to give each of them up.
const ANSWERS: Duration = Duration::from_secs(25);

const DEFAULTS: [(&str, &str); 5] = [
    ("compression.type", "lz4"),
    // The default is 1 GiB; this is the whole memory of the publisher, beside the page.
    ("queue.buffering.max.kbytes", "65536"),
    // Dead letters are as large as the largest record that was read; what is too large is for the broker to say.
    ("message.max.bytes", "33554432"),
    ("linger.ms", "5"),
    // So that a topic that is missing is told apart from a broker that is away.
    ("topic.metadata.propagation.max.ms", "5000"),
];

const FIXED: [(&str, &str); 3] = [("enable.idempotence", "true"), ("acks", "all"), ("message.timeout.ms", DELIVERY)];

/// Why letters are not all with the broker.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(super) enum PostError {
    /// The topic does not exist.
    #[error("the topic does not exist; it is waited for")]
    Missing,
    /// A record is larger than the topic takes, or one that was sent with it.
    #[error("a record is larger than the topic takes")]
    TooLarge,
    /// The producer cannot go on.
    #[error("the producer cannot go on: {0}")]
    Lost(String),
    /// Kafka is away.
    #[error("{0}")]
    Away(String),
}

impl From<KafkaError> for PostError {
    fn from(error: KafkaError) -> Self {
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownPartition,
            ) => PostError::Missing,
            Some(RDKafkaErrorCode::MessageSizeTooLarge) => PostError::TooLarge,
            _ => PostError::Away(error.to_string()),
        }
    }
}

/// What became of letters: the first `done` of them are with the broker.
#[derive(Debug)]
pub(super) struct Posted {
    pub(super) done: usize,
    pub(super) result: Result<(), PostError>,
}

struct Log;

impl ClientContext for Log {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        kafka::log(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        kafka::log_error(&error, reason);
    }

    fn stats_raw(&self, _: &[u8]) {}
}

/// A producer whose records are in order, once, and on every replica of the broker.
pub(super) struct Post(FutureProducer<Log>);

impl Post {
    pub(super) fn new(settings: &KafkaSettings) -> Result<Self, KafkaConfigError> {
        let config = kafka::client(settings, &DEFAULTS, &FIXED)?;
        Ok(Post(config.create_with_context(Log)?))
    }

    /// Sends letters in their order and waits for every answer, also after one has failed: what is still in the producer's queue
    /// would otherwise come after its own repetition.
    pub(super) async fn send(&self, topic: &str, letters: &[Letter<'_>]) -> Posted {
        let mut answers = Answers::default();
        let sent = async {
            for letter in letters {
                self.enqueue(topic, letter, &mut answers).await;
                if answers.failure.is_some() || answers.refusal.is_some() {
                    break;
                }
            }
            fail_point!("publish-enqueued");
            answers.rest().await;
            fail_point!("publish-confirmed");
        };
        if tokio::time::timeout(ANSWERS, sent).await.is_err() {
            answers.failure.get_or_insert(PostError::Lost("it gives no answers".to_owned()));
        }
        if let Some((_, why)) = self.0.client().fatal_error() {
            answers.failure = Some(PostError::Lost(why));
        }
        Posted { done: answers.done, result: answers.failure.or(answers.refusal).map_or(Ok(()), Err) }
    }

    async fn enqueue(&self, topic: &str, letter: &Letter<'_>, answers: &mut Answers) {
        let mut record = FutureRecord::<[u8], [u8]>::to(topic).payload(letter.value).headers(letter.owned_headers());
        record.key = letter.key;
        loop {
            record = match self.0.send_result(record) {
                Ok(answer) => return answers.pending.push_back(answer),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) if !answers.pending.is_empty() => back,
                Err((error, _)) => return answers.refusal = Some(error.into()),
            };
            // An answer makes room.
            answers.one().await;
            if answers.failure.is_some() {
                return;
            }
        }
    }
}

/// The broker's answers, in the order of the letters.
#[derive(Default)]
struct Answers {
    pending: VecDeque<DeliveryFuture>,
    done: usize,
    /// Of the first answer that was none to be glad of.
    failure: Option<PostError>,
    /// Why no more letters were taken: those before may well arrive.
    refusal: Option<PostError>,
}

impl Answers {
    async fn one(&mut self) {
        let Some(answer) = self.pending.pop_front() else { return };
        match answer.await {
            Ok(Ok(_)) if self.failure.is_none() => self.done += 1,
            Ok(Ok(_)) => {}
            Ok(Err((error, _))) => drop(self.failure.get_or_insert(error.into())),
            Err(_) => drop(self.failure.get_or_insert(PostError::Lost("it was closed".to_owned()))),
        }
    }

    async fn rest(&mut self) {
        while !self.pending.is_empty() {
            self.one().await;
        }
    }
}
