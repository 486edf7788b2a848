//! Whether a read shows that an entry was applied: what decides after an answer that is missing, unreadable or a refusal.

use super::effect::{Effect, OrderEffect, PackageEffect, RefundEffect, ReturnEffect, ShipmentEffect};
use super::learn::{alias_of, money_of, payment_of, set_of, shares_of};
use super::subject::{Name, Subject};
use super::thing::{PaymentHeld, RefundHeld};
use crate::event::{Alias, Discount, ShipmentState};
use crate::prime::view::{AliasView, DiscountView, OrderView, PaymentView, RefundView, ReturnView};
use std::collections::{BTreeMap, BTreeSet};

/// What a read says of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// All that it asked for is so.
    Yes,
    /// Some of it is so: only the rest is sent.
    Partly,
    /// None of it is so.
    No,
    /// The read cannot tell, and a guess could pay twice.
    Unverifiable,
}

/// Compares one entry with the order as it was read.
pub fn shown(
    effect: &Effect,
    subject: &Subject,
    refund_held: Option<&RefundHeld>,
    bwp_id: Option<&str>,
    view: &OrderView,
) -> Shown {
    match effect {
        Effect::Order(effect) => order(effect, view),
        Effect::Line(effect) => {
            let line = view.lines.iter().flatten().find(|line| line.id == effect.line);
            tally([
                aliases(&effect.aliases, line.and_then(|line| line.aliases.as_ref())),
                effect.taxes.map(|taxes| line.and_then(|line| money_of(&line.taxes)) == Some(taxes)),
                discount(&effect.discount, line.and_then(|line| line.discount.as_ref())),
                payments(&effect.payments, line.and_then(|line| line.payments.as_ref())),
            ])
        }
        Effect::Package(PackageEffect { package, aliases: wanted }) => {
            let package = view.packages.iter().flatten().find(|view| view.id == *package);
            tally([aliases(wanted, package.and_then(|package| package.aliases.as_ref()))])
        }
        Effect::Return(effect) => {
            let own = own(subject, bwp_id, effect.aliases.as_deref().unwrap_or_default());
            let found = view.returns.iter().flatten().find(|item| names(&own, &item.id, &item.aliases));
            found.map_or(Shown::No, |found| one_return(effect, found))
        }
        Effect::Refund(effect) => {
            let own = own(subject, bwp_id, &effect.aliases);
            let found = view.refunds.iter().flatten().find(|refund| names(&own, &refund.id, &refund.aliases));
            found.map_or(Shown::No, |found| one_refund(effect, refund_held, found))
        }
        Effect::Shipment(effect) => shipment(effect, view),
    }
}

/// Under which names a thing may show.
struct Own {
    id: Option<String>,
    aliases: Vec<Alias>,
}

fn own(subject: &Subject, bwp_id: Option<&str>, aliases: &[Alias]) -> Own {
    let mut known: Vec<Alias> = subject.name().and_then(Name::alias).cloned().into_iter().collect();
    known.extend(aliases.iter().cloned());
    let id = match subject.name() {
        Some(Name::Bwp(id)) => Some(id.clone()),
        _ => bwp_id.map(str::to_owned),
    };
    Own { id, aliases: known }
}

fn names(own: &Own, id: &str, aliases: &Option<Vec<AliasView>>) -> bool {
    match &own.id {
        Some(own) => own == id,
        None => aliases.iter().flatten().any(|alias| own.aliases.contains(&alias_of(alias))),
    }
}

fn aliases(wanted: &[Alias], read: Option<&Vec<AliasView>>) -> Option<bool> {
    if wanted.is_empty() {
        return None;
    }
    let read = read.map(|aliases| aliases.iter().map(alias_of).collect::<BTreeSet<_>>());
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

fn order(effect: &OrderEffect, view: &OrderView) -> Shown {
    let links = (!effect.links.is_empty()).then(|| {
        let has = |link: &crate::event::OrderLink| {
            view.links
                .iter()
                .flatten()
                .any(|read| read.destination == link.destination.as_str() && read.url.as_ref() == Some(&link.url))
        };
        effect.links.iter().all(has)
    });
    tally([
        effect.execution_state.map(|state| view.execution_state.as_deref() == Some(state.as_str())),
        aliases(&effect.aliases, view.aliases.as_ref()),
        effect.total_price.map(|price| money_of(&view.total_price) == Some(price)),
        effect.taxes.map(|taxes| money_of(&view.taxes) == Some(taxes)),
        discount(&effect.discount, view.discount.as_ref()),
        payments(&effect.payments, view.payments.as_ref()),
        links,
    ])
}

fn discount(wanted: &Option<Discount>, read: Option<&DiscountView>) -> Option<bool> {
    let wanted = wanted.as_ref()?;
    Some(read.is_some_and(|read| money_of(&read.amount) == Some(wanted.amount)))
}

fn payments(wanted: &BTreeMap<String, PaymentHeld>, read: Option<&Vec<PaymentView>>) -> Option<bool> {
    if wanted.is_empty() {
        return None;
    }
    let shows = |(id, payment): (&String, &PaymentHeld)| {
        let found = read.into_iter().flatten().find(|read| read.id.as_ref() == Some(id));
        found.is_some_and(|found| payment_of(found).state == payment.state && money_of(&found.amount) == payment.amount)
    };
    Some(wanted.iter().all(shows))
}

fn one_return(effect: &ReturnEffect, read: &ReturnView) -> Shown {
    if effect.create {
        // Whatever became of it since: it was created once, and must not be created again.
        return Shown::Yes;
    }
    let wanted = effect.aliases.as_ref().map(|aliases| aliases.iter().cloned().collect::<BTreeSet<_>>());
    tally([
        effect.state.map(|state| read.state.as_deref() == Some(state.as_str())),
        wanted.map(|wanted| set_of(&read.aliases) == Some(wanted)),
    ])
}

fn one_refund(effect: &RefundEffect, held: Option<&RefundHeld>, read: &RefundView) -> Shown {
    let total = money_of(&read.total);
    let as_asked = read.state.as_deref() == Some(effect.state.as_str()) && total == Some(effect.total) && rest(effect, read);
    let ids: BTreeSet<&str> = read.payments.iter().flatten().filter_map(|payment| payment.id.as_deref()).collect();
    let found = effect.payments.keys().filter(|id| ids.contains(id.as_str())).count();
    if found == effect.payments.len() {
        return if as_asked { Shown::Yes } else { Shown::Partly };
    }
    if found > 0 {
        return Shown::Partly;
    }
    if held.is_some_and(|held| held.sent.iter().any(|id| ids.contains(id.as_str()))) {
        return Shown::No;
    }
    // The read shows no payment that was ever sent, so the total has to tell, if this entry was to change it. Where the total
    // before is not known, one that reads otherwise than asked was to be changed.
    let changes_total = effect.create || effect.total_before.or(total).is_some_and(|before| before != effect.total);
    match total {
        Some(total) if changes_total => {
            if total == effect.total {
                Shown::Yes
            } else {
                Shown::No
            }
        }
        _ => Shown::Unverifiable,
    }
}

/// Whether the aliases and reasons of an entry show, as far as it has any.
fn rest(effect: &RefundEffect, read: &RefundView) -> bool {
    let shows = |asked: &Option<String>, read: &Option<String>| asked.is_none() || asked == read;
    shows(&effect.request_reason, &read.request_reason)
        && shows(&effect.status_reason, &read.status_reason)
        && aliases(&effect.aliases, read.aliases.as_ref()) != Some(false)
}

fn shipment(effect: &ShipmentEffect, view: &OrderView) -> Shown {
    let state = effect.state.map(ShipmentState::as_str);
    let fits = |package: &crate::prime::view::PackageView| match &effect.lines {
        Some(lines) => shares_of(&package.lines).as_ref() == Some(lines),
        None => package.id == effect.package,
    };
    let at = |package: &&crate::prime::view::PackageView| {
        state.is_none_or(|state| package.state.as_deref() == Some(state))
            && effect.milestone.is_none_or(|milestone| package.milestone.as_deref() == Some(milestone.as_str()))
    };
    let done = view.packages.iter().flatten().filter(|package| fits(package)).any(|package| at(&package));
    if done { Shown::Yes } else { Shown::No }
}
