//! The events of a lane in groups that have to be looked at together: those that speak of the same things. An order with a long
//! backlog is looked at group by group, until there is enough to send.

use super::facet::Facet;
use super::lane::{Lane, Live};
use super::rank::EventNo;
use super::subject::{Name, Subject};
use super::thing::{Known, Thing};
use std::collections::{BTreeMap, BTreeSet};

/// What one event says of the things that it still counts for.
struct Word<'a> {
    no: EventNo,
    live: &'a Live,
    facets: Vec<(Subject, &'a Facet)>,
}

/// Events that share things, directly or through others, in the order of intake.
pub struct Group<'a>(Vec<Word<'a>>);

impl Group<'_> {
    /// Its events.
    pub fn events(&self) -> impl Iterator<Item = EventNo> {
        self.0.iter().map(|word| word.no)
    }

    /// What is wanted of each of its things.
    pub fn wanted(&self, lane: &Lane) -> BTreeMap<Subject, Known> {
        let mut wanted: BTreeMap<Subject, Known> = BTreeMap::new();
        for Word { no, live, facets } in &self.0 {
            for (subject, facet) in facets {
                let known = wanted.entry(subject.clone()).or_insert_with_key(|subject| known(lane, subject));
                known.overlay(facet, live.rank, (!live.is_ghost).then_some(*no));
            }
        }
        wanted
    }
}

fn known(lane: &Lane, subject: &Subject) -> Known {
    lane.things.get(subject).map_or_else(|| Thing::new(subject).known, |thing| thing.known.clone())
}

/// All groups of a lane, by their first events.
pub fn groups(lane: &Lane) -> impl Iterator<Item = Group<'_>> {
    let mut words: Vec<Option<Word>> = Vec::with_capacity(lane.events.len());
    let mut speakers: BTreeMap<Subject, Vec<usize>> = BTreeMap::new();
    for (at, (no, live)) in lane.events.iter().enumerate() {
        let facets = lane.open_facets(live);
        for (subject, _) in &facets {
            speakers.entry(together(subject)).or_default().push(at);
        }
        words.push(Some(Word { no: *no, live, facets }));
    }
    let mut next = 0;
    std::iter::from_fn(move || {
        while words.get(next)?.is_none() {
            next += 1;
        }
        let mut found: BTreeMap<usize, Word> = BTreeMap::new();
        let mut open = BTreeSet::from([next]);
        while let Some(at) = open.pop_first() {
            let Some(word) = words.get_mut(at).and_then(Option::take) else { continue };
            for (subject, _) in &word.facets {
                open.extend(speakers.remove(&together(subject)).into_iter().flatten());
            }
            found.insert(at, word);
        }
        Some(Group(found.into_values().collect()))
    })
}

/// The thing under which others are looked at, too: parts of a split package are planned side by side, whatever their names.
fn together(subject: &Subject) -> Subject {
    match subject {
        Subject::Shipment(_) => Subject::Shipment(Name::Bwp(String::new())),
        subject => subject.clone(),
    }
}
