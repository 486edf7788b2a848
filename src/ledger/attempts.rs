//! Every call, kept to explain an order: written with what came of it, in the same transaction.

use super::LedgerError;
use chrono::{DateTime, Utc};
use serde::ser::Error;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

/// One call. Payers are masked in it.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptRow {
    /// When it began.
    pub at: DateTime<Utc>,
    /// `updateOrder`, `updateOrderPackageInformation`, or `order` for a read.
    pub operation: String,
    /// The numbers of the events that it was made for; none for a read.
    #[serde(skip)]
    pub events: Vec<i64>,
    /// Its variables.
    #[serde(serialize_with = "as_json")]
    pub request: Option<String>,
    /// How it was judged.
    pub verdict: String,
    /// The HTTP status; none where no answer came.
    pub http: Option<u16>,
    /// Buy with Prime's code where it spoke, else ours.
    pub code: Option<String>,
    /// What was said.
    pub message: Option<String>,
    /// The id for Amazon's support.
    pub request_id: Option<String>,
    /// For how long it was on its way.
    pub took_ms: i32,
}

/// Text that is JSON, as what it says.
fn as_json<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    let value: Option<&RawValue> = text.as_deref().map(serde_json::from_str).transpose().map_err(S::Error::custom)?;
    value.serialize(serializer)
}

/// The calls of lanes in the order of time, the newest where there are too many; of one event alone where it is given.
pub(super) async fn attempts_of(
    db: &mut PgConnection,
    lanes: &[i64],
    event: Option<i64>,
    limit: i64,
) -> Result<Vec<AttemptRow>, LedgerError> {
    let rows = sqlx::query(
        "SELECT * FROM (
            SELECT * FROM attempt WHERE lane = ANY($1) AND ($2::bigint IS NULL OR $2 = ANY(events)) ORDER BY at DESC LIMIT $3
         ) a ORDER BY at",
    )
    .bind(lanes)
    .bind(event)
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.iter().map(attempt).collect()
}

fn attempt(row: &PgRow) -> Result<AttemptRow, LedgerError> {
    let http: Option<i16> = row.try_get("http")?;
    Ok(AttemptRow {
        at: row.try_get("at")?,
        operation: row.try_get("operation")?,
        events: row.try_get("events")?,
        request: row.try_get("request")?,
        verdict: row.try_get("verdict")?,
        http: http.and_then(|http| u16::try_from(http).ok()),
        code: row.try_get("code")?,
        message: row.try_get("message")?,
        request_id: row.try_get("request_id")?,
        took_ms: row.try_get("took_ms")?,
    })
}
