//! Names lead to lanes.

use super::LedgerError;
use super::codec::{alias_kind_code, origin_code, origin_of};
use crate::event::{Alias, AliasKind};
use crate::plan::names::NameRow;
use crate::plan::subject::Name;
use sqlx::{PgConnection, Row};
use std::collections::{BTreeMap, BTreeSet};

/// A name of an order, as the ledger keys it. An empty alias type means Buy with Prime's own id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderKey {
    pub target: String,
    pub alias_type: String,
    pub id: String,
}

impl OrderKey {
    pub fn new(target: &str, name: &Name) -> OrderKey {
        let (alias_type, id) = match name {
            Name::Bwp(id) => (String::new(), id.clone()),
            Name::Alias(alias) => (alias.alias_type.clone(), alias.id.clone()),
        };
        OrderKey { target: target.to_owned(), alias_type, id }
    }

    pub fn bwp(target: &str, id: &str) -> OrderKey {
        OrderKey { target: target.to_owned(), alias_type: String::new(), id: id.to_owned() }
    }

    pub fn alias(target: &str, alias: &Alias) -> OrderKey {
        OrderKey { target: target.to_owned(), alias_type: alias.alias_type.clone(), id: alias.id.clone() }
    }
}

/// Three parallel columns of keys, for `unnest`.
fn columns<'a>(keys: impl Iterator<Item = &'a OrderKey>) -> (Vec<String>, Vec<String>, Vec<String>) {
    let (mut targets, mut types, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for key in keys {
        targets.push(key.target.clone());
        types.push(key.alias_type.clone());
        ids.push(key.id.clone());
    }
    (targets, types, ids)
}

/// The lanes that names lead to, as far as there are any. Here and below, keys are looked up one by one through `LATERAL` with a
/// limit: a join would be planned as a walk through the whole table as soon as a batch is large.
pub async fn find_lanes(db: &mut PgConnection, keys: &BTreeSet<OrderKey>) -> Result<BTreeMap<OrderKey, i64>, LedgerError> {
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let (targets, types, ids) = columns(keys.iter());
    let rows = sqlx::query(
        "SELECT n.target, n.alias_type, n.id, n.lane
         FROM unnest($1::text[], $2::text[], $3::text[]) AS k (target, alias_type, id)
         CROSS JOIN LATERAL (SELECT * FROM order_name n
             WHERE (n.target, n.alias_type, n.id) = (k.target, k.alias_type, k.id) LIMIT 1) n",
    )
    .bind(targets)
    .bind(types)
    .bind(ids)
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            let key = OrderKey { target: row.try_get(0)?, alias_type: row.try_get(1)?, id: row.try_get(2)? };
            Ok((key, row.try_get(3)?))
        })
        .collect()
}

/// Makes a lane that no name leads to yet.
pub async fn make_lane(db: &mut PgConnection, target: &str) -> Result<i64, LedgerError> {
    Ok(sqlx::query_scalar("INSERT INTO lane (target) VALUES ($1) RETURNING id").bind(target).fetch_one(db).await?)
}

/// The rows of the alias table under which orders are known, for the given names.
pub async fn order_rows(db: &mut PgConnection, keys: &BTreeSet<OrderKey>) -> Result<BTreeMap<OrderKey, NameRow>, LedgerError> {
    let (targets, types, ids) = columns(keys.iter());
    let rows = sqlx::query(
        "SELECT n.target, n.alias_type, n.id, n.bwp_id, n.origin, n.version, n.said_at
         FROM unnest($1::text[], $2::text[], $3::text[]) AS k (target, alias_type, id)
         CROSS JOIN LATERAL (SELECT * FROM order_name n
             WHERE (n.target, n.alias_type, n.id) = (k.target, k.alias_type, k.id) LIMIT 1) n
         WHERE n.origin IS NOT NULL",
    )
    .bind(targets)
    .bind(types)
    .bind(ids)
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            let key = OrderKey { target: row.try_get(0)?, alias_type: row.try_get(1)?, id: row.try_get(2)? };
            Ok((key, name_row(row, 3)?))
        })
        .collect()
}

/// Reads `bwp_id, origin, version, said_at` from the given column on.
pub fn name_row(row: &sqlx::postgres::PgRow, at: usize) -> Result<NameRow, LedgerError> {
    let version: Option<i64> = row.try_get(at + 2)?;
    Ok(NameRow {
        bwp_id: row.try_get(at)?,
        origin: origin_of(row.try_get(at + 1)?),
        version: version.and_then(|version| u64::try_from(version).ok()),
        time: row.try_get(at + 3)?,
    })
}

/// Writes rows of orders: the name keeps or gets its lane. What said something else before is recorded.
pub async fn write_order_rows(db: &mut PgConnection, rows: &[(OrderKey, i64, NameRow)]) -> Result<(), LedgerError> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut rows: Vec<&(OrderKey, i64, NameRow)> = rows.iter().collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    let (targets, types, ids) = columns(rows.iter().map(|row| &row.0));
    sqlx::query(
        "WITH said AS (
             SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::smallint[], $7::bigint[],
                 $8::timestamptz[]) AS k (target, alias_type, id, lane, bwp_id, origin, version, said_at)
         ), changed AS (
             INSERT INTO alias_change (lane, kind, alias_type, alias_id, old_bwp_id, old_origin, old_version, old_said_at,
                                       new_bwp_id, new_origin)
             SELECT k.lane, 0, k.alias_type, k.id, n.bwp_id, n.origin, n.version, n.said_at, k.bwp_id, k.origin
             FROM said k CROSS JOIN LATERAL (SELECT * FROM order_name n
                 WHERE (n.target, n.alias_type, n.id) = (k.target, k.alias_type, k.id) LIMIT 1) n
             WHERE n.origin IS NOT NULL AND n.bwp_id IS DISTINCT FROM k.bwp_id
         )
         INSERT INTO order_name (target, alias_type, id, lane, bwp_id, origin, version, said_at) SELECT * FROM said
         ON CONFLICT (target, alias_type, id) DO UPDATE
         SET bwp_id = excluded.bwp_id, origin = excluded.origin, version = excluded.version, said_at = excluded.said_at",
    )
    .bind(targets)
    .bind(types)
    .bind(ids)
    .bind(rows.iter().map(|row| row.1).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.2.bwp_id.clone()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| origin_code(row.2.origin)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.2.version.and_then(|version| i64::try_from(version).ok())).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.2.time).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(())
}

/// A name of a thing within its lane.
pub type ThingKey = (i64, AliasKind, Alias);

/// The rows of things, for the given names.
pub async fn thing_rows(db: &mut PgConnection, keys: &BTreeSet<ThingKey>) -> Result<BTreeMap<ThingKey, NameRow>, LedgerError> {
    let rows = sqlx::query(
        "SELECT n.lane, n.kind, n.alias_type, n.id, n.bwp_id, n.origin, n.version, n.said_at
         FROM unnest($1::bigint[], $2::smallint[], $3::text[], $4::text[]) AS k (lane, kind, alias_type, id)
         CROSS JOIN LATERAL (SELECT * FROM name n
             WHERE (n.lane, n.kind, n.alias_type, n.id) = (k.lane, k.kind, k.alias_type, k.id) LIMIT 1) n",
    )
    .bind(keys.iter().map(|key| key.0).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| alias_kind_code(key.1)).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| key.2.alias_type.clone()).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| key.2.id.clone()).collect::<Vec<_>>())
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            let alias = Alias { alias_type: row.try_get(2)?, id: row.try_get(3)? };
            Ok(((row.try_get(0)?, super::codec::alias_kind_of(row.try_get(1)?), alias), name_row(row, 4)?))
        })
        .collect()
}

/// Writes rows of things. What said something else before is recorded.
pub async fn write_thing_rows(db: &mut PgConnection, rows: &[(ThingKey, NameRow)]) -> Result<(), LedgerError> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut rows: Vec<&(ThingKey, NameRow)> = rows.iter().collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    sqlx::query(
        "WITH said AS (
             SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::text[], $4::text[], $5::text[], $6::smallint[], $7::bigint[],
                 $8::timestamptz[]) AS k (lane, kind, alias_type, id, bwp_id, origin, version, said_at)
         ), changed AS (
             INSERT INTO alias_change (lane, kind, alias_type, alias_id, old_bwp_id, old_origin, old_version, old_said_at,
                                       new_bwp_id, new_origin)
             SELECT k.lane, k.kind, k.alias_type, k.id, n.bwp_id, n.origin, n.version, n.said_at, k.bwp_id, k.origin
             FROM said k CROSS JOIN LATERAL (SELECT * FROM name n
                 WHERE (n.lane, n.kind, n.alias_type, n.id) = (k.lane, k.kind, k.alias_type, k.id) LIMIT 1) n
             WHERE n.bwp_id IS DISTINCT FROM k.bwp_id
         )
         INSERT INTO name (lane, kind, alias_type, id, bwp_id, origin, version, said_at) SELECT * FROM said
         ON CONFLICT (lane, kind, alias_type, id) DO UPDATE
         SET bwp_id = excluded.bwp_id, origin = excluded.origin, version = excluded.version, said_at = excluded.said_at",
    )
    .bind(rows.iter().map(|row| row.0.0).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| alias_kind_code(row.0.1)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.0.2.alias_type.clone()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.0.2.id.clone()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.1.bwp_id.clone()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| origin_code(row.1.origin)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.1.version.and_then(|version| i64::try_from(version).ok())).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.1.time).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(())
}

/// Locks lanes in the order of their ids. Those that were merged away meanwhile are missing from the answer.
pub async fn lock_lanes(db: &mut PgConnection, lanes: &BTreeSet<i64>) -> Result<BTreeSet<i64>, LedgerError> {
    let ids: Vec<i64> = lanes.iter().copied().collect();
    let locked: Vec<i64> =
        sqlx::query_scalar("SELECT id FROM lane WHERE id = ANY($1) AND merged_into IS NULL ORDER BY id FOR UPDATE")
            .bind(ids)
            .fetch_all(db)
            .await?;
    Ok(locked.into_iter().collect())
}
