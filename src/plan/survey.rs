//! One look over a lane: what is wanted of each thing, by which events, and what is to be done for it.

use super::draft;
use super::facet::Facet;
use super::groups::{groups, take_first, wanted};
use super::lane::{Lane, Live, Standing, Stands};
use super::outcome::Reason;
use super::rank::EventNo;
use super::shipments::{self, Shipment};
use super::step::{Asked, Coalesce, Context, Plan, Question, ReadFirst, Rules, name_of};
use super::subject::{Name, Need, Subject};
use super::thing::Known;
use super::{orders, refunds, returns};
use crate::event::AliasKind;
use chrono::{DateTime, Utc};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// What was found for the things that unsettled events speak of: of all of them, or of the first that fill a mutation.
#[derive(Default)]
pub struct Survey {
    found: BTreeMap<Subject, Box<Found>>,
    /// The events that were looked at, with the things that they hold members of.
    held: BTreeMap<EventNo, Vec<Subject>>,
}

/// What was found for one thing.
pub struct Found {
    /// What is wanted, with the unsettled snapshots laid over what settled ones said.
    pub known: Known,
    /// What is to be done.
    pub plan: Plan,
    /// The events that hold a member of it which is not yet as wanted.
    pub pending: BTreeSet<EventNo>,
    /// The events that hold a member of it.
    holders: BTreeSet<EventNo>,
}

impl Found {
    /// The events that the next entry is sent for.
    pub fn senders(&self) -> BTreeSet<EventNo> {
        let holders = match &self.plan {
            Plan::Send { step, .. } => self.known.holders(*step),
            _ => BTreeSet::new(),
        };
        if holders.is_empty() { self.holders.clone() } else { holders }
    }
}

impl Survey {
    fn new(events: &[EventNo], found: BTreeMap<Subject, Box<Found>>) -> Survey {
        let mut held: BTreeMap<EventNo, Vec<Subject>> = events.iter().map(|no| (*no, Vec::new())).collect();
        for (subject, found) in &found {
            found.holders.iter().for_each(|no| held.entry(*no).or_default().push(subject.clone()));
        }
        Survey { found, held }
    }

    fn extend(&mut self, other: Survey) {
        if self.held.is_empty() {
            return *self = other;
        }
        self.found.extend(other.found);
        self.held.extend(other.held);
    }

    /// All that was found, by thing.
    pub fn iter(&self) -> impl Iterator<Item = (&Subject, &Found)> {
        self.found.iter().map(|(subject, found)| (subject, &**found))
    }

    /// What was found for a thing.
    pub fn get(&self, subject: &Subject) -> Option<&Found> {
        self.found.get(subject).map(|found| &**found)
    }

    /// Takes out what is to be done for a thing.
    pub fn take(&mut self, subject: &Subject) -> Option<Plan> {
        self.found.remove(subject).map(|found| found.plan)
    }

    /// The events that were looked at.
    pub fn events(&self) -> impl Iterator<Item = EventNo> {
        self.held.keys().copied()
    }

    /// The things that an event holds members of.
    pub fn held_by(&self, no: EventNo) -> impl Iterator<Item = (&Subject, &Found)> {
        self.held
            .get(&no)
            .into_iter()
            .flatten()
            .filter_map(|subject| self.found.get_key_value(subject))
            .map(|(subject, found)| (subject, &**found))
    }

    /// What could be sent now, and the events that it is sent for.
    pub fn ready(&self, lane: &Lane, now: DateTime<Utc>) -> impl Iterator<Item = (&Subject, &Found, BTreeSet<EventNo>)> {
        let blocked = self.blocked();
        let sends = self.iter().filter(|(_, found)| matches!(found.plan, Plan::Send { .. }));
        sends.filter_map(move |(subject, found)| {
            let due = lane.things.get(subject).and_then(|thing| thing.pace.due);
            let senders = found.senders();
            let is_ready = due.is_none_or(|due| due <= now) && senders.is_disjoint(&blocked);
            is_ready.then_some((subject, found, senders))
        })
    }

    /// Whether an event holds a member that is not yet as wanted.
    pub fn is_pending(&self, no: EventNo) -> bool {
        self.held_by(no).any(|(_, found)| found.pending.contains(&no))
    }

    /// Events of which some names are not known. An event waits as a whole: none of its things goes before all its names are
    /// known, and what follows it for those things waits with it.
    fn blocked(&self) -> BTreeSet<EventNo> {
        let unnamed = self.iter().filter(|(_, found)| matches!(found.plan, Plan::Wait { .. } | Plan::Look { .. }));
        unnamed.flat_map(|(_, found)| found.pending.iter().copied()).collect()
    }

    /// The names that an event itself waits for.
    pub fn needs(&self, no: EventNo) -> BTreeSet<Need> {
        let mine = self.held_by(no).filter(|(_, found)| found.pending.contains(&no));
        mine.filter_map(|(_, found)| match &found.plan {
            Plan::Wait { needs } => Some(needs),
            _ => None,
        })
        .flatten()
        .cloned()
        .collect()
    }

    /// The names that each event waits for, its own and those of events before it for the same thing; nothing of those that wait
    /// for none.
    fn all_needs(&self) -> BTreeMap<EventNo, BTreeSet<Need>> {
        let waiting = self.iter().filter(|(_, found)| matches!(found.plan, Plan::Wait { .. }));
        let waiting: BTreeSet<EventNo> = waiting.flat_map(|(_, found)| found.pending.iter().copied()).collect();
        let own: BTreeMap<EventNo, BTreeSet<Need>> = waiting.into_iter().map(|no| (no, self.needs(no))).collect();
        let mut all = own.clone();
        if own.is_empty() {
            return all;
        }
        for (_, found) in self.iter().filter(|(_, found)| matches!(found.plan, Plan::Send { .. })) {
            let before: BTreeSet<&Need> = found.senders().iter().filter_map(|no| own.get(no)).flatten().collect();
            for no in found.pending.iter().filter(|_| !before.is_empty()) {
                all.entry(*no).or_default().extend(before.iter().map(|need| (*need).clone()));
            }
        }
        all
    }
}

impl Lane {
    /// Where each unsettled event stands that was looked at.
    pub fn standings(&self, survey: &Survey, rules: &Rules, now: DateTime<Utc>) -> BTreeMap<EventNo, Standing> {
        let mut needs = survey.all_needs();
        // Waited for from here on, whatever the read that follows says.
        let lost = self.memo.intents.iter().filter(|intent| matches!(intent.stands, Stands::NotFound { .. }));
        for no in lost.flat_map(|intent| &*intent.parts).flat_map(|part| &part.events) {
            needs.entry(*no).or_default().extend(self.order_need(rules));
        }
        let is_retried = |no: EventNo| self.is_retried(no, survey, now) || self.is_in_intent(no);
        let live = survey.events().filter(|no| self.events.get(no).is_some_and(|live| !live.is_ghost));
        live.map(|no| match needs.remove(&no).filter(|needs| !needs.is_empty()) {
            Some(needs) => (no, Standing::Waiting(needs)),
            None if is_retried(no) => (no, Standing::Retrying),
            None => (no, Standing::Queued),
        })
        .collect()
    }

    fn is_retried(&self, no: EventNo, survey: &Survey, now: DateTime<Utc>) -> bool {
        survey.held_by(no).filter(|(_, found)| found.pending.contains(&no)).any(|(subject, found)| {
            let pace = self.things.get(subject).map(|thing| &thing.pace);
            matches!(found.plan, Plan::Later { .. })
                || (self.memo.unread.is_some() && matches!(found.plan, Plan::Look { .. }))
                || pace.is_some_and(|pace| pace.first_failure.is_some() || pace.due.is_some_and(|due| due > now))
        })
    }

    /// Looks over the lane, as far as there may be something to be sent in its next mutation. `end` ends what is over in a group, and
    /// tells whether there was anything: groups share nothing, so that changes none of the others.
    pub(super) fn survey(
        &mut self,
        rules: &Rules,
        now: DateTime<Utc>,
        mut end: impl FnMut(&mut Lane, &Survey) -> bool,
    ) -> Survey {
        let enough = match rules.coalesce {
            Coalesce::Off => 1,
            Coalesce::Order => draft::MOST_ENTRIES,
        };
        // Neither changes by what ends.
        let (in_flight, asked) = (self.subjects_in_intents(), self.memo.asked.clone());
        let asked = Asked::new(&asked);
        let (mut survey, mut ready) = (Survey::default(), 0);
        // Whatever ends changes things; before they are looked for by their aliases, the index knows of it.
        self.things.reindex();
        let mut open = groups(self, self.events.keys().copied());
        while ready < enough
            && let Some(group) = take_first(&mut open)
        {
            let found = self.look_at(&group, &in_flight, &Context { rules, names: &self.names, asked: &asked, now });
            if end(self, &found) {
                self.things.reindex();
                // What is left of it may have parted.
                open.extend(groups(self, group));
                continue;
            }
            ready += found.ready(self, now).count();
            survey.extend(found);
        }
        survey
    }

    /// Looks over all of the lane.
    pub fn whole_survey(&self, rules: &Rules, now: DateTime<Utc>) -> Survey {
        let (in_flight, asked) = (self.subjects_in_intents(), Asked::new(&self.memo.asked));
        let context = Context { rules, names: &self.names, asked: &asked, now };
        let mut survey = Survey::default();
        let mut open = groups(self, self.events.keys().copied());
        while let Some(group) = take_first(&mut open) {
            survey.extend(self.look_at(&group, &in_flight, &context));
        }
        survey
    }

    fn look_at(&self, group: &[EventNo], in_flight: &BTreeSet<Subject>, context: &Context) -> Survey {
        let wanted = wanted(self, group);
        let parts = parts(self, &wanted);
        let mut all = BTreeMap::new();
        for (subject, known) in wanted {
            let holders = known.all_holders();
            if holders.is_empty() {
                continue;
            }
            let plan = match in_flight.contains(&subject) {
                true => Plan::Later { at: context.now },
                false => self.plan(context, &subject, &known, parts.contains(&subject)),
            };
            let pending = match &plan {
                Plan::Done { .. } => BTreeSet::new(),
                Plan::Send { outstanding, .. } => match known.holders(*outstanding) {
                    // Only members of snapshots that died of old age are left: whoever speaks of the thing now brings them.
                    pending if pending.is_empty() => holders.clone(),
                    pending => pending,
                },
                Plan::Wait { .. } | Plan::Look { .. } | Plan::Later { .. } | Plan::Dead { .. } | Plan::Surplus { .. } => {
                    holders.clone()
                }
            };
            all.insert(subject, Box::new(Found { known, plan, pending, holders }));
        }
        Survey::new(group, all)
    }

    /// The things that an event still counts for: not those for which it was refused.
    pub fn open_facets<'a, 'l: 'a>(&'a self, live: &'l Live) -> impl Iterator<Item = (Cow<'a, Subject>, &'l Facet)> {
        let refused: BTreeSet<Cow<Subject>> = live.progress.refused.iter().map(|(subject, _)| self.canonical(subject)).collect();
        let all = live.facets.iter().map(|(subject, facet)| (self.canonical(subject), facet));
        all.filter(move |(subject, _)| !refused.contains(subject))
    }

    fn plan(&self, context: &Context, subject: &Subject, known: &Known, is_part: bool) -> Plan {
        let thing = self.things.get(subject);
        if let Some(need) = self.missing_order(context) {
            return Plan::Wait { needs: vec![need] };
        }
        if thing.is_some_and(|thing| thing.check.is_some()) {
            return Plan::Look { questions: vec![Question::Check(subject.clone())] };
        }
        let plan = self.plan_kind(context, subject, known, is_part);
        if matches!(plan, Plan::Send { .. }) && self.read_first(context, subject, known) {
            return Plan::Look { questions: vec![Question::State(subject.clone())] };
        }
        plan
    }

    fn plan_kind(&self, context: &Context, subject: &Subject, known: &Known, is_part: bool) -> Plan {
        match (subject, known) {
            (Subject::Return(name), Known::Return { base, held }) => returns::plan(context, name, base, held),
            (Subject::Refund(name), Known::Refund { base, held }) => refunds::plan(context, name, base, held),
            (Subject::Line(name), Known::Line { base, held }) => orders::plan_line(context, name, base, held),
            (Subject::Package(name), Known::Package { base, held }) => orders::plan_package(context, name, base, held),
            (Subject::Shipment(name), Known::Shipment { base, held }) => {
                let shipment = Shipment { name, wanted: base, held, things: &self.things, is_part };
                shipments::plan(context, &shipment)
            }
            (_, Known::Order { base, held }) => orders::plan_order(context, self.order_id(), base, held),
            // A thing is always made with the kind of its subject.
            _ => Plan::Done { note: Reason::nothing("NOTHING_NEW", "nothing is wanted of it"), effect: None },
        }
    }

    /// The order's own name, where Buy with Prime said that it does not know it and nothing has been learned since.
    fn missing_order(&self, context: &Context) -> Option<Need> {
        let absent = self.memo.absent.as_ref()?;
        if absent.bwp_id.as_deref() != self.order_id() {
            return None;
        }
        self.order_need(context.rules)
    }

    /// The order's own name, as a need.
    fn order_need(&self, rules: &Rules) -> Option<Need> {
        let live = self.unsettled().next()?;
        let name = rules.alias_types.name(AliasKind::Order, &live.event.data.order());
        Some(Need { kind: AliasKind::Order, name })
    }

    /// Whether a thing has to be read before its first mutation: one of which nothing was sent or read, or nothing since all that was
    /// known has come into doubt.
    fn read_first(&self, context: &Context, subject: &Subject, known: &Known) -> bool {
        let covered = match context.rules.read_first {
            ReadFirst::Off => false,
            ReadFirst::Refunds => matches!(subject, Subject::Refund(_)),
            ReadFirst::All => true,
        };
        let untouched = match known {
            Known::Order { held, .. } => *held == Default::default(),
            Known::Line { held, .. } => *held == Default::default(),
            Known::Package { held, .. } => *held == Default::default(),
            Known::Return { held, .. } => *held == Default::default(),
            Known::Refund { held, .. } => *held == Default::default(),
            Known::Shipment { held, .. } => *held == Default::default(),
        };
        let since = context.rules.doubted_at;
        covered && (untouched || since.is_some()) && !context.asked_since(&Question::State(subject.clone()), since)
    }
}

/// Shipments with lines of their own that share their package with another: parts of it.
fn parts(lane: &Lane, wanted: &BTreeMap<Subject, Known>) -> BTreeSet<Subject> {
    let mut by_package: BTreeMap<Name, Vec<Subject>> = BTreeMap::new();
    if !wanted.keys().any(|subject| matches!(subject, Subject::Shipment(_))) {
        return BTreeSet::new();
    }
    let known = lane.things.iter().map(|(subject, thing)| (subject, &thing.known));
    let idle = known.filter(|(subject, _)| !wanted.contains_key(*subject));
    for (subject, known) in idle.chain(wanted) {
        if let Known::Shipment { base, .. } = known
            && let (Some(package), Some(_)) = (&base.package, &base.lines)
        {
            let name = name_of(&package.value);
            let name = lane.names.resolve(AliasKind::Package, &name).map_or(name.clone(), |id| Name::Bwp(id.to_owned()));
            by_package.entry(name).or_default().push(subject.clone());
        }
    }
    by_package.into_values().filter(|subjects| subjects.len() > 1).flatten().collect()
}
