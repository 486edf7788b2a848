//! What is forgotten, and when: in bounded steps that keep pace with intake.

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
    /// What Buy with Prime is known to hold, and what operators did.
    pub known_state: Duration,
}

impl Ledger {
    /// Takes one step. Gives how many rows and whole days went; more may be left where it is not zero.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn forget_old(&self, keep: &Keep) -> Result<u64, LedgerError> {
        // Whole days of settled events and of calls; the first days of a ledger, row by row.
        let dropped: i32 = sqlx::query_scalar("SELECT keep_history(7, make_interval(secs => $1))")
            .bind(keep.history.as_secs_f64())
            .fetch_one(&self.pool)
            .await?;
        let mut gone = u64::try_from(dropped).unwrap_or(0);
        // `OFFSET 0` has the work of each old thing looked up, and not all work walked through.
        // By place, so that a step costs what it deletes and not a walk through the table. A row that was written again meanwhile is
        // looked at anew, and stays.
        for (statement, age) in [
            (
                "DELETE FROM seen WHERE ctid = ANY(ARRAY(
                    SELECT ctid FROM seen WHERE day < (now() - make_interval(secs => $1))::date LIMIT $2))",
                keep.dedupe,
            ),
            (
                "DELETE FROM quarantine WHERE ctid = ANY(ARRAY(
                    SELECT ctid FROM quarantine WHERE quarantined_at < now() - make_interval(secs => $1) LIMIT $2))",
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
                    SELECT ctid FROM alias_change WHERE changed_at < now() - make_interval(secs => $1) LIMIT $2))",
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
            gone += sqlx::query(statement).bind(age.as_secs_f64()).bind(STEP).execute(&self.pool).await?.rows_affected();
        }
        Ok(gone)
    }
}
