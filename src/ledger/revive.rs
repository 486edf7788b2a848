//! A dead letter that was put back on its topic with its header is a retry of the stored event.

use super::codec::{kind_code, state};
use super::finals::{FinalRow, reopen};
use super::inbox::{Original, Place};
use super::intake::{final_row, unknown_target};
use super::load::{Record, record};
use super::save::OutcomeRow;
use super::{LedgerError, Targets};
use crate::event::{self, Event, RawRecord, Reading};
use crate::outcome::{self, Final};
use crate::plan::outcome::{Reason, Status};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Row};
use std::collections::BTreeSet;
use uuid::Uuid;

/// The header that makes a dead letter, put back on its topic, a retry.
const OUTCOME_ID: &str = "x-bwp-sync-outcome-id";

/// An event that was there before.
pub struct Repeated<'a> {
    pub place: &'a Place,
    pub event: &'a Event,
    pub original: &'a Original,
    pub hash: Uuid,
}

impl Repeated<'_> {
    /// The number of the outcome that it brings back, where it is one of this event.
    fn number(&self) -> Option<i32> {
        let header = self.original.headers.iter().rev().find(|(name, _)| name == OUTCOME_ID)?;
        let id = std::str::from_utf8(header.1.as_deref()?).ok()?;
        let number = id.rsplit_once('#')?.1.parse().ok()?;
        (outcome::outcome_id(&self.event.envelope.identity, number) == id).then_some(number)
    }
}

/// What became of the letters that came back.
#[derive(Default)]
pub struct Revived {
    /// Where those stood that were retries.
    pub places: BTreeSet<Place>,
    /// Outcomes of events that died again at once.
    pub outcomes: Vec<OutcomeRow>,
    /// The same, for metrics and logs.
    pub finals: Vec<FinalRow>,
}

/// Retries dead events whose letter came back with the id of their present outcome. One for a target that is still not configured
/// dies again: no lane of such a target is ever worked on.
pub async fn revive(
    db: &mut PgConnection,
    repeated: &[Repeated<'_>],
    targets: &Targets,
    now: DateTime<Utc>,
) -> Result<Revived, LedgerError> {
    let mut revived = Revived::default();
    let known: Vec<&str> = targets.keys().map(String::as_str).collect();
    for letter in repeated {
        let Some(number) = letter.number() else { continue };
        let row = sqlx::query(
            "UPDATE work w SET progress = NULL, waiting_since = NULL, waits_for = NULL,
                state = CASE WHEN l.target = ANY($1) THEN $2 ELSE w.state END,
                died = CASE WHEN l.target = ANY($1) THEN NULL ELSE w.died END,
                outcomes = w.outcomes + (l.target <> ALL($1))::int
             FROM lane l
             WHERE l.id = w.lane AND w.hash = $3 AND w.state = $4 AND w.outcomes = $5
             RETURNING w.*, l.target = ANY($1) AS is_known",
        )
        .bind(&known)
        .bind(state::QUEUED)
        .bind(letter.hash)
        .bind(state::DEAD)
        .bind(number)
        .fetch_optional(&mut *db)
        .await?;
        let Some(row) = row else { continue };
        reopen(db, row.try_get("lane")?, row.try_get("kind")?).await?;
        revived.places.insert(letter.place.clone());
        if !row.try_get::<bool, _>("is_known")? {
            let record = record(&row)?;
            // The stored event counts, whatever came back with its identity.
            let stored = read_again(&record);
            let event = stored.as_deref().unwrap_or(letter.event);
            let reason = unknown_target(event);
            revived.finals.push(final_row(event, Status::Dead, &reason));
            let (lane, no) = (row.try_get("lane")?, row.try_get("no")?);
            revived.outcomes.push(dead_again((lane, no), event, record, reason, number + 1, now));
        }
    }
    Ok(revived)
}

fn read_again(record: &Record) -> Option<Box<Event>> {
    let headers: Vec<(&str, Option<&[u8]>)> =
        record.original.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
    let raw = RawRecord { key: record.original.key.as_deref(), value: Some(&record.original.value), headers: &headers };
    match event::read(&raw) {
        Reading::Event(event) => Some(event),
        _ => None,
    }
}

fn dead_again(
    (lane, no): (i64, i64),
    event: &Event,
    record: Record,
    reason: Reason,
    number: i32,
    now: DateTime<Utc>,
) -> OutcomeRow {
    let status = Status::Dead;
    let ending =
        Final { status, reason: Some(&reason), attempts: 0, order_bwp_id: None, entity_bwp_id: None, settled_at: now, number };
    OutcomeRow {
        lane: Some(lane),
        no: Some(no),
        kind: Some(kind_code(event.envelope.kind)),
        status,
        record_key: Some(event.data.order().id().as_bytes().to_vec()),
        outcome: outcome::of_event(event, &record.place, &ending),
        dead: Some((record.place, record.original)),
        reason: Some(reason),
    }
}
