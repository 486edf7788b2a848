//! Rows of an import that say what is there already: they are left alone, without a lock.

use super::super::LedgerError;
use super::super::alias_rows::{Effect, Said};
use super::super::naming::{self, Leads, OrderKey, ThingKey};
use crate::event::AliasKind;
use crate::plan::names::NameRow;
use sqlx::PgConnection;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Finds the rows of known orders that change nothing. A name of which the batch says different things is none of them: what its rows
/// come to depends on each other.
pub(super) async fn leave_known<'a>(
    db: &mut PgConnection,
    said: &[Said<'a>],
    names: &HashMap<OrderKey<'a>, Leads>,
    effects: &mut [Option<Effect>],
) -> Result<(), LedgerError> {
    // A thing may be named under several names of its order: its lane is what counts. The names of orders are no lane's.
    let key = |said: &Said<'a>| match said.row.kind {
        AliasKind::Order => Some((0, AliasKind::Order, &said.row.alias)),
        kind => Some((names.get(&said.order)?.lane, kind, &said.row.alias)),
    };
    let open = said.iter().zip(effects).filter(|(_, done)| done.is_none());
    let open: Vec<(&Said<'a>, Option<ThingKey<'a>>, &mut Option<Effect>)> =
        open.map(|(said, effect)| (said, key(said), effect)).collect();
    let is_order = |said: &Said| said.row.kind == AliasKind::Order;
    let lane = |key: &OrderKey| names.get(key).map(|leads| leads.lane);
    let things: BTreeSet<ThingKey> = open.iter().filter(|(said, ..)| !is_order(said)).filter_map(|(_, key, _)| *key).collect();
    let things = naming::thing_rows(db, things).await?;
    let is_known = |said: &Said, key: &Option<ThingKey>| match is_order(said) {
        // Rows that tie lanes which are still two are not done with, whatever the table says.
        true if said.tied_to().is_some_and(|bwp| lane(&bwp) != lane(&said.order)) => false,
        true => is_there(&said.new, names.get(&said.order).and_then(|leads| leads.row.as_ref())),
        false => key.is_some_and(|key| is_there(&said.new, things.get(&key))),
    };
    let known: Vec<bool> = open.iter().map(|(said, key, _)| is_known(said, key)).collect();
    let changed: HashSet<ThingKey> =
        open.iter().zip(&known).filter(|(_, known)| !**known).filter_map(|((_, key, _), _)| *key).collect();
    for ((_, key, effect), known) in open.into_iter().zip(known) {
        if known && !key.is_some_and(|key| changed.contains(&key)) {
            *effect = Some(Effect::Same);
        }
    }
    Ok(())
}

fn is_there(new: &NameRow, present: Option<&NameRow>) -> bool {
    Effect::of(new, present) == Effect::Same && !Effect::is_written(new, present)
}
