//! The events of a lane in groups that have to be looked at together: those that speak of the same things. An order with a long
//! backlog is looked at group by group, until there is enough to send.

use super::lane::{Lane, Live};
use super::rank::EventNo;
use super::subject::{Name, Subject};
use super::thing::{Known, Thing};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// The numbers of events that share things, directly or through others, in the order of intake.
pub type Group = Vec<EventNo>;

/// Several groups: each event behind the first of its group.
pub type Groups = BTreeSet<(EventNo, EventNo)>;

/// Takes the first group out.
pub fn take_first(groups: &mut Groups) -> Option<Group> {
    let (first, _) = *groups.first()?;
    let mut group = Group::new();
    while groups.first().is_some_and(|(of, _)| *of == first) {
        group.extend(groups.pop_first().map(|(_, no)| no));
    }
    Some(group)
}

/// The groups of these events of a lane.
pub fn groups(lane: &Lane, events: impl IntoIterator<Item = EventNo>) -> Groups {
    let events: Vec<(EventNo, &Live)> = events.into_iter().filter_map(|no| Some((no, lane.events.get(&no)?))).collect();
    if let [(no, _)] = events[..] {
        return Groups::from([(no, no)]);
    }
    let mut speakers: BTreeMap<Cow<Subject>, usize> = BTreeMap::new();
    // The group of each event, as the place of an earlier event of it, or its own where it is the first.
    let mut earlier: Vec<usize> = Vec::with_capacity(events.len());
    for (at, (_, live)) in events.iter().enumerate() {
        earlier.push(at);
        for (subject, _) in lane.open_facets(live) {
            let speaker = *speakers.entry(together(subject)).or_insert(at);
            let (one, other) = (first(&earlier, speaker), first(&earlier, at));
            earlier[one.max(other)] = one.min(other);
        }
    }
    events.iter().enumerate().map(|(at, (no, _))| (events[first(&earlier, at)].0, *no)).collect()
}

fn first(earlier: &[usize], mut at: usize) -> usize {
    while earlier[at] != at {
        at = earlier[at];
    }
    at
}

/// The thing under which others are looked at, too: parts of a split package are planned side by side, whatever their names.
fn together(subject: Cow<Subject>) -> Cow<Subject> {
    match &*subject {
        Subject::Shipment(_) => Cow::Owned(Subject::Shipment(Name::Bwp(String::new()))),
        _ => subject,
    }
}

/// What is wanted of each thing that the events of a group speak of.
pub fn wanted(lane: &Lane, group: &[EventNo]) -> BTreeMap<Subject, Known> {
    let mut wanted: BTreeMap<Subject, Known> = BTreeMap::new();
    for (no, live) in group.iter().filter_map(|no| lane.events.get_key_value(no)) {
        for (subject, facet) in lane.open_facets(live) {
            let holder = (!live.is_ghost).then_some(*no);
            let known = wanted.entry(subject.into_owned()).or_insert_with_key(|subject| known(lane, subject));
            known.overlay(facet, live.rank, holder);
        }
    }
    wanted
}

fn known(lane: &Lane, subject: &Subject) -> Known {
    lane.things.get(subject).map_or_else(|| Thing::new(subject).known, |thing| thing.known.clone())
}
