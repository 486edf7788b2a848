//! The whole story of an order: its names, its events and what each became, every call, what holds it up, what operators did.

use super::acts::{ActRow, acts_of};
use super::aliases::{NameChange, changes_of};
use super::attempts::{AttemptRow, attempts_of};
use super::codec::{alias_kind_of, origin_of};
use super::connect::in_time;
use super::events::{EventRow, Filter, OrderScope, work_events};
use super::pause::{Pausable, Pause};
use super::settled::settled_event;
use super::{Ledger, LedgerError};
use crate::event::AliasKind;
use crate::plan::lane::Memo;
use crate::plan::names::Origin;
use crate::plan::subject::Subject;
use crate::plan::thing::{Pace, Thing};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sqlx::{PgConnection, Row};

/// Rows of each sort that a story is told with; the newest where there are more.
const MOST: i64 = 1_000;

/// An order under one of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its target.
    pub target: String,
    /// The type of the name that led here; empty for Buy with Prime's own id.
    pub alias_type: String,
    /// The order's lane.
    pub lane: i64,
}

/// A name of an order, or of a thing of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NameOf {
    /// What it names.
    pub kind: AliasKind,
    /// Its type; empty for Buy with Prime's own id.
    pub alias_type: String,
    /// The id.
    pub id: String,
    /// What it stands for.
    pub bwp_id: Option<String>,
    /// Who said so; none where it was only used as a reference so far.
    pub origin: Option<Origin>,
    /// When.
    pub said_at: Option<DateTime<Utc>>,
}

/// How a lane stands.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneStanding {
    /// Its id.
    pub id: i64,
    /// Its target.
    pub target: String,
    /// Buy with Prime's id of the order.
    pub bwp_id: Option<String>,
    /// When it is due; while it is held, the end of the lease.
    pub next_at: Option<DateTime<Utc>>,
    /// Whether a replica holds it.
    pub is_leased: bool,
    /// Leases in a row that ended without a settle.
    pub touches: i32,
    /// It rests until then.
    pub parked_until: Option<DateTime<Utc>>,
    /// What it remembers.
    pub memo: Memo,
}

/// How the target of an order stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetNow {
    /// A `Retry-After`.
    pub not_before: Option<DateTime<Utc>>,
    /// Since when its breaker is open.
    pub open_since: Option<DateTime<Utc>>,
    /// The pause, where an operator stopped it.
    pub paused: Option<Pause>,
    /// For how long its breaker was open or it was paused, all times together: time that no event is charged for.
    pub open_for: TimeDelta,
}

/// All that is known of an order.
#[derive(Debug, Clone)]
pub struct Story {
    /// By the ledger's clock.
    pub now: DateTime<Utc>,
    /// Its lane.
    pub lane: LaneStanding,
    /// Its target.
    pub target: TargetNow,
    /// Its names.
    pub names: Vec<NameOf>,
    /// Names that came to stand for something else, oldest first.
    pub changes: Vec<NameChange>,
    /// Events that are not settled, and dead ones.
    pub open: Vec<EventRow>,
    /// Outcomes, oldest first.
    pub outcomes: Vec<EventRow>,
    /// Calls, oldest first.
    pub attempts: Vec<AttemptRow>,
    /// What operators did.
    pub acts: Vec<ActRow>,
    /// Things that are held back.
    pub paces: Vec<(Subject, Pace)>,
}

impl Ledger {
    /// The orders that a name leads to: any alias, or Buy with Prime's own id. Without a type, any will do, and `TYPE:ID` is
    /// understood where nothing has the whole text for its id.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn find_orders(
        &self,
        name: &str,
        alias_type: Option<&str>,
        target: Option<&str>,
    ) -> Result<Vec<Found>, LedgerError> {
        in_time(async {
            let mut connection = self.pool.acquire().await?;
            let found = find(&mut connection, name, alias_type, target).await?;
            match name.split_once(':') {
                Some((alias_type, id)) if found.is_empty() => find(&mut connection, id, Some(alias_type), target).await,
                _ => Ok(found),
            }
        })
        .await
    }

    /// An order as filters take it.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn order_scope(&self, lanes: &[i64]) -> Result<OrderScope, LedgerError> {
        in_time(async { scope(&mut *self.pool.acquire().await?, lanes).await }).await
    }

    /// The story of the order in a lane.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn story(&self, lane: i64) -> Result<Option<Story>, LedgerError> {
        in_time(async {
            let mut connection = self.pool.acquire().await?;
            let mut moment =
                sqlx::Connection::begin_with(&mut *connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
            let db = &mut *moment;
            let Some((lane, target, now)) = standing(db, lane).await? else { return Ok(None) };
            let order = scope(db, &[lane.id]).await?;
            let lanes = order.lanes.clone();
            let ids: Vec<Vec<u8>> = order.ids.iter().map(|id| id.as_bytes().to_vec()).collect();
            let filter = Filter { order: Some(order), ..Filter::default() };
            let mut open = work_events(db, &filter, MOST).await?;
            open.sort_by_key(|event| event.no);
            let rows = sqlx::query(
                "SELECT * FROM (SELECT settled_at, lane, no, outcome, xid, seq FROM history
                    WHERE lane = ANY($1) OR (lane IS NULL AND record_key = ANY($2))
                    ORDER BY xid DESC, seq DESC LIMIT $3) h ORDER BY xid, seq",
            )
            .bind(&lanes)
            .bind(ids)
            .bind(MOST)
            .fetch_all(&mut *db)
            .await?;
            let outcomes = rows.iter().map(settled_event).collect::<Result<Vec<_>, _>>()?;
            let names = names(db, lane.id).await?;
            let attempts = attempts_of(db, &lanes, None, MOST).await?;
            let acts = acts_of(db, &lanes, &lane.target, first_moment(&open, &outcomes, &attempts)).await?;
            let (changes, paces) = (changes_of(db, &lanes, MOST).await?, paces(db, lane.id).await?);
            moment.rollback().await?;
            Ok(Some(Story { now, lane, target, names, changes, open, outcomes, attempts, acts, paces }))
        })
        .await
    }
}

/// The first thing that is remembered of an order.
fn first_moment(open: &[EventRow], outcomes: &[EventRow], attempts: &[AttemptRow]) -> Option<DateTime<Utc>> {
    let came = open.iter().filter_map(|event| event.received_at);
    came.chain(outcomes.iter().map(|event| event.since)).chain(attempts.iter().map(|attempt| attempt.at)).min()
}

async fn find(
    db: &mut PgConnection,
    id: &str,
    alias_type: Option<&str>,
    target: Option<&str>,
) -> Result<Vec<Found>, LedgerError> {
    // The types that occur are few: one step of the index for each, then one look-up.
    let rows: Vec<(String, String, i64)> = sqlx::query_as(
        "WITH RECURSIVE types (target, alias_type) AS (
            (SELECT target, alias_type FROM order_name ORDER BY target, alias_type LIMIT 1)
            UNION ALL
            SELECT n.target, n.alias_type FROM types t CROSS JOIN LATERAL (
                SELECT target, alias_type FROM order_name WHERE (target, alias_type) > (t.target, t.alias_type)
                ORDER BY target, alias_type LIMIT 1) n
         )
         SELECT n.target, n.alias_type, n.lane FROM types t
         JOIN order_name n ON n.target = t.target AND n.alias_type = t.alias_type AND n.id = $1
         WHERE ($2::text IS NULL OR n.alias_type = $2) AND ($3::text IS NULL OR n.target = $3)
         ORDER BY n.target, n.alias_type",
    )
    .bind(id)
    .bind(alias_type)
    .bind(target)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|(target, alias_type, lane)| Found { target, alias_type, lane }).collect())
}

/// These lanes and all that became one with them.
pub(super) async fn lanes_with(db: &mut PgConnection, lanes: &[i64]) -> Result<Vec<i64>, LedgerError> {
    let all: Vec<i64> = sqlx::query_scalar(
        "WITH RECURSIVE family (id) AS (
            SELECT coalesce(l.merged_into, l.id) FROM lane l WHERE l.id = ANY($1)
            UNION SELECT unnest($1::bigint[])
            UNION SELECT l.id FROM family f JOIN lane l ON l.merged_into = f.id
         )
         SELECT id FROM family",
    )
    .bind(lanes)
    .fetch_all(db)
    .await?;
    Ok(all)
}

async fn scope(db: &mut PgConnection, lanes: &[i64]) -> Result<OrderScope, LedgerError> {
    let lanes = lanes_with(db, lanes).await?;
    let ids = sqlx::query_scalar("SELECT DISTINCT id FROM order_name WHERE lane = ANY($1)").bind(&lanes).fetch_all(db).await?;
    Ok(OrderScope { lanes, ids })
}

async fn standing(db: &mut PgConnection, lane: i64) -> Result<Option<(LaneStanding, TargetNow, DateTime<Utc>)>, LedgerError> {
    let row = sqlx::query(
        "SELECT l.id, l.target, l.bwp_id, l.next_at, l.is_leased, l.touches, l.parked_until, l.memo::text AS memo, now() AS now,
                t.not_before, t.open_since, t.paused_since, t.paused_by, t.paused_why,
                coalesce(extract(epoch FROM t.open_for + coalesce(now() - coalesce(t.paused_since, t.open_since), '0')), 0)::float8
                    AS open_for
         FROM lane l LEFT JOIN target t ON t.name = l.target WHERE l.id = $1",
    )
    .bind(lane)
    .fetch_optional(db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let memo: Option<String> = row.try_get("memo")?;
    let lane = LaneStanding {
        id: row.try_get("id")?,
        target: row.try_get("target")?,
        bwp_id: row.try_get("bwp_id")?,
        next_at: row.try_get("next_at")?,
        is_leased: row.try_get("is_leased")?,
        touches: row.try_get("touches")?,
        parked_until: row.try_get("parked_until")?,
        memo: memo.map(|memo| serde_json::from_str(&memo)).transpose()?.unwrap_or_default(),
    };
    let open_for: f64 = row.try_get("open_for")?;
    let paused_since: Option<DateTime<Utc>> = row.try_get("paused_since")?;
    let (who, reason): (Option<String>, _) = (row.try_get("paused_by")?, row.try_get("paused_why")?);
    let pause = |since| Pause { what: Pausable::Target, name: lane.target.clone(), since, who: who.unwrap_or_default(), reason };
    let target = TargetNow {
        paused: paused_since.map(pause),
        not_before: row.try_get("not_before")?,
        open_since: row.try_get("open_since")?,
        open_for: TimeDelta::milliseconds((open_for * 1000.0) as i64),
    };
    Ok(Some((lane, target, row.try_get("now")?)))
}

async fn names(db: &mut PgConnection, lane: i64) -> Result<Vec<NameOf>, LedgerError> {
    let rows = sqlx::query(
        "SELECT 0::smallint, alias_type, id, bwp_id, origin, said_at FROM order_name WHERE lane = $1
         UNION ALL SELECT kind, alias_type, id, bwp_id, origin, said_at FROM name WHERE lane = $1 ORDER BY 1, 2, 3 LIMIT $2",
    )
    .bind(lane)
    .bind(MOST)
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            let origin: Option<i16> = row.try_get(4)?;
            Ok(NameOf {
                kind: alias_kind_of(row.try_get(0)?),
                alias_type: row.try_get(1)?,
                id: row.try_get(2)?,
                bwp_id: row.try_get(3)?,
                origin: origin.map(origin_of),
                said_at: row.try_get(5)?,
            })
        })
        .collect()
}

async fn paces(db: &mut PgConnection, lane: i64) -> Result<Vec<(Subject, Pace)>, LedgerError> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT subject, doc::text FROM entity WHERE lane = $1 AND doc::jsonb ? 'pace' ORDER BY subject")
            .bind(lane)
            .fetch_all(db)
            .await?;
    let mut paces = Vec::new();
    for (subject, doc) in rows {
        let thing: Thing = serde_json::from_str(&doc)?;
        if thing.pace.due.is_some() || thing.pace.last.is_some() {
            paces.push((serde_json::from_str(&subject)?, thing.pace));
        }
    }
    Ok(paces)
}
