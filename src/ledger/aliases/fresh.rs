//! Orders of which nobody has heard, with all that an import says of them: their rows are put in as they are, since nothing that is there can
//! contradict them, nothing waits for them, and nobody can hold them.

use super::super::LedgerError;
use super::super::alias_rows::{Effect, Said};
use super::super::naming::{self, Lanes, Leads, OrderKey, ThingKey};
use super::lanes::ties;
use crate::event::{Alias, AliasKind};
use crate::plan::names::NameRow;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::postgres::PgQueryResult;
use std::collections::HashSet;
use std::collections::hash_map::{Entry, HashMap};
use std::hash::Hash;

/// What Postgres says where somebody else has just made the same name.
const TAKEN: &str = "23505";

/// The orders of a batch of which nothing is known.
#[derive(Default)]
pub(super) struct Fresh<'a> {
    /// The one key of each name's order: Buy with Prime's id where a row of the batch ties the name to it.
    roots: HashMap<OrderKey<'a>, OrderKey<'a>>,
    orders: HashMap<OrderKey<'a>, &'a NameRow>,
    things: HashMap<(OrderKey<'a>, AliasKind, &'a Alias), &'a NameRow>,
}

impl<'a> Fresh<'a> {
    /// Takes the rows out of a batch that are about orders of which nothing is known; the effect of each is put in its place.
    pub fn of(said: &'a [Said<'a>], known: &HashMap<OrderKey<'a>, Leads>, effects: &mut [Option<Effect>]) -> Fresh<'a> {
        let ties = ties(said);
        let root = |key: &OrderKey<'a>| *ties.get(key).unwrap_or(key);
        let mut old: HashSet<OrderKey> = known.keys().map(root).collect();
        for said in said {
            // A name that the batch ties to several orders is nobody's, and none of these is simple.
            if let Some(bwp) = said.tied_to().filter(|_| !ties.contains_key(&said.order)) {
                old.extend([bwp, said.order]);
            }
        }
        let mut fresh = Fresh::default();
        for (said, effect) in said.iter().zip(effects) {
            let root = root(&said.order);
            if !old.contains(&root) {
                if fresh.roots.insert(said.order, root).is_none() {
                    fresh.roots.insert(root, root);
                }
                *effect = Some(fresh.take(said, root));
            }
        }
        fresh
    }

    fn take(&mut self, said: &'a Said<'a>, root: OrderKey<'a>) -> Effect {
        match said.row.kind {
            AliasKind::Order => offer(self.orders.entry(said.order), &said.new),
            kind => offer(self.things.entry((root, kind, &said.row.alias)), &said.new),
        }
    }

    /// Puts them in, all of them said at one time. False where somebody else has just made one of their names: then the transaction
    /// cannot go on.
    pub async fn write(&self, db: &mut PgConnection, said_at: DateTime<Utc>) -> Result<bool, LedgerError> {
        let mut keys: Vec<(OrderKey, OrderKey)> = self.roots.iter().map(|(key, root)| (*key, *root)).collect();
        keys.sort_unstable();
        let roots: Vec<OrderKey> = keys.iter().filter(|(key, root)| key == root).map(|(key, _)| *key).collect();
        if roots.is_empty() {
            return Ok(true);
        }
        let lanes = naming::make_lanes(db, &roots).await?;
        let lanes: Lanes = roots.into_iter().zip(lanes).collect();
        let names: Vec<(OrderKey, i64, Option<&NameRow>)> =
            keys.into_iter().filter_map(|(key, root)| Some((key, *lanes.get(&root)?, self.orders.get(&key).copied()))).collect();
        let mut things: Vec<(ThingKey, &NameRow)> = self
            .things
            .iter()
            .filter_map(|((root, kind, alias), row)| Some(((*lanes.get(root)?, *kind, *alias), *row)))
            .collect();
        things.sort_unstable_by_key(|(key, _)| *key);
        Ok(is_free(insert_names(db, &names, said_at).await)? && is_free(insert_things(db, &things, said_at).await)?)
    }
}

/// False where a row was there already.
fn is_free(inserted: sqlx::Result<PgQueryResult>) -> Result<bool, LedgerError> {
    match inserted {
        Ok(_) => Ok(true),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(TAKEN) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Names that lead to new lanes; nothing is said of those that were only used so far. In key order.
async fn insert_names(
    db: &mut PgConnection,
    rows: &[(OrderKey<'_>, i64, Option<&NameRow>)],
    said_at: DateTime<Utc>,
) -> sqlx::Result<PgQueryResult> {
    let (targets, types, ids) = naming::columns(rows.iter().map(|(key, ..)| *key));
    let (bwp_ids, origins, versions) = naming::said_columns(rows.iter().map(|(.., row)| *row));
    sqlx::query(
        "INSERT INTO order_name (target, alias_type, id, lane, bwp_id, origin, version, said_at)
         SELECT k.*, CASE WHEN k.origin IS NOT NULL THEN $8::timestamptz END
         FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::smallint[], $7::bigint[])
              AS k (target, alias_type, id, lane, bwp_id, origin, version)",
    )
    .bind(targets)
    .bind(types)
    .bind(ids)
    .bind(rows.iter().map(|(_, lane, _)| *lane).collect::<Vec<_>>())
    .bind(bwp_ids)
    .bind(origins)
    .bind(versions)
    .bind(said_at)
    .execute(db)
    .await
}

/// Names of the things of new lanes. In key order.
async fn insert_things(
    db: &mut PgConnection,
    rows: &[(ThingKey<'_>, &NameRow)],
    said_at: DateTime<Utc>,
) -> sqlx::Result<PgQueryResult> {
    let (lanes, kinds, types, ids) = naming::thing_columns(rows.iter().map(|(key, _)| *key));
    let (bwp_ids, origins, versions) = naming::said_columns(rows.iter().map(|(_, row)| Some(*row)));
    sqlx::query(
        "INSERT INTO name (lane, kind, alias_type, id, bwp_id, origin, version, said_at)
         SELECT k.*, $8::timestamptz FROM unnest($1::bigint[], $2::smallint[], $3::text[], $4::text[], $5::text[], $6::smallint[], $7::bigint[]) AS k",
    )
    .bind(lanes)
    .bind(kinds)
    .bind(types)
    .bind(ids)
    .bind(bwp_ids)
    .bind(origins)
    .bind(versions)
    .bind(said_at)
    .execute(db)
    .await
}

/// Puts a row in where it ranks above what the same batch has said before.
fn offer<'a, K: Eq + Hash>(entry: Entry<'_, K, &'a NameRow>, new: &'a NameRow) -> Effect {
    match entry {
        Entry::Vacant(vacant) => {
            vacant.insert(new);
            Effect::New
        }
        Entry::Occupied(mut occupied) => {
            let effect = Effect::of(new, Some(occupied.get()));
            if Effect::is_written(new, Some(occupied.get())) {
                occupied.insert(new);
            }
            effect
        }
    }
}
