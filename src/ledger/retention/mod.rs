//! What is forgotten, and when: in bounded steps that keep pace with intake.

mod orders;

pub(super) use orders::touch;

use super::connect::in_time;
use super::{Ledger, LedgerError};
use std::time::Duration;

/// Rows that one step deletes at the most.
const STEP: i64 = 5_000;

/// For how long things are remembered.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// Identities of events.
    pub dedupe: Duration,
    /// Settled events.
    pub history: Duration,
    /// What Buy with Prime is known to hold, orders with all their names, and what operators did.
    pub known_state: Duration,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Rows, orders and whole days that went.
    pub gone: u64,
    /// Whether more may be left.
    pub is_more: bool,
}

/// Forgets what is old, step by step.
#[derive(Debug)]
pub struct Retention {
    ledger: Ledger,
    keep: Keep,
    /// The last lane that was looked at.
    after: i64,
}

impl Retention {
    /// Of a ledger.
    pub fn new(ledger: Ledger, keep: Keep) -> Retention {
        Retention { ledger, keep, after: 0 }
    }

    /// Takes one step.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn step(&mut self) -> Result<Step, LedgerError> {
        let rows = self.ledger.forget_rows(&self.keep).await?;
        // After the things that keep them.
        let (orders, after) = in_time(orders::forget_orders(&self.ledger, self.after, &self.keep)).await?;
        self.after = after;
        let gone = rows + orders;
        Ok(Step { gone, is_more: gone > 0 || after > 0 })
    }
}

impl Ledger {
    async fn forget_rows(&self, keep: &Keep) -> Result<u64, LedgerError> {
        // Whole days of settled events and of calls; the first days of a ledger, row by row.
        let dropped: i32 = in_time(async {
            let dropped =
                sqlx::query_scalar("SELECT keep_history(7, make_interval(secs => $1))").bind(keep.history.as_secs_f64());
            Ok(dropped.fetch_one(&self.pool).await?)
        })
        .await?;
        let mut gone = u64::try_from(dropped).unwrap_or(0);
        // `OFFSET 0` has the work of each old thing looked up, and not all work walked through.
        // By place, so that a step costs what it deletes and not a walk through the table. A row that was written again meanwhile is
        // looked at anew, and stays.
        for (statement, age) in [
            (
                "DELETE FROM seen WHERE ctid = ANY(ARRAY(
                    SELECT ctid FROM seen WHERE day < (now() - make_interval(secs => $1))::date ORDER BY day LIMIT $2))",
                keep.dedupe,
            ),
            (
                "DELETE FROM quarantine WHERE ctid = ANY(ARRAY(
                    SELECT ctid FROM quarantine WHERE quarantined_at < now() - make_interval(secs => $1)
                    ORDER BY quarantined_at LIMIT $2))",
                keep.history,
            ),
            (
                "DELETE FROM work WHERE ctid = ANY(ARRAY(
                    SELECT ctid FROM work WHERE state = 3 AND died_at < now() - make_interval(secs => $1) ORDER BY died_at LIMIT $2))
                 AND state = 3 AND died_at < now() - make_interval(secs => $1)",
                keep.history,
            ),
            (
                "DELETE FROM alias_change WHERE ctid = ANY(ARRAY(
                    SELECT ctid FROM alias_change WHERE changed_at < now() - make_interval(secs => $1)
                    ORDER BY changed_at LIMIT $2))",
                keep.history,
            ),
            (
                "DELETE FROM entity WHERE ctid = ANY(ARRAY(
                    SELECT e.ctid FROM entity e
                    WHERE e.changed_at < now() - make_interval(secs => $1)
                      AND NOT EXISTS (SELECT 1 FROM work w WHERE w.lane = e.lane OFFSET 0) ORDER BY e.changed_at LIMIT $2))
                 AND changed_at < now() - make_interval(secs => $1)",
                keep.known_state,
            ),
            (
                "DELETE FROM act WHERE ctid = ANY(ARRAY(
                    SELECT ctid FROM act WHERE done_at < now() - make_interval(secs => $1) ORDER BY id LIMIT $2))",
                keep.known_state,
            ),
        ] {
            let deleted = sqlx::query(statement).bind(age.as_secs_f64()).bind(STEP).execute(&self.pool);
            gone += in_time(async { Ok(deleted.await?.rows_affected()) }).await?;
        }
        Ok(gone)
    }
}
