//! A lane's turn: settle what is final, then send, read or rest.

use super::draft;
use super::json;
use super::lane::{Draft, Lane, Settled, Standing, Stands};
use super::outcome::{Class, Reason, Status};
use super::rank::EventNo;
use super::returns::LINES_FIXED;
use super::step::{Asked, Plan, Question, Rules};
use super::survey::Survey;
use super::thing::Thing;
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What a lane's turn comes to.
#[derive(Debug)]
pub struct Turn {
    /// Events that are final now.
    pub settled: Vec<Arc<Settled>>,
    /// Where the others stand.
    pub standings: BTreeMap<EventNo, Standing>,
    /// Now, in charged time: since when an event waits that has just begun to.
    pub charged: DateTime<Utc>,
    /// What to do.
    pub next: Next,
}

/// What a lane does next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// Send a mutation.
    Send(Box<Draft>),
    /// Read the order.
    Read {
        /// What the read is to tell.
        questions: Vec<Question>,
        /// `{"orderIdentifier": …}`, as it is sent.
        variables: String,
    },
    /// Nothing before this; nothing at all where it is none.
    Rest {
        /// When to look again.
        until: Option<DateTime<Utc>>,
    },
}

impl Lane {
    /// Takes the lane's turn.
    pub fn turn(&mut self, rules: &Rules, now: DateTime<Utc>) -> Turn {
        let mut settled = Vec::new();
        self.rename_things();
        loop {
            let mut survey = self.survey(rules, now, |lane, found| lane.bury(found) || lane.settle(found, &mut settled));
            if self.expire(&survey, rules, now, &mut settled) {
                continue;
            }
            let standings = self.standings(&survey, rules, now);
            for (no, standing) in &standings {
                if let Some(live) = self.events.get_mut(no) {
                    let is_waiting = matches!(standing, Standing::Waiting(_));
                    live.waiting_since = live.waiting_since.filter(|_| is_waiting).or(is_waiting.then(|| rules.charged(now)));
                }
            }
            let next = self.choose(&mut survey, rules, now);
            return Turn { settled, standings, charged: rules.charged(now), next };
        }
    }

    /// Takes out of the running what contradicts what is known. Tells whether anything changed.
    fn bury(&mut self, survey: &Survey) -> bool {
        for (subject, found) in survey.iter() {
            let (reason, victims) = match &found.plan {
                Plan::Dead { reason, members } => match found.known.holders(*members) {
                    holders if holders.is_empty() => (reason, found.known.all_holders()),
                    holders => (reason, holders),
                },
                Plan::Surplus { reason, events } => (reason, events.clone()),
                _ => continue,
            };
            for no in &victims {
                if let Some(live) = self.events.get_mut(no) {
                    live.progress.refused.push((subject.clone(), reason.clone()));
                }
            }
            if !victims.is_empty() {
                return true;
            }
        }
        false
    }

    /// Settles events that nothing is left to do for. Tells whether there were any.
    fn settle(&mut self, survey: &Survey, settled: &mut Vec<Arc<Settled>>) -> bool {
        let is_live = |no: &EventNo| self.events.get(no).is_some_and(|live| !live.is_ghost);
        let is_final = |no: &EventNo| is_live(no) && !survey.is_pending(*no) && !self.is_in_intent(*no);
        let finals: Vec<EventNo> = survey.events().filter(is_final).collect();
        for no in &finals {
            let (status, reason) = self.ending(*no, survey);
            let Some(live) = self.events.remove(no) else { continue };
            let facets: Vec<_> = self.open_facets(&live).map(|(subject, facet)| (subject.into_owned(), facet)).collect();
            for (subject, facet) in facets {
                let done = survey.get(&subject).map(|found| &found.plan);
                if let Some(Plan::Done { effect: Some(effect), .. }) = done {
                    effect.apply(&subject, &mut self.things, live.rank.time);
                }
                self.things.hold(&subject).known.overlay(facet, live.rank, None);
            }
            settled.push(Arc::new(Settled { no: *no, live, status, reason }));
        }
        !finals.is_empty()
    }

    fn ending(&self, no: EventNo, survey: &Survey) -> (Status, Option<Reason>) {
        let Some(live) = self.events.get(&no) else { return (Status::Superseded, None) };
        if let Some((_, reason)) = live.progress.refused.first() {
            return (Status::Dead, Some(reason.clone()));
        }
        if live.progress.delivered {
            return (Status::Delivered, remark(no, survey));
        }
        if live.progress.confirmed {
            return (Status::Confirmed, remark(no, survey));
        }
        let held = survey.held_by(no).map(|(_, found)| found).next();
        if held.is_some() && live.progress.partly {
            return (Status::Confirmed, remark(no, survey));
        }
        match held.map(|found| &found.plan) {
            Some(Plan::Done { note, .. }) => (Status::NothingToSend, Some(note.clone())),
            Some(_) => (Status::NothingToSend, Some(Reason::nothing("ALREADY_HELD", "Buy with Prime already holds its part"))),
            None if self.open_facets(live).all(|(subject, facet)| {
                let mut known = Thing::new(&subject).known;
                known.overlay(facet, live.rank, Some(no));
                known.all_holders().is_empty()
            }) =>
            {
                (Status::NothingToSend, Some(Reason::nothing("EMPTY", "the event has no member that could be sent")))
            }
            None => {
                let message = "a newer snapshot of the same thing was used instead";
                (Status::Superseded, Some(Reason::new(Class::Superseded, "SUPERSEDED", message)))
            }
        }
    }

    fn choose(&self, survey: &mut Survey, rules: &Rules, now: DateTime<Utc>) -> Next {
        if let Some(at) = self.memo.not_before.filter(|at| *at > now) {
            return Next::Rest { until: Some(at) };
        }
        if !self.memo.intents.is_empty() {
            return self.resolve_intents(rules, now);
        }
        let (questions, again) = self.questions(survey, rules, now);
        // A read that failed holds back only what it is for.
        let unread = self.next_read().filter(|next| *next > now && !questions.is_empty());
        if !questions.is_empty() && unread.is_none() {
            // One read answers for all that is due, however little of it would have been sent next.
            let (questions, _) = self.questions(&self.whole_survey(rules, now), rules, now);
            return self.read(rules, questions);
        }
        if let Some(draft) = draft::next(self, survey, rules, now) {
            return Next::Send(Box::new(draft));
        }
        let dues = survey.iter().filter_map(|(subject, found)| match &found.plan {
            Plan::Later { at } => Some(*at),
            _ => self.things.get(subject).and_then(|thing| thing.pace.due).filter(|due| *due > now),
        });
        let ends = self.unsettled().filter_map(|live| live.waiting_since);
        let ends = ends.map(|since| since + rules.give_up_after + rules.open_for).filter(|end| *end > now);
        Next::Rest { until: dues.chain(again).chain(unread).chain(ends).min() }
    }

    /// Reads the order for what is not known to have been applied, as soon as the read can tell.
    fn resolve_intents(&self, rules: &Rules, now: DateTime<Utc>) -> Next {
        let ready = self.memo.intents.iter().map(|intent| match intent.stands {
            Stands::InFlight | Stands::NoAnswer(_) => intent.ended_at + settling(intent.mutation, rules),
            Stands::Unclear(_) | Stands::Refused(_) | Stands::NotFound { .. } => intent.ended_at,
        });
        match ready.chain(self.next_read()).max().filter(|at| *at > now) {
            Some(at) => Next::Rest { until: Some(at) },
            None => self.read(rules, Vec::new()),
        }
    }

    /// What the next read waits for after one that failed; nothing where the order has got another name since.
    fn next_read(&self) -> Option<DateTime<Utc>> {
        let unread = self.memo.unread.as_ref().filter(|unread| unread.order_id.as_deref() == self.order_id());
        unread.map(|unread| unread.next)
    }

    fn read(&self, rules: &Rules, questions: Vec<Question>) -> Next {
        let identifier = self.order_identifier(None, &rules.alias_types);
        let mut variables = String::new();
        json::write_object(&mut variables, [("orderIdentifier", &*identifier)]);
        Next::Read { questions, variables }
    }

    /// The questions that a read is due for, and when waiting for a name calls for the next one.
    fn questions(&self, survey: &Survey, rules: &Rules, now: DateTime<Utc>) -> (Vec<Question>, Option<DateTime<Utc>>) {
        let mut due: BTreeSet<Question> = BTreeSet::new();
        let mut again: Option<DateTime<Utc>> = None;
        let asked = Asked::new(&self.memo.asked);
        for (_, found) in survey.iter() {
            match &found.plan {
                Plan::Look { questions } => due.extend(questions.iter().cloned()),
                Plan::Wait { needs } if !rules.blind => {
                    for need in needs {
                        let question = match need.kind {
                            crate::event::AliasKind::Order => Question::Order,
                            _ => Question::Name(need.clone()),
                        };
                        match asked.last(&question).map(|at| at + rules.read_interval) {
                            Some(at) if at > now => again = again.map_or(Some(at), |first| Some(first.min(at))),
                            _ => _ = due.insert(question),
                        }
                    }
                }
                _ => {}
            }
        }
        (due.into_iter().collect(), again)
    }
}

/// What is worth saying of an event although it was accepted: a part of it that could not be written.
fn remark(no: EventNo, survey: &Survey) -> Option<Reason> {
    let mine = survey.held_by(no);
    mine.filter_map(|(_, found)| match &found.plan {
        Plan::Done { note, .. } if note.code == LINES_FIXED => Some(note.clone()),
        _ => None,
    })
    .next()
}

/// How long after its end a request may still be applied.
pub fn settling(mutation: super::step::Mutation, rules: &Rules) -> chrono::TimeDelta {
    match mutation {
        super::step::Mutation::UpdateOrder => rules.request_timeout,
        super::step::Mutation::UpdatePackages => rules.sandbox_interval,
    }
}
