//! Rows of the alias table, as the topic and operators bring them.

use super::merge::{are_two_orders, merge_lanes, part_lane};
use super::naming::{self, Lanes, OrderKey, ThingKey};
use super::seen::Fresh;
use super::writes::Writes;
use super::{LedgerError, Targets};
use crate::event::{AliasKind, AliasRow, Data};
use crate::plan::names::{NameRow, Origin};
use fail::fail_point;
use sqlx::PgConnection;
use std::collections::{BTreeSet, HashMap};

/// A row of the alias table that somebody has said, with the order that it is about and how it ranks.
pub(super) struct Said<'a> {
    pub row: &'a AliasRow,
    pub order: OrderKey<'a>,
    pub new: NameRow,
}

impl<'a> Said<'a> {
    /// The row in an event from the topic, where the event is one for a configured target.
    pub fn of(event: &'a Fresh<'_>, targets: &Targets) -> Option<Said<'a>> {
        let envelope = &event.event.envelope;
        let Data::Alias(row) = &event.event.data else { return None };
        targets.contains_key(&envelope.target).then(|| Said {
            row,
            order: event.order,
            new: NameRow { bwp_id: row.bwp_id.clone(), origin: Origin::Topic, version: row.version, time: envelope.time },
        })
    }

    /// The order that an order's row ties its alias to.
    pub fn tied_to(&self) -> Option<OrderKey<'a>> {
        let id = self.row.bwp_id.as_deref().filter(|_| self.row.kind == AliasKind::Order)?;
        Some(OrderKey::bwp(self.order.target, id))
    }
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// There was none under this name.
    New,
    /// The one that was there says the same; where the new one ranks above it, it has its rank now.
    Same,
    /// It took the place of one that said something else.
    Replaced(NameRow),
    /// The one that is there says something else and ranks above it.
    Outranked(NameRow),
}

impl Effect {
    /// What becomes of a new row; whether it is to be written is another matter.
    pub fn of(new: &NameRow, present: Option<&NameRow>) -> Effect {
        match present {
            None => Effect::New,
            Some(present) if present.bwp_id == new.bwp_id => Effect::Same,
            Some(present) if new.replaces(present) => Effect::Replaced(present.clone()),
            Some(present) => Effect::Outranked(present.clone()),
        }
    }

    /// Whether the row is to be written: it ranks above the one that is there and is not the very same, as in a replay. An import of what
    /// an import has said is not either: the times of imports only grow, so that nothing would come to stand otherwise.
    pub fn is_written(new: &NameRow, present: Option<&NameRow>) -> bool {
        let Some(present) = present else { return true };
        let is_same_word = (new.origin, &new.bwp_id, new.version) == (present.origin, &present.bwp_id, present.version);
        let is_known = is_same_word && (new.origin == Origin::Import || new.time == present.time);
        new.replaces(present) && !is_known
    }
}

/// Puts rows of the alias table in, where they rank above what is there, and merges orders that turn out to be one. Gives what became
/// of each row.
pub(super) async fn apply_aliases<'a>(
    db: &mut PgConnection,
    rows: &[Said<'a>],
    lanes: &mut Lanes<'a>,
    targets: &Targets,
) -> Result<Vec<Effect>, LedgerError> {
    let mut effects = vec![Effect::Same; rows.len()];
    if rows.is_empty() {
        return Ok(effects);
    }
    apply_orders(db, rows, lanes, targets, &mut effects).await?;
    fail_point!("alias-orders-written");
    apply_things(db, rows, lanes, &mut effects).await?;
    fail_point!("alias-things-written");
    Ok(effects)
}

/// Rows of orders: an alias that stands for another order now is taken from the old one, two names of one order make one lane.
async fn apply_orders<'a>(
    db: &mut PgConnection,
    rows: &[Said<'a>],
    lanes: &mut Lanes<'a>,
    targets: &Targets,
    effects: &mut [Effect],
) -> Result<(), LedgerError> {
    let of_orders = || rows.iter().zip(0_usize..).filter(|(said, _)| said.row.kind == AliasKind::Order);
    let names = naming::find_names(db, of_orders().map(|(said, _)| said.order).collect()).await?;
    let mut orders: HashMap<OrderKey, NameRow> = names.into_iter().filter_map(|(key, leads)| Some((key, leads.row?))).collect();
    let stood_for: HashMap<OrderKey, String> = orders.iter().filter_map(|(key, row)| Some((*key, row.bwp_id.clone()?))).collect();
    let mut changed: BTreeSet<OrderKey> = BTreeSet::new();
    for (said, at) in of_orders() {
        let present = orders.get(&said.order);
        if let Some(effect) = effects.get_mut(at) {
            *effect = Effect::of(&said.new, present);
        }
        if Effect::is_written(&said.new, present) {
            orders.insert(said.order, said.new.clone());
            changed.insert(said.order);
        }
    }
    for key in &changed {
        let Some(id) = orders.get(key).and_then(|row| row.bwp_id.as_deref()) else {
            // Removed: from now on the alias is an order of its own, until something else is known of it.
            if let (Some(old), true) = (lanes.get(key).copied(), stood_for.contains_key(key)) {
                let new = naming::make_lane(db, key.target).await?;
                part_lane(db, old, new, *key, targets).await?;
                lanes.insert(*key, new);
            }
            continue;
        };
        let ends = (lanes.get(key).copied(), lanes.get(&OrderKey::bwp(key.target, id)).copied());
        if let (Some(one), Some(other)) = ends
            && one != other
        {
            if stood_for.get(key).is_some_and(|before| before != id) || are_two_orders(db, one, other).await? {
                part_lane(db, one, other, *key, targets).await?;
                lanes.insert(*key, other);
            } else {
                let (keep, gone) = (one.min(other), one.max(other));
                fail_point!("alias-merges");
                merge_lanes(db, keep, gone).await?;
                fail_point!("alias-merged");
                lanes.values_mut().filter(|lane| **lane == gone).for_each(|lane| *lane = keep);
            }
        }
    }
    let written = changed.into_iter().filter_map(|key| Some((key, *lanes.get(&key)?, orders.get(&key)?)));
    naming::write_order_rows(db, written).await
}

/// Rows of line items, returns, refunds and packages.
async fn apply_things(
    db: &mut PgConnection,
    rows: &[Said<'_>],
    lanes: &Lanes<'_>,
    effects: &mut [Effect],
) -> Result<(), LedgerError> {
    let of_things = rows.iter().zip(effects).filter(|(said, _)| said.row.kind != AliasKind::Order);
    let things: Vec<(ThingKey, &NameRow, &mut Effect)> = of_things
        .filter_map(|(said, effect)| {
            let lane = *lanes.get(&said.order)?;
            Some(((lane, said.row.kind, &said.row.alias), &said.new, effect))
        })
        .collect();
    let present = naming::thing_rows(db, things.iter().map(|(key, ..)| *key).collect()).await?;
    let mut changed: HashMap<ThingKey, &NameRow> = HashMap::new();
    for (key, row, effect) in things {
        let there = changed.get(&key).copied().or_else(|| present.get(&key));
        *effect = Effect::of(row, there);
        if Effect::is_written(row, there) {
            changed.insert(key, row);
        }
    }
    Writes { names: changed.into_iter().collect(), ..Writes::default() }.write(db).await?;
    Ok(())
}
