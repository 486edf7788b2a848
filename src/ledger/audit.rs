//! Facts for the audit: a bounded part of the ledger, as it was at one moment.

use super::connect::in_time;
use super::{Ledger, LedgerError};
use crate::audit::{EventFacts, LaneFacts};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Lanes of one part that are looked at in their turn.
const LANES: i64 = 200;

/// Lanes of one part that are looked at because they are held, or were when their holders died: more than a fleet has.
const HELD: i64 = 5_000;

/// Events of a lane that are looked at, of the oldest and of the newest, beside those that are in flight or unknown.
const EVENTS: i64 = 32;

/// A part of the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// Its lanes.
    pub lanes: Vec<LaneFacts>,
    /// Events of these lanes.
    pub events: Vec<EventFacts>,
    /// The lane that is next in line at each target that may be called.
    pub fronts: BTreeMap<String, Front>,
    /// The last lane that was looked at in its turn; none where there was none after the given one.
    pub up_to: Option<i64>,
}

/// A lane that is due, before all others of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Front {
    /// The lane.
    pub lane: i64,
    /// Since when it is due: another time is another turn.
    pub since: i64,
}

impl Ledger {
    /// The next lanes after the given one that have events, with all that may have something in flight, the first in line at each of the
    /// given targets, and the suspected ones.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn audit_page(&self, after: i64, targets: &[String], suspects: &[i64]) -> Result<AuditPage, LedgerError> {
        in_time(async {
            let mut connection = self.pool.acquire().await?;
            // One moment for all statements: a lane that moves between two of them would seem to be wrong.
            let mut moment =
                sqlx::Connection::begin_with(&mut *connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
            let fronts = fronts(&mut moment, targets).await?;
            let turn: Vec<i64> = sqlx::query_scalar(NEXT_LANES).bind(after).bind(LANES).fetch_all(&mut *moment).await?;
            let held: Vec<i64> =
                sqlx::query_scalar("SELECT id FROM lane WHERE is_leased OR parked_until IS NOT NULL ORDER BY id LIMIT $1")
                    .bind(HELD)
                    .fetch_all(&mut *moment)
                    .await?;
            let mut ids = [&turn, &held, suspects].concat();
            ids.extend(fronts.values().map(|front| front.lane));
            ids.sort_unstable();
            ids.dedup();
            let lanes = lanes(&mut moment, &ids).await?;
            let events = events(&mut moment, &ids, &lanes).await?;
            moment.rollback().await?;
            Ok(AuditPage { lanes, events, fronts, up_to: turn.last().copied() })
        })
        .await
    }
}

/// The lanes of events, one step of the index for each, however many events it has.
const NEXT_LANES: &str = "
    WITH RECURSIVE walk (lane, n) AS (
        (SELECT lane, 1 FROM work WHERE lane > $1 ORDER BY lane LIMIT 1)
        UNION ALL
        SELECT (SELECT w.lane FROM work w WHERE w.lane > walk.lane ORDER BY w.lane LIMIT 1), n + 1
        FROM walk WHERE walk.lane IS NOT NULL AND n < $2
    )
    SELECT lane FROM walk WHERE lane IS NOT NULL ORDER BY lane";

async fn fronts(db: &mut PgConnection, targets: &[String]) -> Result<BTreeMap<String, Front>, LedgerError> {
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(
        "SELECT k.name, f.id, (extract(epoch FROM f.next_at) * 1000)::bigint
         FROM unnest($1::text[]) AS k (name) LEFT JOIN target t ON t.name = k.name
         CROSS JOIN LATERAL (SELECT id, next_at FROM lane WHERE target = k.name AND next_at <= now() ORDER BY next_at LIMIT 1) f
         WHERE t.open_since IS NULL AND t.paused_since IS NULL AND (t.not_before IS NULL OR t.not_before <= now())",
    )
    .bind(targets)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|(target, lane, since)| (target, Front { lane, since })).collect())
}

async fn lanes(db: &mut PgConnection, ids: &[i64]) -> Result<Vec<LaneFacts>, LedgerError> {
    let rows = sqlx::query(
        "SELECT id, is_leased, lease_no, (extract(epoch FROM next_at) * 1000)::bigint, flight, merged_into,
                ARRAY(SELECT (o #>> '{}')::bigint FROM jsonb_path_query(memo::jsonb, '$.intents[*].parts[*].events[*]') AS o),
                (SELECT max((extract(epoch FROM (e #>> '{}')::timestamptz) * 1000)::bigint)
                 FROM jsonb_path_query(memo::jsonb, '$.intents[*] ? (@.stands == \"InFlight\").ended_at') AS e)
         FROM lane WHERE id = ANY($1) ORDER BY id",
    )
    .bind(ids)
    .fetch_all(db)
    .await?;
    rows.iter().map(lane).collect()
}

fn lane(row: &PgRow) -> Result<LaneFacts, LedgerError> {
    Ok(LaneFacts {
        id: row.try_get(0)?,
        is_leased: row.try_get(1)?,
        lease_no: row.try_get(2)?,
        next_at: row.try_get(3)?,
        flight: row.try_get(4)?,
        merged_into: row.try_get(5)?,
        open: row.try_get(6)?,
        flight_ends: row.try_get(7)?,
        overdue: 0,
    })
}

/// Events of the lanes: all that are in flight or unknown, and of the others the oldest and the newest. An outcome of an event is not
/// older than its row, so that old days are not looked into.
async fn events(db: &mut PgConnection, ids: &[i64], lanes: &[LaneFacts]) -> Result<Vec<EventFacts>, LedgerError> {
    let open = lanes.iter().flat_map(|lane| lane.flight.iter().chain(&lane.open).map(|no| (lane.id, *no)));
    let (open_lanes, open_numbers): (Vec<i64>, Vec<i64>) = open.unzip();
    let rows = sqlx::query(
        "WITH picked AS (
            SELECT k.id AS lane, w.no FROM unnest($1::bigint[]) AS k (id) CROSS JOIN LATERAL (
                (SELECT no FROM work WHERE lane = k.id ORDER BY no LIMIT $4)
                UNION (SELECT no FROM work WHERE lane = k.id ORDER BY no DESC LIMIT $4)) w
            UNION SELECT * FROM unnest($2::bigint[], $3::bigint[])
         )
         SELECT w.no, w.lane, w.hash, w.state = 3, w.outcomes::bigint,
                (SELECT count(*) FROM history h WHERE h.lane = w.lane AND h.no = w.no AND h.settled_at >= w.received_at)
         FROM picked p JOIN work w ON w.lane = p.lane AND w.no = p.no ORDER BY w.lane, w.no",
    )
    .bind(ids)
    .bind(open_lanes)
    .bind(open_numbers)
    .bind(EVENTS)
    .fetch_all(db)
    .await?;
    rows.iter().map(event).collect()
}

fn event(row: &PgRow) -> Result<EventFacts, LedgerError> {
    let hash: Uuid = row.try_get(2)?;
    Ok(EventFacts {
        no: row.try_get(0)?,
        lane: row.try_get(1)?,
        identity: hash.as_u128(),
        is_dead: row.try_get(3)?,
        outcomes: row.try_get(4)?,
        recorded: row.try_get(5)?,
    })
}
