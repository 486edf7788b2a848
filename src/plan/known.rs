//! What is known of a thing, whatever its kind: made, laid over, asked who holds it, united.

use super::facet::Facet;
use super::rank::{EventNo, Rank};
use super::subject::Subject;
use super::thing::{Known, Thing};
use super::wanted::Members;
use std::collections::BTreeSet;

impl Thing {
    /// A thing of which nothing is known.
    pub fn new(subject: &Subject) -> Thing {
        let known = match subject {
            Subject::Order => Known::Order { base: Default::default(), held: Default::default() },
            Subject::Line(_) => Known::Line { base: Default::default(), held: Default::default() },
            Subject::Package(_) => Known::Package { base: Default::default(), held: Default::default() },
            Subject::Return(_) => Known::Return { base: Default::default(), held: Default::default() },
            Subject::Refund(_) => Known::Refund { base: Default::default(), held: Default::default() },
            Subject::Shipment(_) => Known::Shipment { base: Default::default(), held: Default::default() },
        };
        Thing { known, pace: Default::default(), check: None }
    }

    /// Takes over what was kept of the same thing under another name.
    pub fn absorb(&mut self, other: Thing) {
        self.known.absorb(other.known);
        self.check = self.check.take().or(other.check);
        self.pace.solo |= other.pace.solo;
        self.pace.due = self.pace.due.max(other.pace.due);
        or(&mut self.pace.first_failure, other.pace.first_failure);
    }
}

impl Known {
    /// Lays one event's word over what is wanted.
    pub fn overlay(&mut self, facet: &Facet, rank: Rank, holder: Option<EventNo>) {
        match (self, facet) {
            (Known::Order { base, .. }, Facet::Order(snapshot)) => base.overlay(snapshot, rank, holder),
            (Known::Line { base, .. }, Facet::Line(snapshot)) => base.overlay(snapshot, rank, holder),
            (Known::Package { base, .. }, Facet::Package(snapshot)) => base.overlay(snapshot, rank, holder),
            (Known::Return { base, .. }, Facet::Return(snapshot)) => base.overlay(snapshot, rank, holder),
            (Known::Refund { base, .. }, Facet::Refund(snapshot)) => base.overlay(snapshot, rank, holder),
            (Known::Shipment { base, .. }, Facet::Shipment(snapshot)) => base.overlay(snapshot, rank, holder),
            _ => {}
        }
    }

    /// The unsettled events that hold any of these members.
    pub fn holders(&self, members: Members) -> BTreeSet<EventNo> {
        match self {
            Known::Order { base, .. } => base.holders(members),
            Known::Line { base, .. } => base.holders(members),
            Known::Package { base, .. } => base.holders(members),
            Known::Return { base, .. } => base.holders(members),
            Known::Refund { base, .. } => base.holders(members),
            Known::Shipment { base, .. } => base.holders(members),
        }
    }

    /// The unsettled events that hold any member.
    pub fn all_holders(&self) -> BTreeSet<EventNo> {
        match self {
            Known::Order { base, .. } => base.all_holders(),
            Known::Line { base, .. } => base.all_holders(),
            Known::Package { base, .. } => base.all_holders(),
            Known::Return { base, .. } => base.all_holders(),
            Known::Refund { base, .. } => base.all_holders(),
            Known::Shipment { base, .. } => base.all_holders(),
        }
    }

    /// Takes over what was known of the same thing under another name.
    pub fn absorb(&mut self, other: Known) {
        match (self, other) {
            (Known::Order { base, held }, Known::Order { base: wanted, held: theirs }) => {
                base.absorb(*wanted);
                or(&mut held.execution_state, theirs.execution_state);
                or(&mut held.total_price, theirs.total_price);
                or(&mut held.taxes, theirs.taxes);
                or(&mut held.discount, theirs.discount);
                held.aliases.extend(theirs.aliases);
                held.links.extend(theirs.links);
                held.payments.extend(theirs.payments);
            }
            (Known::Line { base, held }, Known::Line { base: wanted, held: theirs }) => {
                base.absorb(*wanted);
                or(&mut held.taxes, theirs.taxes);
                or(&mut held.discount, theirs.discount);
                held.aliases.extend(theirs.aliases);
                held.payments.extend(theirs.payments);
            }
            (Known::Package { base, held }, Known::Package { base: wanted, held: theirs }) => {
                base.absorb(*wanted);
                held.aliases.extend(theirs.aliases);
                or(&mut held.state, theirs.state);
                or(&mut held.milestone, theirs.milestone);
                or(&mut held.tracking_number, theirs.tracking_number);
                or(&mut held.lines, theirs.lines);
                or(&mut held.read_at, theirs.read_at);
            }
            (Known::Return { base, held }, Known::Return { base: wanted, held: theirs }) => {
                base.absorb(*wanted);
                held.exists |= theirs.exists;
                held.state = held.state.max(theirs.state);
                or(&mut held.aliases, theirs.aliases);
                or(&mut held.lines, theirs.lines);
            }
            (Known::Refund { base, held }, Known::Refund { base: wanted, held: theirs }) => {
                base.absorb(*wanted);
                held.exists |= theirs.exists;
                if theirs.total.map(|total| total.amount()) > held.total.map(|total| total.amount()) {
                    (held.total, held.state) = (theirs.total, theirs.state);
                }
                or(&mut held.state, theirs.state);
                or(&mut held.request_reason, theirs.request_reason);
                or(&mut held.status_reason, theirs.status_reason);
                or(&mut held.lines, theirs.lines);
                held.aliases.extend(theirs.aliases);
                held.payments.extend(theirs.payments);
                held.sent.extend(theirs.sent);
                for (id, events) in theirs.doubtful {
                    held.doubtful.entry(id).or_default().extend(events);
                }
            }
            (Known::Shipment { base, held }, Known::Shipment { base: wanted, held: theirs }) => {
                base.absorb(*wanted);
                or(&mut held.package, theirs.package);
                or(&mut held.state, theirs.state);
                or(&mut held.milestone, theirs.milestone);
                or(&mut held.unseen_since, theirs.unseen_since);
                or(&mut held.split, theirs.split);
            }
            _ => {}
        }
    }
}

fn or<T>(slot: &mut Option<T>, value: Option<T>) {
    if slot.is_none() {
        *slot = value;
    }
}
