//! Outcomes wait here for the publisher.

use super::codec::unpack_headers;
use super::inbox::{Original, Place};
use super::{Ledger, LedgerError};
use crate::publish::{Cursor, DeadLetter, Outbox, OutboxError, Outgoing, PAGE_TAKES_AT_MOST};
use serde::Deserialize;
use sqlx::Row;
use uuid::Uuid;

/// The outbox as one replica sees it: who holds it is given outcomes, the others none.
#[derive(Debug, Clone)]
pub struct LedgerOutbox {
    /// Where the outcomes are.
    pub ledger: Ledger,
    /// This replica.
    pub holder: Uuid,
}

impl Outbox for LedgerOutbox {
    async fn next(&self, limit: usize) -> Result<Vec<Outgoing>, OutboxError> {
        self.ledger.next_outcomes(self.holder, limit).await.map_err(|error| OutboxError(error.to_string()))
    }

    async fn published(&self, up_to: Cursor) -> Result<(), OutboxError> {
        self.ledger.outcomes_published(self.holder, up_to).await.map_err(|error| OutboxError(error.to_string()))
    }
}

impl Ledger {
    /// The next outcomes, in the order of settling, if this replica may publish now. A transaction that may still commit holds back
    /// all that comes after it, since numbers commit out of order.
    async fn next_outcomes(&self, holder: Uuid, limit: usize) -> Result<Vec<Outgoing>, LedgerError> {
        let rows = sqlx::query(
            "WITH mine AS (
                UPDATE cursor SET holder = $1, held_until = now() + make_interval(secs => $2)
                WHERE name = 'outcomes' AND (holder IS NULL OR holder = $1 OR held_until < now())
                RETURNING xid, seq
             )
             SELECT h.xid::text, h.seq, h.record_key, h.outcome, d.topic, d.partition, d.\"offset\", d.key, d.headers, d.value
             FROM mine
             CROSS JOIN LATERAL (
                SELECT * FROM history
                WHERE (xid, seq) > (mine.xid, mine.seq) AND xid < pg_snapshot_xmin(pg_current_snapshot())
                ORDER BY xid, seq LIMIT $3
             ) h
             LEFT JOIN dead_letter d ON d.seq = h.seq
             ORDER BY h.xid, h.seq",
        )
        .bind(holder)
        .bind(PAGE_TAKES_AT_MOST.as_secs_f64() * 2.0)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(outgoing).collect()
    }

    /// Notes that everything up to this place has been published, and drops the letters. Where another replica has taken over,
    /// nothing changes, and it publishes the same again.
    async fn outcomes_published(&self, holder: Uuid, up_to: Cursor) -> Result<(), LedgerError> {
        sqlx::query(
            "WITH mine AS (
                SELECT xid, seq FROM cursor WHERE name = 'outcomes' AND holder = $1 FOR UPDATE
             ), letters AS (
                DELETE FROM dead_letter WHERE seq IN (
                    SELECT h.seq FROM mine, history h JOIN dead_letter USING (seq)
                    WHERE (h.xid, h.seq) > (mine.xid, mine.seq) AND (h.xid, h.seq) <= ($2::xid8, $3))
             )
             UPDATE cursor SET xid = $2::xid8, seq = $3 FROM mine WHERE name = 'outcomes'",
        )
        .bind(holder)
        .bind(up_to.xid.to_string())
        .bind(up_to.seq)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

/// What a dead letter repeats of its outcome.
#[derive(Deserialize)]
struct Said {
    id: String,
    data: SaidData,
}

#[derive(Deserialize)]
struct SaidData {
    status: String,
    reason: Option<SaidReason>,
}

#[derive(Deserialize)]
struct SaidReason {
    code: String,
    message: String,
}

fn outgoing(row: &sqlx::postgres::PgRow) -> Result<Outgoing, LedgerError> {
    let xid: String = row.try_get(0)?;
    let xid = xid.parse().map_err(|_| LedgerError::Unreadable(format!("transaction id {xid}")))?;
    let outcome: String = row.try_get(3)?;
    let topic: Option<String> = row.try_get(4)?;
    let dead = match topic {
        None => None,
        Some(topic) => {
            let said: Said = serde_json::from_str(&outcome)?;
            let headers: Option<Vec<u8>> = row.try_get(8)?;
            let reason = said.data.reason;
            Some(DeadLetter {
                original: Original { key: row.try_get(7)?, value: row.try_get(9)?, headers: unpack_headers(headers.as_deref()) },
                place: Place { topic, partition: row.try_get(5)?, offset: row.try_get(6)? },
                status: said.data.status,
                code: reason.as_ref().map(|reason| reason.code.clone()).unwrap_or_default(),
                message: reason.map(|reason| reason.message).unwrap_or_default(),
                outcome_id: said.id,
            })
        }
    };
    Ok(Outgoing { cursor: Cursor { xid, seq: row.try_get(1)? }, outcome_key: row.try_get(2)?, outcome, dead })
}
