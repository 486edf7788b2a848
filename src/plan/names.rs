//! The alias-resolution table, as far as it concerns one order.

use super::subject::{Name, Need};
use crate::event::{Alias, AliasKind};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Where a row of the table came from; what Buy with Prime itself answered wins over any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Loaded by an operator; ranks below any row of the topic unless it has a version.
    Import,
    /// The alias topic.
    Topic,
    /// An answer of Buy with Prime, or an accepted mutation.
    Bwp,
}

/// One row: what a name stands for, and how sure that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRow {
    /// Buy with Prime's id; none where the row was removed. A removed row keeps its rank.
    pub bwp_id: Option<String>,
    /// Who said so.
    pub origin: Origin,
    /// The producer's version of the row.
    pub version: Option<u64>,
    /// When it was said.
    pub time: DateTime<Utc>,
}

impl NameRow {
    /// Whether this row, arriving now, takes the place of the one that is there.
    pub fn replaces(&self, present: &NameRow) -> bool {
        if self.origin == Origin::Bwp || present.origin == Origin::Bwp {
            return self.origin == Origin::Bwp;
        }
        match (self.version, present.version) {
            (Some(mine), Some(theirs)) if mine != theirs => mine > theirs,
            (None, _) if self.origin < present.origin => false,
            (_, None) if self.origin > present.origin => true,
            _ => self.time >= present.time,
        }
    }
}

/// All rows of one order, by kind and alias. The order's own rows are of the kind `ORDER`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Names {
    rows: BTreeMap<AliasKind, BTreeMap<Alias, NameRow>>,
    learned: Vec<(AliasKind, Alias)>,
}

impl Names {
    /// Puts a row in as it stands in the ledger.
    pub fn load(&mut self, kind: AliasKind, alias: Alias, row: NameRow) {
        self.rows.entry(kind).or_default().insert(alias, row);
    }

    /// Offers a new row; it counts only where it ranks above the present one. Tells whether anything changed.
    pub fn offer(&mut self, kind: AliasKind, alias: Alias, row: NameRow) -> bool {
        match self.get(kind, &alias) {
            Some(present) if present.bwp_id == row.bwp_id && present.origin == row.origin && row.origin == Origin::Bwp => false,
            Some(present) if !row.replaces(present) => false,
            _ => {
                self.learned.push((kind, alias.clone()));
                self.load(kind, alias, row);
                true
            }
        }
    }

    /// Buy with Prime said that this alias stands for this id.
    pub fn learn(&mut self, kind: AliasKind, alias: &Alias, bwp_id: &str, now: DateTime<Utc>) -> bool {
        // Each answer says again what was said before.
        if self.holds(kind, alias, bwp_id) {
            return false;
        }
        self.offer(
            kind,
            alias.clone(),
            NameRow { bwp_id: Some(bwp_id.to_owned()), origin: Origin::Bwp, version: None, time: now },
        )
    }

    /// Buy with Prime's id for an alias, where it is known.
    pub fn resolve(&self, kind: AliasKind, name: &Name) -> Option<&str> {
        match name {
            Name::Bwp(_) => None,
            Name::Alias(alias) => self.get(kind, alias)?.bwp_id.as_deref(),
        }
    }

    /// Buy with Prime shows the alias on several things of its kind: it names none of them, whatever else is said of it.
    pub fn learn_ambiguous(&mut self, kind: AliasKind, alias: &Alias, now: DateTime<Utc>) -> bool {
        self.offer(kind, alias.clone(), NameRow { bwp_id: None, origin: Origin::Bwp, version: None, time: now })
    }

    /// Whether Buy with Prime shows the name on several things of its kind.
    pub fn is_ambiguous(&self, kind: AliasKind, name: &Name) -> bool {
        let row = name.alias().and_then(|alias| self.get(kind, alias));
        row.is_some_and(|row| row.origin == Origin::Bwp && row.bwp_id.is_none())
    }

    /// Whether Buy with Prime itself said that the alias stands for this id.
    pub fn holds(&self, kind: AliasKind, alias: &Alias, id: &str) -> bool {
        self.get(kind, alias).is_some_and(|row| row.origin == Origin::Bwp && row.bwp_id.as_deref() == Some(id))
    }

    /// Buy with Prime's id for a name of any form, or what is missing.
    pub fn require(&self, kind: AliasKind, name: &Name) -> Result<String, Need> {
        match name {
            Name::Bwp(id) => Ok(id.clone()),
            Name::Alias(_) => self.resolve(kind, name).map(str::to_owned).ok_or_else(|| Need { kind, name: name.clone() }),
        }
    }

    /// The order's id at Buy with Prime as its rows say it: what Buy with Prime answered first, then the newest row.
    pub fn order_id(&self) -> Option<&str> {
        let rows = self.rows.get(&AliasKind::Order)?.values().filter(|row| row.bwp_id.is_some());
        rows.max_by_key(|row| (row.origin, row.time)).and_then(|row| row.bwp_id.as_deref())
    }

    /// One row.
    pub fn get(&self, kind: AliasKind, alias: &Alias) -> Option<&NameRow> {
        self.rows.get(&kind)?.get(alias)
    }

    /// All rows.
    pub fn iter(&self) -> impl Iterator<Item = (&AliasKind, &Alias, &NameRow)> {
        self.rows.iter().flat_map(|(kind, rows)| rows.iter().map(move |(alias, row)| (kind, alias, row)))
    }

    /// Rows that changed since they were loaded or stored, each once.
    pub fn learned(&self) -> Vec<(AliasKind, Alias, NameRow)> {
        let keys: BTreeSet<&(AliasKind, Alias)> = self.learned.iter().collect();
        keys.into_iter().filter_map(|(kind, alias)| Some((*kind, alias.clone(), self.get(*kind, alias)?.clone()))).collect()
    }

    /// What was learned has been stored.
    pub fn forget_learned(&mut self) {
        self.learned.clear();
    }

    /// Takes over the rows of another order that turned out to be this one.
    pub fn absorb(&mut self, other: Names) {
        for (kind, rows) in other.rows {
            rows.into_iter().for_each(|(alias, row)| _ = self.offer(kind, alias, row));
        }
    }
}
