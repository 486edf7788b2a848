//! What an answer, or the lack of one, makes of a lane.

use super::compare::{Shown, so_far};
use super::effect::Effect;
use super::lane::{Absent, Draft, Intent, Lane, Part, Progress, Stands, Unread};
use super::outcome::{Class, Reason};
use super::rank::EventNo;
use super::step::{Plan, Question, Rules};
use super::subject::Subject;
use super::thing::{Check, Known};
use super::turn::settling;
use crate::event::AliasKind;
use crate::prime::view::OrderView;
use chrono::{DateTime, Utc};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What was said of a mutation that was not applied, or perhaps not, and will be tried again.
#[derive(Debug, Clone, PartialEq)]
pub struct Postponed {
    /// What was said.
    pub reason: Reason,
    /// Nothing of the order is sent before this: a `Retry-After`.
    pub floor: Option<DateTime<Utc>>,
    /// Now, in charged time: what the time budget counts from.
    pub charged: DateTime<Utc>,
}

impl Lane {
    /// Notes what is about to be sent. From here until its end is known, nothing else of the order is sent.
    pub fn begin(&mut self, draft: &Draft, ended_at: DateTime<Utc>) {
        let intent = Intent { mutation: draft.mutation, parts: Arc::clone(&draft.parts), ended_at, stands: Stands::InFlight };
        self.memo.intents.push(intent);
    }

    /// Takes back what was noted, since no byte of it left. Costs nothing.
    pub fn withdraw(&mut self) {
        self.memo.intents.pop();
    }

    /// Buy with Prime accepted the mutation.
    pub fn accepted(&mut self, view: &OrderView, now: DateTime<Utc>) {
        let Some(intent) = self.memo.intents.pop() else { return };
        self.count(&intent.parts, &[]);
        for part in &*intent.parts {
            self.apply(part, now);
            self.mark(part, |progress| progress.delivered = true);
        }
        self.learn_names(view, now);
    }

    /// Buy with Prime refused the mutation for good: its part dies, or, where there are several, the order tells which.
    pub fn refused(&mut self, reason: Reason, now: DateTime<Utc>) {
        let Some(mut intent) = self.memo.intents.pop() else { return };
        match &intent.parts[..] {
            [part] => {
                self.count(&intent.parts, &[]);
                self.bury_part(part, &reason);
            }
            _ => {
                (intent.ended_at, intent.stands) = (now, Stands::Refused(reason));
                self.memo.intents.push(intent);
            }
        }
    }

    /// Buy with Prime refused in a way that may only mean that it is already so: the order tells.
    pub fn refused_perhaps_done(&mut self, reason: Reason, now: DateTime<Utc>) {
        match self.memo.intents.last().map(|intent| Arc::clone(&intent.parts)) {
            Some(parts) if parts.len() == 1 => {
                self.memo.intents.pop();
                self.count(&parts, &[]);
                for part in &*parts {
                    let create = matches!(&part.effect, Effect::Return(effect) if effect.create);
                    let subject = self.canonical(&part.subject).into_owned();
                    let (events, effect) = (part.events.clone(), Some(part.effect.clone()));
                    self.thing(subject).check = Some(Box::new(Check { reason: reason.clone(), create, events, effect }));
                }
            }
            _ => self.refused(reason, now),
        }
    }

    /// Surely not applied, and worth another try: each of its things gets its own due time.
    pub fn postponed(&mut self, postponed: &Postponed, now: DateTime<Utc>, due: impl Fn(u32) -> DateTime<Utc>) {
        let Some(intent) = self.memo.intents.pop() else { return };
        self.count(&intent.parts, &[]);
        self.hold_back(&intent.parts, postponed, now, due);
    }

    /// It is not known whether it was applied. An answer that does not tell can be checked at once, a missing one later; where
    /// it turns out not to have been, each of its things has its due time from here.
    pub fn unknown(&mut self, postponed: &Postponed, answered: bool, now: DateTime<Utc>, due: impl Fn(u32) -> DateTime<Utc>) {
        let Some(intent) = self.memo.intents.last_mut() else { return };
        let reason = postponed.reason.clone();
        intent.ended_at = now;
        intent.stands = if answered { Stands::Unclear(reason) } else { Stands::NoAnswer(reason) };
        let parts = Arc::clone(&intent.parts);
        self.hold_back(&parts, postponed, now, due);
    }

    fn hold_back(&mut self, parts: &[Part], postponed: &Postponed, now: DateTime<Utc>, due: impl Fn(u32) -> DateTime<Utc>) {
        for part in parts {
            let subject = self.canonical(&part.subject).into_owned();
            let pace = &mut self.thing(subject).pace;
            pace.attempts = pace.attempts.saturating_add(1);
            pace.first_failure.get_or_insert(postponed.charged);
            pace.last = Some(postponed.reason.clone());
            pace.due = Some(due(pace.attempts).max(postponed.floor.unwrap_or(now)));
        }
        self.memo.not_before = self.memo.not_before.max(postponed.floor);
    }

    /// Buy with Prime does not know the order, or a thing that the mutation names in it: the order is read at once, to tell.
    pub fn order_unknown(&mut self, reason: Reason, now: DateTime<Utc>) {
        let order_id = self.order_id().map(str::to_owned);
        let Some(intent) = self.memo.intents.last_mut() else { return };
        (intent.ended_at, intent.stands) = (now, Stands::NotFound { reason, order_id });
    }

    /// A read shows that Buy with Prime does not know the order: everything of it waits. What may have been applied stays open, since
    /// nothing was compared.
    pub fn order_not_read(&mut self, reason: Reason, rules: &Rules, now: DateTime<Utc>) {
        for intent in std::mem::take(&mut self.memo.intents) {
            match intent.stands {
                Stands::NotFound { .. } => self.count(&intent.parts, &[]),
                _ => self.memo.intents.push(intent),
            }
        }
        if self.memo.intents.is_empty() {
            (self.memo.failed_reads, self.memo.unread) = (0, None);
        } else {
            self.read_failed(reason, now + rules.read_interval, rules.charged(now));
        }
        self.memo.absent = Some(Absent { at: now, bwp_id: self.order_id().map(str::to_owned) });
        self.remember(vec![Question::Order], now);
    }

    /// Takes in a read of the order, begun at `asked_at`, and decides with it what became of what was unknown.
    pub fn learn_from_read(&mut self, view: &OrderView, questions: Vec<Question>, rules: &Rules, asked_at: DateTime<Utc>) {
        self.memo.failed_reads = 0;
        self.memo.unread = None;
        self.memo.absent = None;
        for intent in std::mem::take(&mut self.memo.intents) {
            self.resolve(intent, view, rules, asked_at);
        }
        self.confirm_refused(view, asked_at);
        self.learn(view, asked_at);
        self.remember(questions, asked_at);
        self.check(rules, asked_at);
    }

    /// A read failed: the next one is not before `next`. `charged` is now, in charged time.
    pub fn read_failed(&mut self, reason: Reason, next: DateTime<Utc>, charged: DateTime<Utc>) {
        self.memo.failed_reads = self.memo.failed_reads.saturating_add(1);
        let mut since = self.memo.unread.take().map(|unread| unread.since).unwrap_or_default();
        for (no, _) in self.events.iter().filter(|(_, live)| !live.is_ghost) {
            since.entry(*no).or_insert(charged);
        }
        let order_id = self.order_id().map(str::to_owned);
        self.memo.unread = Some(Unread { next, last: reason, order_id, since });
    }

    fn resolve(&mut self, mut intent: Intent, view: &OrderView, rules: &Rules, asked_at: DateTime<Utc>) {
        let joined = intent.parts.len() > 1;
        let late = matches!(intent.stands, Stands::InFlight | Stands::NoAnswer(_))
            && asked_at < intent.ended_at + settling(intent.mutation, rules);
        let (mut open, mut closed) = (Vec::new(), Vec::new());
        for part in Arc::unwrap_or_clone(std::mem::take(&mut intent.parts)) {
            let shows = self.shows(&part, view);
            self.note_sent(&part);
            match shows {
                // A late request may still apply: a later read tells.
                Shown::No | Shown::Partly | Shown::Unverifiable if late => {
                    open.push(part);
                    continue;
                }
                Shown::Yes => {
                    self.apply(&part, asked_at);
                    self.mark(&part, |progress| progress.confirmed = true);
                }
                Shown::Taken => {
                    // What else differs follows from what the read teaches.
                    self.apply(&part, asked_at);
                    self.mark(&part, |progress| progress.confirmed = true);
                    self.go_alone(&part, joined);
                }
                Shown::Unverifiable if !matches!(intent.stands, Stands::NotFound { .. }) => {
                    self.doubt(&part);
                    let message = "neither the payments nor the total at Buy with Prime tell whether the last mutation was applied; \
                                   compare the refund by hand";
                    self.bury_part(&part, &Reason::new(Class::Refused, "UNVERIFIABLE", message));
                }
                Shown::No | Shown::Partly | Shown::Unverifiable => {
                    if shows == Shown::Partly {
                        self.mark(&part, |progress| progress.partly = true);
                    }
                    self.apply_so_far(&part, view, asked_at);
                    self.try_again(&part, &intent.stands, joined, view);
                }
            }
            closed.push(part);
        }
        self.count(&closed, &open);
        if !open.is_empty() {
            intent.parts = Arc::new(open);
            self.memo.intents.push(intent);
        }
    }

    /// What of a part is so already: only the rest is sent.
    fn apply_so_far(&mut self, part: &Part, view: &OrderView, now: DateTime<Utc>) {
        let subject = self.canonical(&part.subject).into_owned();
        let paid = self.paid(part, view);
        if let Known::Refund { held, .. } = &mut self.thing(subject.clone()).known {
            held.payments.extend(paid);
        }
        if let Some(so) = so_far(&part.effect, view) {
            so.apply(&subject, &mut self.things, now);
        }
    }

    /// A part that a read shows not to have been applied: it goes again, alone where it was joined. What was not found was a thing of
    /// the order only where the mutation named the order as the read did: an alias may have come in between.
    fn try_again(&mut self, part: &Part, stands: &Stands, joined: bool, view: &OrderView) {
        let final_reason = match stands {
            Stands::Refused(reason) => Some(reason),
            Stands::NotFound { reason, order_id } => Some(reason).filter(|_| view.id.is_none() || *order_id == view.id),
            _ => None,
        };
        if let (Some(reason), false) = (final_reason, joined) {
            return self.bury_part(part, reason);
        }
        self.go_alone(part, joined);
    }

    fn go_alone(&mut self, part: &Part, joined: bool) {
        let subject = self.canonical(&part.subject).into_owned();
        self.thing(subject).pace.solo |= joined;
    }

    /// What was refused because it is so already: a step that was sent before without an answer, and showed late.
    fn confirm_refused(&mut self, view: &OrderView, asked_at: DateTime<Utc>) {
        let refused = self.things.iter().filter_map(|(subject, thing)| {
            let check = thing.check.as_ref()?;
            Some(Part { subject: subject.clone(), events: check.events.clone(), effect: check.effect.clone()? })
        });
        for part in refused.collect::<Vec<Part>>() {
            if matches!(self.shows(&part, view), Shown::Yes | Shown::Taken) {
                self.thing(part.subject.clone()).check = None;
                self.apply(&part, asked_at);
                self.mark(&part, |progress| progress.confirmed = true);
            }
        }
    }

    /// Decides on refusals that could have meant that it is already so, now that the order has been read.
    fn check(&mut self, rules: &Rules, now: DateTime<Utc>) {
        let with_check = self.things.iter().filter(|(_, thing)| thing.check.is_some());
        let with_check: Vec<Subject> = with_check.map(|(subject, _)| subject.clone()).collect();
        let take = |subject: Subject| Some((self.things.get_mut(&subject)?.check.take()?, subject));
        let checked: Vec<(Box<Check>, Subject)> = with_check.into_iter().filter_map(take).collect();
        if checked.is_empty() {
            return;
        }
        let survey = self.whole_survey(rules, now);
        for (check, subject) in checked {
            let Some(found) = survey.get(&subject) else { continue };
            let exists = matches!(&found.known, Known::Return { held, .. } if held.exists);
            let so = matches!(found.plan, Plan::Done { .. }) || (check.create && exists);
            for no in &check.events {
                let Some(live) = self.events.get_mut(no) else { continue };
                if so {
                    live.progress.confirmed = true;
                } else {
                    live.progress.refused.push((subject.clone(), check.reason.clone()));
                }
            }
        }
    }

    fn apply(&mut self, part: &Part, now: DateTime<Utc>) {
        let subject = self.canonical(&part.subject).into_owned();
        self.things.hold(&subject).pace = Default::default();
        for (kind, alias, id) in part.effect.apply(&subject, &mut self.things, now) {
            self.names.learn(kind, &alias, &id, now);
        }
        if let (Effect::Order(effect), Some(id)) = (&part.effect, self.order_id().map(str::to_owned)) {
            for alias in &effect.aliases {
                self.names.learn(AliasKind::Order, alias, &id, now);
            }
        }
    }

    /// Counts one mutation for each event that took part in it, unless parts of the event are still open.
    pub(super) fn count(&mut self, closed: &[Part], open: &[Part]) {
        let mut events: BTreeSet<EventNo> = closed.iter().flat_map(|part| &part.events).copied().collect();
        events.retain(|no| !open.iter().any(|part| part.events.contains(no)));
        for no in events {
            if let Some(live) = self.events.get_mut(&no) {
                live.progress.attempts = live.progress.attempts.saturating_add(1);
            }
        }
    }

    fn mark(&mut self, part: &Part, change: impl Fn(&mut Progress)) {
        for no in &part.events {
            if let Some(live) = self.events.get_mut(no) {
                change(&mut live.progress);
            }
        }
    }

    /// Whatever became of them: an id that shows later was sent by us.
    fn note_sent(&mut self, part: &Part) {
        let Effect::Refund(effect) = &part.effect else { return };
        let subject = self.canonical(&part.subject).into_owned();
        if let Known::Refund { held, .. } = &mut self.thing(subject).known {
            held.sent.extend(effect.payments.keys().cloned());
        }
    }

    /// Payments of which nobody can tell whether they were taken in: only the same event, retried, sends them again.
    pub(super) fn doubt(&mut self, part: &Part) {
        let Effect::Refund(effect) = &part.effect else { return };
        let subject = self.canonical(&part.subject).into_owned();
        if let Known::Refund { held, .. } = &mut self.thing(subject).known {
            held.sent.extend(effect.payments.keys().cloned());
            held.doubtful.extend(effect.payments.keys().map(|id| (id.clone(), part.events.clone())));
        }
    }

    fn bury_part(&mut self, part: &Part, reason: &Reason) {
        let subject = self.canonical(&part.subject).into_owned();
        for no in &part.events {
            if let Some(live) = self.events.get_mut(no) {
                live.progress.refused.push((subject.clone(), reason.clone()));
            }
        }
        self.thing(subject).pace = Default::default();
    }

    fn remember(&mut self, mut questions: Vec<Question>, at: DateTime<Utc>) {
        for question in &mut questions {
            // The read may have told the name under which the thing is kept from now on.
            if let Question::State(subject) = question {
                *subject = self.canonical(subject).into_owned();
            }
        }
        let names = &self.names;
        self.memo.asked.retain(|(asked, _)| match asked {
            Question::Name(need) if names.require(need.kind, &need.name).is_ok() => false,
            asked => !questions.contains(asked),
        });
        self.memo.asked.extend(questions.into_iter().map(|question| (question, at)));
    }
}
