//! Targets and topics that operators stopped, for all replicas: since when, who, why. Every change is an act on record.

use super::acts::{By, record_act};
use super::connect::in_time;
use super::{Ledger, LedgerError};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::FromRow;

/// What can be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pausable {
    /// A target: nothing is sent to it.
    Target,
    /// A topic: nothing is read of it.
    Topic,
}

impl Pausable {
    /// Its name on the command line and in the records of acts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Topic => "topic",
        }
    }
}

/// Something that stands still because an operator wanted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pause {
    /// What it is.
    pub what: Pausable,
    /// Its name.
    pub name: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Who stopped it.
    pub who: String,
    /// Why.
    pub reason: Option<String>,
}

#[derive(FromRow)]
struct Row {
    is_target: bool,
    name: String,
    since: DateTime<Utc>,
    who: String,
    reason: Option<String>,
}

impl From<Row> for Pause {
    fn from(row: Row) -> Pause {
        let Row { is_target, name, since, who, reason } = row;
        let what = if is_target { Pausable::Target } else { Pausable::Topic };
        Pause { what, name, since, who, reason }
    }
}

/// The clock of `open_for` is handed over: what the breaker has counted so far is added, and the pause counts from here.
const PAUSE_TARGET: &str = "
    INSERT INTO target AS t (name, paused_since, paused_by, paused_why) VALUES ($1, now(), $2, $3)
    ON CONFLICT (name) DO UPDATE SET paused_since = now(), paused_by = $2, paused_why = $3,
        open_for = t.open_for + coalesce(now() - t.open_since, '0'), open_since = CASE WHEN t.open_since IS NOT NULL THEN now() END
    WHERE t.paused_since IS NULL";

/// The clock is handed back: a breaker that is open counts from here.
const RESUME_TARGET: &str = "
    UPDATE target SET open_for = open_for + (now() - paused_since), open_since = CASE WHEN open_since IS NOT NULL THEN now() END,
        paused_since = NULL, paused_by = NULL, paused_why = NULL
    WHERE name = $1 AND paused_since IS NOT NULL";

const PAUSE_TOPIC: &str = "INSERT INTO paused_topic (name, who, why) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";

impl Ledger {
    /// Stops a target or a topic on every replica. False where it stands still already, which is left as it is.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn pause(&self, what: Pausable, name: &str, by: &By) -> Result<bool, LedgerError> {
        let sql = match what {
            Pausable::Target => PAUSE_TARGET,
            Pausable::Topic => PAUSE_TOPIC,
        };
        in_time(async {
            let mut transaction = self.pool.begin().await?;
            let done = sqlx::query(sql).bind(name).bind(&by.who).bind(&by.reason).execute(&mut *transaction).await?;
            let is_new = done.rows_affected() > 0;
            if is_new {
                record_act(&mut transaction, by, "pause", &json!({ what.name(): name })).await?;
            }
            transaction.commit().await?;
            Ok(is_new)
        })
        .await
    }

    /// Lets a target or a topic go on, on every replica. False where it does not stand still.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn resume(&self, what: Pausable, name: &str, by: &By) -> Result<bool, LedgerError> {
        let sql = match what {
            Pausable::Target => RESUME_TARGET,
            Pausable::Topic => "DELETE FROM paused_topic WHERE name = $1",
        };
        in_time(async {
            let mut transaction = self.pool.begin().await?;
            let was_paused = sqlx::query(sql).bind(name).execute(&mut *transaction).await?.rows_affected() > 0;
            if was_paused {
                record_act(&mut transaction, by, "resume", &json!({ what.name(): name })).await?;
            }
            transaction.commit().await?;
            Ok(was_paused)
        })
        .await
    }

    /// All that stands still, targets first.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn pauses(&self) -> Result<Vec<Pause>, LedgerError> {
        in_time(async {
            let rows: Vec<Row> = sqlx::query_as(
                "SELECT true AS is_target, name, paused_since AS since, coalesce(paused_by, '') AS who, paused_why AS reason
                 FROM target WHERE paused_since IS NOT NULL
                 UNION ALL SELECT false, name, since, who, why FROM paused_topic
                 ORDER BY is_target DESC, name",
            )
            .fetch_all(&self.pool)
            .await?;
            Ok(rows.into_iter().map(Pause::from).collect())
        })
        .await
    }
}
