//! The things of one order, and which of them have changed since their rows were read or written.

use super::subject::Subject;
use super::thing::{Known, Thing};
use crate::event::{Alias, AliasKind};
use std::collections::btree_map;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

/// All things of an order, by subject. Whatever changes one notes what it was before: what has to be written is then found
/// without a look at all the others, of which an order that has lived for years has many.
#[derive(Debug, Clone, Default)]
pub struct Things {
    all: BTreeMap<Subject, Thing>,
    before: BTreeMap<Subject, Option<Thing>>,
    /// By the aliases that Buy with Prime holds of them; of the things in `unindexed` as they were then.
    carriers: BTreeMap<AliasKind, BTreeMap<Alias, BTreeSet<Subject>>>,
    /// Things that may have changed since, with the aliases that they had.
    unindexed: BTreeMap<Subject, Vec<Alias>>,
}

/// What a row does not say yet.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// There is no row.
    New(&'a Thing),
    /// The row says something else.
    Changed(&'a Thing),
    /// The thing is no longer there.
    Gone,
}

impl Things {
    /// Puts a thing in as it stands in the ledger.
    pub fn load(&mut self, subject: Subject, thing: Thing) {
        self.all.insert(subject.clone(), thing);
        self.index(subject);
    }

    /// The thing of this kind on which Buy with Prime holds an alias.
    pub fn carrier(&self, kind: AliasKind, alias: &Alias) -> Option<&Subject> {
        let carries = |subject: &&Subject| {
            subject.kind() == kind && self.all.get(subject).is_some_and(|thing| carried(thing).any(|carried| carried == alias))
        };
        let indexed = self.carriers.get(&kind).and_then(|carriers| carriers.get(alias)).into_iter().flatten();
        if self.unindexed.is_empty() {
            return indexed.min();
        }
        let indexed = indexed.filter(|subject| !self.unindexed.contains_key(subject));
        indexed.chain(self.unindexed.keys().filter(carries)).min()
    }

    /// Brings what has changed into the index, before many carriers are looked for.
    pub fn reindex(&mut self) {
        for (subject, before) in std::mem::take(&mut self.unindexed) {
            let mut carriers = self.carriers.get_mut(&subject.kind());
            for alias in before {
                if let Some(carriers) = carriers.as_mut().and_then(|carriers| carriers.get_mut(&alias)) {
                    carriers.remove(&subject);
                }
            }
            self.index(subject);
        }
    }

    /// A thing that is about to be changed, made where it was not known.
    pub fn hold(&mut self, subject: &Subject) -> &mut Thing {
        self.note(subject);
        self.all.entry(subject.clone()).or_insert_with(|| Thing::new(subject))
    }

    /// A thing that is about to be changed, where it is known.
    pub fn get_mut(&mut self, subject: &Subject) -> Option<&mut Thing> {
        if self.all.contains_key(subject) {
            self.note(subject);
        }
        self.all.get_mut(subject)
    }

    /// Takes a thing out.
    pub fn remove(&mut self, subject: &Subject) -> Option<Thing> {
        self.note(subject);
        self.all.remove(subject)
    }

    /// Takes in a thing that is known elsewhere, or under another name, as this subject.
    pub fn unite(&mut self, subject: Subject, thing: Thing) {
        self.note(&subject);
        match self.all.entry(subject) {
            btree_map::Entry::Occupied(present) => present.into_mut().absorb(thing),
            btree_map::Entry::Vacant(free) => _ = free.insert(thing),
        }
    }

    /// All of them, as values.
    pub fn into_all(self) -> impl Iterator<Item = (Subject, Thing)> {
        self.all.into_iter()
    }

    /// What the rows do not say yet.
    pub fn changes(&self) -> impl Iterator<Item = (&Subject, Change<'_>)> {
        self.before.iter().filter_map(|(subject, before)| {
            let change = match (before, self.all.get(subject)) {
                (None, Some(now)) => Change::New(now),
                (Some(before), Some(now)) if before != now => Change::Changed(now),
                (Some(_), None) => Change::Gone,
                (Some(_), Some(_)) | (None, None) => return None,
            };
            Some((subject, change))
        })
    }

    /// The rows say it all now.
    pub fn stored(&mut self) {
        self.before.clear();
    }

    fn index(&mut self, subject: Subject) {
        for alias in self.all.get(&subject).into_iter().flat_map(carried) {
            let carriers = self.carriers.entry(subject.kind()).or_default();
            carriers.entry(alias.clone()).or_default().insert(subject.clone());
        }
    }

    fn note(&mut self, subject: &Subject) {
        if self.before.contains_key(subject) && self.unindexed.contains_key(subject) {
            return;
        }
        let thing = self.all.get(subject);
        if !self.before.contains_key(subject) {
            self.before.insert(subject.clone(), thing.cloned());
        }
        if !self.unindexed.contains_key(subject) {
            self.unindexed.insert(subject.clone(), thing.into_iter().flat_map(carried).cloned().collect());
        }
    }
}

impl Deref for Things {
    type Target = BTreeMap<Subject, Thing>;

    fn deref(&self) -> &Self::Target {
        &self.all
    }
}

impl<'a> IntoIterator for &'a Things {
    type Item = (&'a Subject, &'a Thing);
    type IntoIter = btree_map::Iter<'a, Subject, Thing>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.iter()
    }
}

/// The aliases that Buy with Prime holds of a return or a refund.
fn carried(thing: &Thing) -> impl Iterator<Item = &Alias> {
    let aliases = match &thing.known {
        Known::Return { held, .. } => held.aliases.as_ref(),
        Known::Refund { held, .. } => Some(&held.aliases),
        _ => None,
    };
    aliases.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use crate::plan::subject::Name;
    use proptest::prelude::*;

    fn subject(n: u8) -> Subject {
        Subject::Refund(Name::Bwp(n.to_string()))
    }

    fn alias(n: u8) -> Alias {
        Alias { alias_type: "T".into(), id: n.to_string() }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_index_and_the_changes_say_what_a_look_at_everything_would(
            acts in prop::collection::vec((0_u8..6, 0_u8..4, 0_u8..4), 1..60),
        ) {
            let mut things = Things::default();
            let mut rows: BTreeMap<Subject, Thing> = BTreeMap::new();
            for (act, at, of) in acts {
                match act {
                    0 => _ = things.remove(&subject(at)),
                    1 => things.reindex(),
                    2 => {
                        for (subject, change) in things.changes() {
                            match change {
                                Change::New(thing) => prop_assert!(rows.insert(subject.clone(), thing.clone()).is_none(), "it was there"),
                                Change::Changed(thing) => {
                                    let before = rows.insert(subject.clone(), thing.clone());
                                    prop_assert!(before.is_some_and(|before| before != *thing), "nothing new");
                                }
                                Change::Gone => prop_assert!(rows.remove(subject).is_some(), "it was not there"),
                            }
                        }
                        prop_assert_eq!(&rows, &things.all);
                        things.stored();
                    }
                    3 => _ = things.get_mut(&subject(at)),
                    _ => if let Known::Refund { held, .. } = &mut things.hold(&subject(at)).known {
                        held.aliases = BTreeSet::from([alias(of)]);
                    },
                }
                for of in 0..4 {
                    let looked = things.iter().find(|(_, thing)| carried(thing).any(|carried| *carried == alias(of)));
                    prop_assert_eq!(things.carrier(AliasKind::Refund, &alias(of)), looked.map(|(subject, _)| subject));
                }
            }
        }
    }
}
