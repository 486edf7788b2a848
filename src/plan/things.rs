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
    /// By the aliases that Buy with Prime holds of them; of the things in `before` as they were then.
    carriers: BTreeMap<(AliasKind, Alias), BTreeSet<Subject>>,
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
        // What has changed is in no index yet, or in that of what it was.
        let unchanged = self.carriers.get(&(kind, alias.clone())).into_iter().flatten();
        let unchanged = unchanged.filter(|subject| !self.before.contains_key(subject));
        unchanged.chain(self.before.keys().filter(carries)).min()
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
        match self.get_mut(&subject) {
            Some(present) => present.absorb(thing),
            None => *self.hold(&subject) = thing,
        }
    }

    /// All of them, as values.
    pub fn into_all(self) -> impl Iterator<Item = (Subject, Thing)> {
        self.all.into_iter()
    }

    /// What the rows do not say yet: things as they are now; none where it is gone.
    pub fn changes(&self) -> impl Iterator<Item = (&Subject, Option<&Thing>)> {
        let now = self.before.iter().map(|(subject, before)| (subject, before.as_ref(), self.all.get(subject)));
        now.filter(|(_, before, now)| before != now).map(|(subject, _, now)| (subject, now))
    }

    /// The rows say it all now.
    pub fn stored(&mut self) {
        for (subject, before) in std::mem::take(&mut self.before) {
            for alias in before.iter().flat_map(carried) {
                if let Some(carriers) = self.carriers.get_mut(&(subject.kind(), alias.clone())) {
                    carriers.remove(&subject);
                }
            }
            self.index(subject);
        }
    }

    fn index(&mut self, subject: Subject) {
        for alias in self.all.get(&subject).into_iter().flat_map(carried) {
            self.carriers.entry((subject.kind(), alias.clone())).or_default().insert(subject.clone());
        }
    }

    fn note(&mut self, subject: &Subject) {
        if !self.before.contains_key(subject) {
            self.before.insert(subject.clone(), self.all.get(subject).cloned());
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
