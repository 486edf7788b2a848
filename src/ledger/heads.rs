//! The lanes of events that come in: found by the names of their orders, made where there are none, locked, and their heads read.

use super::LedgerError;
use super::naming::{Lanes, OrderKey, columns, find_lanes};
use fail::fail_point;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use std::collections::BTreeSet;

/// The heads of lanes that are locked with it, in the order of their ids, and whether each can be taken up: nobody holds it, neither it
/// nor its target rests, and it was not written by a transaction that is younger than this one. The outcomes of that would be published
/// after ours, which come later. A memo is read where it is wanted.
macro_rules! lock_heads {
    ($lanes:literal, $has_memo:literal, $when:literal) => {
        concat!(
            "SELECT id, lease_no, target, bwp_id, CASE WHEN ",
            $has_memo,
            " THEN memo::text END, touches, is_leased, now(),
            NOT is_leased AND (parked_until IS NULL OR parked_until <= now())
                AND age(l.xmin) >= age(pg_current_xact_id()::xid)
                AND NOT EXISTS (SELECT FROM target t WHERE t.name = l.target AND t.not_before > now())
        FROM lane l WHERE id = ANY(",
            $lanes,
            ") AND merged_into IS NULL AND ",
            $when,
            " ORDER BY id FOR UPDATE OF l"
        )
    };
}
pub(super) use lock_heads;

/// Lanes and their names for new orders, in the order of the keys, and then the locks of others. What the same statement has made it does
/// not see: these heads are what they were made as. Where a name is there already, nothing is locked.
const MAKE_AND_LOCK: &str = concat!(
    "WITH keys AS MATERIALIZED (
         SELECT nextval('lane_id_seq') AS lane, k.* FROM unnest($1::text[], $2::text[], $3::text[]) AS k (target, alias_type, id)
     ), made AS (
         INSERT INTO lane (id, target, bwp_id) OVERRIDING SYSTEM VALUE
         SELECT lane, target, CASE WHEN alias_type = '' THEN id END FROM keys
     ), led AS (
         INSERT INTO order_name (target, alias_type, id, lane)
         SELECT target, alias_type, id, lane FROM keys
         ORDER BY target COLLATE \"C\", alias_type COLLATE \"C\", id COLLATE \"C\"
         ON CONFLICT DO NOTHING RETURNING lane
     ), heads AS MATERIALIZED (",
    lock_heads!("$4", "$5", "(SELECT count(*) FROM led) = cardinality($1)"),
    ")
     SELECT lane, 0::bigint, target, CASE WHEN alias_type = '' THEN id END, NULL::text, 0, false, now(),
         NOT EXISTS (SELECT FROM target t WHERE t.name = keys.target AND t.not_before > now())
     FROM keys WHERE (SELECT count(*) FROM led) = cardinality($1)
     UNION ALL SELECT * FROM heads"
);

/// Lanes that are locked, with their heads.
#[derive(Default)]
pub(super) struct Locked(Vec<PgRow>);

/// Where names of orders lead, as far as they lead anywhere, and these lanes, where they were locked at once.
pub(super) struct Found<'a> {
    pub lanes: Lanes<'a>,
    pub locked: Option<Locked>,
}

impl Locked {
    /// Takes rows of [`lock_heads!`].
    pub(super) fn of(rows: Vec<PgRow>) -> Locked {
        Locked(rows)
    }

    /// Those of some lanes that can be taken up for a target, out of these: at most so many.
    pub(super) fn take(&mut self, target: &str, lanes: &BTreeSet<i64>, most: usize) -> Result<Vec<PgRow>, LedgerError> {
        let mut taken = Vec::new();
        for row in std::mem::take(&mut self.0) {
            let (of, is_free): (&str, bool) = (row.try_get(2)?, row.try_get(8)?);
            let is_wanted = is_free && of == target && taken.len() < most && lanes.contains(&row.try_get(0)?);
            if is_wanted { taken.push(row) } else { self.0.push(row) }
        }
        Ok(taken)
    }

    fn ids(&self) -> Result<BTreeSet<i64>, LedgerError> {
        self.0.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }
}

/// The lanes of some orders, made where there are none, and locked. None where somebody else has made one meanwhile, or merged or
/// forgotten it.
pub(super) async fn lanes_of_events<'a>(
    db: &mut PgConnection,
    orders: BTreeSet<OrderKey<'a>>,
    found: Option<Found<'a>>,
    with_memos: bool,
) -> Result<Option<(Lanes<'a>, Locked)>, LedgerError> {
    if orders.is_empty() {
        return Ok(Some((Lanes::new(), Locked::default())));
    }
    let Found { mut lanes, locked } = match found {
        Some(found) => found,
        None => Found { lanes: find_lanes(db, orders.clone()).await?, locked: None },
    };
    names_are_found();
    let new: Vec<OrderKey> = orders.iter().filter(|key| !lanes.contains_key(*key)).copied().collect();
    let locked = match locked {
        Some(locked) if new.is_empty() => locked,
        _ => {
            let known = lanes.values().copied().collect();
            let rows = make_and_lock(db, &new, known, with_memos).await?;
            for (key, row) in new.iter().zip(&rows) {
                lanes.insert(*key, row.try_get(0)?);
            }
            Locked(rows)
        }
    };
    let ids = locked.ids()?;
    let are_all_locked = orders.iter().all(|key| lanes.get(key).is_some_and(|lane| ids.contains(lane)));
    Ok(are_all_locked.then_some((lanes, locked)))
}

/// It is known where names lead, and these lanes may not be locked yet.
pub(super) fn names_are_found() {
    fail_point!("intake-named");
}

/// The heads of new lanes for some orders, in their order, and behind them those of lanes that are there already.
async fn make_and_lock(
    db: &mut PgConnection,
    new: &[OrderKey<'_>],
    known: BTreeSet<i64>,
    with_memos: bool,
) -> Result<Vec<PgRow>, LedgerError> {
    let (targets, types, ids) = columns(new.iter().copied());
    let known: Vec<i64> = known.into_iter().collect();
    let rows = sqlx::query(MAKE_AND_LOCK).bind(targets).bind(types).bind(ids).bind(known).bind(with_memos).fetch_all(db);
    Ok(rows.await?)
}
