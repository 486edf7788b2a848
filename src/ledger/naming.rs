//! Names lead to lanes.

use super::codec::{alias_kind_code, origin_code, origin_of};
use super::{LedgerError, Targets};
use crate::event::{
    Alias, AliasKind, AliasRow, Data, Event, OrderSnapshot, Reference, RefundSnapshot, ReturnSnapshot, ShipmentSnapshot,
};
use crate::plan::names::NameRow;
use crate::plan::subject::AliasTypes;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use std::collections::{BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::LazyLock;

/// A name of an order, as the ledger keys it: borrowed from whoever speaks of the order. An empty alias type means Buy with Prime's own
/// id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrderKey<'a> {
    pub target: &'a str,
    pub alias_type: &'a str,
    pub id: &'a str,
}

/// Ids alone tell nearly all keys apart: the rest would only cost time.
impl Hash for OrderKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

/// The lanes that names lead to.
pub type Lanes<'a> = HashMap<OrderKey<'a>, i64>;

impl<'a> OrderKey<'a> {
    /// The order that an event is about.
    pub fn of(event: &'a Event, types: &'a AliasTypes) -> OrderKey<'a> {
        let target = &event.envelope.target;
        match &event.data {
            Data::Alias(row) => OrderKey::of_row(target, row, types),
            Data::Return(ReturnSnapshot { order, .. })
            | Data::Refund(RefundSnapshot { order, .. })
            | Data::Shipment(ShipmentSnapshot { order, .. })
            | Data::Order(OrderSnapshot { order, .. }) => OrderKey::named(target, order, types),
        }
    }

    /// The order that a row of the alias table is about.
    pub fn of_row(target: &'a str, row: &'a AliasRow, types: &'a AliasTypes) -> OrderKey<'a> {
        match (row.kind, &row.order) {
            (AliasKind::Order, _) | (_, None) => OrderKey::alias(target, &row.alias),
            (_, Some(order)) => OrderKey::named(target, order, types),
        }
    }

    fn named(target: &'a str, order: &'a Reference, types: &'a AliasTypes) -> OrderKey<'a> {
        match order {
            Reference::Id(id) => OrderKey { target, alias_type: types.of(AliasKind::Order), id },
            Reference::Alias(alias) => OrderKey::alias(target, alias),
            Reference::BwpId(id) => OrderKey::bwp(target, id),
        }
    }

    pub fn bwp(target: &'a str, id: &'a str) -> OrderKey<'a> {
        OrderKey { target, alias_type: "", id }
    }

    pub fn alias(target: &'a str, alias: &'a Alias) -> OrderKey<'a> {
        OrderKey { target, alias_type: &alias.alias_type, id: &alias.id }
    }
}

/// The alias types of a target; the usual ones for one that is not configured.
pub fn types_of<'a>(targets: &'a Targets, target: &str) -> &'a AliasTypes {
    static USUAL: LazyLock<AliasTypes> = LazyLock::new(AliasTypes::default);
    targets.get(target).unwrap_or(&USUAL)
}

/// Three parallel columns of keys, for `unnest`.
pub fn columns<'a>(keys: impl IntoIterator<Item = OrderKey<'a>>) -> (Vec<&'a str>, Vec<&'a str>, Vec<&'a str>) {
    keys.into_iter().map(|key| (key.target, key.alias_type, key.id)).collect()
}

/// Four parallel columns of names of things, for `unnest`.
pub fn thing_columns<'a>(keys: impl IntoIterator<Item = ThingKey<'a>>) -> (Vec<i64>, Vec<i16>, Vec<&'a str>, Vec<&'a str>) {
    keys.into_iter().map(|(lane, kind, alias)| (lane, alias_kind_code(kind), &*alias.alias_type, &*alias.id)).collect()
}

/// Ids, origins and versions of rows.
pub type SaidColumns<'a> = (Vec<Option<&'a str>>, Vec<Option<i16>>, Vec<Option<i64>>);

/// Three parallel columns of what rows say, for `unnest`. Nothing where nothing is said.
pub fn said_columns<'a>(rows: impl IntoIterator<Item = Option<&'a NameRow>>) -> SaidColumns<'a> {
    let version = |row: &NameRow| row.version.and_then(|version| i64::try_from(version).ok());
    let rows = rows.into_iter();
    rows.map(|row| (row.and_then(|row| row.bwp_id.as_deref()), row.map(|row| origin_code(row.origin)), row.and_then(version)))
        .collect()
}

/// What was found for keys, of which each row gives the number first.
pub fn found<K: Copy + Eq + Hash, V>(
    keys: &[K],
    rows: &[PgRow],
    value: impl Fn(&PgRow) -> Result<V, LedgerError>,
) -> Result<HashMap<K, V>, LedgerError> {
    let mut found = HashMap::with_capacity(rows.len());
    for row in rows {
        let number: i64 = row.try_get(0)?;
        let key = usize::try_from(number - 1).ok().and_then(|at| keys.get(at));
        if let Some(key) = key {
            found.insert(*key, value(row)?);
        }
    }
    Ok(found)
}

/// Where a name of an order leads, and its row of the alias table, where it has one.
pub struct Leads {
    pub lane: i64,
    pub row: Option<NameRow>,
}

/// Where names of orders lead, as far as they lead anywhere. Here and below, keys are looked up one by one through `LATERAL` with a
/// limit: a join would be planned as a walk through the whole table as soon as a batch is large.
pub async fn find_names<'a>(
    db: &mut PgConnection,
    keys: BTreeSet<OrderKey<'a>>,
) -> Result<HashMap<OrderKey<'a>, Leads>, LedgerError> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let keys: Vec<OrderKey> = keys.into_iter().collect();
    let (targets, types, ids) = columns(keys.iter().copied());
    let rows = sqlx::query(
        "SELECT k.at, n.lane, n.bwp_id, n.origin, n.version, n.said_at
         FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS k (target, alias_type, id, at)
         CROSS JOIN LATERAL (SELECT * FROM order_name n
             WHERE (n.target, n.alias_type, n.id) = (k.target, k.alias_type, k.id) LIMIT 1) n",
    )
    .bind(targets)
    .bind(types)
    .bind(ids)
    .fetch_all(db)
    .await?;
    found(&keys, &rows, |row| {
        let origin: Option<i16> = row.try_get(3)?;
        Ok(Leads { lane: row.try_get(1)?, row: origin.map(|_| name_row(row, 2)).transpose()? })
    })
}

/// The lanes that names lead to, as far as there are any.
pub async fn find_lanes<'a>(db: &mut PgConnection, keys: BTreeSet<OrderKey<'a>>) -> Result<Lanes<'a>, LedgerError> {
    Ok(find_names(db, keys).await?.into_iter().map(|(key, leads)| (key, leads.lane)).collect())
}

/// Makes a lane for each of some orders, of which Buy with Prime's id is known where the key is one. No name leads to it yet.
pub async fn make_lanes(db: &mut PgConnection, orders: &[OrderKey<'_>]) -> Result<Vec<i64>, LedgerError> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let made = sqlx::query_scalar("INSERT INTO lane (target, bwp_id) SELECT * FROM unnest($1::text[], $2::text[]) RETURNING id")
        .bind(orders.iter().map(|key| key.target).collect::<Vec<_>>())
        .bind(orders.iter().map(|key| key.alias_type.is_empty().then_some(key.id)).collect::<Vec<_>>())
        .fetch_all(db)
        .await?;
    Ok(made)
}

/// Makes a lane that no name leads to yet.
pub async fn make_lane(db: &mut PgConnection, target: &str) -> Result<i64, LedgerError> {
    Ok(sqlx::query_scalar("INSERT INTO lane (target) VALUES ($1) RETURNING id").bind(target).fetch_one(db).await?)
}

/// Names that lead nowhere yet lead to their lanes, made in key order; one that somebody else has just made keeps leading there. Tells
/// whether all lead where they were to.
pub async fn lead(db: &mut PgConnection, names: impl IntoIterator<Item = (OrderKey<'_>, i64)>) -> Result<bool, LedgerError> {
    let (keys, lanes): (Vec<OrderKey>, Vec<i64>) = names.into_iter().unzip();
    let count = keys.len() as u64;
    let (targets, types, ids) = columns(keys);
    let made = sqlx::query(
        "INSERT INTO order_name (target, alias_type, id, lane)
         SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS k (target, alias_type, id, lane)
         ORDER BY target COLLATE \"C\", alias_type COLLATE \"C\", id COLLATE \"C\"
         ON CONFLICT DO NOTHING",
    )
    .bind(targets)
    .bind(types)
    .bind(ids)
    .bind(lanes)
    .execute(db)
    .await?;
    Ok(made.rows_affected() == count)
}

/// Reads `bwp_id, origin, version, said_at` from the given column on.
pub fn name_row(row: &PgRow, at: usize) -> Result<NameRow, LedgerError> {
    let version: Option<i64> = row.try_get(at + 2)?;
    Ok(NameRow {
        bwp_id: row.try_get(at)?,
        origin: origin_of(row.try_get(at + 1)?),
        version: version.and_then(|version| u64::try_from(version).ok()),
        time: row.try_get(at + 3)?,
    })
}

/// Names lead to lanes, with their rows where something is said of them; what said something else before is recorded. A name that leads
/// to another lane is left as it is. Tells whether all were written.
pub async fn lead_with_rows(
    db: &mut PgConnection,
    mut rows: Vec<(OrderKey<'_>, i64, Option<&NameRow>)>,
) -> Result<bool, LedgerError> {
    if rows.is_empty() {
        return Ok(true);
    }
    rows.sort_by_key(|row| row.0);
    let (targets, types, ids) = columns(rows.iter().map(|row| row.0));
    let (bwp_ids, origins, versions) = said_columns(rows.iter().map(|row| row.2));
    let written = sqlx::query(
        "WITH said AS (
             SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::smallint[], $7::bigint[],
                 $8::timestamptz[]) AS k (target, alias_type, id, lane, bwp_id, origin, version, said_at)
         ), changed AS (
             INSERT INTO alias_change (lane, kind, alias_type, alias_id, old_bwp_id, old_origin, old_version, old_said_at,
                                       new_bwp_id, new_origin)
             SELECT k.lane, 0, k.alias_type, k.id, n.bwp_id, n.origin, n.version, n.said_at, k.bwp_id, k.origin
             FROM said k CROSS JOIN LATERAL (SELECT * FROM order_name n
                 WHERE (n.target, n.alias_type, n.id) = (k.target, k.alias_type, k.id) LIMIT 1) n
             WHERE n.origin IS NOT NULL AND n.bwp_id IS DISTINCT FROM k.bwp_id AND n.lane = k.lane AND k.origin IS NOT NULL
         )
         INSERT INTO order_name (target, alias_type, id, lane, bwp_id, origin, version, said_at) SELECT * FROM said
         ON CONFLICT (target, alias_type, id) DO UPDATE
         SET bwp_id = excluded.bwp_id, origin = excluded.origin, version = excluded.version, said_at = excluded.said_at
         WHERE order_name.lane = excluded.lane AND excluded.origin IS NOT NULL",
    )
    .bind(targets)
    .bind(types)
    .bind(ids)
    .bind(rows.iter().map(|row| row.1).collect::<Vec<_>>())
    .bind(bwp_ids)
    .bind(origins)
    .bind(versions)
    .bind(rows.iter().map(|row| row.2.map(|row| row.time)).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(written.rows_affected() == rows.len() as u64)
}

/// Writes rows of orders, of names that lead to the given lanes or nowhere yet.
///
/// # Errors
/// Also where somebody has led one elsewhere meanwhile: the next time sees it.
pub async fn write_order_rows<'a>(
    db: &mut PgConnection,
    rows: impl Iterator<Item = (OrderKey<'a>, i64, &NameRow)>,
) -> Result<(), LedgerError> {
    match lead_with_rows(db, rows.map(|(key, lane, row)| (key, lane, Some(row))).collect()).await? {
        true => Ok(()),
        false => Err(LedgerError::Unavailable("a name has come to lead to another lane meanwhile".into())),
    }
}

/// A name of a thing within its lane.
pub type ThingKey<'a> = (i64, AliasKind, &'a Alias);

/// The rows of things, for the given names.
pub async fn thing_rows<'a>(
    db: &mut PgConnection,
    keys: BTreeSet<ThingKey<'a>>,
) -> Result<HashMap<ThingKey<'a>, NameRow>, LedgerError> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let keys: Vec<ThingKey> = keys.into_iter().collect();
    let (lanes, kinds, types, ids) = thing_columns(keys.iter().copied());
    let rows = sqlx::query(
        "SELECT k.at, n.bwp_id, n.origin, n.version, n.said_at
         FROM unnest($1::bigint[], $2::smallint[], $3::text[], $4::text[]) WITH ORDINALITY AS k (lane, kind, alias_type, id, at)
         CROSS JOIN LATERAL (SELECT * FROM name n
             WHERE (n.lane, n.kind, n.alias_type, n.id) = (k.lane, k.kind, k.alias_type, k.id) LIMIT 1) n",
    )
    .bind(lanes)
    .bind(kinds)
    .bind(types)
    .bind(ids)
    .fetch_all(db)
    .await?;
    found(&keys, &rows, |row| name_row(row, 1))
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
