//! Outcomes wait here for the publisher.

use super::codec::{status_code, unpack_headers};
use super::inbox::{Original, Place};
use super::{Ledger, LedgerError};
use crate::plan::outcome::Status;
use sqlx::Row;
use std::time::Duration;
use uuid::Uuid;

/// How long a replica that took a page may take to publish it, before another one takes over.
const HOLD: Duration = Duration::from_secs(30);

/// An outcome that is to be published.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// Where it stands among all outcomes.
    pub position: Position,
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// The CloudEvent.
    pub outcome: String,
    /// The original record, where it goes to the dead letters.
    pub dead: Option<DeadLetter>,
}

/// The place of an outcome among all: by transaction, then by number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The transaction that wrote it.
    pub xid: u64,
    /// Its number.
    pub seq: i64,
}

/// The original of a record that ended `DEAD` or `QUARANTINED`.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// Where it stood.
    pub place: Place,
    /// Its bytes.
    pub original: Original,
    /// How it ended.
    pub status: Status,
}

impl Ledger {
    /// The next outcomes, in the order of settling, if this replica may publish now. A transaction that may still commit holds back
    /// all that comes after it, since numbers commit out of order.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn next_outcomes(&self, holder: Uuid, limit: usize) -> Result<Vec<Outgoing>, LedgerError> {
        let rows = sqlx::query(
            "WITH mine AS (
                UPDATE cursor SET holder = $1, held_until = now() + make_interval(secs => $2)
                WHERE name = 'outcomes' AND (holder IS NULL OR holder = $1 OR held_until < now())
                RETURNING xid, seq
             )
             SELECT h.xid::text, h.seq, h.record_key, h.outcome, h.status, d.topic, d.partition, d.\"offset\", d.key, d.headers, d.value
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
        .bind(HOLD.as_secs_f64())
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(outgoing).collect()
    }

    /// Notes that everything up to this place has been published. Where another replica has taken over, nothing changes.
    ///
    /// # Errors
    /// Where Postgres is away: then the same outcomes come again, and are published again.
    pub async fn outcomes_published(&self, holder: Uuid, last: &Position, dead: &[i64]) -> Result<(), LedgerError> {
        sqlx::query(
            "WITH mine AS (
                UPDATE cursor SET xid = $2::xid8, seq = $3 WHERE name = 'outcomes' AND holder = $1 RETURNING 1
             )
             DELETE FROM dead_letter WHERE seq = ANY($4) AND EXISTS (SELECT 1 FROM mine)",
        )
        .bind(holder)
        .bind(last.xid.to_string())
        .bind(last.seq)
        .bind(dead)
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

fn outgoing(row: &sqlx::postgres::PgRow) -> Result<Outgoing, LedgerError> {
    let xid: String = row.try_get(0)?;
    let xid = xid.parse().map_err(|_| LedgerError::Unreadable(format!("transaction id {xid}")))?;
    let code: i16 = row.try_get(4)?;
    let topic: Option<String> = row.try_get(5)?;
    let dead = match topic {
        None => None,
        Some(topic) => {
            let headers: Option<Vec<u8>> = row.try_get(9)?;
            Some(DeadLetter {
                place: Place { topic, partition: row.try_get(6)?, offset: row.try_get(7)? },
                original: Original { key: row.try_get(8)?, value: row.try_get(10)?, headers: unpack_headers(headers.as_deref()) },
                status: Status::ALL.into_iter().find(|status| status_code(*status) == code).unwrap_or(Status::Dead),
            })
        }
    };
    let position = Position { xid, seq: row.try_get(1)? };
    Ok(Outgoing { position, key: row.try_get(2)?, outcome: row.try_get(3)?, dead })
}
