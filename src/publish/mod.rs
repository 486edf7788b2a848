//! From the ledger to Kafka: outcomes, and the dead letters among them, in their order and at least once.
//!
//! A page is taken from the outbox, given to an idempotent producer, and marked once the broker has confirmed all of it, as the next
//! one is taken. Where that fails, the page is taken anew (which also renews the claim on the outbox), and what is confirmed of it
//! already is not sent again: a missing dead-letter topic does not repeat outcomes for ever. A record is never sent out of its turn to
//! make up for one that failed: everything from the first failure on is sent again.
//!
//! It knows Kafka, and of the ledger only [`Outbox`].

mod letter;
mod outbox;
mod post;

pub use outbox::{Cursor, DeadLetter, Outbox, OutboxError, Outgoing, Published};

use crate::backoff;
use crate::kafka::{KafkaConfigError, KafkaSettings};
use crate::ops::metrics;
use fail::fail_point;
use letter::Letter;
use post::{Post, PostError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How many outcomes are sent together.
const PAGE: usize = 500;
/// How often the outbox is looked into although nobody said that it holds something; jittered by half.
const POLL_MS: u64 = 500;
/// What is settled soon after a page goes with the next one.
const GATHER: Duration = Duration::from_millis(25);
/// How long the end may take to publish what was settled last.
const FAREWELL: Duration = Duration::from_secs(3);
/// Longer than one page can take, with its dead letters: a claim on the outbox should last as long.
pub const PAGE_TAKES_AT_MOST: Duration = Duration::from_secs(60);

/// What publishing is told.
#[derive(Debug, Clone)]
pub struct PublishSettings {
    /// How the brokers are reached.
    pub kafka: KafkaSettings,
    /// The topic of outcomes; empty where it is not used.
    pub outcomes: String,
    /// The topic of dead letters; empty where it is not used.
    pub dead_letters: String,
}

/// Publishes until it is stopped; then it has a moment for what was settled last.
///
/// # Errors
/// Where the configuration cannot be used. Kafka or the ledger being away never ends it.
pub async fn run(
    settings: PublishSettings,
    outbox: impl Outbox,
    wake: Arc<Notify>,
    tick: impl Fn() + Send + Sync,
    stop: CancellationToken,
) -> Result<(), KafkaConfigError> {
    let mut publisher =
        Publisher { post: Post::new(&settings.kafka)?, settings, outbox, tick, sent: Sent::default(), published: None };
    if stop.run_until_cancelled(publisher.work(&wake)).await.is_none() {
        drop(tokio::time::timeout(FAREWELL, publisher.rest()).await);
        fail_point!("drain-published");
    }
    Ok(())
}

/// What stands in the way of a page.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
enum PageError {
    #[error("the outbox: {0}")]
    Outbox(String),
    #[error("the topic {topic}: {error}")]
    Post { topic: String, error: PostError },
}

/// Up to where each topic has what the outbox still gives.
#[derive(Debug, Default)]
struct Sent {
    outcomes: Option<Cursor>,
    dead_letters: Option<Cursor>,
}

struct Publisher<O, T> {
    post: Post,
    settings: PublishSettings,
    outbox: O,
    tick: T,
    sent: Sent,
    /// What is to be marked.
    published: Option<Published>,
}

impl<O: Outbox, T: Fn() + Send + Sync> Publisher<O, T> {
    /// Publishes whatever comes, without an end.
    async fn work(&mut self, wake: &Notify) {
        let mut pauses = backoff::reconnect();
        let mut failing = None;
        loop {
            match self.page().await {
                Err(error) => {
                    let pause = backoff::pause(&mut pauses);
                    if failing.as_ref() != Some(&error) {
                        tracing::warn!("outcomes cannot be published and will be again: {error}");
                    }
                    self.recover(&error);
                    failing = Some(error);
                    tokio::time::sleep(pause).await;
                }
                Ok(published) => {
                    if failing.take().is_some() {
                        tracing::info!("publishing goes on");
                        backoff::reset(&mut pauses);
                    }
                    match published {
                        0 => drop(tokio::time::timeout(poll_pause(), wake.notified()).await),
                        PAGE.. => {}
                        _ => tokio::time::sleep(GATHER).await,
                    }
                }
            }
        }
    }

    /// Publishes one page; how many outcomes it held.
    async fn page(&mut self) -> Result<usize, PageError> {
        (self.tick)();
        fail_point!("publish-asks");
        let is_marking = self.published.is_some();
        if is_marking {
            fail_point!("cursor-moves");
        }
        let page = self.outbox.next(PAGE, self.published.as_ref()).await.map_err(|error| PageError::Outbox(error.to_string()))?;
        self.published = None;
        if is_marking {
            fail_point!("cursor-moved");
        }
        let Some(last) = page.last() else { return Ok(0) };
        fail_point!("publish-begins");
        let outcomes: Vec<Letter<'_>> = page.iter().map(Letter::outcome).collect();
        let dead_letters: Vec<Letter<'_>> = page.iter().filter_map(Letter::dead).collect();
        let Self { post, settings, sent, tick, .. } = self;
        let route = |topic, may_skip| Route { post, topic, may_skip, tick };
        // The dead letters first would let one be put back before its outcome is there.
        route(&settings.outcomes, false).deliver(&outcomes, &mut sent.outcomes).await?;
        fail_point!("publish-outcomes-sent");
        route(&settings.dead_letters, true).deliver(&dead_letters, &mut sent.dead_letters).await?;
        let letters = page.iter().filter(|outgoing| outgoing.dead.is_some()).map(|outgoing| outgoing.cursor.seq);
        self.published = Some(Published { up_to: last.cursor, letters: letters.collect() });
        self.sent = Sent::default();
        Ok(page.len())
    }

    /// Publishes all there is, as far as it goes.
    async fn rest(&mut self) {
        let mut has_failed = false;
        loop {
            match self.page().await {
                Ok(0) => return,
                Ok(_) => {}
                // A connection may have died since it was used last.
                Err(PageError::Outbox(_)) if !has_failed => has_failed = true,
                Err(_) => return,
            }
        }
    }

    fn recover(&mut self, error: &PageError) {
        if let PageError::Post { error: PostError::Lost(_), .. } = error
            && let Ok(post) = Post::new(&self.settings.kafka)
        {
            self.post = post;
        }
    }
}

/// The way to one topic.
struct Route<'a, T> {
    post: &'a Post,
    topic: &'a str,
    /// Whether a record that the topic does not take at all is given up: its bytes stay in the ledger, and nothing behind it is held
    /// up.
    may_skip: bool,
    tick: &'a T,
}

impl<T: Fn()> Route<'_, T> {
    /// Sends what the topic does not have yet.
    async fn deliver(&self, letters: &[Letter<'_>], sent: &mut Option<Cursor>) -> Result<(), PageError> {
        if self.topic.is_empty() {
            return Ok(());
        }
        let mut letters = &letters[letters.partition_point(|letter| Some(letter.cursor) <= *sent)..];
        let mut width = letters.len();
        while !letters.is_empty() {
            (self.tick)();
            let posted = self.post.send(self.topic, &letters[..width.min(letters.len())]).await;
            let (done, rest) = letters.split_at(posted.done);
            *sent = done.last().map_or(*sent, |letter| Some(letter.cursor));
            metrics::PUBLISHED.add(&[self.topic], done.len() as u64);
            letters = rest;
            match (posted.result, letters) {
                (Ok(()), _) => {}
                // The broker refuses records that came together with the one that is too large: alone, it is the one.
                (Err(PostError::TooLarge), _) if width > 1 => width = 1,
                (Err(PostError::TooLarge), [letter, rest @ ..]) if self.may_skip => {
                    self.give_up(letter);
                    *sent = Some(letter.cursor);
                    letters = rest;
                }
                (Err(error), _) => return Err(PageError::Post { topic: self.topic.to_owned(), error }),
            }
        }
        Ok(())
    }

    fn give_up(&self, letter: &Letter<'_>) {
        tracing::error!(
            topic = self.topic,
            bytes = letter.value.len(),
            "a record is larger than this topic takes, and is not published there; it stays in the ledger. Raise the topic's \
             max.message.bytes"
        );
    }
}

fn poll_pause() -> Duration {
    Duration::from_millis(fastrand::u64(POLL_MS / 2..=POLL_MS * 3 / 2))
}
