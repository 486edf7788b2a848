//! Outcomes wait here for the publisher.

use super::codec::unpack_headers;
use super::connect::in_time;
use super::inbox::{Original, Place};
use super::kept::Step;
use super::{Ledger, LedgerError};
use crate::publish::{Cursor, DeadLetter, Outbox, OutboxError, Outgoing, Published};
use serde::Deserialize;
use sqlx::Row;
use std::time::Duration;
use uuid::Uuid;

/// How long a replica that no longer asks keeps the outbox from the others. One that is slow publishes a page beside its
/// successor: a repetition, which is allowed.
const HOLD: Duration = Duration::from_secs(10);

/// Bytes of one page, but for a single record that is larger.
const PAGE_BYTES: i64 = 4 << 20;

/// The outbox as one replica sees it: who holds it is given outcomes, the others none.
#[derive(Debug, Clone)]
pub struct LedgerOutbox {
    /// Where the outcomes are.
    pub ledger: Ledger,
    /// This replica.
    pub holder: Uuid,
}

impl Outbox for LedgerOutbox {
    async fn next(&self, limit: usize, published: Option<&Published>) -> Result<Vec<Outgoing>, OutboxError> {
        self.ledger.next_outcomes(self.holder, limit, published).await.map_err(|error| OutboxError(error.to_string()))
    }
}

impl Ledger {
    /// Notes what this replica has published, drops its letters, and gives the next outcomes, in the order of settling, if it may publish
    /// now. Where another replica has taken over meanwhile, nothing is noted, and that one publishes the same again. A transaction that
    /// may still commit holds back all that comes after it, since numbers commit out of order.
    async fn next_outcomes(
        &self,
        holder: Uuid,
        limit: usize,
        published: Option<&Published>,
    ) -> Result<Vec<Outgoing>, LedgerError> {
        in_time(async {
            let mut connection = self.connection(Step::Publish).await?;
            let rows = sqlx::query(
                "WITH held AS (
                    -- Where another has published meanwhile, its place is further.
                    SELECT holder = $1 AND ($5::xid8, $7) > (xid, seq) AS is_marking FROM cursor
                    WHERE name = 'outcomes' AND (holder IS NULL OR holder = $1 OR held_until < now()) FOR UPDATE
                 ), letters AS (
                    DELETE FROM dead_letter WHERE seq = ANY($6) AND (SELECT is_marking FROM held)
                 ), mine AS (
                    UPDATE cursor SET holder = $1, held_until = now() + make_interval(secs => $2),
                        xid = CASE WHEN is_marking THEN $5::xid8 ELSE xid END,
                        seq = CASE WHEN is_marking THEN $7 ELSE seq END
                    FROM held WHERE name = 'outcomes'
                    RETURNING xid, seq, base
                 )
                 SELECT h.xid::text, h.seq, h.record_key, h.outcome, d.topic, d.partition, d.\"offset\", d.key, d.headers, d.value
                 FROM mine
                 CROSS JOIN LATERAL (
                    SELECT h.*, sum(octet_length(h.outcome) + coalesce(d.bytes, 0)) OVER (ORDER BY h.xid, h.seq) AS so_far,
                           octet_length(h.outcome) + coalesce(d.bytes, 0) AS bytes
                    FROM (
                        SELECT * FROM history
                        WHERE (xid, seq) > (mine.xid, mine.seq) AND xid < (pg_snapshot_xmin(pg_current_snapshot())::text::bigint + mine.base)::text::xid8
                        ORDER BY xid, seq LIMIT $3
                    ) h
                    LEFT JOIN LATERAL (SELECT octet_length(value) AS bytes FROM dead_letter WHERE seq = h.seq LIMIT 1) d ON true
                 ) h
                 LEFT JOIN LATERAL (SELECT * FROM dead_letter WHERE seq = h.seq LIMIT 1) d ON true
                 WHERE h.so_far - h.bytes < $4
                 ORDER BY h.xid, h.seq",
            )
            .bind(holder)
            .bind(HOLD.as_secs_f64())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .bind(PAGE_BYTES)
            .bind(published.map(|published| published.up_to.xid.to_string()))
            .bind(published.map_or(&[][..], |published| &published.letters))
            .bind(published.map(|published| published.up_to.seq))
            .fetch_all(&mut *connection)
            .await?;
            connection.keep();
            rows.iter().map(outgoing).collect()
        })
        .await
    }

    /// Gives the outbox to whoever asks next.
    ///
    /// # Errors
    /// Where Postgres is away: then it is free when the hold ends.
    pub async fn release_outbox(&self, holder: Uuid) -> Result<(), LedgerError> {
        sqlx::query("UPDATE cursor SET holder = NULL WHERE holder = $1").bind(holder).execute(&self.pool).await?;
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
