//! Events end: their rows go, or stay to be retried; each has its outcome and is counted.

use super::codec::{json_text, kind_code, state};
use super::save::{Letter, OutcomeRow, Tally};
use super::write::{Ended, Written};
use super::{LedgerError, Place};
use crate::event::AliasKind;
use crate::outcome::{self, Final};
use crate::plan::outcome::{Reason, Status};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::collections::BTreeSet;
use std::time::Duration;

/// A row that became final: for metrics and logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalRow {
    /// The kind of the event.
    pub kind: crate::event::Kind,
    /// How it ended.
    pub status: Status,
    /// Why.
    pub reason: Option<Reason>,
    /// What it is about.
    pub entity: AliasKind,
    /// Its trace context.
    pub traceparent: Option<String>,
    /// Where its record stands on Kafka.
    pub place: Place,
    /// When the producer says it happened.
    pub event_time: DateTime<Utc>,
    /// When it was taken in.
    pub received_at: DateTime<Utc>,
    /// When it became final.
    pub settled_at: DateTime<Utc>,
    /// Who it is, for the log.
    pub identity: crate::event::Identity,
    /// The id in its reference to its order.
    pub order: String,
    /// Mutations sent for it.
    pub attempts: u32,
}

impl FinalRow {
    /// From when it happened to now, by the producer's clock and ours.
    pub fn since_event(&self) -> Duration {
        (self.settled_at - self.event_time).to_std().unwrap_or_default()
    }

    /// From its intake to now.
    pub fn since_intake(&self) -> Duration {
        (self.settled_at - self.received_at).to_std().unwrap_or_default()
    }
}

/// Events that end: the dead stay to be retried, the others leave; each has its outcome.
pub(super) struct Ending<'a>(Vec<(i64, &'a Ended)>);

impl<'a> Ending<'a> {
    /// Those of some lanes; the dead are buried. An event that has moved to another lane meanwhile ends there.
    pub(super) async fn of(db: &mut PgConnection, lanes: &'a [Written]) -> Result<Ending<'a>, LedgerError> {
        let all = || lanes.iter().flat_map(|written| written.settled.iter().map(|ended| (written.id, ended)));
        let dead: Vec<(i64, i64, String)> = all()
            .filter_map(|(lane, ended)| match (ended.settled.status, &ended.settled.reason) {
                (Status::Dead, Some(reason)) => Some((lane, ended.settled.no, json_text(reason))),
                _ => None,
            })
            .collect();
        let there = bury_work(db, &dead).await?;
        let is_here =
            |(lane, ended): &(i64, &Ended)| ended.settled.status != Status::Dead || there.contains(&(*lane, ended.settled.no));
        Ok(Ending(all().filter(is_here).collect()))
    }

    /// Their outcomes, counted.
    pub(super) fn outcomes(&self, now: DateTime<Utc>, tally: &mut Tally) -> impl Iterator<Item = OutcomeRow> {
        for (_, ended) in &self.0 {
            tally.add("final", ended.settled.live.event.envelope.kind.label(), 1);
        }
        self.0.iter().map(move |(lane, ended)| outcome_row(*lane, ended, now))
    }

    /// Those whose outcomes were recorded.
    pub(super) fn finals(&self, recorded: &[bool], now: DateTime<Utc>) -> Vec<FinalRow> {
        let recorded = self.0.iter().zip(recorded).filter(|(_, is_recorded)| **is_recorded);
        recorded.map(|((_, ended), _)| final_row(ended, now)).collect()
    }
}

fn outcome_row(lane: i64, ended: &Ended, now: DateTime<Utc>) -> OutcomeRow {
    let Ended { settled, row, order_bwp_id, entity_bwp_id } = ended;
    let event = &settled.live.event;
    let ending = Final {
        status: settled.status,
        reason: settled.reason.as_ref(),
        attempts: settled.live.progress.attempts,
        order_bwp_id: order_bwp_id.as_deref(),
        entity_bwp_id: entity_bwp_id.as_deref(),
        settled_at: now,
        number: row.outcomes + 1,
    };
    OutcomeRow {
        settled_at: now,
        lane: Some(lane),
        no: Some(settled.no),
        kind: Some(kind_code(event.envelope.kind)),
        status: settled.status,
        reason: settled.reason.clone(),
        record_key: Some(event.data.order().id().as_bytes().to_vec()),
        outcome: outcome::of_event(event, &row.place, &ending),
        letter: (settled.status == Status::Dead).then_some(Letter::Work),
        is_leaving: settled.status != Status::Dead,
    }
}

fn final_row(ended: &Ended, now: DateTime<Utc>) -> FinalRow {
    let event = &ended.settled.live.event;
    FinalRow {
        kind: event.envelope.kind,
        status: ended.settled.status,
        reason: ended.settled.reason.clone(),
        entity: outcome::entity(event).0,
        traceparent: event.envelope.traceparent.clone(),
        place: ended.row.place.clone(),
        event_time: event.envelope.time,
        received_at: ended.row.received_at,
        settled_at: now,
        identity: event.envelope.identity.clone(),
        order: event.data.order().id().to_owned(),
        attempts: ended.settled.live.progress.attempts,
    }
}

async fn bury_work(db: &mut PgConnection, rows: &[(i64, i64, String)]) -> Result<BTreeSet<(i64, i64)>, LedgerError> {
    if rows.is_empty() {
        return Ok(BTreeSet::new());
    }
    let buried: Vec<(i64, i64)> = sqlx::query_as(
        "UPDATE work w SET state = $4, died = k.died::jsonb, died_at = now(), outcomes = w.outcomes + 1, waiting_since = NULL,
                waits_for = NULL
         FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS k (lane, no, died)
         WHERE w.lane = k.lane AND w.no = k.no RETURNING w.lane, w.no",
    )
    .bind(rows.iter().map(|row| row.0).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.1).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.2.clone()).collect::<Vec<_>>())
    .bind(state::DEAD)
    .fetch_all(db)
    .await?;
    Ok(buried.into_iter().collect())
}

/// A dead event was revived: its outcome no longer counts, and its lane is due.
pub async fn reopen(db: &mut PgConnection, lane: i64, kind: i16) -> Result<(), LedgerError> {
    sqlx::query("UPDATE lane SET next_at = CASE WHEN is_leased THEN next_at ELSE now() END, is_dirty = is_leased WHERE id = $1")
        .bind(lane)
        .execute(&mut *db)
        .await?;
    let mut tally = Tally::default();
    tally.add("final", super::totals::kind_label(Some(kind)), -1);
    tally.write(db).await
}
