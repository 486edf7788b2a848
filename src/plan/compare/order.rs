//! What a read shows of an entry for the order, a line item or a package: each of their members is so or is not, by itself.

use super::Shown;
use crate::event::{Alias, Discount, OrderLink};
use crate::plan::effect::{Effect, LineEffect, OrderEffect, PackageEffect};
use crate::plan::learn::{money_of, payment_of};
use crate::plan::thing::PaymentHeld;
use crate::prime::view::{AliasView, DiscountView, OrderView, PaymentView};
use std::collections::BTreeMap;

/// What of an entry is so: the same entry with those members alone. None for entries that are so as a whole or not at all.
pub fn so_far(effect: &Effect, view: &OrderView) -> Option<Effect> {
    match effect {
        Effect::Order(effect) => Some(Effect::Order(order(effect, view))),
        Effect::Line(effect) => Some(Effect::Line(line(effect, view))),
        Effect::Package(effect) => Some(Effect::Package(package(effect, view))),
        Effect::Return(_) | Effect::Refund(_) | Effect::Shipment(_) => None,
    }
}

/// All, some or none of an entry's members.
pub fn shown_order(effect: &OrderEffect, view: &OrderView) -> Shown {
    tally(&order(effect, view), effect, &OrderEffect::default())
}

/// All, some or none of an entry's members.
pub fn shown_line(effect: &LineEffect, view: &OrderView) -> Shown {
    let none = LineEffect { line: effect.line.clone(), ..LineEffect::default() };
    tally(&line(effect, view), effect, &none)
}

/// All, some or none of an entry's aliases.
pub fn shown_package(effect: &PackageEffect, view: &OrderView) -> Shown {
    let none = PackageEffect { package: effect.package.clone(), aliases: Vec::new() };
    tally(&package(effect, view), effect, &none)
}

fn tally<T: PartialEq>(so: &T, asked: &T, none: &T) -> Shown {
    if so == none {
        Shown::No
    } else if so == asked {
        Shown::Yes
    } else {
        Shown::Partly
    }
}

fn order(effect: &OrderEffect, view: &OrderView) -> OrderEffect {
    let links = view.links.as_deref().unwrap_or_default();
    let has = |link: &&OrderLink| {
        links.iter().any(|read| read.destination == link.destination.as_str() && read.url.as_ref() == Some(&link.url))
    };
    OrderEffect {
        execution_state: effect.execution_state.filter(|state| view.execution_state.as_deref() == Some(state.as_str())),
        aliases: aliases(&effect.aliases, view.aliases.as_ref()),
        total_price: effect.total_price.filter(|price| money_of(&view.total_price) == Some(*price)),
        taxes: effect.taxes.filter(|taxes| money_of(&view.taxes) == Some(*taxes)),
        discount: discount(effect.discount.as_ref(), view.discount.as_ref()),
        links: effect.links.iter().filter(has).cloned().collect(),
        payments: payments(&effect.payments, view.payments.as_ref()),
    }
}

fn line(effect: &LineEffect, view: &OrderView) -> LineEffect {
    let none = LineEffect { line: effect.line.clone(), ..LineEffect::default() };
    let Some(read) = view.lines.iter().flatten().find(|line| line.id == effect.line) else { return none };
    LineEffect {
        aliases: aliases(&effect.aliases, read.aliases.as_ref()),
        taxes: effect.taxes.filter(|taxes| money_of(&read.taxes) == Some(*taxes)),
        discount: discount(effect.discount.as_ref(), read.discount.as_ref()),
        payments: payments(&effect.payments, read.payments.as_ref()),
        ..none
    }
}

fn package(effect: &PackageEffect, view: &OrderView) -> PackageEffect {
    let read = view.packages.iter().flatten().find(|package| package.id == effect.package);
    let aliases = aliases(&effect.aliases, read.and_then(|package| package.aliases.as_ref()));
    PackageEffect { package: effect.package.clone(), aliases }
}

fn aliases(asked: &[Alias], read: Option<&Vec<AliasView>>) -> Vec<Alias> {
    asked.iter().filter(|alias| read.into_iter().flatten().any(|read| read.0 == **alias)).cloned().collect()
}

fn discount(asked: Option<&Discount>, read: Option<&DiscountView>) -> Option<Discount> {
    let (asked, read) = (asked?, read?);
    let is_so = money_of(&read.amount) == Some(asked.amount) && agrees(&asked.display, &read.display);
    is_so.then(|| asked.clone())
}

fn payments(asked: &BTreeMap<String, PaymentHeld>, read: Option<&Vec<PaymentView>>) -> BTreeMap<String, PaymentHeld> {
    let is_so = |(id, payment): &(&String, &PaymentHeld)| {
        let found = read.into_iter().flatten().find(|read| read.id.as_ref() == Some(*id)).map(payment_of);
        found.is_some_and(|found| {
            let state = payment.state.is_none() || found.state == payment.state;
            state && found.amount == payment.amount && agrees(&payment.method, &found.method)
        })
    };
    asked.iter().filter(is_so).map(|(id, payment)| (id.clone(), payment.clone())).collect()
}

/// Whether a read does not show something else than was asked for; what it does not show at all tells nothing.
pub fn agrees<T: PartialEq>(asked: &Option<T>, read: &Option<T>) -> bool {
    asked.is_none() || read.is_none() || asked == read
}
