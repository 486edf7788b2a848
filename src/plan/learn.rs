//! What an answer of Buy with Prime teaches: names, and what it holds.

use super::effect::hold_package;
use super::lane::Lane;
use super::names::Names;
use super::subject::{Name, Subject};
use super::thing::{Known, PackageHeld, PaymentHeld, RefundHeld, ReturnHeld, ShipmentHeld, Thing};
use crate::event::{
    Alias, AliasKind, Currency, ExecutionState, LinkDestination, Money, OrderLink, PaymentMethod, PaymentState, RefundState,
    ReturnState, ShipmentState,
};
use crate::prime::view::{
    AliasView, LineShare, LinkView, OrderView, PackageView, PaymentView, ReadMoney, RefundView, ReturnView,
};
use chrono::{DateTime, Utc};
use rust_decimal::prelude::ToPrimitive;
use std::collections::{BTreeMap, BTreeSet};

impl Lane {
    /// Takes in what an answer to a mutation shows: ids and their aliases, and no states, which the effects tell better.
    pub fn learn_names(&mut self, view: &OrderView, now: DateTime<Utc>) {
        if view.id.is_some() {
            self.bwp_id.clone_from(&view.id);
        }
        if let Some(id) = &self.bwp_id {
            learn_aliases(&mut self.names, AliasKind::Order, id, &view.aliases, now);
        }
        self.learn_lines(view, now);
        for item in view.returns.iter().flatten() {
            learn_aliases(&mut self.names, AliasKind::Return, &item.id, &item.aliases, now);
        }
        for refund in view.refunds.iter().flatten() {
            learn_aliases(&mut self.names, AliasKind::Refund, &refund.id, &refund.aliases, now);
        }
        for package in view.packages.iter().flatten() {
            learn_aliases(&mut self.names, AliasKind::Package, &package.id, &package.aliases, now);
        }
        self.rename_things();
    }

    /// Takes in a read of the whole order: the names, and what Buy with Prime holds now.
    pub fn learn(&mut self, view: &OrderView, now: DateTime<Utc>) {
        self.learn_names(view, now);
        self.learn_order(view);
        for item in view.returns.iter().flatten() {
            let thing = self.thing(Subject::Return(Name::Bwp(item.id.clone())));
            if let Known::Return { held, .. } = &mut thing.known {
                learn_return(held, item);
            }
        }
        for refund in view.refunds.iter().flatten() {
            let thing = self.thing(Subject::Refund(Name::Bwp(refund.id.clone())));
            if let Known::Refund { held, .. } = &mut thing.known {
                learn_refund(held, refund);
            }
        }
        self.learn_packages(view, now);
    }

    /// Every answer shows all lines: an alias that stands on two of them, say a SKU that was bought twice, names neither.
    fn learn_lines(&mut self, view: &OrderView, now: DateTime<Utc>) {
        // The one line that each alias stands on.
        let mut shown: BTreeMap<&Alias, Option<&str>> = BTreeMap::new();
        for line in view.lines.iter().flatten() {
            for alias in line.aliases.iter().flatten() {
                let known = shown.entry(&alias.0).or_insert(Some(&line.id));
                *known = known.filter(|known| *known == line.id);
            }
        }
        for (alias, line) in shown {
            match line {
                Some(line) => self.names.learn(AliasKind::LineItem, alias, line, now),
                None => self.names.learn_ambiguous(AliasKind::LineItem, alias, now),
            };
        }
    }

    fn learn_order(&mut self, view: &OrderView) {
        let thing = self.thing(Subject::Order);
        if let Known::Order { held, .. } = &mut thing.known {
            if let Some(state) = view.execution_state.as_deref().and_then(ExecutionState::parse) {
                held.execution_state = Some(state);
            }
            held.aliases.extend(set_of(&view.aliases).into_iter().flatten());
            held.links.extend(view.links.iter().flatten().filter_map(link_of));
            held.total_price = money_of(&view.total_price).or(held.total_price);
            held.taxes = money_of(&view.taxes).or(held.taxes);
            learn_payments(&mut held.payments, &view.payments);
        }
        for line in view.lines.iter().flatten() {
            let aliases = set_of(&line.aliases);
            let thing = self.thing(Subject::Line(Name::Bwp(line.id.clone())));
            if let Known::Line { held, .. } = &mut thing.known {
                held.aliases.extend(aliases.into_iter().flatten());
                held.taxes = money_of(&line.taxes).or(held.taxes);
                learn_payments(&mut held.payments, &line.payments);
            }
        }
    }

    fn learn_packages(&mut self, view: &OrderView, now: DateTime<Utc>) {
        let Some(packages) = &view.packages else { return };
        let is_gone = |(subject, thing): &(&Subject, &Thing)| match (subject, &thing.known) {
            (Subject::Package(Name::Bwp(id)), Known::Package { held, .. }) => {
                !held.gone && !packages.iter().any(|package| package.id == *id)
            }
            _ => false,
        };
        let gone: Vec<Subject> = self.things.iter().filter(is_gone).map(|(subject, _)| subject.clone()).collect();
        for subject in &gone {
            hold_package(&mut self.things, subject, |held| held.gone = true);
        }
        for package in packages {
            let subject = Subject::Package(Name::Bwp(package.id.clone()));
            hold_package(&mut self.things, &subject, |held| learn_package(held, package, now));
        }
        let shipments: Vec<Subject> =
            self.things.keys().filter(|subject| matches!(subject, Subject::Shipment(_))).cloned().collect();
        for subject in shipments {
            if let Some(Thing { known: Known::Shipment { held, .. }, .. }) = self.things.get_mut(&subject)
                && held.unseen_since.is_some_and(|since| since <= now)
                && shows(held, packages, subject.name())
            {
                held.unseen_since = None;
            }
        }
    }
}

fn learn_aliases(names: &mut Names, kind: AliasKind, id: &str, aliases: &Option<Vec<AliasView>>, now: DateTime<Utc>) {
    for alias in aliases.iter().flatten() {
        names.learn(kind, &alias.0, id, now);
    }
}

/// Whether a read shows the last step that was accepted for a shipment.
fn shows(held: &ShipmentHeld, packages: &[PackageView], name: Option<&Name>) -> bool {
    let own = |package: &PackageView| match name {
        Some(Name::Bwp(id)) => package.id == *id,
        Some(Name::Alias(alias)) => package.aliases.iter().flatten().any(|known| known.0 == *alias),
        None => false,
    };
    let lines = |package: &PackageView| held.split.is_some() && shares_of(&package.lines) == held.split;
    let mine = |package: &&PackageView| match &held.package {
        Some(id) => package.id == *id,
        None => own(package) || lines(package) || packages.len() == 1,
    };
    let state = held.state.map(ShipmentState::as_str);
    packages.iter().filter(mine).any(|package| {
        state.is_none_or(|state| package.state.as_deref() == Some(state))
            && held.milestone.as_ref().is_none_or(|milestone| package.milestone.as_ref() == Some(milestone))
    })
}

fn learn_return(held: &mut ReturnHeld, view: &ReturnView) {
    held.exists = true;
    if let Some(state) = view.state.as_deref().and_then(ReturnState::parse) {
        held.state = Some(state);
    }
    if let Some(aliases) = set_of(&view.aliases) {
        held.aliases = Some(aliases);
    }
}

fn learn_refund(held: &mut RefundHeld, view: &RefundView) {
    held.exists = true;
    if let Some(state) = view.state.as_deref().and_then(RefundState::parse) {
        held.state = Some(state);
    }
    if let Some(total) = money_of(&view.total) {
        held.total = Some(total);
    }
    held.request_reason = view.request_reason.clone().or(held.request_reason.take());
    held.status_reason = view.status_reason.clone().or(held.status_reason.take());
    if let Some(aliases) = set_of(&view.aliases) {
        held.aliases = aliases;
    }
    if let Some(lines) = &view.lines {
        let read = lines.iter().map(|share| (share.line.clone(), share.quantity.and_then(|quantity| quantity.to_u32())));
        held.lines = Some(read.collect());
    }
    learn_payments(&mut held.payments, &view.payments);
}

fn learn_payments(held: &mut BTreeMap<String, PaymentHeld>, read: &Option<Vec<PaymentView>>) {
    for payment in read.iter().flatten() {
        if let Some(id) = &payment.id {
            held.entry(id.clone()).or_insert_with(|| payment_of(payment));
        }
    }
}

fn learn_package(held: &mut PackageHeld, view: &PackageView, now: DateTime<Utc>) {
    held.aliases.extend(set_of(&view.aliases).into_iter().flatten());
    held.state.clone_from(&view.state);
    held.milestone.clone_from(&view.milestone);
    held.tracking_number.clone_from(&view.tracking_number);
    held.lines = shares_of(&view.lines);
    held.read_at = Some(now);
    held.gone = false;
}

/// A list of aliases as a set; none where it is not shown.
pub fn set_of(aliases: &Option<Vec<AliasView>>) -> Option<BTreeSet<Alias>> {
    aliases.as_ref().map(|aliases| aliases.iter().map(|alias| alias.0.clone()).collect())
}

/// What a package holds, by line item; none where it is not shown.
pub fn shares_of(lines: &Option<Vec<LineShare>>) -> Option<BTreeMap<String, u32>> {
    let lines = lines.as_ref()?;
    lines.iter().map(|share| Some((share.line.clone(), share.quantity?.to_u32()?))).collect()
}

/// A float read from Buy with Prime, rounded to the currency's digits before it is compared.
pub fn money_of(read: &Option<ReadMoney>) -> Option<Money> {
    let read = read.as_ref()?;
    let currency = Currency::parse(read.currency.as_deref()?)?;
    Some(Money::from_parts(read.rounded(currency.digits()), currency))
}

fn link_of(view: &LinkView) -> Option<OrderLink> {
    Some(OrderLink { destination: LinkDestination::parse(&view.destination)?, url: view.url.clone()? })
}

/// A payment as it was read.
pub fn payment_of(view: &PaymentView) -> PaymentHeld {
    let method = view.method.clone().zip(view.display.clone());
    PaymentHeld {
        amount: money_of(&view.amount),
        method: method.map(|(method_type, display)| PaymentMethod { method_type, display }.into()),
        state: view.state.as_deref().and_then(PaymentState::parse),
    }
}
