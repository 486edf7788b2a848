//! Events end: their rows go, or stay to be retried; each has its outcome and is counted.

use super::LedgerError;
use super::codec::{kind_code, state};
use super::save::{OutcomeRow, Tally, record_outcomes};
use super::write::{Ended, Written};
use crate::event::AliasKind;
use crate::outcome::{self, Final};
use crate::plan::outcome::{Reason, Status};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
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
    /// From intake to now.
    pub age: Duration,
    /// Who it is, for the log.
    pub identity: crate::event::Identity,
    /// The id in its reference to its order.
    pub order: String,
    /// Mutations sent for it.
    pub attempts: u32,
}

/// Ends events: the dead stay to be retried, the others leave; each has its outcome and is counted.
pub(super) async fn write_finals(
    db: &mut PgConnection,
    writes: &[Written],
    now: DateTime<Utc>,
) -> Result<Vec<FinalRow>, LedgerError> {
    let mut outcomes = Vec::new();
    let mut finals = Vec::new();
    let mut tally = Tally::default();
    let mut ended: Vec<(i64, i64)> = Vec::new();
    let mut dead: Vec<(i64, i64, serde_json::Value)> = Vec::new();
    for written in writes {
        for Ended { settled, record, order_bwp_id, entity_bwp_id } in &written.settled {
            let event = &settled.live.event;
            let ending = Final {
                status: settled.status,
                reason: settled.reason.as_ref(),
                attempts: settled.live.progress.attempts,
                order_bwp_id: order_bwp_id.as_deref(),
                entity_bwp_id: entity_bwp_id.as_deref(),
                settled_at: now,
                number: record.outcomes + 1,
            };
            let order = event.data.order().id().to_owned();
            outcomes.push(OutcomeRow {
                lane: Some(written.id),
                no: Some(settled.no),
                kind: Some(kind_code(event.envelope.kind)),
                status: settled.status,
                reason: settled.reason.clone(),
                record_key: Some(order.as_bytes().to_vec()),
                outcome: outcome::of_event(event, &record.place, &ending),
                dead: (settled.status == Status::Dead).then(|| (record.place.clone(), record.original.clone())),
            });
            tally.add("final", event.envelope.kind.label(), 1);
            match (settled.status, &settled.reason) {
                (Status::Dead, Some(reason)) => dead.push((written.id, settled.no, serde_json::to_value(reason)?)),
                _ => ended.push((written.id, settled.no)),
            }
            finals.push(FinalRow {
                kind: event.envelope.kind,
                status: settled.status,
                reason: settled.reason.clone(),
                age: (now - record.received_at).to_std().unwrap_or_default(),
                entity: outcome::entity(event).0,
                traceparent: event.envelope.traceparent.clone(),
                identity: event.envelope.identity.clone(),
                order,
                attempts: settled.live.progress.attempts,
            });
        }
    }
    delete_work(db, &ended).await?;
    bury_work(db, &dead).await?;
    record_outcomes(db, &outcomes, now).await?;
    tally.write(db).await?;
    Ok(finals)
}

async fn delete_work(db: &mut PgConnection, rows: &[(i64, i64)]) -> Result<(), LedgerError> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "DELETE FROM work w USING unnest($1::bigint[], $2::bigint[]) AS k (lane, no) WHERE w.lane = k.lane AND w.no = k.no",
    )
    .bind(rows.iter().map(|row| row.0).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.1).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(())
}

async fn bury_work(db: &mut PgConnection, rows: &[(i64, i64, serde_json::Value)]) -> Result<(), LedgerError> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE work w SET state = $4, died = k.died, outcomes = w.outcomes + 1, waiting_since = NULL, waits_for = NULL
         FROM unnest($1::bigint[], $2::bigint[], $3::jsonb[]) AS k (lane, no, died)
         WHERE w.lane = k.lane AND w.no = k.no",
    )
    .bind(rows.iter().map(|row| row.0).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.1).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.2.clone()).collect::<Vec<_>>())
    .bind(state::DEAD)
    .execute(db)
    .await?;
    Ok(())
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
