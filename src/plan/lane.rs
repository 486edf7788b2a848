//! A lane: one order, with its names, its things, its unsettled events, and what is in flight or unknown.

use super::effect::Effect;
use super::facet::{Facet, facets};
use super::json::{self, AliasInput};
use super::names::Names;
use super::outcome::{Reason, Status};
use super::rank::{EventNo, Rank};
use super::step::{Mutation, Question};
use super::subject::{AliasTypes, Name, Need, Subject};
use super::thing::Thing;
use super::things::Things;
use crate::event::{AliasKind, Event};
use crate::moment;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Everything that is known of one order: what the planner works on, and what the ledger loads and saves.
#[derive(Debug, Clone, Default)]
pub struct Lane {
    /// Buy with Prime's id of the order, where an event or an answer gave it.
    pub bwp_id: Option<String>,
    /// The rows of the alias table that belong to this order.
    pub names: Names,
    /// What is known of each thing.
    pub things: Things,
    /// Events that are not settled, and those that died of old age, whose members still count.
    pub events: BTreeMap<EventNo, Live>,
    /// What the lane remembers between two turns.
    pub memo: Memo,
}

/// An event that is not settled.
#[derive(Debug, Clone)]
pub struct Live {
    /// The event.
    pub event: Event,
    /// What it says, thing by thing.
    pub facets: Vec<(Subject, Facet)>,
    /// How new it is.
    pub rank: Rank,
    /// What has become of it so far.
    pub progress: Progress,
    /// Since when it waits for a name.
    pub waiting_since: Option<DateTime<Utc>>,
    /// Whether it died of old age: it only lends its members to newer snapshots.
    pub is_ghost: bool,
}

impl Live {
    /// An event that has just arrived.
    pub fn new(no: EventNo, event: Event, types: &AliasTypes) -> Live {
        let rank = Rank { version: event.data.version(), time: event.envelope.time, arrival: no };
        let facets = facets(&event, types);
        Live { event, facets, rank, progress: Progress::default(), waiting_since: None, is_ghost: false }
    }
}

/// What has become of an event before it is final.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Mutations sent for it.
    pub attempts: u32,
    /// Whether Buy with Prime accepted a part of it.
    pub delivered: bool,
    /// Whether a read showed a part of it, after a send or a refusal.
    pub confirmed: bool,
    /// Whether a read showed some of what was sent for it, but not all: that is enough where nothing of the rest is wanted any more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub partly: bool,
    /// The things for which it was refused or contradicts, with the first reason.
    pub refused: Vec<(Subject, Reason)>,
}

/// What a lane remembers between two turns.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memo {
    /// Questions that a read was made for, and when.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<(Question, DateTime<Utc>)>,
    /// Mutations that are in flight, or of which it is not known whether they were applied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub intents: Vec<Intent>,
    /// Nothing is sent or read before this: a `Retry-After` of this order.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "moment::serialize_some")]
    pub not_before: Option<DateTime<Utc>>,
    /// Reads that failed in a row.
    #[serde(skip_serializing_if = "is_zero")]
    pub failed_reads: u32,
    /// Since when Buy with Prime does not know the order, and by which id it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absent: Option<Absent>,
    /// That the order cannot be read, from the first read that failed to the next that does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<Unread>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Buy with Prime does not know the order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Absent {
    /// When it last said so.
    pub at: DateTime<Utc>,
    /// Buy with Prime's id as it was known then: another one is worth another try at once.
    pub bwp_id: Option<String>,
}

/// The order cannot be read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unread {
    /// The next read is not before this.
    pub next: DateTime<Utc>,
    /// What went wrong last.
    pub last: Reason,
    /// Buy with Prime's id of the order as it was known then: another one is worth another try at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<String>,
    /// The first failed read that each event was there for, in charged time: its time budget counts from here.
    pub since: BTreeMap<EventNo, DateTime<Utc>>,
}

/// A mutation as it was meant, written before it is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// Which mutation.
    pub mutation: Mutation,
    /// Its parts.
    pub parts: Arc<Vec<Part>>,
    /// When the attempt is over at the latest, or was over.
    #[serde(serialize_with = "moment::serialize")]
    pub ended_at: DateTime<Utc>,
    /// How it stands.
    pub stands: Stands,
}

/// How a mutation stands that has not been settled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Stands {
    /// Sent, or about to be: what a holder that died leaves behind.
    InFlight,
    /// No answer came: it may still be applied.
    NoAnswer(Reason),
    /// An answer came that does not tell.
    Unclear(Reason),
    /// Refused with several parts: which of them is at fault is not known.
    Refused(Reason),
    /// Buy with Prime does not know the order, or something that the mutation names in it: a read tells which.
    NotFound {
        /// What was said.
        reason: Reason,
        /// The id by which the mutation named the order; none where it was by an alias.
        order_id: Option<String>,
    },
}

/// One thing's part in a mutation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The thing.
    pub subject: Subject,
    /// The events that it is sent for.
    pub events: BTreeSet<EventNo>,
    /// What it changes.
    pub effect: Effect,
}

/// A mutation that is to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Which mutation.
    pub mutation: Mutation,
    /// Its parts: those of the intent that is noted before it is sent.
    pub parts: Arc<Vec<Part>>,
    /// `{"input": …, "orderIdentifier": …}`, as it is sent.
    pub variables: String,
}

impl Draft {
    /// The events that it is sent for, in the order of intake.
    pub fn events(&self) -> BTreeSet<EventNo> {
        self.parts.iter().flat_map(|part| &part.events).copied().collect()
    }
}

/// An event that is final.
#[derive(Debug, Clone)]
pub struct Settled {
    /// Its place.
    pub no: EventNo,
    /// The event.
    pub live: Live,
    /// How it ended.
    pub status: Status,
    /// Why.
    pub reason: Option<Reason>,
}

/// Where an unsettled event stands after its lane's turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Due when its lane's turn comes.
    Queued,
    /// For names that are not known.
    Waiting(BTreeSet<Need>),
    /// For its next try, or for a read that tells what became of the last one.
    Retrying,
}

/// `OrderIdentifierInput`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Identifier<'a> {
    OrderId(&'a str),
    Alias(AliasInput<'a>),
}

impl Lane {
    /// The order's id at Buy with Prime, where it is known.
    pub fn order_id(&self) -> Option<&str> {
        self.bwp_id.as_deref().or_else(|| self.names.order_id())
    }

    /// How the order is named in a request, as JSON text: by Buy with Prime's id where it is known, else by the alias that the event
    /// gives.
    pub fn order_identifier(&self, live: Option<&Live>, types: &AliasTypes) -> String {
        let named = || live.or_else(|| self.unsettled().next());
        let name = match self.order_id() {
            Some(id) => return json::text(&Identifier::OrderId(id)),
            None => named().map(|live| types.name(AliasKind::Order, &live.event.data.order())),
        };
        json::text(&name.as_ref().map(|name| match name {
            Name::Alias(alias) => Identifier::Alias(alias.into()),
            Name::Bwp(id) => Identifier::OrderId(id),
        }))
    }

    /// The events that are not settled: not those that died of old age.
    pub fn unsettled(&self) -> impl Iterator<Item = &Live> {
        self.events.values().filter(|live| !live.is_ghost)
    }

    /// The thing, made where it was not known.
    pub fn thing(&mut self, subject: Subject) -> &mut Thing {
        self.things.hold(&subject)
    }

    /// The one name under which a thing is kept: Buy with Prime's id as soon as the table knows it.
    pub fn canonical<'a>(&'a self, subject: &'a Subject) -> Cow<'a, Subject> {
        let Some(Name::Alias(alias)) = subject.name() else { return Cow::Borrowed(subject) };
        match self.resolved(subject) {
            Some(resolved) => Cow::Owned(resolved),
            None if self.things.contains_key(subject) => Cow::Borrowed(subject),
            // Buy with Prime has accepted the alias on another thing of the kind: then both names are one thing.
            None => Cow::Borrowed(self.things.carrier(subject.kind(), alias).unwrap_or(subject)),
        }
    }

    fn resolved(&self, subject: &Subject) -> Option<Subject> {
        let id = self.names.resolve(subject.kind(), subject.name()?)?;
        Some(subject.renamed(Name::Bwp(id.to_owned())))
    }

    /// Brings every thing under its one name, uniting what was known under two.
    pub fn rename_things(&mut self) {
        let renamed = self.things.keys().filter_map(|subject| self.resolved(subject).map(|new| (subject.clone(), new)));
        for (old, new) in renamed.collect::<Vec<_>>() {
            if let Some(thing) = self.things.remove(&old) {
                self.things.unite(new, thing);
            }
        }
    }

    /// Whether an event takes part in a mutation that is in flight or unknown.
    pub fn is_in_intent(&self, no: EventNo) -> bool {
        self.memo.intents.iter().any(|intent| intent.parts.iter().any(|part| part.events.contains(&no)))
    }

    /// The things that take part in a mutation that is in flight or unknown.
    pub fn subjects_in_intents(&self) -> BTreeSet<Subject> {
        let parts = self.memo.intents.iter().flat_map(|intent| &*intent.parts);
        parts.map(|part| self.canonical(&part.subject).into_owned()).collect()
    }

    /// Takes over all of another lane that turned out to be the same order. What either had in flight is to be read.
    pub fn absorb(&mut self, other: Lane) {
        self.bwp_id = self.bwp_id.take().or(other.bwp_id);
        self.names.absorb(other.names);
        for (subject, thing) in other.things.into_all() {
            self.things.unite(subject, thing);
        }
        self.events.extend(other.events);
        self.memo.asked.extend(other.memo.asked);
        self.memo.intents.extend(other.memo.intents);
        self.memo.absent = None;
        match (&mut self.memo.unread, other.memo.unread) {
            (Some(mine), Some(theirs)) => mine.since.extend(theirs.since),
            (mine, theirs) => *mine = mine.take().or(theirs),
        }
        self.memo.not_before = self.memo.not_before.max(other.memo.not_before);
        self.rename_things();
    }
}
