//! Rows of the alias table, as the topic brings them.

use super::intake::Fresh;
use super::merge::{are_two_orders, merge_lanes, part_lane};
use super::naming::{self, OrderKey, ThingKey};
use super::{LedgerError, Targets};
use crate::event::{AliasKind, AliasRow, Data};
use crate::plan::names::{NameRow, Origin};
use chrono::{DateTime, Utc};
use fail::fail_point;
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};

/// The alias row of an order, where the event is one for a configured target.
pub(super) fn order_row<'a>(event: &Fresh<'a>, targets: &Targets) -> Option<(&'a str, &'a AliasRow)> {
    match &event.event.data {
        Data::Alias(row) if row.kind == AliasKind::Order && targets.contains_key(&event.event.envelope.target) => {
            Some((&event.event.envelope.target, row))
        }
        _ => None,
    }
}

/// An event, and the row that it is.
type Row<'a> = (&'a Fresh<'a>, &'a AliasRow);

/// Puts rows of the alias table in, where they rank above what is there, and merges orders that turn out to be one.
pub(super) async fn apply_aliases(
    db: &mut PgConnection,
    fresh: &[Fresh<'_>],
    mut lanes: BTreeMap<OrderKey, i64>,
    targets: &Targets,
) -> Result<BTreeMap<OrderKey, i64>, LedgerError> {
    let rows: Vec<Row> = fresh
        .iter()
        .filter(|event| targets.contains_key(&event.event.envelope.target))
        .filter_map(|event| match &event.event.data {
            Data::Alias(row) => Some((event, row)),
            _ => None,
        })
        .collect();
    if rows.is_empty() {
        return Ok(lanes);
    }
    apply_orders(db, &rows, &mut lanes, targets).await?;
    fail_point!("alias-orders-written");
    apply_things(db, &rows, &lanes).await?;
    fail_point!("alias-things-written");
    Ok(lanes)
}

/// Rows of orders: an alias that stands for another order now is taken from the old one, two names of one order make one lane.
async fn apply_orders(
    db: &mut PgConnection,
    rows: &[Row<'_>],
    lanes: &mut BTreeMap<OrderKey, i64>,
    targets: &Targets,
) -> Result<(), LedgerError> {
    let keys = rows.iter().map(|(event, row)| OrderKey::alias(&event.event.envelope.target, &row.alias)).collect();
    let mut orders = naming::order_rows(db, &keys).await?;
    let stood_for: BTreeMap<OrderKey, String> =
        orders.iter().filter_map(|(key, row)| Some((key.clone(), row.bwp_id.clone()?))).collect();
    let mut changed: BTreeSet<OrderKey> = BTreeSet::new();
    for (event, row) in rows.iter().filter(|(_, row)| row.kind == AliasKind::Order) {
        let key = OrderKey::alias(&event.event.envelope.target, &row.alias);
        let new = topic_row(row, event.event.envelope.time);
        if orders.get(&key).is_none_or(|present| new.replaces(present)) {
            orders.insert(key.clone(), new);
            changed.insert(key);
        }
    }
    for key in &changed {
        let Some(id) = orders.get(key).and_then(|row| row.bwp_id.clone()) else {
            // Removed: from now on the alias is an order of its own, until something else is known of it.
            if let (Some(old), true) = (lanes.get(key).copied(), stood_for.contains_key(key)) {
                let types = targets.get(&key.target).cloned().unwrap_or_default();
                let new = naming::make_lane(db, &key.target).await?;
                part_lane(db, old, new, key, &types).await?;
                lanes.insert(key.clone(), new);
            }
            continue;
        };
        let ends = (lanes.get(key).copied(), lanes.get(&OrderKey::bwp(&key.target, &id)).copied());
        if let (Some(one), Some(other)) = ends
            && one != other
        {
            if stood_for.get(key).is_some_and(|before| *before != id) || are_two_orders(db, one, other).await? {
                let types = targets.get(&key.target).cloned().unwrap_or_default();
                part_lane(db, one, other, key, &types).await?;
                lanes.insert(key.clone(), other);
            } else {
                let (keep, gone) = (one.min(other), one.max(other));
                fail_point!("alias-merges");
                merge_lanes(db, keep, gone).await?;
                fail_point!("alias-merged");
                lanes.values_mut().filter(|lane| **lane == gone).for_each(|lane| *lane = keep);
            }
        }
    }
    let written: Vec<(OrderKey, i64, NameRow)> =
        changed.into_iter().filter_map(|key| Some((key.clone(), *lanes.get(&key)?, orders.get(&key)?.clone()))).collect();
    naming::write_order_rows(db, &written).await
}

/// Rows of line items, returns, refunds and packages.
async fn apply_things(db: &mut PgConnection, rows: &[Row<'_>], lanes: &BTreeMap<OrderKey, i64>) -> Result<(), LedgerError> {
    let things: Vec<(ThingKey, NameRow)> = rows
        .iter()
        .filter(|(_, row)| row.kind != AliasKind::Order)
        .filter_map(|(event, row)| {
            let lane = *lanes.get(&event.order)?;
            Some(((lane, row.kind, row.alias.clone()), topic_row(row, event.event.envelope.time)))
        })
        .collect();
    let mut present = naming::thing_rows(db, &things.iter().map(|(key, _)| key.clone()).collect()).await?;
    let mut new: BTreeMap<ThingKey, NameRow> = BTreeMap::new();
    for (key, row) in things {
        if present.get(&key).is_none_or(|there| row.replaces(there)) {
            present.insert(key.clone(), row.clone());
            new.insert(key, row);
        }
    }
    naming::write_thing_rows(db, &new.into_iter().collect::<Vec<_>>()).await
}

fn topic_row(row: &AliasRow, time: DateTime<Utc>) -> NameRow {
    NameRow { bwp_id: row.bwp_id.clone(), origin: Origin::Topic, version: row.version, time }
}
