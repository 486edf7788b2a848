//! What is waited for, in numbers.

use super::super::connect::in_time;
use super::super::{Ledger, LedgerError};
use std::collections::BTreeMap;
use std::time::Duration;

/// Events that wait for a name, and how the alias table has changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Waiting {
    /// How many wait for a name of each kind.
    pub kinds: BTreeMap<String, i64>,
    /// For how long the oldest has waited, less the time for which every target's breaker was open.
    pub oldest: Duration,
    /// Rows that took the place of one that said something else, ever.
    pub changes: u64,
}

impl Ledger {
    /// What the whole ledger waits for.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn waiting(&self) -> Result<Waiting, LedgerError> {
        in_time(async {
            let rows: Vec<(String, i64, Option<f64>)> = sqlx::query_as(
                "SELECT k.kind, count(*), extract(epoch FROM max(now() - w.waiting_since)
                        - coalesce((SELECT min(open_for + coalesce(now() - open_since, '0')) FROM target), '0'))::float8
                 FROM work w CROSS JOIN LATERAL (SELECT DISTINCT n->>'kind' AS kind FROM jsonb_array_elements(w.waits_for) n) k
                 WHERE w.state = 1 GROUP BY k.kind",
            )
            .fetch_all(&self.pool)
            .await?;
            // The numbers of changes are given in order; the last ones are never forgotten before the first ones.
            let changes: i64 = sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM alias_change").fetch_one(&self.pool).await?;
            let oldest = rows.iter().filter_map(|row| row.2).fold(0.0, f64::max);
            Ok(Waiting {
                oldest: Duration::try_from_secs_f64(oldest).unwrap_or_default(),
                kinds: rows.into_iter().map(|(kind, count, _)| (kind, count)).collect(),
                changes: u64::try_from(changes).unwrap_or_default(),
            })
        })
        .await
    }
}
