//! Lanes for the orders of a batch, many at a time. An order of which nothing was known, or only references, gets all its names in
//! one lane at once; whatever ties lanes that are there already, or parts one, is left to the way that intake takes.

use super::super::LedgerError;
use super::super::alias_rows::Said;
use super::super::naming::{self, OrderKey, find_lanes};
use crate::event::AliasKind;
use fail::fail_point;
use sqlx::{PgConnection, Row};
use std::collections::{BTreeMap, BTreeSet};

/// A name that leads nowhere yet, and where it is to lead: to a lane, or to the new lane with that number.
struct Placed {
    key: OrderKey,
    at: Place,
}

#[derive(Clone, Copy)]
enum Place {
    Lane(i64),
    New(usize),
}

/// The lanes of some orders and of all that rows name, made where there are none, and locked. None where one was merged away meanwhile.
pub(in crate::ledger) async fn lanes_of(
    db: &mut PgConnection,
    orders: impl Iterator<Item = OrderKey>,
    said: &[Said<'_>],
) -> Result<Option<BTreeMap<OrderKey, i64>>, LedgerError> {
    let keys: BTreeSet<OrderKey> = orders.chain(said.iter().filter_map(Said::tied_to)).collect();
    if keys.is_empty() {
        return Ok(Some(BTreeMap::new()));
    }
    let mut lanes = find_lanes(db, &keys).await?;
    let mut adopted = Vec::new();
    if lanes.len() < keys.len() {
        let groups = groups(said);
        let bare = bare(db, &groups, &lanes).await?;
        let plan = Plan::of(&keys, groups, &lanes, &bare);
        adopted.clone_from(&plan.adopted);
        lanes.extend(plan.write(db).await?);
    }
    fail_point!("intake-named");
    let wanted: BTreeSet<i64> = lanes.values().copied().collect();
    if naming::lock_lanes(db, &wanted).await? != wanted {
        return Ok(None);
    }
    Ok(adopt(db, &adopted).await?.then_some(lanes))
}

/// The aliases that the batch ties to each id of Buy with Prime; not those of which it says different things.
pub(super) fn groups(said: &[Said<'_>]) -> BTreeMap<OrderKey, Vec<OrderKey>> {
    let mut ties: BTreeMap<&OrderKey, BTreeSet<Option<OrderKey>>> = BTreeMap::new();
    for said in said.iter().filter(|said| said.row.kind == AliasKind::Order) {
        ties.entry(&said.order).or_default().insert(said.tied_to());
    }
    let mut groups: BTreeMap<OrderKey, Vec<OrderKey>> = BTreeMap::new();
    for (alias, mut to) in ties {
        if let (1, Some(Some(bwp))) = (to.len(), to.pop_first()) {
            groups.entry(bwp).or_default().push(alias.clone());
        }
    }
    groups
}

/// Aliases that were only used as references so far, of orders of which Buy with Prime's id is not known.
async fn bare(
    db: &mut PgConnection,
    groups: &BTreeMap<OrderKey, Vec<OrderKey>>,
    lanes: &BTreeMap<OrderKey, i64>,
) -> Result<BTreeSet<OrderKey>, LedgerError> {
    let open = groups.iter().filter(|(bwp, _)| !lanes.contains_key(*bwp));
    let keys: Vec<&OrderKey> = open.flat_map(|(_, aliases)| aliases).filter(|alias| lanes.contains_key(*alias)).collect();
    if keys.is_empty() {
        return Ok(BTreeSet::new());
    }
    let rows = sqlx::query(
        "SELECT n.target, n.alias_type, n.id
         FROM unnest($1::text[], $2::text[], $3::text[]) AS k (target, alias_type, id)
         CROSS JOIN LATERAL (SELECT * FROM order_name n
             WHERE (n.target, n.alias_type, n.id) = (k.target, k.alias_type, k.id) LIMIT 1) n
         CROSS JOIN LATERAL (SELECT bwp_id FROM lane WHERE id = n.lane LIMIT 1) l
         WHERE n.origin IS NULL AND l.bwp_id IS NULL",
    )
    .bind(keys.iter().map(|key| key.target.clone()).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| key.alias_type.clone()).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| key.id.clone()).collect::<Vec<_>>())
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| Ok(OrderKey { target: row.try_get(0)?, alias_type: row.try_get(1)?, id: row.try_get(2)? })).collect()
}

/// Which lanes are to be made, and where names are to lead.
#[derive(Default)]
struct Plan {
    /// For each new lane, its target, and Buy with Prime's id where it is known.
    new: Vec<(String, Option<String>)>,
    placed: Vec<Placed>,
    /// Lanes that get to know Buy with Prime's id of their order.
    adopted: Vec<(i64, String)>,
}

impl Plan {
    fn of(
        keys: &BTreeSet<OrderKey>,
        groups: BTreeMap<OrderKey, Vec<OrderKey>>,
        lanes: &BTreeMap<OrderKey, i64>,
        bare: &BTreeSet<OrderKey>,
    ) -> Plan {
        let mut plan = Plan::default();
        let mut rest: BTreeSet<&OrderKey> = keys.iter().filter(|key| !lanes.contains_key(*key)).collect();
        for (bwp, aliases) in &groups {
            let names: Vec<&OrderKey> = aliases.iter().chain([bwp]).filter(|key| rest.contains(*key)).collect();
            if names.is_empty() {
                continue;
            }
            let first_bare = aliases.iter().find(|alias| bare.contains(*alias)).and_then(|alias| lanes.get(alias));
            let at = match (lanes.get(bwp), first_bare) {
                (Some(lane), _) => Place::Lane(*lane),
                (None, Some(lane)) if !plan.adopted.iter().rev().any(|(adopted, _)| adopted == lane) => {
                    plan.adopted.push((*lane, bwp.id.clone()));
                    Place::Lane(*lane)
                }
                (None, _) => plan.new_lane(bwp),
            };
            for key in names {
                rest.remove(key);
                plan.placed.push(Placed { key: key.clone(), at });
            }
        }
        for key in rest {
            let at = plan.new_lane(key);
            plan.placed.push(Placed { key: key.clone(), at });
        }
        plan
    }

    fn new_lane(&mut self, key: &OrderKey) -> Place {
        self.new.push((key.target.clone(), key.alias_type.is_empty().then(|| key.id.clone())));
        Place::New(self.new.len() - 1)
    }

    /// Makes the lanes and the names, in key order; who comes second uses the first one's lane.
    async fn write(self, db: &mut PgConnection) -> Result<BTreeMap<OrderKey, i64>, LedgerError> {
        let new: Vec<i64> =
            sqlx::query_scalar("INSERT INTO lane (target, bwp_id) SELECT * FROM unnest($1::text[], $2::text[]) RETURNING id")
                .bind(self.new.iter().map(|(target, _)| target.clone()).collect::<Vec<_>>())
                .bind(self.new.iter().map(|(_, bwp_id)| bwp_id.clone()).collect::<Vec<_>>())
                .fetch_all(&mut *db)
                .await?;
        let lane_of = |placed: &Placed| match placed.at {
            Place::Lane(lane) => Some(lane),
            Place::New(at) => new.get(at).copied(),
        };
        let names: Vec<(&OrderKey, i64)> =
            self.placed.iter().filter_map(|placed| Some((&placed.key, lane_of(placed)?))).collect();
        sqlx::query(
            "INSERT INTO order_name (target, alias_type, id, lane)
             SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS k (target, alias_type, id, lane)
             ORDER BY target, alias_type, id
             ON CONFLICT DO NOTHING",
        )
        .bind(names.iter().map(|(key, _)| key.target.clone()).collect::<Vec<_>>())
        .bind(names.iter().map(|(key, _)| key.alias_type.clone()).collect::<Vec<_>>())
        .bind(names.iter().map(|(key, _)| key.id.clone()).collect::<Vec<_>>())
        .bind(names.iter().map(|(_, lane)| *lane).collect::<Vec<_>>())
        .execute(&mut *db)
        .await?;
        let found = find_lanes(db, &names.into_iter().map(|(key, _)| key.clone()).collect()).await?;
        let used: BTreeSet<i64> = found.values().copied().collect();
        let orphans: Vec<i64> = new.into_iter().filter(|lane| !used.contains(lane)).collect();
        if !orphans.is_empty() {
            sqlx::query("DELETE FROM lane WHERE id = ANY($1)").bind(orphans).execute(db).await?;
        }
        Ok(found)
    }
}

/// Gives lanes that are locked the id of their order. False where one has got to know another meanwhile.
async fn adopt(db: &mut PgConnection, adopted: &[(i64, String)]) -> Result<bool, LedgerError> {
    if adopted.is_empty() {
        return Ok(true);
    }
    let done = sqlx::query(
        "UPDATE lane l SET bwp_id = k.bwp_id FROM unnest($1::bigint[], $2::text[]) AS k (id, bwp_id)
         WHERE l.id = k.id AND (l.bwp_id IS NULL OR l.bwp_id = k.bwp_id)",
    )
    .bind(adopted.iter().map(|(lane, _)| *lane).collect::<Vec<_>>())
    .bind(adopted.iter().map(|(_, id)| id.clone()).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(done.rows_affected() == adopted.len() as u64)
}
