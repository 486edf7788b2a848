//! Orders of which nothing was heard for long: their lanes go, with all of their names.

use super::super::{Ledger, LedgerError};
use super::Keep;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// Lanes that one step looks at, at the most.
const STEP: i64 = 2_000;

/// Whether nothing needs a lane any more: no event, nothing that Buy with Prime is known to hold, no outcome that is still kept (none is
/// younger than its last use), no name that was learned lately. A lane that was merged away goes after the one that it became.
/// `OFFSET 0` has each lane looked up, and no table walked through.
const IS_IDLE: &str = "next_at IS NULL AND NOT is_leased AND parked_until IS NULL
    AND used_on < (now() - make_interval(secs => $3))::date
    AND NOT EXISTS (SELECT 1 FROM work w WHERE w.lane = l.id OFFSET 0)
    AND NOT EXISTS (SELECT 1 FROM waking w WHERE w.lane = l.id OFFSET 0)
    AND NOT EXISTS (SELECT 1 FROM lane m WHERE m.id = l.merged_into OFFSET 0)
    AND NOT EXISTS (SELECT 1 FROM entity e WHERE e.lane = l.id OFFSET 0)
    AND NOT EXISTS (SELECT 1 FROM order_name n WHERE n.lane = l.id AND n.said_at >= now() - make_interval(secs => $2) OFFSET 0)
    AND NOT EXISTS (SELECT 1 FROM name n WHERE n.lane = l.id AND n.said_at >= now() - make_interval(secs => $2) OFFSET 0)";

/// Looks at the next old lanes after one, and forgets those that nothing needs. Gives how many went, and after which lane to go on: 0,
/// from the beginning, where the next are not old.
pub(super) async fn forget_orders(ledger: &Ledger, after: i64, keep: &Keep) -> Result<(u64, i64), LedgerError> {
    let page: Vec<(i64, bool)> = sqlx::query_as(
        "SELECT id, made_on < (now() - make_interval(secs => $2))::date FROM lane WHERE id > $1 ORDER BY id LIMIT $3",
    )
    .bind(after)
    .bind(keep.known_state.as_secs_f64())
    .bind(STEP)
    .fetch_all(&ledger.pool)
    .await?;
    let old: Vec<i64> = page.iter().take_while(|(_, is_old)| *is_old).map(|(id, _)| *id).collect();
    let next = old.last().copied().filter(|_| old.len() as i64 == STEP).unwrap_or(0);
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
    let (names, outcomes) = (keep.known_state.as_secs_f64(), keep.history.as_secs_f64());
    Ok(sqlx::query_scalar(AssertSqlSafe(sql)).bind(lanes).bind(names).bind(outcomes).fetch_all(db).await?)
}
