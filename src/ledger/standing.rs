//! What the replicas have to agree on about a target: its `Retry-After`, its breaker's time, its alias types.

use super::connect::in_time;
use super::{Ledger, LedgerError, Targets};
use chrono::{DateTime, TimeDelta, Utc};
use fail::fail_point;
use sqlx::Row;

/// A target, as all replicas see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetStanding {
    /// Its name.
    pub name: String,
    /// For how long still it asked not to be called.
    pub hold: Option<TimeDelta>,
    /// For how long its breaker has been open, or an operator has stopped it, all times together.
    pub open_for: TimeDelta,
    /// Whether some replica found it away, and none has had an answer with sense since.
    pub is_open: bool,
    /// Whether an operator has stopped it.
    pub is_paused: bool,
}

impl Ledger {
    /// Notes a `Retry-After` of a target; an earlier one never shortens a later one.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn throttle(&self, target: &str, until: DateTime<Utc>) -> Result<(), LedgerError> {
        in_time(async {
            fail_point!("throttle-notes");
            sqlx::query(
                "INSERT INTO target (name, not_before) VALUES ($1, $2)
                 ON CONFLICT (name) DO UPDATE SET not_before = greatest(target.not_before, excluded.not_before)",
            )
            .bind(target)
            .bind(until)
            .execute(&self.pool)
            .await?;
            fail_point!("throttle-noted");
            Ok(())
        })
        .await
    }

    /// Notes that a target's breaker opened or closed: its open time is charged to no event.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn breaker(&self, target: &str, is_open: bool) -> Result<(), LedgerError> {
        in_time(async {
            let statement = if is_open {
                "INSERT INTO target (name, open_since) VALUES ($1, now())
                 ON CONFLICT (name) DO UPDATE SET open_since = coalesce(target.open_since, now())"
            } else {
                // While it is paused, the pause counts the time.
                "UPDATE target SET open_since = NULL,
                    open_for = open_for + CASE WHEN paused_since IS NULL THEN now() - open_since ELSE '0' END
                 WHERE name = $1 AND open_since IS NOT NULL"
            };
            sqlx::query(statement).bind(target).execute(&self.pool).await?;
            Ok(())
        })
        .await
    }

    /// All targets that anything is known of.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn target_standings(&self) -> Result<Vec<TargetStanding>, LedgerError> {
        in_time(async {
            let rows = sqlx::query(
                "SELECT name, extract(epoch FROM not_before - clock_timestamp())::float8,
                        extract(epoch FROM open_for + coalesce(clock_timestamp() - coalesce(paused_since, open_since), '0'))::float8,
                        open_since IS NOT NULL, paused_since IS NOT NULL
                 FROM target",
            )
            .fetch_all(&self.pool)
            .await?;
            let delta = |seconds: f64| TimeDelta::milliseconds((seconds * 1000.0) as i64);
            rows.iter()
                .map(|row| {
                    let hold: Option<f64> = row.try_get(1)?;
                    let open_for: f64 = row.try_get(2)?;
                    let hold = hold.map(delta).filter(|hold| *hold > TimeDelta::zero());
                    let (is_open, is_paused) = (row.try_get(3)?, row.try_get(4)?);
                    Ok(TargetStanding { name: row.try_get(0)?, hold, open_for: delta(open_for), is_open, is_paused })
                })
                .collect()
        })
        .await
    }

    /// Notes under which alias types events are taken in. Changed types are refused while events of the target are unsettled: their
    /// names would mean something else.
    ///
    /// # Errors
    /// [`LedgerError::Schema`] with the way out, where they changed too early.
    pub async fn fix_alias_types(&self, targets: &Targets) -> Result<(), LedgerError> {
        for (name, types) in targets {
            let types = serde_json::to_value(types)?;
            let waiting: Option<serde_json::Value> = sqlx::query_scalar(
                "SELECT t.alias_types FROM target t
                 WHERE t.name = $1 AND t.alias_types <> $2
                   AND EXISTS (SELECT 1 FROM work w JOIN lane l ON l.id = w.lane WHERE l.target = $1 AND w.state <> 3)",
            )
            .bind(name)
            .bind(&types)
            .fetch_optional(&self.pool)
            .await?;
            if let Some(before) = waiting {
                return Err(LedgerError::Schema(format!(
                    "targets.{name}.alias_types changed while events wait under the old ones ({before}); \
                     set them back until the backlog is empty"
                )));
            }
            sqlx::query(
                "INSERT INTO target (name, alias_types) VALUES ($1, $2)
                 ON CONFLICT (name) DO UPDATE SET alias_types = excluded.alias_types",
            )
            .bind(name)
            .bind(&types)
            .execute(&self.pool)
            .await?;
        }
        Ok(())
    }
}
