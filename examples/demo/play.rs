//! The day itself: records go out when they are due, outcomes come in, until every event has its own.

use crate::Problem;
use crate::broker::Broker;
use crate::daemon::Daemon;
use crate::day::{Act, Day, Step};
use crate::event::{Envelope, Event};
use crate::progress::Progress;
use crate::seen::Seen;
use bwp_simulator::Simulator;
use chrono::{DateTime, SecondsFormat, Utc};
use rdkafka::consumer::StreamConsumer;
use rdkafka::message::OwnedHeaders;
use std::time::{Duration, Instant};

/// By then every event must have its outcome.
const EVERYTHING_WITHIN: Duration = Duration::from_secs(90);
const TICK: Duration = Duration::from_millis(20);

/// A record that was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub at: DateTime<Utc>,
    pub event: Event,
    pub envelope: Envelope,
    pub is_repetition: bool,
}

/// What was played.
pub struct Played {
    pub seen: Seen,
    /// Every event that was sent, repetitions among them.
    pub sent: Vec<Sent>,
    /// All records: events and what is none.
    pub records: usize,
    pub began: DateTime<Utc>,
    reader: StreamConsumer,
}

struct Repetition {
    due: Instant,
    sent: Sent,
    time: String,
}

/// Plays the day to its end.
pub async fn play(day: &Day, broker: &Broker, simulator: &Simulator, daemon: &mut Daemon) -> Result<Played, Problem> {
    let (began, reader) = (Instant::now(), broker.reader()?);
    let mut played = Played { seen: Seen::default(), sent: Vec::new(), records: 0, began: Utc::now(), reader };
    let mut pending: Vec<Step> = day.steps.clone();
    let mut repetitions: Vec<Repetition> = Vec::new();
    let mut progress = Progress::new(day.records());
    loop {
        let elapsed = began.elapsed();
        let is_due = |step: &Step, seen: &Seen| step.at <= elapsed && step.after.as_ref().is_none_or(|event| seen.has(event));
        let (due, rest): (Vec<Step>, Vec<Step>) = pending.into_iter().partition(|step| is_due(step, &played.seen));
        pending = rest;
        for step in due {
            match step.act {
                Act::Send { event, envelope, again } => {
                    let time = Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true);
                    let sent = Sent { at: Utc::now(), event, envelope, is_repetition: false };
                    played.send(broker, &sent, &time).await?;
                    if let Some((pause, envelope)) = again {
                        let sent = Sent { envelope, is_repetition: true, ..sent };
                        repetitions.push(Repetition { due: Instant::now() + pause, sent, time });
                    }
                }
                Act::Raw { topic, key, value } => {
                    broker.send(topic, Some(key), value, OwnedHeaders::new())?.await?.map_err(|(error, _)| error)?;
                    played.records += 1;
                }
                Act::Arrive(seed) => {
                    simulator.seed_order(*seed).map_err(|error| format!("an order cannot be seeded: {error:?}"))?;
                }
            }
        }
        for repetition in repetitions.extract_if(.., |repetition| repetition.due <= Instant::now()) {
            let sent = Sent { at: Utc::now(), ..repetition.sent };
            played.send(broker, &sent, &repetition.time).await?;
        }
        played.listen(TICK).await?;
        progress.show(&played, daemon).await;
        daemon.alive()?;
        let missing = day.events().find(|event| !played.seen.has(&event.id));
        if pending.is_empty() && repetitions.is_empty() && missing.is_none() && !played.seen.dead_letters.is_empty() {
            progress.end();
            return Ok(played);
        }
        if elapsed > EVERYTHING_WITHIN {
            progress.end();
            return Err(too_late(day, &played, pending.len(), daemon).into());
        }
    }
}

impl Played {
    async fn send(&mut self, broker: &Broker, sent: &Sent, time: &str) -> Result<(), Problem> {
        let (event, body) = (&sent.event, sent.event.body(sent.envelope, time));
        let order = event.order.to_string();
        // A repetition has no key, and so comes on any partition.
        let key = (!sent.is_repetition).then_some(order.as_str());
        broker.send(event.kind.topic(), key, Some(&body.value), body.headers)?.await?.map_err(|(error, _)| error)?;
        self.records += 1;
        self.sent.push(sent.clone());
        Ok(())
    }

    /// Takes in what comes out within this time.
    async fn listen(&mut self, time: Duration) -> Result<(), Problem> {
        let until = tokio::time::Instant::now() + time;
        while let Ok(record) = tokio::time::timeout_at(until, self.reader.recv()).await {
            // What the client reports here (a broker that is slow) passes; what does not, the deadline shows.
            if let Ok(record) = record {
                self.seen.take(&record)?;
            }
        }
        Ok(())
    }

    /// Reads on until nothing is left of what came out so far: a second outcome may come late.
    pub async fn drain(&mut self, broker: &Broker, within: Duration) -> Result<(), Problem> {
        let (began, written) = (Instant::now(), broker.written(&self.reader)?);
        while self.seen.records < written {
            self.listen(TICK).await?;
            if began.elapsed() > within {
                let read = self.seen.records;
                return Err(format!("expected to read {written} outcomes and dead letters, got {read} within {within:?}").into());
            }
        }
        Ok(())
    }
}

fn too_late(day: &Day, played: &Played, unsent: usize, daemon: &Daemon) -> String {
    let missing: Vec<&Event> = day.events().filter(|event| !played.seen.has(&event.id)).collect();
    let some: Vec<String> = missing.iter().take(5).map(|event| format!("{} ({})", event.id, event.brief)).collect();
    format!(
        "expected every event to have its outcome within {EVERYTHING_WITHIN:?}; {} of {} have none, among them {}; {unsent} steps \
         of the day are still waiting for others. The daemon's log: {}",
        missing.len(),
        day.events().count(),
        some.join(", "),
        daemon.log()
    )
}
