//! The vocabulary of planning: what is asked of one thing, and what the answer can be.

use super::effect::Effect;
use super::names::Names;
use super::outcome::Reason;
use super::rank::EventNo;
use super::subject::{AliasTypes, Name, Need, Subject};
use super::wanted::Members;
use crate::event::{AliasKind, Line, Reference};

pub use crate::config::{Coalesce, Environment, ReadFirst};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What planning takes from the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Of the target.
    pub environment: Environment,
    /// Of the target.
    pub alias_types: AliasTypes,
    /// `dispatch.coalesce`
    pub coalesce: Coalesce,
    /// `dispatch.read_first`
    pub read_first: ReadFirst,
    /// What is known of Buy with Prime from before this moment may be older than what it holds: a ledger that was restored.
    pub doubted_at: Option<DateTime<Utc>>,
    /// `waiting.read_interval`
    pub read_interval: TimeDelta,
    /// `waiting.give_up_after`
    pub give_up_after: TimeDelta,
    /// `waiting.sandbox_interval`
    pub sandbox_interval: TimeDelta,
    /// `dispatch.request_timeout`
    pub request_timeout: TimeDelta,
    /// `retry.budget`
    pub retry_budget: TimeDelta,
    /// Play as if every read of the order found nothing new: for `map`, which has no network.
    pub blind: bool,
    /// For how long the target's breaker has been open, or an operator has stopped the target, so far: time that no event is charged for.
    pub open_for: TimeDelta,
}

impl Rules {
    /// A moment on the clock that stands still while the breaker is open or the target is paused: time budgets are counted on it.
    pub fn charged(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now - self.open_for
    }
}

/// Something that only a read of the order can tell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Question {
    /// What a name stands for.
    Name(Need),
    /// Which package carries a tracking number.
    Tracking(String),
    /// What Buy with Prime holds of a thing.
    State(Subject),
    /// Whether the last step of a shipment shows.
    Step(Subject),
    /// Whether a refusal only meant that it is already so.
    Check(Subject),
    /// Whether the order is there at all.
    Order,
}

/// Questions that reads have answered, and when last.
#[derive(Debug)]
pub struct Asked<'a>(BTreeMap<&'a Question, DateTime<Utc>>);

impl<'a> Asked<'a> {
    /// From what a lane remembers.
    pub fn new(asked: &'a [(Question, DateTime<Utc>)]) -> Asked<'a> {
        let mut last = BTreeMap::new();
        for (question, at) in asked {
            last.entry(question).and_modify(|last| *last = (*at).max(*last)).or_insert(*at);
        }
        Asked(last)
    }

    /// When a question was last answered.
    pub fn last(&self, question: &Question) -> Option<DateTime<Utc>> {
        self.0.get(question).copied()
    }
}

/// What a thing is planned with.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The configuration.
    pub rules: &'a Rules,
    /// The names of the order's things.
    pub names: &'a Names,
    /// Questions that a read has answered, and when.
    pub asked: &'a Asked<'a>,
    /// The present.
    pub now: DateTime<Utc>,
}

impl Context<'_> {
    /// Whether a read since the given moment could have answered the question.
    pub fn asked_since(&self, question: &Question, since: Option<DateTime<Utc>>) -> bool {
        self.rules.blind || self.asked.last(question).is_some_and(|at| since.is_none_or(|since| at >= since))
    }

    /// What to do about names that are not known: the order is read once for them, then they are waited for.
    pub fn missing(&self, needs: Vec<Need>) -> Plan {
        if let Some(need) = needs.iter().find(|need| self.names.is_ambiguous(need.kind, &need.name)) {
            return Plan::Dead { reason: ambiguous(&need.name).at("/data/lines"), members: Members::new() };
        }
        let unasked: Vec<Question> =
            needs.iter().cloned().map(Question::Name).filter(|question| !self.asked_since(question, None)).collect();
        if unasked.is_empty() { Plan::Wait { needs } } else { Plan::Look { questions: unasked } }
    }

    /// Buy with Prime's ids of lines, in their order, with the quantities.
    pub fn lines(&self, lines: &[Line]) -> Result<Vec<(String, Option<u32>)>, Box<Plan>> {
        let mut found: Vec<(String, Option<u32>)> = Vec::with_capacity(lines.len());
        let mut needs = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            match self.names.require(AliasKind::LineItem, &name_of(&line.line)) {
                Ok(id) if found.iter().any(|(known, _)| *known == id) => {
                    let message = format!("line item {id} is named twice, under two names");
                    let reason = Reason::contradiction("DUPLICATE_LINE", message).at(format!("/data/lines/{at}"));
                    return Err(Box::new(Plan::Dead { reason, members: Members::from([super::wanted::Member::Lines]) }));
                }
                Ok(id) => found.push((id, line.quantity)),
                Err(need) if self.names.is_ambiguous(need.kind, &need.name) => {
                    let reason = ambiguous(&need.name).at(format!("/data/lines/{at}/line"));
                    return Err(Box::new(Plan::Dead { reason, members: Members::from([super::wanted::Member::Lines]) }));
                }
                Err(need) => needs.push(need),
            }
        }
        if needs.is_empty() { Ok(found) } else { Err(Box::new(self.missing(needs))) }
    }
}

/// Which of the lines is meant is not guessed.
fn ambiguous(name: &Name) -> Reason {
    let message = format!("{name} stands on several lines of the order; name the line by an alias of its own, or by its bwpId");
    Reason::contradiction("AMBIGUOUS_ALIAS", message)
}

/// The name of a reference that the configuration has been applied to.
pub fn name_of(reference: &Reference) -> Name {
    match reference {
        Reference::BwpId(id) => Name::Bwp(id.clone()),
        Reference::Alias(alias) => Name::Alias(alias.clone()),
        Reference::Id(id) => Name::Alias(crate::event::Alias { alias_type: String::new(), id: id.clone() }),
    }
}

/// Which mutation of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Mutation {
    /// `updateOrder`
    #[serde(rename = "updateOrder")]
    UpdateOrder,
    /// `updateOrderPackageInformation`, in the sandbox alone.
    #[serde(rename = "updateOrderPackageInformation")]
    UpdatePackages,
}

impl Mutation {
    /// The name of the operation.
    pub const fn as_str(self) -> &'static str {
        match self {
            Mutation::UpdateOrder => "updateOrder",
            Mutation::UpdatePackages => "updateOrderPackageInformation",
        }
    }
}

/// What a thing puts into the input of a mutation, as JSON text.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// An element of `returns.details`.
    Return(String),
    /// An element of `refunds.details`.
    Refund(String),
    /// An element of `lineItems`.
    LineItem(String),
    /// An element of `packageInformation.details`, of either mutation.
    Package(String),
    /// Members of the input itself.
    Order(Fields),
}

/// Members of an input by their names, as JSON text.
pub type Fields = BTreeMap<&'static str, String>;

/// What is to be done for one thing now.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    /// All that is wanted is so, or cannot be written.
    Done {
        /// Why nothing is sent.
        note: Reason,
        /// What is known from it.
        effect: Option<Effect>,
    },
    /// One entry of a mutation.
    Send {
        /// The mutation it belongs to.
        mutation: Mutation,
        /// What it says.
        entry: Entry,
        /// What is known once it is accepted.
        effect: Effect,
        /// The members that this entry serves.
        step: Members,
        /// All members that are not yet as wanted, this step's among them.
        outstanding: Members,
    },
    /// Names are missing that a read did not show.
    Wait {
        /// The names.
        needs: Vec<Need>,
    },
    /// The order has to be read first.
    Look {
        /// What the read is to tell.
        questions: Vec<Question>,
    },
    /// Not now: again later, without a failure.
    Later {
        /// When.
        at: DateTime<Utc>,
    },
    /// Wrong against what is known: the snapshots that hold these members are at fault.
    Dead {
        /// What is wrong.
        reason: Reason,
        /// The members at fault.
        members: Members,
    },
    /// More than the thing can take: these snapshots are at fault, and the others go on without them.
    Surplus {
        /// What is too much.
        reason: Reason,
        /// The snapshots that bring what does not fit beside earlier ones.
        events: BTreeSet<EventNo>,
    },
}
