//! What one event says of each of its things, with the configuration applied to every reference.

use super::subject::{AliasTypes, Name, Subject};
use crate::event::{
    Alias, AliasKind, Data, Event, Line, OrderLine, OrderPackage, OrderSnapshot, Reference, RefundSnapshot, ReturnSnapshot,
    ShipmentSnapshot,
};

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
