//! Two lanes turn out to be one order.
//!
//! Both rows are locked. The older lane keeps its id and takes over all that hangs on the other; events keep their numbers, which
//! are the order of arrival. What either had in flight becomes unknown: its holder finds its lease gone, and the lane sends
//! nothing before the order has been read.

use super::codec::{json_text, origin_code};
use super::load::{Head, load, record};
use super::naming::{self, OrderKey, types_of};
use super::writes::Writes;
use super::{LedgerError, Targets};
use crate::event::AliasKind;
use crate::plan::lane::Memo;
use crate::plan::names::{NameRow, Origin};
use fail::fail_point;
use sqlx::{PgConnection, Row};
use std::collections::{BTreeMap, BTreeSet};

/// Names that Buy with Prime has confirmed, with the lanes that have learned them.
pub(super) type Learned<'a> = [(OrderKey<'a>, i64, Option<NameRow>)];

/// Makes names that Buy with Prime has confirmed lead to their lanes, as far as they lead nowhere else. Tells whether all do: else lanes
/// are to be tied.
pub(super) async fn lead_learned(db: &mut PgConnection, learned: &Learned<'_>) -> Result<bool, LedgerError> {
    let names: BTreeMap<OrderKey, (i64, Option<&NameRow>)> =
        learned.iter().map(|(key, lane, row)| (*key, (*lane, row.as_ref()))).collect();
    let count = names.len();
    // A name that leads elsewhere is locked by the attempt, before the lane that it leads to.
    let leads = naming::lead_with_rows(db, names.into_iter().map(|(key, (lane, row))| (key, lane, row)).collect()).await?;
    // Where two lanes have learned the same name, it can lead to one of them alone.
    Ok(leads && count == learned.len())
}

/// Ties lanes whose names lead elsewhere: lanes that turn out to be one are merged, and a name that led to another order is taken from
/// it. Gives the lanes that took part in a merge: their leases no longer stand.
pub async fn tie_lanes(db: &mut PgConnection, learned: &Learned<'_>, targets: &Targets) -> Result<BTreeSet<i64>, LedgerError> {
    fail_point!("tie-named");
    let found = naming::find_lanes(db, learned.iter().map(|(key, ..)| *key).collect()).await?;
    let mut moved: BTreeMap<i64, i64> = BTreeMap::new();
    let mut tied = BTreeSet::new();
    let mut rows: BTreeMap<OrderKey, (i64, &NameRow)> = BTreeMap::new();
    for (key, lane, row) in learned {
        let mine = follow(&moved, *lane);
        let Some(theirs) = found.get(key).map(|lane| follow(&moved, *lane)) else {
            return Err(LedgerError::Unavailable("a name was forgotten in the moment in which it was learned".into()));
        };
        let mut at = mine;
        if theirs != mine {
            // Locked out of the order of ids: a deadlock with one who does the same is rolled back, and tried again.
            if naming::lock_lanes(db, &BTreeSet::from([theirs])).await?.is_empty() {
                return Err(LedgerError::Unavailable("a lane was merged away meanwhile".into()));
            }
            fail_point!("tie-locked");
            if are_two_orders(db, mine, theirs).await? {
                part_lane(db, theirs, mine, *key, targets).await?;
            } else {
                let (keep, gone) = (mine.min(theirs), mine.max(theirs));
                tied.extend([keep, gone]);
                merge_lanes(db, keep, gone).await?;
                fail_point!("tie-merged");
                moved.insert(gone, keep);
                at = keep;
            }
        }
        rows.extend(row.as_ref().map(|row| (*key, (at, row))));
    }
    let rows = rows.into_iter().map(|(key, (lane, row))| (key, follow(&moved, lane), row));
    naming::write_order_rows(db, rows).await?;
    fail_point!("tie-written");
    Ok(tied)
}

fn follow(moved: &BTreeMap<i64, i64>, mut lane: i64) -> i64 {
    while let Some(next) = moved.get(&lane) {
        lane = *next;
    }
    lane
}

/// Whether two lanes are known to be different orders at Buy with Prime.
pub async fn are_two_orders(db: &mut PgConnection, one: i64, other: i64) -> Result<bool, LedgerError> {
    let ids: Vec<String> = sqlx::query_scalar("SELECT DISTINCT bwp_id FROM lane WHERE id IN ($1, $2) AND bwp_id IS NOT NULL")
        .bind(one)
        .bind(other)
        .fetch_all(db)
        .await?;
    Ok(ids.len() == 2)
}

/// A name no longer stands for the order that it stood for: it leads to another lane from now on, with the events that used it, dead
/// ones among them, and the merchant's own rows. Both lanes' rows are locked. A mutation that is in flight or unknown goes on, with its
/// events: sent under the new meaning too, they would be sent twice. The old lane is dirty now, so that its holder does not go on with
/// what has left it.
pub async fn part_lane(
    db: &mut PgConnection,
    old: i64,
    new: i64,
    key: OrderKey<'_>,
    targets: &Targets,
) -> Result<(), LedgerError> {
    let memo: Option<String> =
        sqlx::query_scalar("SELECT memo::text FROM lane WHERE id = $1").bind(old).fetch_one(&mut *db).await?;
    let memo: Memo = memo.map(|memo| serde_json::from_str(&memo)).transpose()?.unwrap_or_default();
    let open: BTreeSet<i64> =
        memo.intents.iter().flat_map(|intent| &*intent.parts).flat_map(|part| part.events.iter().copied()).collect();
    let rows = sqlx::query("SELECT * FROM work WHERE lane = $1").bind(old).fetch_all(&mut *db).await?;
    let mut moved = Vec::new();
    for row in &rows {
        let no: i64 = row.try_get("no")?;
        let event = record(row)?.event();
        let uses = event.is_some_and(|event| OrderKey::of(&event, types_of(targets, key.target)) == key);
        if uses && !open.contains(&no) {
            moved.push(no);
        }
    }
    sqlx::query("UPDATE work SET lane = $1 WHERE lane = $2 AND no = ANY($3)")
        .bind(new)
        .bind(old)
        .bind(moved)
        .execute(&mut *db)
        .await?;
    sqlx::query("UPDATE order_name SET lane = $1 WHERE (target, alias_type, id) = ($2, $3, $4)")
        .bind(new)
        .bind(key.target)
        .bind(key.alias_type)
        .bind(key.id)
        .execute(&mut *db)
        .await?;
    sqlx::query(
        "INSERT INTO name SELECT $1, kind, alias_type, id, bwp_id, origin, version, said_at FROM name
         WHERE lane = $2 AND origin < $3 ON CONFLICT DO NOTHING",
    )
    .bind(new)
    .bind(old)
    .bind(origin_code(Origin::Bwp))
    .execute(&mut *db)
    .await?;
    sqlx::query(
        "UPDATE lane SET next_at = CASE WHEN is_leased THEN next_at ELSE now() END, is_dirty = is_leased WHERE id IN ($1, $2)",
    )
    .bind(new)
    .bind(old)
    .execute(db)
    .await?;
    Ok(())
}

/// Merges `gone` into `keep`.
pub async fn merge_lanes(db: &mut PgConnection, keep: i64, gone: i64) -> Result<(), LedgerError> {
    let rows = sqlx::query(
        "SELECT id, target, bwp_id, memo::text FROM lane WHERE id IN ($1, $2) AND merged_into IS NULL ORDER BY id FOR UPDATE",
    )
    .bind(keep)
    .bind(gone)
    .fetch_all(&mut *db)
    .await?;
    let mut heads = Vec::new();
    for row in &rows {
        let memo: Option<String> = row.try_get(3)?;
        let memo: Memo = memo.map(|memo| serde_json::from_str(&memo)).transpose()?.unwrap_or_default();
        let (id, target, bwp_id) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        heads.push(Head { id, lease_no: 0, target, bwp_id, memo, touches: 0 });
    }
    if heads.len() != 2 {
        return Ok(());
    }
    fail_point!("merge-locked");
    // Events are moved by their rows; as values they are not needed here.
    let mut lanes = load(db, &heads, &BTreeMap::new()).await?.into_iter();
    let (Some(kept), Some(other)) = (lanes.next(), lanes.next()) else { return Ok(()) };
    let ((mut kept, _), (other, _)) = (kept?, other?);
    fail_point!("merge-loaded");
    let names: Vec<_> = other.names.iter().map(|(kind, alias, row)| (*kind, alias.clone(), row.clone())).collect();
    kept.absorb(other);
    kept.names.forget_learned();
    for statement in ["UPDATE work SET lane = $1 WHERE lane = $2", "UPDATE order_name SET lane = $1 WHERE lane = $2"] {
        sqlx::query(statement).bind(keep).bind(gone).execute(&mut *db).await?;
    }
    fail_point!("merge-moved");
    let better: Vec<_> = names
        .iter()
        .filter(|(kind, alias, row)| *kind != AliasKind::Order && kept.names.get(*kind, alias) == Some(row))
        .map(|(kind, alias, row)| ((keep, *kind, alias), row))
        .collect();
    Writes { names: better, ..Writes::default() }.write(db).await?;
    fail_point!("merge-named");
    sqlx::query("DELETE FROM name WHERE lane = $1").bind(gone).execute(&mut *db).await?;
    sqlx::query("DELETE FROM entity WHERE lane IN ($1, $2)").bind(keep).bind(gone).execute(&mut *db).await?;
    let mut docs: (Vec<String>, Vec<String>) = Default::default();
    for (subject, thing) in &kept.things {
        docs.0.push(serde_json::to_string(subject)?);
        docs.1.push(json_text(thing));
    }
    sqlx::query(
        "INSERT INTO entity (lane, subject, doc) SELECT $1, k.s, k.d::json FROM unnest($2::text[], $3::text[]) AS k (s, d)",
    )
    .bind(keep)
    .bind(docs.0)
    .bind(docs.1)
    .execute(&mut *db)
    .await?;
    fail_point!("merge-things-written");
    sqlx::query(
        "UPDATE lane SET is_leased = false, lease_no = lease_no + 1, is_dirty = false, flight = '{}', parked_until = NULL,
            next_at = CASE WHEN id = $1 THEN now() END, merged_into = CASE WHEN id = $2 THEN $1 END,
            memo = CASE WHEN id = $1 THEN $3::json END, bwp_id = CASE WHEN id = $1 THEN $4 ELSE bwp_id END
         WHERE id IN ($1, $2)",
    )
    .bind(keep)
    .bind(gone)
    .bind(json_text(&kept.memo))
    .bind(&kept.bwp_id)
    .execute(db)
    .await?;
    fail_point!("merge-done");
    Ok(())
}
