//! Rows of an import that say what is there already: they are left alone, without a lock.

use super::super::LedgerError;
use super::super::alias_rows::{Effect, Said};
use super::super::naming::{self, OrderKey};
use crate::event::AliasKind;
use crate::plan::names::NameRow;
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};

/// Finds the rows of known orders that change nothing. A name of which the batch says different things is none of them: what its rows
/// come to depends on each other.
pub(super) async fn leave_known(
    db: &mut PgConnection,
    said: &[Said<'_>],
    lanes: &BTreeMap<OrderKey, i64>,
    effects: &mut [Option<Effect>],
) -> Result<(), LedgerError> {
    let open = || said.iter().zip(effects.iter()).filter(|(_, done)| done.is_none()).map(|(said, _)| said);
    let orders: BTreeSet<OrderKey> =
        open().filter(|said| said.row.kind == AliasKind::Order).map(|said| said.order.clone()).collect();
    let thing = |said: &Said| Some((*lanes.get(&said.order)?, said.row.kind, said.row.alias.clone()));
    let things = open().filter(|said| said.row.kind != AliasKind::Order).filter_map(thing).collect();
    let orders = naming::order_rows(db, &orders).await?;
    let things = naming::thing_rows(db, &things).await?;
    let is_known = |said: &Said| match said.row.kind {
        // Rows that tie lanes which are still two are not done with, whatever the table says.
        AliasKind::Order if said.tied_to().is_some_and(|bwp| lanes.get(&bwp) != lanes.get(&said.order)) => false,
        AliasKind::Order => is_there(&said.new, orders.get(&said.order)),
        _ => thing(said).is_some_and(|key| is_there(&said.new, things.get(&key))),
    };
    let known: Vec<bool> = said.iter().zip(effects.iter()).map(|(said, done)| done.is_none() && is_known(said)).collect();
    // A thing may be named under several names of its order.
    let key = |said: &Said| {
        let lane = lanes.get(&said.order).copied().filter(|_| said.row.kind != AliasKind::Order);
        (lane, said.row.kind, said.row.alias.clone())
    };
    let changed: BTreeSet<_> = said.iter().zip(&known).filter(|(_, known)| !**known).map(|(said, _)| key(said)).collect();
    for ((said, known), effect) in said.iter().zip(known).zip(effects) {
        if known && !changed.contains(&key(said)) {
            *effect = Some(Effect::Same);
        }
    }
    Ok(())
}

fn is_there(new: &NameRow, present: Option<&NameRow>) -> bool {
    Effect::of(new, present) == Effect::Same && !Effect::is_written(new, present)
}
