//! Every call, kept to explain an order: written with what came of it, in the same transaction.

use super::LedgerError;
use super::save::{ADD_TO_TOTALS, Tally};
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

/// Writes the calls of lanes, and adds to the totals, whose locks are the last ones of a transaction.
pub(super) async fn write_attempts<'a>(
    db: &mut PgConnection,
    attempts: impl Iterator<Item = (i64, &'a AttemptRow)>,
    tally: Tally,
) -> Result<(), LedgerError> {
    let rows: Vec<(i64, &AttemptRow)> = attempts.collect();
    let events = |row: &AttemptRow| {
        let numbers: Vec<String> = row.events.iter().map(ToString::to_string).collect();
        format!("{{{}}}", numbers.join(","))
    };
    tally.bind(sqlx::query(ADD_TO_TOTALS!(
        "WITH calls AS (
             INSERT INTO attempt (lane, at, operation, events, request, verdict, http, code, message, request_id, took_ms)
             SELECT k.lane, k.at, k.operation, k.events::bigint[], k.request, k.verdict, k.http, k.code, k.message, k.request_id, k.took
             FROM unnest($5::bigint[], $6::timestamptz[], $7::text[], $8::text[], $9::text[], $10::text[], $11::smallint[], $12::text[],
                         $13::text[], $14::text[], $15::int[])
                  AS k (lane, at, operation, events, request, verdict, http, code, message, request_id, took)
         ) "
    )))
    .bind(rows.iter().map(|row| row.0).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.1.at).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.1.operation.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| events(row.1)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.1.request.as_deref()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.1.verdict.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.1.http.and_then(|http| i16::try_from(http).ok())).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.1.code.as_ref().map(|text| text.replace('\0', "\u{fffd}"))).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.1.message.as_ref().map(|text| text.replace('\0', "\u{fffd}"))).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.1.request_id.as_deref()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.1.took_ms).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(())
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
