//! Events as operators ask for them: unsettled and dead ones from the work, all others from the history.

use super::attempts::{AttemptRow, attempts_of};
use super::codec::{identity_hash, kind_of, state};
use super::connect::in_time;
use super::load::{Record, record};
use super::settled::{outcome_ids, settled_event, settled_events};
use super::{Ledger, LedgerError, Place};
use crate::event::{Identity, Kind};
use crate::outcome::outcome_id;
use crate::plan::lane::Progress;
use crate::plan::outcome::{Reason, Status};
use crate::plan::subject::Need;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

/// The statuses of events that are not settled.
pub const UNSETTLED: [&str; 4] = ["WAITING", "QUEUED", "IN_FLIGHT", "RETRYING"];

/// The status of a row of work `w` in its lane `l`.
macro_rules! status {
    () => {
        "CASE WHEN w.state = 3 THEN 'DEAD' WHEN l.is_leased AND w.no = ANY(l.flight) THEN 'IN_FLIGHT' WHEN w.state = 1 THEN 'WAITING' \
         WHEN w.state = 2 THEN 'RETRYING' ELSE 'QUEUED' END"
    };
}

/// Since when a row of work is what it is.
macro_rules! since {
    () => {
        "CASE w.state WHEN 3 THEN coalesce(w.died_at, w.received_at) WHEN 1 THEN coalesce(w.waiting_since, w.received_at) \
         ELSE w.received_at END"
    };
}

/// Whether a row of work fits a filter, which `filtered!` binds.
macro_rules! fits {
    () => {
        concat!(
            "($1::bigint[] IS NULL OR w.lane = ANY($1)) AND ($2::text IS NULL OR l.target = $2)
             AND ($3::smallint IS NULL OR w.kind = $3) AND ($4::text[] IS NULL OR ",
            status!(),
            " = ANY($4)) AND ($5::text IS NULL OR (w.state = 3 AND w.died ->> 'class' = $5))
             AND ($6::text IS NULL OR (w.state = 3 AND w.died ->> 'code' = $6)) AND ($7::timestamptz IS NULL OR ",
            since!(),
            " >= $7) AND ($8::timestamptz IS NULL OR ",
            since!(),
            " <= $8) AND ($9::uuid IS NULL OR w.hash = $9)"
        )
    };
}

/// Binds what `fits!` needs.
macro_rules! filtered {
    ($query:expr, $filter:expr) => {
        $query
            .bind($filter.order.as_ref().map(|order| order.lanes.clone()))
            .bind($filter.target.clone())
            .bind($filter.kind.map(crate::ledger::codec::kind_code))
            .bind($filter.statuses.clone())
            .bind($filter.class.clone())
            .bind($filter.code.clone())
            .bind($filter.since)
            .bind($filter.until)
            .bind($filter.identity.as_ref().map(crate::ledger::codec::identity_hash))
    };
}

pub(super) use {filtered, fits, since, status};

/// Which events are meant. What is none is any.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// Of one order.
    pub order: Option<OrderScope>,
    /// Of one target.
    pub target: Option<String>,
    /// Of one kind.
    pub kind: Option<Kind>,
    /// With one of these statuses.
    pub statuses: Option<Vec<String>>,
    /// With a reason of this class.
    pub class: Option<String>,
    /// With a reason of this code.
    pub code: Option<String>,
    /// What they are since this moment or later.
    pub since: Option<DateTime<Utc>>,
    /// What they are since this moment or earlier.
    pub until: Option<DateTime<Utc>>,
    /// This one.
    pub identity: Option<Identity>,
}

/// An order, for a filter: its lanes and the ids in its names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrderScope {
    /// Its lane, and those that became one with it.
    pub lanes: Vec<i64>,
    /// The ids in its names: outcomes of unreadable records are keyed by one.
    pub ids: Vec<String>,
}

impl Filter {
    /// Whether it says anything.
    pub fn is_empty(&self) -> bool {
        *self == Filter::default()
    }
}

/// An event as it stands now.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventRow {
    /// The CloudEvents `source`; none where it could not be read.
    pub source: Option<String>,
    /// The CloudEvents `id`.
    pub id: Option<String>,
    /// Its kind.
    pub kind: Option<String>,
    /// Its target.
    pub target: Option<String>,
    /// The id in its reference to its order.
    pub order: Option<String>,
    /// `WAITING`, `QUEUED`, `IN_FLIGHT`, `RETRYING`, or how it ended.
    pub status: String,
    /// Why, where there is a reason.
    pub reason: Option<Reason>,
    /// Since when.
    pub since: DateTime<Utc>,
    /// When it was taken in, as long as that is known.
    pub received_at: Option<DateTime<Utc>>,
    /// The names that it waits for.
    pub waits_for: Vec<Need>,
    /// Mutations sent for it.
    pub attempts: u32,
    /// Outcomes that it has had.
    pub outcomes: i32,
    /// Its record's topic.
    pub topic: String,
    /// Its record's partition.
    pub partition: i32,
    /// Its record's offset.
    pub offset: i64,
    #[serde(skip)]
    pub(crate) lane: Option<i64>,
    #[serde(skip)]
    pub(crate) no: Option<i64>,
}

/// Everything of one event.
#[derive(Debug, Clone)]
pub struct EventDetail {
    /// As it stands.
    pub event: EventRow,
    /// Its outcomes as they are published, oldest first.
    pub outcomes: Vec<Value>,
    /// The calls that were made for it.
    pub attempts: Vec<AttemptRow>,
    /// Its record, as long as it is kept.
    pub record: Option<super::Original>,
}

impl Ledger {
    /// Events that fit, the newest first.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn events(&self, filter: &Filter, limit: i64) -> Result<Vec<EventRow>, LedgerError> {
        in_time(async {
            let mut connection = self.pool.acquire().await?;
            let mut found = work_events(&mut connection, filter, limit).await?;
            found.extend(settled_events(&mut connection, filter, limit).await?);
            found.sort_by_key(|event| std::cmp::Reverse(event.since));
            found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            Ok(found)
        })
        .await
    }

    /// One event by its source and id, or by the id of an outcome of it.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn event(&self, name: &EventName) -> Result<Option<EventDetail>, LedgerError> {
        in_time(async {
            let mut connection = self.pool.acquire().await?;
            let ids: Vec<String> = match name {
                EventName::Identity(identity) => outcome_ids(identity),
                EventName::Place(id) => vec![id.clone()],
            };
            let past = sqlx::query(
                "SELECT h.settled_at, h.lane, h.no, h.outcome FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS k (id, word, n)
                 CROSS JOIN LATERAL (
                    SELECT * FROM history WHERE split_part(outcome, '\"', 8) = k.word AND outcome::json ->> 'id' = k.id
                 ) h ORDER BY k.n",
            )
            .bind(&ids)
            .bind(ids.iter().map(|id| indexed(id)).collect::<Vec<_>>())
            .fetch_all(&mut *connection)
            .await?;
            let past: Vec<EventRow> = past.iter().map(settled_event).collect::<Result<_, _>>()?;
            let outcomes: Vec<Value> = self.outcome_texts(&past).await?;
            let (live, record) = match name {
                EventName::Identity(identity) => work_event(&mut connection, identity_hash(identity)).await?,
                EventName::Place(_) => (None, quarantined(&mut connection, past.last()).await?),
            };
            let Some(event) = live.or_else(|| past.last().cloned()) else { return Ok(None) };
            let mut attempts = Vec::new();
            if let (Some(lane), Some(no)) = (event.lane, event.no) {
                let lanes = super::story::lanes_with(&mut connection, &[lane]).await?;
                attempts = attempts_of(&mut connection, &lanes, Some(no), 1_000).await?;
            }
            Ok(Some(EventDetail { event, outcomes, attempts, record }))
        })
        .await
    }

    async fn outcome_texts(&self, past: &[EventRow]) -> Result<Vec<Value>, LedgerError> {
        let mut outcomes = Vec::new();
        for event in past {
            let id = match (&event.source, &event.id) {
                (Some(source), Some(id)) if event.status != Status::Quarantined.as_str() => {
                    outcome_id(&Identity { source: source.clone(), id: id.clone() }, event.outcomes)
                }
                _ => crate::outcome::place_id(&event.place()),
            };
            let statement = "SELECT outcome FROM history WHERE split_part(outcome, '\"', 8) = $1 AND outcome::json ->> 'id' = $2";
            let text: Option<String> =
                sqlx::query_scalar(statement).bind(indexed(&id)).bind(id).fetch_optional(&self.pool).await?;
            outcomes.extend(text.map(|text| serde_json::from_str(&text)).transpose()?);
        }
        Ok(outcomes)
    }
}

/// What the index of outcomes has of an id: as it stands in JSON, up to the first quotation mark.
fn indexed(id: &str) -> String {
    crate::text::json(&id, id.len() + 2).split('"').nth(1).unwrap_or_default().to_owned()
}

/// How an event is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventName {
    /// By source and id.
    Identity(Identity),
    /// By the id of the outcome of a record that could not be read: topic, partition and offset.
    Place(String),
}

impl EventName {
    /// Reads the id of an outcome.
    pub fn of_outcome(id: &str) -> EventName {
        let decode = |text: &str| text.replace("%23", "#").replace("%25", "%");
        let mut parts = id.rsplitn(3, '#');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(number), Some(own), Some(source)) if number.parse::<u32>().is_ok() => {
                EventName::Identity(Identity { source: decode(source), id: decode(own) })
            }
            _ => EventName::Place(id.to_owned()),
        }
    }
}

impl EventRow {
    /// Where its record stood.
    pub fn place(&self) -> Place {
        Place { topic: self.topic.clone(), partition: self.partition, offset: self.offset }
    }
}

pub(super) async fn work_events(db: &mut PgConnection, filter: &Filter, limit: i64) -> Result<Vec<EventRow>, LedgerError> {
    let rows = filtered!(
        sqlx::query(concat!(
            "SELECT w.*, k.target, k.status, k.since FROM (
                SELECT w.lane, w.no, l.target, ",
            status!(),
            " AS status, ",
            since!(),
            " AS since FROM work w JOIN lane l ON l.id = w.lane WHERE ",
            fits!(),
            " ORDER BY since DESC LIMIT $10
             ) k JOIN work w ON w.lane = k.lane AND w.no = k.no ORDER BY k.since DESC"
        )),
        filter
    )
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| Ok(work_row(row)?.0)).collect()
}

async fn work_event(db: &mut PgConnection, hash: Uuid) -> Result<(Option<EventRow>, Option<super::Original>), LedgerError> {
    let row = sqlx::query(concat!(
        "SELECT w.*, l.target, ",
        status!(),
        " AS status, ",
        since!(),
        " AS since FROM work w JOIN lane l ON l.id = w.lane WHERE w.hash = $1"
    ))
    .bind(hash)
    .fetch_optional(db)
    .await?;
    let Some(row) = row else { return Ok((None, None)) };
    let (event, record) = work_row(&row)?;
    Ok((Some(event), Some(record.original)))
}

async fn quarantined(db: &mut PgConnection, event: Option<&EventRow>) -> Result<Option<super::Original>, LedgerError> {
    let Some(event) = event else { return Ok(None) };
    let row = sqlx::query("SELECT key, headers, value FROM quarantine WHERE (topic, partition, \"offset\") = ($1, $2, $3)")
        .bind(&event.topic)
        .bind(event.partition)
        .bind(event.offset)
        .fetch_optional(db)
        .await?;
    row.map(|row| {
        let headers: Option<Vec<u8>> = row.try_get(1)?;
        let headers = super::codec::unpack_headers(headers.as_deref());
        Ok(super::Original { key: row.try_get(0)?, value: row.try_get(2)?, headers })
    })
    .transpose()
}

/// A row of work with `target`, `status` and `since` beside it.
pub(super) fn work_row(row: &PgRow) -> Result<(EventRow, Record), LedgerError> {
    let record = record(row)?;
    let event = record.event();
    let identity = event.as_ref().map(|event| event.envelope.identity.clone());
    let died: Option<Value> = row.try_get("died")?;
    let reason = match record.row.state {
        state::DEAD => died.and_then(|died| serde_json::from_value(died).ok()),
        _ => None,
    };
    let waits_for = record.row.waits_for.clone().and_then(|needs| serde_json::from_value(needs).ok()).unwrap_or_default();
    let progress: Progress =
        record.row.progress.clone().and_then(|progress| serde_json::from_value(progress).ok()).unwrap_or_default();
    let row = EventRow {
        source: identity.as_ref().map(|identity| identity.source.clone()),
        id: identity.map(|identity| identity.id),
        kind: kind_of(row.try_get("kind")?).map(|kind| kind.label().to_owned()),
        target: row.try_get("target")?,
        order: event.map(|event| event.data.order().id().to_owned()),
        status: row.try_get("status")?,
        reason,
        since: row.try_get("since")?,
        received_at: Some(record.row.received_at),
        waits_for,
        attempts: progress.attempts,
        outcomes: record.row.outcomes,
        topic: record.row.place.topic.clone(),
        partition: record.row.place.partition,
        offset: record.row.place.offset,
        lane: row.try_get("lane")?,
        no: row.try_get("no")?,
    };
    Ok((row, record))
}

/// One page of matching rows of work, in the order of lanes: what acts on events goes through them so.
pub(super) async fn page(
    db: &mut PgConnection,
    filter: &Filter,
    only_dead: bool,
    after: (i64, i64),
    limit: i64,
) -> Result<Vec<(i64, i64, String, Option<String>)>, LedgerError> {
    let rows = filtered!(
        sqlx::query_as(concat!(
            "SELECT w.lane, w.no, ",
            status!(),
            ", CASE WHEN w.state = 3 THEN w.died ->> 'code' END FROM work w JOIN lane l ON l.id = w.lane
             WHERE (w.lane, w.no) > ($10, $11) AND (NOT $12 OR w.state = 3) AND ",
            fits!(),
            " ORDER BY w.lane, w.no LIMIT $13"
        )),
        filter
    )
    .bind(after.0)
    .bind(after.1)
    .bind(only_dead)
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(rows)
}
