//! Until when a target asked not to be called: seen by every replica within a second.

use super::{Ledger, LedgerError};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Row;

impl Ledger {
    /// Notes a `Retry-After` of a target; an earlier one never shortens a later one.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn throttle(&self, target: &str, until: DateTime<Utc>) -> Result<(), LedgerError> {
        sqlx::query(
            "INSERT INTO throttle (target, not_before) VALUES ($1, $2)
             ON CONFLICT (target) DO UPDATE SET not_before = excluded.not_before WHERE throttle.not_before < excluded.not_before",
        )
        .bind(target)
        .bind(until)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The targets that are not to be called now, and for how long still.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn throttled(&self) -> Result<Vec<(String, TimeDelta)>, LedgerError> {
        let rows = sqlx::query("SELECT target, not_before, clock_timestamp() FROM throttle WHERE not_before > clock_timestamp()")
            .fetch_all(&self.pool)
            .await?;
        rows.iter()
            .map(|row| {
                let (until, now): (DateTime<Utc>, DateTime<Utc>) = (row.try_get(1)?, row.try_get(2)?);
                Ok((row.try_get(0)?, until - now))
            })
            .collect()
    }
}
