//! What ends of old age: names that never came, things that were retried for too long, an order that cannot be read. All of it
//! is counted in charged time, which stands still while the target's breaker is open.

use super::effect::Effect;
use super::lane::{Intent, Lane, Settled};
use super::outcome::{Class, Reason, Status};
use super::rank::EventNo;
use super::step::{Plan, Question, Rules};
use super::subject::Need;
use super::survey::Survey;
use super::thing::Check;
use crate::event::AliasKind;
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How events end of old age.
type Ends = BTreeMap<EventNo, Reason>;

impl Lane {
    /// Ends what has waited or been retried for too long. Tells whether there was any.
    pub(super) fn expire(&mut self, survey: &Survey, rules: &Rules, now: DateTime<Utc>, settled: &mut Vec<Arc<Settled>>) -> bool {
        if rules.blind {
            return false;
        }
        let charged = rules.charged(now);
        let mut ends = Ends::new();
        self.expire_waiting(survey, rules, charged, &mut ends);
        self.expire_retried(survey, rules, charged, &mut ends);
        self.expire_unread(survey, rules, charged, &mut ends);
        for (no, reason) in &ends {
            if let Some(live) = self.events.get_mut(no) {
                let before = live.clone();
                live.is_ghost = true;
                let (status, reason) = (Status::Dead, Some(reason.clone()));
                settled.push(Arc::new(Settled { no: *no, live: before, status, reason }));
            }
        }
        !ends.is_empty()
    }

    fn expire_waiting(&self, survey: &Survey, rules: &Rules, charged: DateTime<Utc>, ends: &mut Ends) {
        for (no, live) in self.events.iter().filter(|(no, live)| !live.is_ghost && !self.is_in_intent(**no)) {
            if live.waiting_since.is_none_or(|since| since + rules.give_up_after > charged) {
                continue;
            }
            let needs = survey.needs(*no);
            if !needs.is_empty() {
                let names: Vec<String> = needs.iter().map(|need| self.tried(need)).collect();
                let message = format!(
                    "still unknown after waiting.give_up_after: {}; add the alias (by the alias topic or `aliases import`), then retry \
                     the event",
                    names.join(", ")
                );
                ends.insert(*no, Reason::new(Class::Expired, "ALIAS_UNKNOWN", message));
            }
        }
    }

    /// A name that never came, and when it was looked for last.
    fn tried(&self, need: &Need) -> String {
        let name = format!("{} {}", need.kind.as_str(), need.name);
        let asked = self.memo.asked.iter().filter(|(asked, _)| matches!(asked, Question::Name(known) if known == need));
        let absent = self.memo.absent.as_ref().filter(|_| need.kind == AliasKind::Order);
        let at = |at: DateTime<Utc>| at.format("%Y-%m-%d %H:%M:%SZ");
        match (absent, asked.map(|(_, at)| *at).max()) {
            (Some(absent), _) => format!("{name} (Buy with Prime did not know the order at {})", at(absent.at)),
            (None, Some(read)) => {
                format!("{name} (not in the alias table, and the order as it was read at {} does not show it)", at(read))
            }
            (None, None) => format!("{name} (not in the alias table)"),
        }
    }

    fn expire_retried(&mut self, survey: &Survey, rules: &Rules, charged: DateTime<Utc>, ends: &mut Ends) {
        let in_flight = self.subjects_in_intents();
        for (subject, found) in survey.iter() {
            let pace = self.things.get(subject).map(|thing| &thing.pace);
            let over = pace.and_then(|pace| pace.first_failure).is_some_and(|first| first + rules.retry_budget <= charged);
            if !over || !matches!(found.plan, Plan::Send { .. } | Plan::Later { .. }) || in_flight.contains(subject) {
                continue;
            }
            let senders = found.senders();
            if senders.iter().any(|no| self.is_in_intent(*no)) {
                continue;
            }
            let last = pace.and_then(|pace| pace.last.clone());
            let code = last.as_ref().map_or("RETRY_BUDGET", |last| last.code.as_str());
            let said = last.as_ref().map_or_else(String::new, |last| format!("; last: {}", last.message));
            let reason = Reason::new(Class::Expired, code, format!("retried for the whole of retry.budget{said}"));
            ends.extend(senders.into_iter().map(|no| (no, reason.clone())));
            if let Some(thing) = self.things.get_mut(subject) {
                thing.pace = Default::default();
            }
        }
    }

    /// Events that only a read could help on, and mutations of which only a read could tell what became of them.
    fn expire_unread(&mut self, survey: &Survey, rules: &Rules, charged: DateTime<Utc>, ends: &mut Ends) {
        let Some(mut unread) = self.memo.unread.take() else { return };
        unread.since.retain(|no, _| self.events.get(no).is_some_and(|live| !live.is_ghost));
        let over = unread.since.iter().filter(|(_, since)| **since + rules.retry_budget <= charged);
        let over: BTreeSet<EventNo> = over.map(|(no, _)| *no).collect();
        let said = format!("the order could not be read for the whole of retry.budget; last: {}", unread.last.message);
        let reason = Reason::new(Class::Expired, &unread.last.code, said);
        for intent in std::mem::take(&mut self.memo.intents) {
            let events: BTreeSet<EventNo> = intent.parts.iter().flat_map(|part| part.events.iter().copied()).collect();
            let is_open = |no: &EventNo| self.events.contains_key(no) && !over.contains(no);
            if !events.is_disjoint(&over) && !events.iter().any(is_open) {
                self.give_up(&intent, &reason, ends);
            } else {
                self.memo.intents.push(intent);
            }
        }
        for (_, found) in survey.iter().filter(|(_, found)| matches!(found.plan, Plan::Look { .. })) {
            for no in found.pending.intersection(&over).filter(|no| !self.is_in_intent(**no)) {
                ends.entry(*no).or_insert_with(|| reason.clone());
            }
        }
        unread.since.retain(|no, _| !ends.contains_key(no));
        self.memo.unread = (!unread.since.is_empty()).then_some(unread);
    }

    /// Nobody will ever tell what became of a mutation: its events end, and its things are read before anything else of them is
    /// sent.
    fn give_up(&mut self, intent: &Intent, reason: &Reason, ends: &mut Ends) {
        self.count(&intent.parts, &[]);
        for part in &*intent.parts {
            let pays = matches!(&part.effect, Effect::Refund(effect) if !effect.payments.is_empty());
            if pays {
                self.doubt(part);
                let message =
                    format!("{}; nobody can tell whether its payments were taken in, compare the refund by hand", reason.message);
                let unverifiable = Reason::new(Class::Expired, "UNVERIFIABLE", message);
                ends.extend(part.events.iter().map(|no| (*no, unverifiable.clone())));
            } else {
                part.events.iter().for_each(|no| _ = ends.entry(*no).or_insert_with(|| reason.clone()));
            }
            let subject = self.canonical(&part.subject).into_owned();
            let thing = self.thing(subject);
            thing.pace = Default::default();
            let check = Check { reason: reason.clone(), create: false, events: BTreeSet::new(), effect: None };
            thing.check = Some(Box::new(check));
        }
    }
}
