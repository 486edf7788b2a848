//! What is to be done for the order itself, its lines and its packages: only what is not known to be held.

use super::effect::{Effect, LineEffect, OrderEffect, PackageEffect};
use super::json::{self, LineItemId, MoneyInput, PaymentInput};
use super::outcome::Reason;
use super::rank::{EventNo, Ranked};
use super::step::{Context, Entry, Fields, Mutation, Plan};
use super::subject::Name;
use super::thing::{LineHeld, OrderHeld, PackageHeld, PaymentHeld};
use super::wanted::{LineWanted, Member, Members, OrderWanted, PackageWanted};
use crate::event::{Alias, AliasKind, Payment};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The API's limits of aliases and links of one order.
const MOST_ALIASES: usize = 5;
const MOST_LINKS: usize = 5;

/// What is to be done for the order itself.
pub fn plan_order(context: &Context, order_id: Option<&str>, wanted: &OrderWanted, held: &OrderHeld) -> Plan {
    let mut news = News::default();
    let mut effect = OrderEffect::default();
    let is_held = |alias: &Alias| {
        held.aliases.contains(alias) || order_id.is_some_and(|id| context.names.holds(AliasKind::Order, alias, id))
    };
    let aliases = match fitting(&wanted.aliases, is_held, MOST_ALIASES.saturating_sub(held.aliases.len())) {
        Ok(aliases) => aliases,
        Err(events) => return surplus("TOO_MANY_ALIASES", "aliases", MOST_ALIASES, events),
    };
    if !aliases.is_empty() {
        news.add(Member::Aliases, "aliases", &json::aliases(&aliases));
        effect.aliases = aliases;
    }
    if let Some(state) = unheld(&wanted.execution_state, &held.execution_state) {
        news.add(Member::ExecutionState, "desiredExecutionState", &state.as_str());
        effect.execution_state = Some(*state);
    }
    if let Some(price) = unheld(&wanted.total_price, &held.total_price) {
        news.add(Member::TotalPrice, "totalPrice", &Price { value: price.into() });
        effect.total_price = Some(*price);
    }
    if let Some(taxes) = unheld(&wanted.taxes, &held.taxes) {
        news.add(Member::Taxes, "taxes", &json::taxes(taxes));
        effect.taxes = Some(*taxes);
    }
    if let Some(discount) = unheld(&wanted.discount, &held.discount) {
        news.add(Member::Discount, "discounts", &json::discount(discount));
        effect.discount = Some(discount.clone());
    }
    let links = match fitting(&wanted.links, |link| held.links.contains(link), MOST_LINKS.saturating_sub(held.links.len())) {
        Ok(links) => links,
        Err(events) => return surplus("TOO_MANY_LINKS", "links", MOST_LINKS, events),
    };
    if !links.is_empty() {
        let list: Vec<Link> =
            links.iter().map(|link| Link { destination_type: link.destination.as_str(), url: &link.url }).collect();
        news.add(Member::Links, "orderLinks", &list);
        effect.links = links;
    }
    if let Some((list, sent)) = payments(&wanted.payments, &held.payments) {
        news.add(Member::Payments, "payments", &list);
        effect.payments = sent;
    }
    news.plan(Effect::Order(effect), Entry::Order)
}

/// The entries that are not held, oldest first, as many as there is room for; or the events that bring the rest, which no mutation
/// could write: entries cannot be taken away.
fn fitting<T: Clone>(wanted: &[Ranked<T>], is_held: impl Fn(&T) -> bool, room: usize) -> Result<Vec<T>, BTreeSet<EventNo>> {
    let mut new: Vec<&Ranked<T>> = wanted.iter().filter(|entry| !is_held(&entry.value)).collect();
    new.sort_by_key(|entry| entry.rank.arrival);
    let over: BTreeSet<EventNo> = new.iter().skip(room).filter_map(|entry| entry.holder).collect();
    if over.is_empty() { Ok(new.into_iter().take(room).map(|entry| entry.value.clone()).collect()) } else { Err(over) }
}

fn surplus(code: &str, member: &str, most: usize, events: BTreeSet<EventNo>) -> Plan {
    let message = format!("with those before them the order would have more than {most} {member}, and none can be taken away");
    Plan::Surplus { reason: Reason::contradiction(code, message).at(format!("/data/{member}")), events }
}

/// What is to be done for a line item.
pub fn plan_line(context: &Context, name: &Name, wanted: &LineWanted, held: &LineHeld) -> Plan {
    let id = match context.names.require(AliasKind::LineItem, name) {
        Ok(id) => id,
        Err(need) => return context.missing(vec![need]),
    };
    let mut news = News::default();
    let mut effect = LineEffect { line: id.clone(), ..LineEffect::default() };
    let aliases = new_aliases(&wanted.aliases, |alias| {
        held.aliases.contains(alias) || context.names.holds(AliasKind::LineItem, alias, &id)
    });
    if !aliases.is_empty() {
        news.add(Member::Aliases, "aliases", &json::aliases(&aliases));
        effect.aliases = aliases;
    }
    if let Some(taxes) = unheld(&wanted.taxes, &held.taxes) {
        news.add(Member::Taxes, "taxes", &json::taxes(taxes));
        effect.taxes = Some(*taxes);
    }
    if let Some(discount) = unheld(&wanted.discount, &held.discount) {
        news.add(Member::Discount, "discounts", &json::discount(discount));
        effect.discount = Some(discount.clone());
    }
    if let Some((list, sent)) = payments(&wanted.payments, &held.payments) {
        news.add(Member::Payments, "payments", &list);
        effect.payments = sent;
    }
    news.plan(Effect::Line(effect), |mut fields| {
        fields.insert("id", json::text(&LineItemId::from(&*id)));
        Entry::LineItem(joined(&fields))
    })
}

/// What is to be done for a package, as an order event speaks of it: its aliases.
pub fn plan_package(context: &Context, name: &Name, wanted: &PackageWanted, held: &PackageHeld) -> Plan {
    let id = match context.names.require(AliasKind::Package, name) {
        Ok(id) => id,
        Err(need) => return context.missing(vec![need]),
    };
    let aliases =
        new_aliases(&wanted.aliases, |alias| held.aliases.contains(alias) || context.names.holds(AliasKind::Package, alias, &id));
    let mut news = News::default();
    if !aliases.is_empty() {
        news.add(Member::Aliases, "aliases", &json::aliases(&aliases));
    }
    news.plan(Effect::Package(PackageEffect { package: id.clone(), aliases }), |mut fields| {
        fields.insert("id", json::text(&id));
        Entry::Package(joined(&fields))
    })
}

/// The members that are new, and what they look like in the input.
#[derive(Default)]
struct News {
    fields: Fields,
    members: Members,
}

impl News {
    fn add(&mut self, member: Member, field: &'static str, value: &impl Serialize) {
        self.members.insert(member);
        self.fields.insert(field, json::text(value));
    }

    fn plan(self, effect: Effect, entry: impl FnOnce(Fields) -> Entry) -> Plan {
        if self.members.is_empty() {
            let note = Reason::nothing("ALREADY_HELD", "Buy with Prime already holds all of it, or there was nothing in it");
            return Plan::Done { note, effect: None };
        }
        let (mutation, step) = (Mutation::UpdateOrder, self.members);
        Plan::Send { mutation, entry: entry(self.fields), effect, step, outstanding: self.members }
    }
}

/// The text of an object of these members.
fn joined(fields: &Fields) -> String {
    let mut text = String::new();
    json::write_object(&mut text, fields.iter().map(|(name, member)| (*name, &**member)));
    text
}

/// `PriceInput`
#[derive(Serialize)]
struct Price {
    value: MoneyInput,
}

/// `OrderLinkInput`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Link<'a> {
    destination_type: &'static str,
    url: &'a str,
}

/// What has a list of payments.
#[derive(Serialize)]
struct Payments<'a> {
    details: Vec<PaymentInput<'a>>,
}

fn unheld<'a, T: PartialEq>(wanted: &'a Option<Ranked<T>>, held: &Option<T>) -> Option<&'a T> {
    wanted.as_ref().map(|wanted| &wanted.value).filter(|value| held.as_ref() != Some(*value))
}

fn new_aliases(wanted: &Option<Ranked<Vec<Alias>>>, is_held: impl Fn(&Alias) -> bool) -> Vec<Alias> {
    let mut new: Vec<Alias> = Vec::new();
    for alias in wanted.iter().flat_map(|aliases| &aliases.value) {
        if !is_held(alias) && !new.contains(alias) {
            new.push(alias.clone());
        }
    }
    new
}

type Sent = BTreeMap<String, PaymentHeld>;

/// Payments that are new by id, or changed.
fn payments<'a>(wanted: &'a Option<Ranked<Arc<Vec<Payment>>>>, held: &Sent) -> Option<(Payments<'a>, Sent)> {
    let all = wanted.iter().flat_map(|payments| &*payments.value);
    let new: Vec<&Payment> = all.filter(|payment| held.get(&payment.id) != Some(&PaymentHeld::from(*payment))).collect();
    let details: Vec<PaymentInput> = new.iter().map(|payment| (*payment).into()).collect();
    let sent = new.iter().map(|payment| (payment.id.clone(), PaymentHeld::from(*payment))).collect();
    (!details.is_empty()).then_some((Payments { details }, sent))
}
