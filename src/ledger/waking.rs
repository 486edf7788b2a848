//! Events that waited for a name are due again. Where many are woken at once, some of their lanes are due now and the others follow:
//! what has just arrived never stands behind all of them.
//!
//! A lane in `waking` keeps the due time that it had while it waited, so that it is never lost, whatever becomes of its turn here.

use super::codec::state;
use super::connect::in_time;
use super::{Ledger, LedgerError};
use sqlx::{Connection, PgConnection};
use std::collections::{BTreeMap, BTreeSet};

/// So many lanes of a target that names have woken are due at once.
const AT_ONCE: i64 = 64;

/// The lanes among some that have unsettled events, the ones that have waited longest first. One look-up each, however many there are.
const WITH_WORK: &str = "SELECT k.id, l.target FROM unnest($1::bigint[]) AS k (id)
    CROSS JOIN LATERAL (SELECT w.no FROM work w WHERE w.lane = k.id AND w.state <> $2 ORDER BY w.lane, w.no LIMIT 1) w
    CROSS JOIN LATERAL (SELECT target FROM lane WHERE id = k.id LIMIT 1) l
    ORDER BY w.no";

/// A lane that is due already, or was and is still worked on, stays so.
const ENROL: &str = "INSERT INTO waking AS w (lane, target, is_due)
    SELECT k.lane, k.target, k.is_due FROM unnest($1::bigint[], $2::text[], $3::bool[]) WITH ORDINALITY AS k (lane, target, is_due, at)
    ORDER BY k.at
    ON CONFLICT (lane) DO UPDATE SET is_due = w.is_due OR excluded.is_due
    RETURNING CASE WHEN is_due THEN lane END";

/// Lanes that are not due any more: somebody has taken them up, or they rest. Those that somebody is just busy with are left for the
/// next time. By the time of the statement: those of a transaction that began after this one are due as well.
const TAKEN_UP: &str = "SELECT id FROM lane
    WHERE id = ANY($1) AND (next_at IS NULL OR next_at > statement_timestamp() OR parked_until > statement_timestamp()
        OR merged_into IS NOT NULL)
    ORDER BY id FOR UPDATE SKIP LOCKED";

/// Lanes whose turn it is: as many as there is room for beside those that are due. Both are asked for at once, since an intake may enrol more
/// of either between two statements.
const NEXT: &str = "SELECT lane FROM waking WHERE target = $1 AND is_due = false ORDER BY no
    LIMIT (SELECT greatest($2 - count(*), 0) FROM waking WHERE target = $1 AND is_due)";

/// Makes lanes due whose rows are locked; those that are due already, or marked, cost nothing.
pub(super) async fn make_due(db: &mut PgConnection, lanes: Vec<i64>) -> Result<(), LedgerError> {
    if lanes.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE lane SET next_at = CASE WHEN is_leased THEN next_at ELSE now() END, is_dirty = is_leased
         WHERE id = ANY($1) AND merged_into IS NULL
           AND CASE WHEN is_leased THEN NOT is_dirty ELSE next_at IS NULL OR next_at > now() END",
    )
    .bind(lanes)
    .execute(db)
    .await?;
    Ok(())
}

/// Wakes those of some lanes that have events, whose rows are locked and that have got a name: at once, or when it is their turn.
pub(super) async fn wake_named(db: &mut PgConnection, named: BTreeSet<i64>) -> Result<(), LedgerError> {
    if named.is_empty() {
        return Ok(());
    }
    let lanes: Vec<(i64, String)> =
        sqlx::query_as(WITH_WORK).bind(named.into_iter().collect::<Vec<_>>()).bind(state::DEAD).fetch_all(&mut *db).await?;
    if lanes.is_empty() {
        return Ok(());
    }
    let mut room: BTreeMap<&str, i64> = BTreeMap::new();
    for (_, target) in &lanes {
        if !room.contains_key(target.as_str()) {
            room.insert(target, AT_ONCE - due(db, target).await?.len() as i64);
        }
    }
    let is_due: Vec<bool> = lanes
        .iter()
        .map(|(_, target)| {
            let left = room.entry(target).or_default();
            *left -= 1;
            *left >= 0
        })
        .collect();
    let due: Vec<Option<i64>> = sqlx::query_scalar(ENROL)
        .bind(lanes.iter().map(|(lane, _)| *lane).collect::<Vec<_>>())
        .bind(lanes.iter().map(|(_, target)| target.clone()).collect::<Vec<_>>())
        .bind(is_due)
        .fetch_all(&mut *db)
        .await?;
    make_due(db, due.into_iter().flatten().collect()).await
}

/// Lanes of a target that were woken and may still be due.
async fn due(db: &mut PgConnection, target: &str) -> Result<Vec<i64>, LedgerError> {
    Ok(sqlx::query_scalar("SELECT lane FROM waking WHERE target = $1 AND is_due").bind(target).fetch_all(db).await?)
}

impl Ledger {
    /// How many of a target's orders have been woken and wait for their turn, a million at the most: counted from an index alone, in
    /// whose order they are taken, since a walk through the table would seem cheaper where nearly all rows count.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn waking(&self, target: &str) -> Result<i64, LedgerError> {
        in_time(async {
            let statement = "SELECT count(*) FROM (SELECT no FROM waking WHERE target = $1 AND is_due = false
                ORDER BY no LIMIT 1000000) w";
            Ok(sqlx::query_scalar(statement).bind(target).fetch_one(&self.pool).await?)
        })
        .await
    }

    /// Wakes more of a target's lanes whose turn it is, in the place of those that have been taken up. Tells whether any are due.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn wake_more(&self, target: &str) -> Result<bool, LedgerError> {
        in_time(async {
            let mut connection = self.pool.acquire().await?;
            let any: Option<i64> =
                sqlx::query_scalar("SELECT lane FROM waking WHERE target = $1 ORDER BY target, is_due, no LIMIT 1")
                    .bind(target)
                    .fetch_optional(&mut *connection)
                    .await?;
            if any.is_none() {
                return Ok(false);
            }
            let mut transaction = connection.begin().await?;
            // One replica at a time: two would each fill the same room.
            let is_mine: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock(hashtext('bwp-sync waking'))")
                .fetch_one(&mut *transaction)
                .await?;
            if !is_mine {
                return Ok(true);
            }
            let is_due = next_turn(&mut transaction, target).await?;
            transaction.commit().await?;
            Ok(is_due)
        })
        .await
    }
}

async fn next_turn(db: &mut PgConnection, target: &str) -> Result<bool, LedgerError> {
    let due = due(db, target).await?;
    let over: Vec<i64> = sqlx::query_scalar(TAKEN_UP).bind(&due).fetch_all(&mut *db).await?;
    let left = due.len() as i64 - over.len() as i64;
    if !over.is_empty() {
        sqlx::query("DELETE FROM waking WHERE lane = ANY($1)").bind(over).execute(&mut *db).await?;
    }
    let next: Vec<i64> = sqlx::query_scalar(NEXT).bind(target).bind(AT_ONCE).fetch_all(&mut *db).await?;
    if next.is_empty() {
        return Ok(left > 0);
    }
    let locked: Vec<i64> = sqlx::query_scalar("SELECT id FROM lane WHERE id = ANY($1) ORDER BY id FOR UPDATE SKIP LOCKED")
        .bind(next)
        .fetch_all(&mut *db)
        .await?;
    sqlx::query("UPDATE waking SET is_due = true WHERE lane = ANY($1)").bind(&locked).execute(&mut *db).await?;
    make_due(db, locked).await?;
    Ok(true)
}
