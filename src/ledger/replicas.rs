//! Which replicas live, for what all of them share.

use super::connect::in_time;
use super::{Ledger, LedgerError};
use sqlx::Row;
use std::time::Duration;
use uuid::Uuid;

/// A replica that was not seen for longer is lost.
pub const LOST_AFTER: Duration = Duration::from_secs(5);

/// What a heartbeat shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fleet {
    /// Replicas that were seen lately, this one among them.
    pub replicas: usize,
    /// Lanes that rest.
    pub parked_lanes: usize,
}

impl Ledger {
    /// Says that this replica lives, and counts those that do. Rows that are long lost go.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn heartbeat(&self, id: Uuid) -> Result<Fleet, LedgerError> {
        in_time(async {
            let row = sqlx::query(
                "WITH lost AS (
                    DELETE FROM replica WHERE seen_at < clock_timestamp() - 12 * make_interval(secs => $2) AND id <> $1
                 ), own AS (
                    INSERT INTO replica (id, seen_at) VALUES ($1, clock_timestamp())
                    ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at
                 )
                 SELECT (SELECT count(*) FROM replica WHERE id <> $1 AND seen_at > clock_timestamp() - make_interval(secs => $2)),
                        (SELECT count(*) FROM lane WHERE parked_until > clock_timestamp())",
            )
            .bind(id)
            .bind(LOST_AFTER.as_secs_f64())
            .fetch_one(&self.pool)
            .await?;
            let (others, parked): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            let count = |rows: i64| usize::try_from(rows).unwrap_or(0);
            Ok(Fleet { replicas: 1 + count(others), parked_lanes: count(parked) })
        })
        .await
    }

    /// Says that this replica goes.
    ///
    /// # Errors
    /// Where Postgres is away: then it is lost after a while.
    pub async fn leave(&self, id: Uuid) -> Result<(), LedgerError> {
        in_time(async {
            sqlx::query("DELETE FROM replica WHERE id = $1").bind(id).execute(&self.pool).await?;
            Ok(())
        })
        .await
    }
}
