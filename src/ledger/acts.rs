//! What operators did: who, when, what, why.

use super::LedgerError;
use super::codec::origin_code;
use crate::plan::names::Origin;
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
    /// `retry`, `discard`, `forget`, `aliases import`, `pause`, `resume`.
    pub what: String,
    /// What it was done to: `lanes`, or what else belongs to the act.
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

/// What was done to lanes, in the order of time: also the imports that named something in them, and pauses of their target or of a
/// topic since the given moment.
pub(super) async fn acts_of(
    db: &mut PgConnection,
    lanes: &[i64],
    target: &str,
    since: Option<DateTime<Utc>>,
) -> Result<Vec<ActRow>, LedgerError> {
    let rows = sqlx::query(
        "WITH said AS (
            SELECT said_at FROM order_name WHERE lane = ANY($1) AND origin = $4
            UNION SELECT said_at FROM name WHERE lane = ANY($1) AND origin = $4
            UNION SELECT old_said_at FROM alias_change WHERE lane = ANY($1) AND old_origin = $4
         ), found AS (
            SELECT a.id FROM unnest($1::bigint[]) AS k (lane) JOIN act a ON a.subject -> 'lanes' @> to_jsonb(k.lane)
            UNION SELECT id FROM act WHERE what = 'aliases import' AND subject ->> 'target' = $2
                AND (subject ->> 'saidAt')::timestamptz IN (SELECT said_at FROM said)
            UNION SELECT id FROM act WHERE what IN ('pause', 'resume') AND (subject ->> 'target' = $2 OR subject ? 'topic')
                AND done_at >= $3
         )
         SELECT id, done_at, who, what, subject, reason FROM act WHERE id IN (SELECT id FROM found) ORDER BY id",
    )
    .bind(lanes)
    .bind(target)
    .bind(since)
    .bind(origin_code(Origin::Import))
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
