//! What came out: every outcome and every dead letter, read as anyone could read them.

use crate::Problem;
use crate::broker::DEAD_LETTERS;
use chrono::{DateTime, Utc};
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Headers};
use serde_json::Value;
use std::collections::BTreeMap;

/// One outcome.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The whole CloudEvent.
    pub whole: Value,
    /// The event's `id`; none where it could not be read.
    pub event: Option<String>,
    /// What it was about, such as `REFUND`.
    pub kind: String,
    pub status: String,
    pub code: String,
    pub attempts: u64,
    pub settled_at: DateTime<Utc>,
}

/// All that came out.
#[derive(Default)]
pub struct Seen {
    /// By the outcome's own id.
    pub outcomes: BTreeMap<String, Outcome>,
    /// From an event to its outcomes.
    pub of_event: BTreeMap<String, Vec<String>>,
    /// The same id with another content: must not be.
    pub contradictions: Vec<String>,
    /// The value of each dead letter, by the id of the outcome.
    pub dead_letters: BTreeMap<String, Vec<u8>>,
    /// Records read of both topics.
    pub records: u64,
}

impl Seen {
    /// Takes a record in.
    pub fn take(&mut self, record: &BorrowedMessage<'_>) -> Result<(), Problem> {
        self.records += 1;
        let value = record.payload().unwrap_or_default();
        if record.topic() == DEAD_LETTERS {
            let headers = record.headers().into_iter().flat_map(|headers| headers.iter());
            let mut ids = headers.filter(|header| header.key == "x-bwp-sync-outcome-id");
            let id = ids.next().and_then(|header| header.value).map(String::from_utf8_lossy).unwrap_or_default();
            self.dead_letters.insert(id.into_owned(), value.to_vec());
            return Ok(());
        }
        let whole: Value = serde_json::from_slice(value).map_err(|error| format!("an outcome that is no JSON: {error}"))?;
        let (id, outcome) = read(whole).ok_or("an outcome without id, status or settledAt")?;
        match self.outcomes.get(&id) {
            None => {
                if let Some(event) = &outcome.event {
                    self.of_event.entry(event.clone()).or_default().push(id.clone());
                }
                self.outcomes.insert(id, outcome);
            }
            // At least once: the very same again is fine.
            Some(known) if known.whole == outcome.whole => {}
            Some(_) => self.contradictions.push(id),
        }
        Ok(())
    }

    /// Whether an event has its outcome.
    pub fn has(&self, event: &str) -> bool {
        self.of_event.contains_key(event)
    }

    /// How many outcomes ended in each status.
    pub fn by_status(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for outcome in self.outcomes.values() {
            *counts.entry(outcome.status.as_str()).or_default() += 1;
        }
        counts
    }
}

fn read(whole: Value) -> Option<(String, Outcome)> {
    let text = |pointer: &str| whole.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let outcome = Outcome {
        event: text("/data/event/id"),
        kind: text("/data/entity/kind").unwrap_or_else(|| "(unreadable)".to_owned()),
        status: text("/data/status")?,
        code: text("/data/reason/code").unwrap_or_default(),
        attempts: whole.pointer("/data/attempts")?.as_u64()?,
        settled_at: text("/data/settledAt")?.parse().ok()?,
        whole: Value::Null,
    };
    Some((text("/id")?, Outcome { whole, ..outcome }))
}
