//! Orders of which nothing was heard for long: their lanes go, with all of their names.

use super::super::{Ledger, LedgerError};
use super::Keep;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::collections::BTreeSet;

/// Lanes that one step looks at, at the most.
const LANES: i64 = 2_000;

/// A lane's last use is written down again after so many days at the earliest, so that saying again what is known costs nothing.
pub(in crate::ledger) const GRAIN_DAYS: i32 = 30;

/// Whether nothing needs a lane any more: it was not used for long, has no event, and nothing that Buy with Prime is known to hold. Names
/// that are said, also again, are a use ([`touch`]). A lane that was merged away goes after the one that it became. `OFFSET 0` has each
/// lane looked up, and no table walked through.
const IS_IDLE: &str = "next_at IS NULL AND NOT is_leased AND parked_until IS NULL
    AND used_on < (now() - make_interval(days => $3, secs => $2))::date
    AND NOT EXISTS (SELECT 1 FROM work w WHERE w.lane = l.id OFFSET 0)
    AND NOT EXISTS (SELECT 1 FROM waking w WHERE w.lane = l.id OFFSET 0)
    AND NOT EXISTS (SELECT 1 FROM lane m WHERE m.id = l.merged_into OFFSET 0)
    AND NOT EXISTS (SELECT 1 FROM entity e WHERE e.lane = l.id OFFSET 0)";

/// Looks at the next old lanes after one, and forgets those that nothing needs. Gives how many went, and after which lane to go on: 0,
/// from the beginning, where the next are not old.
pub(super) async fn forget_orders(ledger: &Ledger, after: i64, keep: &Keep) -> Result<(u64, i64), LedgerError> {
    let page: Vec<(i64, bool)> = sqlx::query_as(
        "SELECT id, made_on < (now() - make_interval(secs => $2))::date FROM lane WHERE id > $1 ORDER BY id LIMIT $3",
    )
    .bind(after)
    .bind(keep.known_state.as_secs_f64())
    .bind(LANES)
    .fetch_all(&ledger.pool)
    .await?;
    let old: Vec<i64> = page.iter().take_while(|(_, is_old)| *is_old).map(|(id, _)| *id).collect();
    let next = old.last().copied().filter(|_| old.len() as i64 == LANES).unwrap_or(0);
    if old.is_empty() {
        return Ok((0, next));
    }
    let mut connection = ledger.pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    let locked = idle(&mut transaction, &old, keep, "ORDER BY id FOR UPDATE SKIP LOCKED").await?;
    // Just before it was locked, a lane may have been given something: the second look sees that.
    let gone = idle(&mut transaction, &locked, keep, "").await?;
    for statement in [
        "DELETE FROM name WHERE lane = ANY($1)",
        "DELETE FROM order_name WHERE lane = ANY($1)",
        "DELETE FROM lane WHERE id = ANY($1)",
    ] {
        sqlx::query(statement).bind(&gone).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok((gone.len() as u64, next))
}

async fn idle(db: &mut PgConnection, lanes: &[i64], keep: &Keep, lock: &str) -> Result<Vec<i64>, LedgerError> {
    let sql = format!("SELECT id FROM lane l WHERE id = ANY($1) AND {IS_IDLE} {lock}");
    // No outcome that is still kept may lose its order.
    let age = keep.known_state.max(keep.history).as_secs_f64();
    Ok(sqlx::query_scalar(AssertSqlSafe(sql)).bind(lanes).bind(age).bind(GRAIN_DAYS).fetch_all(db).await?)
}

/// Lanes are used by what is said of them, whether it changes anything or not. False where one of them is gone: then nothing that was
/// read of it stands. What is not locked by this has been used lately, and stays.
pub(in crate::ledger) async fn touch(db: &mut PgConnection, lanes: &BTreeSet<i64>) -> Result<bool, LedgerError> {
    let ids: Vec<i64> = lanes.iter().copied().collect();
    let (there, old): (i64, Vec<i64>) = sqlx::query_as(
        "SELECT count(*), coalesce(array_agg(id ORDER BY id) FILTER (WHERE used_on < current_date - $2), '{}')
         FROM lane WHERE id = ANY($1)",
    )
    .bind(&ids)
    .bind(GRAIN_DAYS)
    .fetch_one(&mut *db)
    .await?;
    if there as usize != ids.len() || old.is_empty() {
        return Ok(there as usize == ids.len());
    }
    let touched = sqlx::query(
        "WITH old AS (SELECT id FROM lane WHERE id = ANY($1) ORDER BY id FOR UPDATE)
         UPDATE lane SET used_on = current_date FROM old WHERE lane.id = old.id",
    )
    .bind(&old)
    .execute(db)
    .await?;
    Ok(touched.rows_affected() as usize == old.len())
}
