//! The accounting identity: what was read against what became of it.

use super::codec::kind_of;
use super::connect::in_time;
use super::{Ledger, LedgerError};
use serde::Serialize;
use sqlx::Row;

/// The label of a kind's column; what could not be read has none.
pub fn kind_label(code: Option<i16>) -> &'static str {
    code.and_then(kind_of).map_or("unreadable", |kind| kind.label())
}

/// Unsettled events of the whole ledger, by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Backlog {
    /// For a name.
    pub waiting: i64,
    /// Due when their lane's turn comes.
    pub queued: i64,
    /// For their next try, or for a read that tells what became of the last one.
    pub retrying: i64,
    /// In a mutation that is on its way.
    pub in_flight: i64,
}

impl Backlog {
    /// All of them.
    pub fn total(&self) -> i64 {
        self.waiting + self.queued + self.retrying + self.in_flight
    }
}

/// The identity's sides, read in one snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Records read.
    pub read: i64,
    /// Records without a value.
    pub tombstones: i64,
    /// Records that were there before.
    pub duplicates: i64,
    /// Present outcomes.
    pub finals: i64,
    /// The rest.
    pub backlog: Backlog,
    /// Lanes with something due, now or later.
    pub lanes: i64,
}

impl Totals {
    /// What does not add up. Zero, always.
    pub fn imbalance(&self) -> i64 {
        self.read - self.tombstones - self.duplicates - self.finals - self.backlog.total()
    }
}

impl Ledger {
    /// The totals of the whole ledger, the same on every replica.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn totals(&self) -> Result<Totals, LedgerError> {
        in_time(async {
            let row = sqlx::query(
                "WITH t AS (
                    SELECT coalesce(sum(total) FILTER (WHERE what = 'read'), 0)::bigint AS read,
                           coalesce(sum(total) FILTER (WHERE what = 'tombstone'), 0)::bigint AS tombstones,
                           coalesce(sum(total) FILTER (WHERE what = 'duplicate'), 0)::bigint AS duplicates,
                           coalesce(sum(total) FILTER (WHERE what = 'final'), 0)::bigint AS finals
                    FROM tally
                 ), flight AS (
                    SELECT l.id, f.no FROM lane l CROSS JOIN LATERAL unnest(l.flight) AS f (no)
                    WHERE l.flight <> '{}' AND l.is_leased
                 ), w AS (
                    SELECT count(*) FILTER (WHERE f.no IS NOT NULL) AS in_flight,
                           count(*) FILTER (WHERE f.no IS NULL AND w.state = 0) AS queued,
                           count(*) FILTER (WHERE f.no IS NULL AND w.state = 1) AS waiting,
                           count(*) FILTER (WHERE f.no IS NULL AND w.state = 2) AS retrying
                    FROM work w LEFT JOIN flight f ON (f.id, f.no) = (w.lane, w.no)
                    WHERE w.state <> 3
                 )
                 SELECT t.read, t.tombstones, t.duplicates, t.finals, w.waiting, w.queued, w.retrying, w.in_flight,
                        (SELECT count(*) FROM lane WHERE next_at IS NOT NULL)
                 FROM t, w",
            )
            .fetch_one(&self.pool)
            .await?;
            Ok(Totals {
                read: row.try_get(0)?,
                tombstones: row.try_get(1)?,
                duplicates: row.try_get(2)?,
                finals: row.try_get(3)?,
                backlog: Backlog {
                    waiting: row.try_get(4)?,
                    queued: row.try_get(5)?,
                    retrying: row.try_get(6)?,
                    in_flight: row.try_get(7)?,
                },
                lanes: row.try_get(8)?,
            })
        })
        .await
    }
}
