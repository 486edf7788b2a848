//! Lanes for the orders of a batch, many at a time. An order of which nothing was known, or only references, gets all its names in
//! one lane at once; whatever ties lanes that are there already, or parts one, is left to the way that intake takes.

use super::super::LedgerError;
use super::super::alias_rows::Said;
use super::super::heads::names_are_found;
use super::super::naming::{self, Lanes, OrderKey, columns, find_lanes};
use crate::event::AliasKind;
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// A name that leads nowhere yet, and where it is to lead: to a lane, or to the new lane with that number.
struct Placed<'a> {
    key: OrderKey<'a>,
    at: Place,
}

#[derive(Clone, Copy)]
enum Place {
    Lane(i64),
    New(usize),
}

/// The lanes of some orders and of all that rows name, made where there are none, and locked. None where one was merged away or forgotten
/// meanwhile.
pub(in crate::ledger) async fn lanes_of<'a>(
    db: &mut PgConnection,
    orders: impl Iterator<Item = OrderKey<'a>>,
    said: &[Said<'a>],
) -> Result<Option<Lanes<'a>>, LedgerError> {
    let keys: BTreeSet<OrderKey> = orders.chain(said.iter().filter_map(Said::tied_to)).collect();
    if keys.is_empty() {
        return Ok(Some(Lanes::new()));
    }
    let mut lanes = find_lanes(db, keys.iter().copied().collect()).await?;
    let mut adopted = Vec::new();
    if lanes.len() < keys.len() {
        let groups = groups(said);
        let bare = bare(db, &groups, &lanes).await?;
        let plan = Plan::of(&keys, groups, &lanes, &bare);
        adopted.clone_from(&plan.adopted);
        lanes.extend(plan.write(db).await?);
    }
    // A name that was there may have been forgotten since, and an id may have come to lead to another lane.
    if lanes.len() < keys.len() || adopted.iter().any(|(lane, bwp)| lanes.get(bwp) != Some(lane)) {
        return Ok(None);
    }
    names_are_found();
    let wanted: BTreeSet<i64> = lanes.values().copied().collect();
    if naming::lock_lanes(db, &wanted).await? != wanted {
        return Ok(None);
    }
    Ok(adopt(db, &adopted).await?.then_some(lanes))
}

/// The aliases that the batch ties to each id of Buy with Prime; not those of which it says different things.
fn groups<'a>(said: &[Said<'a>]) -> BTreeMap<OrderKey<'a>, Vec<OrderKey<'a>>> {
    let mut groups: BTreeMap<OrderKey, Vec<OrderKey>> = BTreeMap::new();
    for (alias, bwp) in ties(said) {
        groups.entry(bwp).or_default().push(alias);
    }
    groups.values_mut().for_each(|aliases| aliases.sort_unstable());
    groups
}

/// The id of Buy with Prime that the batch ties each alias to; not of those of which it says different things.
pub(super) fn ties<'a>(said: &[Said<'a>]) -> HashMap<OrderKey<'a>, OrderKey<'a>> {
    let mut ties: HashMap<OrderKey, Option<OrderKey>> = HashMap::new();
    for said in said.iter().filter(|said| said.row.kind == AliasKind::Order) {
        let to = said.tied_to();
        ties.entry(said.order).and_modify(|known| *known = known.filter(|known| Some(*known) == to)).or_insert(to);
    }
    ties.into_iter().filter_map(|(alias, to)| Some((alias, to?))).collect()
}

/// Aliases that were only used as references so far, of orders of which Buy with Prime's id is not known.
async fn bare<'a>(
    db: &mut PgConnection,
    groups: &BTreeMap<OrderKey<'a>, Vec<OrderKey<'a>>>,
    lanes: &Lanes<'a>,
) -> Result<HashSet<OrderKey<'a>>, LedgerError> {
    let open = groups.iter().filter(|(bwp, _)| !lanes.contains_key(*bwp));
    let keys: Vec<OrderKey> = open.flat_map(|(_, aliases)| aliases).filter(|alias| lanes.contains_key(*alias)).copied().collect();
    if keys.is_empty() {
        return Ok(HashSet::new());
    }
    let (targets, types, ids) = columns(keys.iter().copied());
    let rows = sqlx::query(
        "SELECT k.at
         FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS k (target, alias_type, id, at)
         CROSS JOIN LATERAL (SELECT * FROM order_name n
             WHERE (n.target, n.alias_type, n.id) = (k.target, k.alias_type, k.id) LIMIT 1) n
         CROSS JOIN LATERAL (SELECT bwp_id FROM lane WHERE id = n.lane LIMIT 1) l
         WHERE n.origin IS NULL AND l.bwp_id IS NULL",
    )
    .bind(targets)
    .bind(types)
    .bind(ids)
    .fetch_all(db)
    .await?;
    Ok(naming::found(&keys, &rows, |_| Ok(()))?.into_keys().collect())
}

/// Which lanes are to be made, and where names are to lead.
#[derive(Default)]
struct Plan<'a> {
    /// For each new lane, the first known name of its order: Buy with Prime's id where it is known.
    new: Vec<OrderKey<'a>>,
    placed: Vec<Placed<'a>>,
    /// Lanes that get to know Buy with Prime's id of their order.
    adopted: Vec<(i64, OrderKey<'a>)>,
}

impl<'a> Plan<'a> {
    fn of(
        keys: &BTreeSet<OrderKey<'a>>,
        groups: BTreeMap<OrderKey<'a>, Vec<OrderKey<'a>>>,
        lanes: &Lanes<'a>,
        bare: &HashSet<OrderKey<'a>>,
    ) -> Plan<'a> {
        let mut plan = Plan::default();
        let mut rest: BTreeSet<OrderKey> = keys.iter().filter(|key| !lanes.contains_key(*key)).copied().collect();
        for (bwp, aliases) in &groups {
            let names: Vec<OrderKey> = aliases.iter().chain([bwp]).filter(|key| rest.contains(*key)).copied().collect();
            if names.is_empty() {
                continue;
            }
            let first_bare = aliases.iter().find(|alias| bare.contains(*alias)).and_then(|alias| lanes.get(alias));
            let at = match (lanes.get(bwp), first_bare) {
                (Some(lane), _) => Place::Lane(*lane),
                (None, Some(lane)) if !plan.adopted.iter().rev().any(|(adopted, _)| adopted == lane) => {
                    plan.adopted.push((*lane, *bwp));
                    Place::Lane(*lane)
                }
                (None, _) => plan.new_lane(*bwp),
            };
            for key in names {
                rest.remove(&key);
                plan.placed.push(Placed { key, at });
            }
        }
        for key in rest {
            let at = plan.new_lane(key);
            plan.placed.push(Placed { key, at });
        }
        plan
    }

    fn new_lane(&mut self, key: OrderKey<'a>) -> Place {
        self.new.push(key);
        Place::New(self.new.len() - 1)
    }

    /// Makes the lanes and the names, in key order; who comes second uses the first one's lane.
    async fn write(self, db: &mut PgConnection) -> Result<Lanes<'a>, LedgerError> {
        let new = naming::make_lanes(db, &self.new).await?;
        let lane_of = |placed: &Placed| match placed.at {
            Place::Lane(lane) => Some(lane),
            Place::New(at) => new.get(at).copied(),
        };
        let names: Vec<(OrderKey, i64)> = self.placed.iter().filter_map(|placed| Some((placed.key, lane_of(placed)?))).collect();
        if naming::lead(db, names.iter().copied()).await? {
            return Ok(names.into_iter().collect());
        }
        let found = find_lanes(db, names.into_iter().map(|(key, _)| key).collect()).await?;
        let used: BTreeSet<i64> = found.values().copied().collect();
        let orphans: Vec<i64> = new.into_iter().filter(|lane| !used.contains(lane)).collect();
        if !orphans.is_empty() {
            sqlx::query("DELETE FROM lane WHERE id = ANY($1)").bind(orphans).execute(db).await?;
        }
        Ok(found)
    }
}

/// Gives lanes that are locked the id of their order. False where one has got to know another meanwhile.
async fn adopt(db: &mut PgConnection, adopted: &[(i64, OrderKey<'_>)]) -> Result<bool, LedgerError> {
    if adopted.is_empty() {
        return Ok(true);
    }
    let done = sqlx::query(
        "UPDATE lane l SET bwp_id = k.bwp_id FROM unnest($1::bigint[], $2::text[]) AS k (id, bwp_id)
         WHERE l.id = k.id AND (l.bwp_id IS NULL OR l.bwp_id = k.bwp_id)",
    )
    .bind(adopted.iter().map(|(lane, _)| *lane).collect::<Vec<_>>())
    .bind(adopted.iter().map(|(_, bwp)| bwp.id).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(done.rows_affected() == adopted.len() as u64)
}
