//! Settled events as operators ask for them, from their outcomes.

use super::LedgerError;
use super::codec::{kind_code, status_code};
use super::events::{EventRow, Filter};
use crate::event::{Identity, Kind};
use crate::outcome::outcome_id;
use crate::plan::outcome::Status;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

/// Outcomes of one event that are looked for; nobody retries more often.
const MOST_OUTCOMES: i32 = 64;

/// The ids that outcomes of an event may have.
pub(super) fn outcome_ids(identity: &Identity) -> Vec<String> {
    (1..=MOST_OUTCOMES).map(|number| outcome_id(identity, number)).collect()
}

/// Outcomes that are present: a dead event is found in the work.
pub(super) async fn settled_events(db: &mut PgConnection, filter: &Filter, limit: i64) -> Result<Vec<EventRow>, LedgerError> {
    let wanted: Vec<i16> = Status::ALL
        .into_iter()
        .filter(|status| *status != Status::Dead)
        .filter(|status| filter.statuses.as_ref().is_none_or(|wanted| wanted.iter().any(|wanted| wanted == status.as_str())))
        .map(status_code)
        .collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let ids = filter.order.as_ref().map(|order| order.ids.iter().map(|id| id.as_bytes().to_vec()).collect::<Vec<_>>());
    let rows = sqlx::query(
        "SELECT h.settled_at, h.lane, h.no, h.outcome FROM history h
         WHERE h.status = ANY($1) AND ($2::bigint[] IS NULL OR h.lane = ANY($2) OR (h.lane IS NULL AND h.record_key = ANY($3)))
           AND ($4::text IS NULL OR h.outcome::json #>> '{data,target}' = $4)
           AND ($5::text IS NULL OR h.kind = $6 OR (h.lane IS NULL AND h.outcome::json #>> '{data,event,type}' = $5))
           AND ($7::text IS NULL OR h.class = $7) AND ($8::text IS NULL OR h.code = $8)
           AND ($9::timestamptz IS NULL OR h.settled_at >= $9) AND ($10::timestamptz IS NULL OR h.settled_at <= $10)
           AND ($11::text[] IS NULL OR h.outcome::json ->> 'id' = ANY($11) OR (h.lane IS NULL
                AND h.outcome::json #>> '{data,event,source}' = $12 AND h.outcome::json #>> '{data,event,id}' = $13))
         ORDER BY h.xid DESC, h.seq DESC LIMIT $14",
    )
    .bind(wanted)
    .bind(filter.order.as_ref().map(|order| order.lanes.clone()))
    .bind(ids)
    .bind(&filter.target)
    .bind(filter.kind.map(Kind::type_name))
    .bind(filter.kind.map(kind_code))
    .bind(&filter.class)
    .bind(&filter.code)
    .bind(filter.since)
    .bind(filter.until)
    .bind(filter.identity.as_ref().map(outcome_ids))
    .bind(filter.identity.as_ref().map(|identity| &identity.source))
    .bind(filter.identity.as_ref().map(|identity| &identity.id))
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.iter().map(settled_event).collect()
}

/// A row of history: `settled_at, lane, no, outcome`.
pub(super) fn settled_event(row: &PgRow) -> Result<EventRow, LedgerError> {
    let text: String = row.try_get("outcome")?;
    let outcome: Value = serde_json::from_str(&text)?;
    let data = &outcome["data"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let kind = text(&data["event"]["type"]).and_then(|name| Kind::of_type(&name));
    let number = outcome["id"].as_str().and_then(|id| id.rsplit_once('#')).and_then(|(_, number)| number.parse().ok());
    Ok(EventRow {
        source: text(&data["event"]["source"]),
        id: text(&data["event"]["id"]),
        kind: kind.map(|kind| kind.label().to_owned()),
        target: text(&data["target"]),
        order: text(&data["order"]["id"]).or_else(|| text(&data["order"]["bwpId"])),
        status: text(&data["status"]).unwrap_or_default(),
        reason: serde_json::from_value(data["reason"].clone()).ok(),
        since: row.try_get("settled_at")?,
        received_at: None,
        waits_for: Vec::new(),
        attempts: data["attempts"].as_u64().and_then(|attempts| u32::try_from(attempts).ok()).unwrap_or_default(),
        outcomes: number.unwrap_or(1),
        topic: text(&data["event"]["topic"]).unwrap_or_default(),
        partition: data["event"]["partition"].as_i64().and_then(|number| i32::try_from(number).ok()).unwrap_or_default(),
        offset: data["event"]["offset"].as_i64().unwrap_or_default(),
        lane: row.try_get("lane")?,
        no: row.try_get("no")?,
    })
}
