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
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
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
    let mut lanes: Loading = heads
        .iter()
        .map(|head| {
            let lane = Lane { bwp_id: head.bwp_id.clone(), memo: head.memo.clone(), ..Lane::default() };
            (head.id, Ok((lane, Before { bwp_id: head.bwp_id.clone(), ..Before::default() })))
        })
        .collect();
    load_names(db, &ids, &mut lanes).await?;
    load_things(db, &ids, &mut lanes).await?;
    let types: BTreeMap<i64, &AliasTypes> = heads.iter().filter_map(|head| Some((head.id, targets.get(&head.target)?))).collect();
    load_events(db, &ids, &types, &mut lanes).await?;
    Ok(heads.iter().filter_map(|head| lanes.remove(&head.id)).collect())
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

async fn load_names(db: &mut PgConnection, ids: &[i64], lanes: &mut Loading) -> Result<(), LedgerError> {
    let rows = sqlx::query(
        "SELECT lane, 0::smallint, alias_type, id, bwp_id, origin, version, said_at FROM order_name
         WHERE lane = ANY($1) AND origin IS NOT NULL
         UNION ALL
         SELECT lane, kind, alias_type, id, bwp_id, origin, version, said_at FROM name WHERE lane = ANY($1)",
    )
    .bind(ids)
    .fetch_all(db)
    .await?;
    for row in &rows {
        take_in(lanes, row.try_get(0)?, |lane, _| {
            let alias = Alias { alias_type: row.try_get(2)?, id: row.try_get(3)? };
            let kind: AliasKind = alias_kind_of(row.try_get(1)?);
            lane.names.load(kind, alias, name_row(row, 4)?);
            Ok(())
        });
    }
    Ok(())
}

async fn load_things(db: &mut PgConnection, ids: &[i64], lanes: &mut Loading) -> Result<(), LedgerError> {
    let rows = sqlx::query("SELECT lane, subject, doc::text FROM entity WHERE lane = ANY($1)").bind(ids).fetch_all(db).await?;
    for row in &rows {
        take_in(lanes, row.try_get(0)?, |lane, _| {
            let (subject, doc): (String, String) = (row.try_get(1)?, row.try_get(2)?);
            let subject: Subject = serde_json::from_str(&subject)?;
            let thing: Thing = serde_json::from_str(&doc)?;
            lane.things.load(subject, thing);
            Ok(())
        });
    }
    Ok(())
}

async fn load_events(
    db: &mut PgConnection,
    ids: &[i64],
    types: &BTreeMap<i64, &AliasTypes>,
    lanes: &mut Loading,
) -> Result<(), LedgerError> {
    let rows = sqlx::query(
        "SELECT w.* FROM unnest($1::bigint[]) AS l (id)
         CROSS JOIN LATERAL (
            (SELECT * FROM work WHERE lane = l.id AND state = 0 ORDER BY no LIMIT $2)
            UNION ALL (SELECT * FROM work WHERE lane = l.id AND state = 1 ORDER BY no LIMIT $3)
            UNION ALL (SELECT * FROM work WHERE lane = l.id AND state = 2 ORDER BY no LIMIT $3)
            UNION ALL (SELECT * FROM work WHERE lane = l.id AND state = 3 AND died ->> 'class' = 'expired' ORDER BY no DESC LIMIT $4)
         ) w",
    )
    .bind(ids)
    .bind(MOST_QUEUED)
    .bind(MOST_HELD_UP)
    .bind(MOST_GHOSTS)
    .fetch_all(db)
    .await?;
    for row in &rows {
        let id: i64 = row.try_get("lane")?;
        let Some(types) = types.get(&id) else { continue };
        take_in(lanes, id, |lane, before| {
            let no: i64 = row.try_get("no")?;
            let record = record(row)?;
            match live(no, &record, types)? {
                Some(live) => {
                    lane.events.insert(no, live);
                    before.rows.insert(no, Arc::new(record.row));
                    before.is_partial |= before.rows.len() as i64 >= MOST_QUEUED;
                }
                None => tracing::error!(lane = id, no, "a stored event can no longer be read; it stays in the ledger"),
            }
            Ok(())
        });
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
