//! Whether a read shows that an entry was applied: what decides after an answer that is missing, unreadable or a refusal.

mod order;

use super::effect::{Effect, RefundEffect, ReturnEffect, ShipmentEffect};
use super::lane::{Lane, Part};
use super::learn::{money_of, set_of, shares_of};
use super::subject::{Name, Subject};
use super::thing::{Known, PaymentHeld, RefundHeld, ShipmentHeld, Thing};
use crate::event::{Alias, ShipmentState};
use crate::prime::view::{AliasView, OrderView, PackageView, RefundView, ReturnView};
use order::agrees;
use rust_decimal::prelude::ToPrimitive;
use std::collections::{BTreeMap, BTreeSet};

pub use order::so_far;

/// What a read says of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// All that it asked for is so.
    Yes,
    /// It was applied, as the total tells, but not all that it asked for shows: its payments are not sent again, the rest is.
    Taken,
    /// Some of it is so: only the rest is sent.
    Partly,
    /// None of it is so.
    No,
    /// The read cannot tell, and a guess could pay twice.
    Unverifiable,
}

/// What is known beside the entry itself.
#[derive(Debug, Clone, Default)]
pub struct Beside<'a> {
    /// Buy with Prime's id of the thing.
    pub bwp_id: Option<&'a str>,
    /// What is known of the refund.
    pub refund: Option<&'a RefundHeld>,
    /// Packages that were, when last read, already what a split was to make.
    pub before: BTreeSet<String>,
    /// Other parts like it that were accepted since: a package for each of them is theirs.
    pub twins: usize,
}

impl Lane {
    /// Compares one part of a mutation with the order as it was read, before anything is learned from that read.
    pub fn shows(&self, part: &Part, view: &OrderView) -> Shown {
        let subject = self.canonical(&part.subject);
        let mut beside = Beside { bwp_id: self.bwp_id_of(&subject), ..Beside::default() };
        if let Some(Known::Refund { held, .. }) = self.things.get(&subject).map(|thing| &thing.known) {
            beside.refund = Some(held);
        }
        if let Effect::Shipment(effect) = &part.effect {
            let state = effect.state.map(ShipmentState::as_str);
            for (other, thing) in &self.things {
                match (other, thing) {
                    (Subject::Package(Name::Bwp(id)), Thing { known: Known::Package { held, .. }, .. })
                        if !held.gone && held.lines == effect.lines && held.state.as_deref() == state =>
                    {
                        beside.before.insert(id.clone());
                    }
                    (_, Thing { known: Known::Shipment { held, .. }, .. }) if *other != *subject && is_twin(held, effect) => {
                        beside.twins += 1;
                    }
                    _ => {}
                }
            }
        }
        shown(&part.effect, &subject, &beside, view)
    }

    /// The payments of a part that a read shows, by whatever name the refund goes there: they must not be sent again.
    pub(super) fn paid(&self, part: &Part, view: &OrderView) -> BTreeMap<String, PaymentHeld> {
        let Effect::Refund(effect) = &part.effect else { return BTreeMap::new() };
        let subject = self.canonical(&part.subject);
        let read = refund_of(&own(&subject, self.bwp_id_of(&subject), &effect.aliases), view);
        let ids: BTreeSet<&str> = read.map(|(refund, _)| payment_ids(refund)).unwrap_or_default();
        let paid = effect.payments.iter().filter(|(id, _)| ids.contains(id.as_str()));
        paid.map(|(id, payment)| (id.clone(), payment.clone())).collect()
    }

    fn bwp_id_of(&self, subject: &Subject) -> Option<&str> {
        subject.name().and_then(|name| self.names.resolve(subject.kind(), name))
    }
}

fn refund_of<'a>(own: &Own, view: &'a OrderView) -> Option<(&'a RefundView, By)> {
    found(own, view.refunds.iter().flatten().map(|refund| (refund, refund.id.as_str(), &refund.aliases)))
}

fn payment_ids(refund: &RefundView) -> BTreeSet<&str> {
    refund.payments.iter().flatten().filter_map(|payment| payment.id.as_deref()).collect()
}

/// Whether another part took the same lines to the same state, and no read has shown it yet.
fn is_twin(held: &ShipmentHeld, effect: &ShipmentEffect) -> bool {
    effect.lines.is_some() && held.split == effect.lines && held.state == effect.state && held.unseen_since.is_some()
}

/// Compares one entry with the order as it was read.
pub fn shown(effect: &Effect, subject: &Subject, beside: &Beside, view: &OrderView) -> Shown {
    match effect {
        Effect::Order(effect) => order::shown_order(effect, view),
        Effect::Line(effect) => order::shown_line(effect, view),
        Effect::Package(effect) => order::shown_package(effect, view),
        Effect::Return(effect) => {
            let own = own(subject, beside.bwp_id, effect.aliases.as_deref().unwrap_or_default());
            let all = view.returns.iter().flatten();
            match found(&own, all.map(|item| (item, item.id.as_str(), &item.aliases))) {
                Some((item, by)) => one_return(effect, item, by),
                None => Shown::No,
            }
        }
        Effect::Refund(effect) => {
            let own = own(subject, beside.bwp_id, &effect.aliases);
            match refund_of(&own, view) {
                Some((refund, by)) => one_refund(effect, beside.refund, refund, by),
                None => Shown::No,
            }
        }
        Effect::Shipment(effect) => shipment(effect, beside, view),
    }
}

/// Under which names a thing may show.
struct Own {
    id: Option<String>,
    name: Option<Alias>,
    others: Vec<Alias>,
}

/// How a thing was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// By Buy with Prime's id, or by the alias that is its name.
    Name,
    /// Only by an alias that goes with it: it may be another thing's.
    OtherAlias,
}

fn own(subject: &Subject, bwp_id: Option<&str>, aliases: &[Alias]) -> Own {
    let id = match subject.name() {
        Some(Name::Bwp(id)) => Some(id.clone()),
        _ => bwp_id.map(str::to_owned),
    };
    Own { id, name: subject.name().and_then(Name::alias).cloned(), others: aliases.to_vec() }
}

/// The thing in a read: the one of its own name before one that only shares another alias.
fn found<'a, T>(
    own: &Own,
    all: impl Iterator<Item = (&'a T, &'a str, &'a Option<Vec<AliasView>>)> + Clone,
) -> Option<(&'a T, By)> {
    if let Some(own) = &own.id {
        return all.clone().find(|(_, id, _)| id == own).map(|(item, _, _)| (item, By::Name));
    }
    let carrying = |wanted: &[Alias]| {
        let carries = |aliases: &Option<Vec<AliasView>>| aliases.iter().flatten().any(|alias| wanted.contains(&alias.0));
        all.clone().find(|(_, _, aliases)| carries(aliases)).map(|(item, _, _)| item)
    };
    let named = carrying(own.name.as_slice()).map(|item| (item, By::Name));
    named.or_else(|| carrying(&own.others).map(|item| (item, By::OtherAlias)))
}

fn aliases(wanted: &[Alias], read: Option<&Vec<AliasView>>) -> Option<bool> {
    if wanted.is_empty() {
        return None;
    }
    let read = read.map(|aliases| aliases.iter().map(|alias| &alias.0).collect::<BTreeSet<_>>());
    Some(read.is_some_and(|read| wanted.iter().all(|alias| read.contains(alias))))
}

fn tally<const N: usize>(parts: [Option<bool>; N]) -> Shown {
    let (mut so, mut not) = (false, false);
    for part in parts.into_iter().flatten() {
        if part { so = true } else { not = true }
    }
    match (so, not) {
        (true, false) => Shown::Yes,
        (true, true) => Shown::Partly,
        (false, _) => Shown::No,
    }
}

fn one_return(effect: &ReturnEffect, read: &ReturnView, by: By) -> Shown {
    if effect.create {
        // Whatever became of it since: it was created once, and must not be created again. One that only shares another alias
        // is not it; Buy with Prime itself refuses a second one under the same alias.
        return if by == By::Name { Shown::Yes } else { Shown::No };
    }
    let wanted = effect.aliases.as_ref().map(|aliases| aliases.iter().cloned().collect::<BTreeSet<_>>());
    tally([
        effect.state.map(|state| read.state.as_deref() == Some(state.as_str())),
        wanted.map(|wanted| set_of(&read.aliases) == Some(wanted)),
    ])
}

fn one_refund(effect: &RefundEffect, held: Option<&RefundHeld>, read: &RefundView, by: By) -> Shown {
    let total = money_of(&read.total);
    let as_asked = read.state.as_deref() == Some(effect.state.as_str()) && total == Some(effect.total) && rest(effect, read);
    let ids = payment_ids(read);
    let found = effect.payments.keys().filter(|id| ids.contains(id.as_str())).count();
    if found == effect.payments.len() {
        return if as_asked { Shown::Yes } else { Shown::Partly };
    }
    if found > 0 {
        return Shown::Partly;
    }
    if by == By::OtherAlias {
        // It may be this refund under a new name, or another one that has its alias: nothing here tells whether it was paid.
        return Shown::Unverifiable;
    }
    if held.is_some_and(|held| held.sent.iter().any(|id| ids.contains(id.as_str()))) {
        return Shown::No;
    }
    // The read shows no payment that was ever sent, so the total has to tell, if this entry was to change it. Where the total
    // before is not known, one that reads otherwise than asked was to be changed.
    let changes_total = effect.create || effect.total_before.or(total).is_some_and(|before| before != effect.total);
    match total {
        Some(total) if changes_total && total != effect.total => Shown::No,
        Some(_) if changes_total => {
            if as_asked {
                Shown::Yes
            } else {
                Shown::Taken
            }
        }
        _ => Shown::Unverifiable,
    }
}

/// Whether the aliases, reasons and lines of an entry show, as far as it has any.
fn rest(effect: &RefundEffect, read: &RefundView) -> bool {
    let shows = |asked: &Option<String>, read: &Option<String>| asked.is_none() || asked == read;
    let lines: Option<BTreeMap<String, Option<u32>>> = read.lines.as_ref().map(|lines| {
        lines.iter().map(|share| (share.line.clone(), share.quantity.and_then(|quantity| quantity.to_u32()))).collect()
    });
    shows(&effect.request_reason, &read.request_reason)
        && shows(&effect.status_reason, &read.status_reason)
        && agrees(&effect.lines, &lines)
        && aliases(&effect.aliases, read.aliases.as_ref()) != Some(false)
}

fn shipment(effect: &ShipmentEffect, beside: &Beside, view: &OrderView) -> Shown {
    let is_there = |package: &&PackageView| {
        effect.state.is_none_or(|state| package.state.as_deref() == Some(state.as_str()) && agrees_on_reason(state, package))
            && effect.milestone.is_none_or(|milestone| package.milestone.as_deref() == Some(milestone.as_str()))
    };
    let there = view.packages.iter().flatten().filter(is_there);
    let mine = match &effect.lines {
        // A split makes a package that was not there before, one for each part.
        Some(lines) => {
            let made = there.filter(|package| shares_of(&package.lines).as_ref() == Some(lines));
            made.filter(|package| !beside.before.contains(&package.id)).count() > beside.twins
        }
        None => there.into_iter().any(|package| package.id == effect.package),
    };
    if mine { Shown::Yes } else { Shown::No }
}

/// A package that was cancelled for another reason was not cancelled by this step.
fn agrees_on_reason(state: ShipmentState, package: &PackageView) -> bool {
    match (state, &package.reason) {
        (ShipmentState::Cancelled(asked), Some(read)) => asked.as_str() == read,
        _ => true,
    }
}
