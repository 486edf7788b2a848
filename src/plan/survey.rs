//! One look over a lane: what is wanted of each thing, by which events, and what is to be done for it.

use super::facet::Facet;
use super::lane::{Intent, Lane, Live, Standing, Stands};
use super::outcome::Reason;
use super::rank::EventNo;
use super::shipments::{self, Shipment};
use super::step::{Context, Plan, Question, ReadFirst, Rules, name_of};
use super::subject::{Name, Need, Subject};
use super::thing::{Known, Thing};
use super::{orders, refunds, returns};
use crate::event::AliasKind;
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// What was found for each thing that an unsettled event speaks of.
pub struct Survey {
    /// By thing.
    pub found: BTreeMap<Subject, Found>,
}

/// What was found for one thing.
pub struct Found {
    /// What is wanted, with the unsettled snapshots laid over what settled ones said.
    pub known: Known,
    /// What is to be done.
    pub plan: Plan,
    /// The events that hold a member of it which is not yet as wanted.
    pub pending: BTreeSet<EventNo>,
}

impl Found {
    /// The events that the next entry is sent for.
    pub fn senders(&self) -> BTreeSet<EventNo> {
        let holders = match &self.plan {
            Plan::Send { step, .. } => self.known.holders(step),
            _ => BTreeSet::new(),
        };
        if holders.is_empty() { self.known.all_holders() } else { holders }
    }
}

impl Survey {
    /// Events of which some names are not known. An event waits as a whole: none of its things goes before all its names are
    /// known, and what follows it for those things waits with it.
    pub fn blocked(&self) -> BTreeSet<EventNo> {
        let unnamed = self.found.values().filter(|found| matches!(found.plan, Plan::Wait { .. } | Plan::Look { .. }));
        unnamed.flat_map(|found| found.pending.iter().copied()).collect()
    }

    /// The names that an event itself waits for.
    pub fn needs(&self, no: EventNo) -> BTreeSet<Need> {
        let mine = self.found.values().filter(|found| found.pending.contains(&no));
        mine.filter_map(|found| match &found.plan {
            Plan::Wait { needs } => Some(needs),
            _ => None,
        })
        .flatten()
        .cloned()
        .collect()
    }

    /// The names that an event waits for, its own and those of events before it for the same thing.
    fn all_needs(&self, no: EventNo) -> BTreeSet<Need> {
        let sends = |found: &&Found| matches!(found.plan, Plan::Send { .. }) && found.pending.contains(&no);
        let before = self.found.values().filter(sends).flat_map(Found::senders);
        before.chain([no]).flat_map(|no| self.needs(no)).collect()
    }
}

impl Lane {
    /// Where each unsettled event stands.
    pub fn standings(&self, survey: &Survey, rules: &Rules, now: DateTime<Utc>) -> BTreeMap<EventNo, Standing> {
        let live = self.events.iter().filter(|(_, live)| !live.is_ghost);
        live.map(|(no, _)| (*no, self.standing(*no, survey, rules, now))).collect()
    }

    fn standing(&self, no: EventNo, survey: &Survey, rules: &Rules, now: DateTime<Utc>) -> Standing {
        let mut needs = survey.all_needs(no);
        let not_found = |intent: &Intent| {
            matches!(intent.stands, Stands::NotFound { .. }) && intent.parts.iter().any(|part| part.events.contains(&no))
        };
        if self.memo.intents.iter().any(not_found) {
            // Waited for from here on, whatever the read that follows says.
            needs.extend(self.order_need(rules));
        }
        if !needs.is_empty() {
            return Standing::Waiting(needs);
        }
        let is_retried = |(subject, found): (&Subject, &Found)| {
            let pace = self.things.get(subject).map(|thing| &thing.pace);
            found.pending.contains(&no)
                && (matches!(found.plan, Plan::Later { .. })
                    || (self.memo.unread.is_some() && matches!(found.plan, Plan::Look { .. }))
                    || pace.is_some_and(|pace| pace.first_failure.is_some() || pace.due.is_some_and(|due| due > now)))
        };
        let retried = survey.found.iter().any(is_retried) || self.is_in_intent(no);
        if retried { Standing::Retrying } else { Standing::Queued }
    }

    /// Looks over the lane.
    pub fn survey(&self, rules: &Rules, now: DateTime<Utc>) -> Survey {
        let wanted = self.wanted();
        let parts = parts(self, &wanted);
        let context = Context { rules, names: &self.names, asked: &self.memo.asked, now };
        let mut found = BTreeMap::new();
        for (subject, known) in wanted {
            let holders = known.all_holders();
            if holders.is_empty() {
                continue;
            }
            let plan = self.plan(&context, &subject, &known, parts.contains(&subject));
            let pending = match &plan {
                Plan::Done { .. } => BTreeSet::new(),
                Plan::Send { outstanding, .. } => match known.holders(outstanding) {
                    // Only members of snapshots that died of old age are left: whoever speaks of the thing now brings them.
                    pending if pending.is_empty() => holders,
                    pending => pending,
                },
                Plan::Wait { .. } | Plan::Look { .. } | Plan::Later { .. } | Plan::Dead { .. } | Plan::Surplus { .. } => holders,
            };
            found.insert(subject, Found { known, plan, pending });
        }
        Survey { found }
    }

    /// What is wanted of each thing that an unsettled event speaks of.
    fn wanted(&self) -> BTreeMap<Subject, Known> {
        let mut wanted: BTreeMap<Subject, Known> = BTreeMap::new();
        for (no, live) in &self.events {
            for (subject, facet) in self.open_facets(live) {
                let known = wanted.entry(subject).or_insert_with_key(|subject| self.known(subject));
                known.overlay(facet, live.rank, (!live.is_ghost).then_some(*no));
            }
        }
        wanted
    }

    fn known(&self, subject: &Subject) -> Known {
        self.things.get(subject).map_or_else(|| Thing::new(subject).known, |thing| thing.known.clone())
    }

    /// The things that an event still counts for: not those for which it was refused.
    pub fn open_facets<'a>(&self, live: &'a Live) -> Vec<(Subject, &'a Facet)> {
        let refused: BTreeSet<Subject> = live.progress.refused.iter().map(|(subject, _)| self.canonical(subject)).collect();
        let all = live.facets.iter().map(|(subject, facet)| (self.canonical(subject), facet));
        all.filter(|(subject, _)| !refused.contains(subject)).collect()
    }

    fn plan(&self, context: &Context, subject: &Subject, known: &Known, is_part: bool) -> Plan {
        let thing = self.things.get(subject);
        if self.has_intent(subject) {
            return Plan::Later { at: context.now };
        }
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
