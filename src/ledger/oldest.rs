//! How old the oldest of the backlog is, each by one step of an index.

use super::connect::in_time;
use super::{Ledger, LedgerError};

/// Ages in seconds; 0 where there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, sqlx::FromRow)]
pub struct Oldest {
    /// Of the events that wait, from their intake.
    pub waiting: f64,
    /// For how long the first order in line has been due.
    pub queued: f64,
    /// Of the events that are tried again, from their intake.
    pub retrying: f64,
    /// Of the outcomes that are not published, from their settling.
    pub unpublished: f64,
}

/// Each is the first row of an index: `work_parked`, `lane_due` for each target that has lanes, and `history_order` of each day.
const OLDEST: &str = "
    WITH RECURSIVE line (target) AS (
        (SELECT target FROM lane WHERE next_at IS NOT NULL ORDER BY target LIMIT 1)
        UNION ALL
        SELECT (SELECT l.target FROM lane l WHERE l.next_at IS NOT NULL AND l.target > line.target ORDER BY l.target LIMIT 1)
        FROM line WHERE line.target IS NOT NULL
    ), oldest (waiting, queued, retrying, unpublished) AS (
        SELECT (SELECT received_at FROM work WHERE state = 1 ORDER BY received_at LIMIT 1),
               (SELECT min((SELECT next_at FROM lane l WHERE l.target = line.target AND next_at <= now() ORDER BY next_at LIMIT 1))
                FROM line WHERE line.target IS NOT NULL),
               (SELECT received_at FROM work WHERE state = 2 ORDER BY received_at LIMIT 1),
               (SELECT h.settled_at FROM cursor c CROSS JOIN LATERAL (
                    SELECT settled_at FROM history WHERE (xid, seq) > (c.xid, c.seq) ORDER BY xid, seq LIMIT 1) h
                WHERE c.name = 'outcomes')
    )
    SELECT coalesce(extract(epoch FROM now() - waiting), 0)::float8 AS waiting,
           coalesce(extract(epoch FROM now() - queued), 0)::float8 AS queued,
           coalesce(extract(epoch FROM now() - retrying), 0)::float8 AS retrying,
           coalesce(extract(epoch FROM now() - unpublished), 0)::float8 AS unpublished
    FROM oldest";

impl Ledger {
    /// How old the oldest of the backlog is.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn oldest(&self) -> Result<Oldest, LedgerError> {
        in_time(async { Ok(sqlx::query_as(OLDEST).fetch_one(&self.pool).await?) }).await
    }
}
