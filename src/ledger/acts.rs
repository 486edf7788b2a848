//! What operators did: who, when, what, why.

use super::LedgerError;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{PgConnection, Row};

/// Who changes something, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// A name that others know.
    pub who: String,
    /// What for.
    pub reason: Option<String>,
}

/// Something that was done.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActRow {
    /// When.
    pub at: DateTime<Utc>,
    /// Who did it.
    pub who: String,
    /// `retry`, `discard`, `forget`.
    pub what: String,
    /// What it was done to: `lanes`, and what else belongs to the act.
    pub subject: Value,
    /// What for.
    pub reason: Option<String>,
}

/// Records an act, in the transaction that does it.
pub async fn record_act(db: &mut PgConnection, by: &By, what: &str, subject: &Value) -> Result<(), LedgerError> {
    sqlx::query("INSERT INTO act (who, what, subject, reason) VALUES ($1, $2, $3, $4)")
        .bind(&by.who)
        .bind(what)
        .bind(subject)
        .bind(&by.reason)
        .execute(db)
        .await?;
    Ok(())
}

/// What was done to lanes, in the order of time.
pub(super) async fn acts_of(db: &mut PgConnection, lanes: &[i64]) -> Result<Vec<ActRow>, LedgerError> {
    let rows = sqlx::query(
        "SELECT DISTINCT a.id, a.done_at, a.who, a.what, a.subject, a.reason FROM unnest($1::bigint[]) AS k (lane)
         JOIN act a ON a.subject -> 'lanes' @> to_jsonb(k.lane) ORDER BY a.id",
    )
    .bind(lanes)
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(ActRow {
                at: row.try_get(1)?,
                who: row.try_get(2)?,
                what: row.try_get(3)?,
                subject: row.try_get(4)?,
                reason: row.try_get(5)?,
            })
        })
        .collect()
}
