//! Lanes as values: from their rows, and what has changed back into rows.

use super::codec::{alias_kind_of, state, unpack_headers};
use super::inbox::{Original, Place};
use super::naming::name_row;
use super::{LedgerError, Targets};
use crate::event::{self, Alias, AliasKind, Event, RawRecord, Reading};
use crate::plan::lane::{Lane, Live, Memo, Progress};
use crate::plan::rank::EventNo;
use crate::plan::subject::{AliasTypes, Subject};
use crate::plan::thing::Thing;
use chrono::{DateTime, Utc};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres, Row};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The most queued events of one lane that are loaded, and the most of those that wait or are retried: what waits never hides what
/// is due.
const MOST_QUEUED: i64 = 256;
const MOST_HELD_UP: i64 = 1_000;

/// The most events that died of old age whose members still count.
const MOST_GHOSTS: i64 = 100;

/// A lane's own row.
#[derive(Debug, Clone)]
pub struct Head {
    pub id: i64,
    pub lease_no: i64,
    pub target: String,
    pub bwp_id: Option<String>,
    pub memo: Memo,
    /// Leases in a row that ended without a settle.
    pub touches: i32,
}

/// What the rows of a lane were when it was loaded: what is saved is the difference.
#[derive(Debug, Clone, Default)]
pub struct Before {
    /// Buy with Prime's id of the order: its name leads to this lane.
    pub bwp_id: Option<String>,
    pub rows: BTreeMap<EventNo, Arc<WorkRow>>,
    /// Rows of events that were found, readable or not.
    found: i64,
    /// Whether there may be more events than were loaded.
    pub is_partial: bool,
}

/// An unsettled event's record, and what its row says beside it.
#[derive(Debug, Clone)]
pub struct Record {
    pub row: WorkRow,
    pub original: Original,
}

/// What the row of an unsettled event says beside its record's bytes: they stay in the ledger.
#[derive(Debug, Clone)]
pub struct WorkRow {
    pub place: Place,
    pub received_at: DateTime<Utc>,
    pub state: i16,
    pub waiting_since: Option<DateTime<Utc>>,
    pub progress: Option<serde_json::Value>,
    pub waits_for: Option<serde_json::Value>,
    pub outcomes: i32,
}

/// A lane as a value, or what cannot be read of it: one bad row stops its own lane and no other.
pub type Loaded = Result<(Lane, Before), LedgerError>;

/// Loads lanes whose rows are locked. Lanes come in the order of the heads.
///
/// # Errors
/// Where Postgres is away.
pub async fn load(db: &mut PgConnection, heads: &[Head], targets: &Targets) -> Result<Vec<Loaded>, LedgerError> {
    let ids: Vec<i64> = heads.iter().map(|head| head.id).collect();
    let rows = bind_limits(sqlx::query(LOAD), ids).fetch_all(db).await?;
    loaded(heads, &rows, targets)
}

/// Binds what [`rows_of_lanes!`] asks for.
pub(super) fn bind_limits(query: Query<'_, Postgres, PgArguments>, ids: Vec<i64>) -> Query<'_, Postgres, PgArguments> {
    query.bind(ids).bind(MOST_QUEUED).bind(MOST_HELD_UP).bind(MOST_GHOSTS)
}

/// Lanes from the rows of [`rows_of_lanes!`], in the order of the heads.
pub(super) fn loaded(heads: &[Head], rows: &[PgRow], targets: &Targets) -> Result<Vec<Loaded>, LedgerError> {
    let mut lanes: Loading = heads
        .iter()
        .map(|head| {
            let lane = Lane { bwp_id: head.bwp_id.clone(), memo: head.memo.clone(), ..Lane::default() };
            (head.id, Ok((lane, Before { bwp_id: head.bwp_id.clone(), ..Before::default() })))
        })
        .collect();
    let types: BTreeMap<i64, &AliasTypes> = heads.iter().filter_map(|head| Some((head.id, targets.get(&head.target)?))).collect();
    for row in rows {
        let id: i64 = row.try_get("lane")?;
        take_in(&mut lanes, id, |lane, before| match row.try_get("part")? {
            NAME => load_name(row, lane),
            THING => load_thing(row, lane),
            EVENT => types.get(&id).map_or(Ok(()), |types| load_event(row, id, types, lane, before)),
            _ => Ok(()),
        });
    }
    Ok(heads.iter().filter_map(|head| lanes.remove(&head.id)).collect())
}

/// Takes an event into its lane that its transaction has just written, unless there are more before it than were loaded.
pub(super) fn take_event(loaded: &mut Loaded, no: EventNo, event: Event, row: WorkRow, types: &AliasTypes) {
    if let Ok((lane, before)) = loaded
        && !before.is_partial
    {
        lane.events.insert(no, Live::new(no, event, types));
        before.rows.insert(no, Arc::new(row));
    }
}

type Loading = BTreeMap<i64, Loaded>;

/// Takes one row into its lane, unless something of that lane was unreadable before.
fn take_in(lanes: &mut Loading, id: i64, take: impl FnOnce(&mut Lane, &mut Before) -> Result<(), LedgerError>) {
    let Some(loaded) = lanes.get_mut(&id) else { return };
    if let Ok((lane, before)) = loaded
        && let Err(error) = take(lane, before)
    {
        *loaded = Err(error);
    }
}

const NAME: i32 = 0;
const THING: i32 = 1;
const EVENT: i32 = 2;
/// The number of an event that was written by the same statement.
pub(super) const WRITTEN: i32 = 3;

/// All that hangs on lanes: their names, what is known of their things, their events. Takes the places of the values of [`bind_limits`].
macro_rules! rows_of_lanes {
    ($lanes:literal, $queued:literal, $held_up:literal, $ghosts:literal) => {
        concat!(
            "SELECT 0 AS part, lane, 0::smallint AS kind, alias_type, id, bwp_id, origin, version, said_at,
        NULL::text AS subject, NULL::text AS doc,
        NULL::bigint AS no, NULL::text AS topic, NULL::int AS partition, NULL::bigint AS \"offset\", NULL::bytea AS key,
        NULL::bytea AS headers, NULL::bytea AS value, NULL::timestamptz AS received_at, NULL::smallint AS state,
        NULL::timestamptz AS waiting_since, NULL::jsonb AS waits_for, NULL::jsonb AS progress, NULL::int AS outcomes
    FROM order_name WHERE lane = ANY(",
            $lanes,
            ") AND origin IS NOT NULL
    UNION ALL
    SELECT 0, lane, kind, alias_type, id, bwp_id, origin, version, said_at, NULL, NULL,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM name WHERE lane = ANY(",
            $lanes,
            ")
    UNION ALL
    SELECT 1, lane, NULL, NULL, NULL, NULL, NULL, NULL, NULL, subject, doc::text,
        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM entity WHERE lane = ANY(",
            $lanes,
            ")
    UNION ALL
    SELECT 2, lane, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        no, topic, partition, \"offset\", key, headers, value, received_at, state, waiting_since, waits_for, progress, outcomes
    FROM unnest(",
            $lanes,
            "::bigint[]) AS l (id)
    CROSS JOIN LATERAL (
        (SELECT * FROM work WHERE lane = l.id AND state = 0 ORDER BY no LIMIT ",
            $queued,
            ")
        UNION ALL (SELECT * FROM work WHERE lane = l.id AND state = 1 ORDER BY no LIMIT ",
            $held_up,
            ")
        UNION ALL (SELECT * FROM work WHERE lane = l.id AND state = 2 ORDER BY no LIMIT ",
            $held_up,
            ")
        UNION ALL (SELECT * FROM work WHERE lane = l.id AND state = 3 AND died ->> 'class' = 'expired' ORDER BY no DESC LIMIT ",
            $ghosts,
            ")
    ) w"
        )
    };
}
pub(super) use rows_of_lanes;

const LOAD: &str = rows_of_lanes!("$1", "$2", "$3", "$4");

fn load_name(row: &PgRow, lane: &mut Lane) -> Result<(), LedgerError> {
    let alias = Alias { alias_type: row.try_get("alias_type")?, id: row.try_get("id")? };
    let kind: AliasKind = alias_kind_of(row.try_get("kind")?);
    lane.names.load(kind, alias, name_row(row, 5)?);
    Ok(())
}

fn load_thing(row: &PgRow, lane: &mut Lane) -> Result<(), LedgerError> {
    let (subject, doc): (&str, &str) = (row.try_get("subject")?, row.try_get("doc")?);
    let subject: Subject = serde_json::from_str(subject)?;
    let thing: Thing = serde_json::from_str(doc)?;
    lane.things.load(subject, thing);
    Ok(())
}

fn load_event(row: &PgRow, id: i64, types: &AliasTypes, lane: &mut Lane, before: &mut Before) -> Result<(), LedgerError> {
    let no: i64 = row.try_get("no")?;
    before.found += 1;
    before.is_partial |= before.found >= MOST_QUEUED;
    let record = record(row)?;
    match live(no, &record, types)? {
        Some(live) => {
            lane.events.insert(no, live);
            before.rows.insert(no, Arc::new(record.row));
        }
        None => tracing::error!(lane = id, no, "a stored event can no longer be read; it stays in the ledger"),
    }
    Ok(())
}

/// The record in a row of work.
pub fn record(row: &PgRow) -> Result<Record, LedgerError> {
    let headers: Option<Vec<u8>> = row.try_get("headers")?;
    Ok(Record {
        row: WorkRow {
            place: Place { topic: row.try_get("topic")?, partition: row.try_get("partition")?, offset: row.try_get("offset")? },
            received_at: row.try_get("received_at")?,
            state: row.try_get("state")?,
            waiting_since: row.try_get("waiting_since")?,
            progress: row.try_get("progress")?,
            waits_for: row.try_get("waits_for")?,
            outcomes: row.try_get("outcomes")?,
        },
        original: Original {
            key: row.try_get("key")?,
            value: row.try_get("value")?,
            headers: unpack_headers(headers.as_deref()),
        },
    })
}

impl Record {
    /// The event in the record, read as it was when it was taken in.
    pub fn event(&self) -> Option<Event> {
        let headers: Vec<(&str, Option<&[u8]>)> =
            self.original.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        let raw = RawRecord { key: self.original.key.as_deref(), value: Some(&self.original.value), headers: &headers };
        match event::read(&raw) {
            Reading::Event(event) => Some(*event),
            Reading::Tombstone | Reading::Fault(_) => None,
        }
    }
}

fn live(no: EventNo, record: &Record, types: &AliasTypes) -> Result<Option<Live>, LedgerError> {
    let Some(event) = record.event() else { return Ok(None) };
    let mut live = Live::new(no, event, types);
    if let Some(progress) = &record.row.progress {
        live.progress = serde_json::from_value::<Progress>(progress.clone())?;
    }
    live.waiting_since = record.row.waiting_since;
    live.is_ghost = record.row.state == state::DEAD;
    Ok(Some(live))
}
