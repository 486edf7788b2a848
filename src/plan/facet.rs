//! What one event says of each of its things, with the configuration applied to every reference.

use super::rank::{EventNo, Rank};
use super::subject::{AliasTypes, Name, Subject};
use super::thing::{Known, Thing};
use super::wanted::{LineWanted, Members, OrderWanted, PackageWanted, RefundWanted, ReturnWanted, ShipmentWanted};
use crate::event::{
    Alias, AliasKind, Data, Event, Line, OrderLine, OrderPackage, OrderSnapshot, Reference, RefundSnapshot, ReturnSnapshot,
    ShipmentSnapshot,
};
use std::collections::BTreeSet;

/// One event's word on one thing. References in it are aliases or Buy with Prime's ids, never bare ids.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the kinds of things")]
pub enum Facet {
    Order(OrderSnapshot),
    Line(OrderLine),
    Package(OrderPackage),
    Return(ReturnSnapshot),
    Refund(RefundSnapshot),
    Shipment(ShipmentSnapshot),
}

/// The things that an event speaks of, and what it says of each. An alias row speaks of none.
pub fn facets(event: &Event, types: &AliasTypes) -> Vec<(Subject, Facet)> {
    match &event.data {
        Data::Return(snapshot) => vec![return_facet(event, snapshot, types)],
        Data::Refund(snapshot) => {
            let name = types.name(AliasKind::Refund, &snapshot.refund);
            let mut snapshot = snapshot.clone();
            snapshot.refund = reference(&name);
            normalise_lines(&mut snapshot.lines, types);
            vec![(Subject::Refund(name), Facet::Refund(snapshot))]
        }
        Data::Shipment(snapshot) => {
            let name = types.name(AliasKind::Package, &snapshot.shipment);
            let mut snapshot = snapshot.clone();
            snapshot.shipment = reference(&name);
            snapshot.package = snapshot.package.map(|package| reference(&types.name(AliasKind::Package, &package)));
            normalise_lines(&mut snapshot.lines, types);
            vec![(Subject::Shipment(name), Facet::Shipment(snapshot))]
        }
        Data::Order(snapshot) => order_facets(snapshot, types),
        Data::Alias(_) => Vec::new(),
    }
}

fn return_facet(event: &Event, snapshot: &ReturnSnapshot, types: &AliasTypes) -> (Subject, Facet) {
    let name = match &snapshot.reference {
        Some(reference) => types.name(AliasKind::Return, reference),
        None => {
            let id = event.envelope.identity.derived_alias_id();
            Name::Alias(Alias { alias_type: types.returns.clone(), id })
        }
    };
    let mut snapshot = snapshot.clone();
    snapshot.reference = Some(reference(&name));
    // The list is complete: the alias that names the return stands first in it.
    snapshot.aliases = snapshot.aliases.map(|aliases| {
        let mut full: Vec<Alias> = name.alias().cloned().into_iter().collect();
        for alias in aliases {
            if !full.contains(&alias) {
                full.push(alias);
            }
        }
        full
    });
    normalise_lines(&mut snapshot.lines, types);
    (Subject::Return(name), Facet::Return(snapshot))
}

fn order_facets(snapshot: &OrderSnapshot, types: &AliasTypes) -> Vec<(Subject, Facet)> {
    let mut order = snapshot.clone();
    let own = types.name(AliasKind::Order, &snapshot.order);
    order.aliases = order.aliases.map(|aliases| aliases.into_iter().filter(|alias| own.alias() != Some(alias)).collect());
    let lines = order.lines.take().unwrap_or_default();
    let packages = order.packages.take().unwrap_or_default();
    let mut facets = vec![(Subject::Order, Facet::Order(order))];
    facets.extend(lines.into_iter().map(|mut line| {
        let name = types.name(AliasKind::LineItem, &line.line);
        line.line = reference(&name);
        (Subject::Line(name), Facet::Line(line))
    }));
    facets.extend(packages.into_iter().map(|mut package| {
        let name = types.name(AliasKind::Package, &package.package);
        package.package = reference(&name);
        (Subject::Package(name), Facet::Package(package))
    }));
    facets
}

fn reference(name: &Name) -> Reference {
    match name {
        Name::Bwp(id) => Reference::BwpId(id.clone()),
        Name::Alias(alias) => Reference::Alias(alias.clone()),
    }
}

fn normalise_lines(lines: &mut Option<Vec<Line>>, types: &AliasTypes) {
    for line in lines.iter_mut().flatten() {
        line.line = reference(&types.name(AliasKind::LineItem, &line.line));
    }
}

impl Thing {
    /// A thing of which nothing is known.
    pub fn new(subject: &Subject) -> Thing {
        let known = match subject {
            Subject::Order => Known::Order { base: OrderWanted::default(), held: Default::default() },
            Subject::Line(_) => Known::Line { base: LineWanted::default(), held: Default::default() },
            Subject::Package(_) => Known::Package { base: PackageWanted::default(), held: Default::default() },
            Subject::Return(_) => Known::Return { base: ReturnWanted::default(), held: Default::default() },
            Subject::Refund(_) => Known::Refund { base: RefundWanted::default(), held: Default::default() },
            Subject::Shipment(_) => Known::Shipment { base: ShipmentWanted::default(), held: Default::default() },
        };
        Thing { known, pace: Default::default(), check: None }
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
    pub fn holders(&self, members: &Members) -> BTreeSet<EventNo> {
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
                base.absorb(wanted);
                or(&mut held.execution_state, theirs.execution_state);
                or(&mut held.total_price, theirs.total_price);
                or(&mut held.taxes, theirs.taxes);
                or(&mut held.discount, theirs.discount);
                held.aliases.extend(theirs.aliases);
                held.links.extend(theirs.links);
                held.payments.extend(theirs.payments);
            }
            (Known::Line { base, held }, Known::Line { base: wanted, held: theirs }) => {
                base.absorb(wanted);
                or(&mut held.taxes, theirs.taxes);
                or(&mut held.discount, theirs.discount);
                held.aliases.extend(theirs.aliases);
                held.payments.extend(theirs.payments);
            }
            (Known::Package { base, held }, Known::Package { base: wanted, held: theirs }) => {
                base.absorb(wanted);
                held.aliases.extend(theirs.aliases);
                or(&mut held.state, theirs.state);
                or(&mut held.milestone, theirs.milestone);
                or(&mut held.tracking_number, theirs.tracking_number);
                or(&mut held.lines, theirs.lines);
                or(&mut held.read_at, theirs.read_at);
            }
            (Known::Return { base, held }, Known::Return { base: wanted, held: theirs }) => {
                base.absorb(wanted);
                held.exists |= theirs.exists;
                held.state = held.state.max(theirs.state);
                or(&mut held.aliases, theirs.aliases);
                or(&mut held.lines, theirs.lines);
            }
            (Known::Refund { base, held }, Known::Refund { base: wanted, held: theirs }) => {
                base.absorb(wanted);
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
            }
            (Known::Shipment { base, held }, Known::Shipment { base: wanted, held: theirs }) => {
                base.absorb(wanted);
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
