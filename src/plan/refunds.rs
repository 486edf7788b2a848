//! Refunds: a cumulative total, incremental payments, and states with a table of legal steps.

use super::effect::{Effect, RefundEffect};
use super::json::{self, AliasInput, LineItemId, MoneyInput, PaymentInput};
use super::outcome::Reason;
use super::step::{Context, Entry, Mutation, Plan};
use super::subject::{Name, Need};
use super::thing::{PaymentHeld, RefundHeld};
use super::wanted::{Member, Members, RefundWanted};
use crate::event::{Alias, AliasKind, Initiator, Money, Payment, RefundState};
use serde::Serialize;

/// What is to be done for a refund.
pub fn plan(context: &Context, name: &Name, wanted: &RefundWanted, held: &RefundHeld) -> Plan {
    let (Some(state), Some(total)) = (&wanted.state, &wanted.total) else {
        return done("NOTHING_NEW", "no snapshot of the refund is left");
    };
    let by_bwp = wanted.initiator.as_ref().is_some_and(|initiator| initiator.value == Initiator::Bwp);
    let bwp_id = match name {
        Name::Bwp(id) => Some(id.as_str()),
        Name::Alias(_) => context.names.resolve(AliasKind::Refund, name),
    };
    if by_bwp && bwp_id.is_none() {
        return context.missing(vec![Need { kind: AliasKind::Refund, name: name.clone() }]);
    }
    if let Some(dead) = contradiction(state.value, total.value, wanted, held) {
        // Only a snapshot that is not settled can be at fault; a settled one was legal when it was sent.
        let Plan::Dead { members, .. } = &dead else { return dead };
        if !wanted.holders(*members).is_empty() {
            return dead;
        }
    }
    match news(context, name, wanted, held, bwp_id, by_bwp) {
        Err(plan) => *plan,
        Ok(news) => entry(news, state.value, total.value, held, bwp_id),
    }
}

/// What Buy with Prime is not known to hold, beside state and total.
struct News<'a> {
    aliases: Vec<Alias>,
    request_reason: Option<&'a str>,
    status_reason: Option<&'static str>,
    lines: Option<Vec<(String, Option<u32>)>>,
    payments: Vec<&'a Payment>,
}

fn news<'a>(
    context: &Context,
    name: &Name,
    wanted: &'a RefundWanted,
    held: &'a RefundHeld,
    bwp_id: Option<&str>,
    by_bwp: bool,
) -> Result<News<'a>, Box<Plan>> {
    let mut aliases: Vec<Alias> = Vec::new();
    let own = name.alias().filter(|_| bwp_id.is_none());
    let listed = wanted.aliases.iter().flat_map(|aliases| &aliases.value);
    let is_held = |alias: &Alias| {
        // Aliases are merged by type: of a type that was sent since, only the last one is held.
        let is_stale = held.aliases.iter().any(|known| known.alias_type == alias.alias_type);
        let said = |id: &str| context.names.holds(AliasKind::Refund, alias, id);
        held.aliases.contains(alias) || (!is_stale && bwp_id.is_some_and(said))
    };
    let unheld = wanted.own.iter().map(|own| &own.value).chain(listed).filter(|alias| !is_held(alias));
    for alias in own.into_iter().chain(unheld) {
        if !aliases.contains(alias) {
            aliases.push(alias.clone());
        }
    }
    let request_reason = wanted.request_reason.as_ref().map(|reason| reason.value.as_str());
    let status_reason = wanted.status_reason.as_ref().map(|reason| reason.value.as_str());
    let lines = match &wanted.lines {
        Some(lines) => Some(context.lines(&lines.value)?),
        None => None,
    };
    Ok(News {
        aliases,
        request_reason: request_reason.filter(|reason| !by_bwp && held.request_reason.as_deref() != Some(*reason)),
        status_reason: status_reason.filter(|reason| held.status_reason.as_deref() != Some(*reason)),
        lines: lines.filter(|lines| held.lines.as_ref() != Some(&lines.iter().cloned().collect())),
        payments: unsent(wanted, held).collect(),
    })
}

/// Payments that are final and were never sent: Buy with Prime adds up what it is sent, so each goes once. One that may have
/// been taken in goes again only where an operator retries its own event.
fn unsent<'a>(wanted: &'a RefundWanted, held: &'a RefundHeld) -> impl Iterator<Item = &'a Payment> {
    let holder = wanted.payments.as_ref().and_then(|payments| payments.holder);
    let is_safe = move |id: &str| held.doubtful.get(id).is_none_or(|events| holder.is_some_and(|no| events.contains(&no)));
    let payments = wanted.payments.iter().flat_map(|payments| &*payments.value);
    payments.filter(move |payment| {
        let is_final = payment.state.is_none_or(|state| state.is_final());
        is_final && !held.payments.contains_key(&payment.id) && is_safe(&payment.id)
    })
}

fn entry(news: News, state: RefundState, total: Money, held: &RefundHeld, bwp_id: Option<&str>) -> Plan {
    let unheld_aliases = news.aliases.iter().any(|alias| !held.aliases.contains(alias));
    let mut outstanding = Members::new();
    let flags = [
        (Member::State, held.state != Some(state)),
        (Member::Total, held.total != Some(total)),
        (Member::Aliases, unheld_aliases),
        (Member::RequestReason, news.request_reason.is_some()),
        (Member::StatusReason, news.status_reason.is_some()),
        (Member::Lines, news.lines.is_some()),
        (Member::Payments, !news.payments.is_empty()),
    ];
    outstanding.extend(flags.into_iter().filter(|(_, new)| *new).map(|(member, _)| member));
    if outstanding.is_empty() {
        return done(
            "ALREADY_HELD",
            "Buy with Prime already holds the refund as it is wanted; payments that are not final are held back",
        );
    }
    let input = Input {
        aliases: json::aliases(&news.aliases),
        id: bwp_id,
        payment_details: news.payments.iter().map(|payment| (*payment).into()).collect(),
        refund_for: news
            .lines
            .as_ref()
            .map(|lines| RefundFor { order_line_items: lines.iter().map(RefundedLine::from).collect() }),
        refund_request_reason: news.request_reason,
        refund_status_reason: news.status_reason,
        refund_total: Total { total_amount: (&total).into() },
        state: state.as_str(),
    };
    let entry = crate::text::json(&input, 512);
    let effect = RefundEffect {
        create: !held.exists && bwp_id.is_none(),
        state,
        total,
        total_before: held.total,
        request_reason: news.request_reason.map(str::to_owned),
        status_reason: news.status_reason.map(str::to_owned),
        lines: news.lines.map(|lines| lines.into_iter().collect()),
        aliases: news.aliases,
        payments: news.payments.iter().map(|payment| (payment.id.clone(), PaymentHeld::from(*payment))).collect(),
    };
    // State and total stand in every entry, so their snapshot takes part in it even where only older members are new.
    let mut step = outstanding;
    step.extend([Member::State, Member::Total]);
    Plan::Send { mutation: Mutation::UpdateOrder, entry: Entry::Refund(entry), effect: Effect::Refund(effect), step, outstanding }
}

/// `RefundDetailsInput`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Input<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<AliasInput<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    payment_details: Vec<PaymentInput<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_for: Option<RefundFor<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_request_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund_status_reason: Option<&'static str>,
    refund_total: Total,
    state: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Total {
    total_amount: MoneyInput,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RefundFor<'a> {
    order_line_items: Vec<RefundedLine<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RefundedLine<'a> {
    line_item_id: LineItemId<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refunded_quantity: Option<Refunded>,
}

#[derive(Serialize)]
struct Refunded {
    amount: u32,
}

impl<'a> From<&'a (String, Option<u32>)> for RefundedLine<'a> {
    fn from((id, quantity): &'a (String, Option<u32>)) -> Self {
        RefundedLine { line_item_id: id.as_str().into(), refunded_quantity: quantity.map(|amount| Refunded { amount }) }
    }
}

fn contradiction(state: RefundState, total: Money, wanted: &RefundWanted, held: &RefundHeld) -> Option<Plan> {
    if let Some(from) = held.state.filter(|from| !is_legal(*from, state)) {
        let message = format!("the refund is {} at Buy with Prime; it cannot become {}", from.as_str(), state.as_str());
        return dead("INVALID_TRANSITION", message, "/data/state", Member::State);
    }
    if let Some(before) = held.total {
        if before.currency() != total.currency() {
            let message = format!("the refund is in {}; it cannot become {}", before.currency().code(), total.currency().code());
            return dead("CURRENCY_CHANGED", message, "/data/total/currency", Member::Total);
        }
        if total.amount() < before.amount() {
            let message = format!("{} is below the {} that Buy with Prime holds", total.amount(), before.amount());
            return dead("TOTAL_DECREASED", message, "/data/total/amount", Member::Total);
        }
    }
    let payments = wanted.payments.iter().flat_map(|payments| &*payments.value).enumerate();
    for (at, payment) in payments {
        if let Some(sent) = held.payments.get(&payment.id).filter(|sent| sent.contradicts(payment)) {
            let part = if sent.amount.is_some_and(|amount| amount != payment.amount) { "amount" } else { "method" };
            let message = format!("payment {} was sent with another {part}; a new payment needs a new id", payment.id);
            return dead("PAYMENT_CHANGED", message, &format!("/data/payments/{at}/{part}"), Member::Payments);
        }
    }
    None
}

fn dead(code: &str, message: String, pointer: &str, member: Member) -> Option<Plan> {
    let reason = Reason::contradiction(code, message).at(pointer);
    Some(Plan::Dead { reason, members: Members::from([member]) })
}

fn done(code: &str, message: &str) -> Plan {
    Plan::Done { note: Reason::nothing(code, message), effect: None }
}

/// The transition table of "Update Refund Details", with `REJECTED` after `PENDING`, `FAILURE` and itself.
pub const fn is_legal(from: RefundState, to: RefundState) -> bool {
    use RefundState::{Failure, Partial, Pending, Rejected, Success};
    match from {
        Pending => true,
        Failure => matches!(to, Partial | Failure | Success | Rejected),
        Partial => matches!(to, Partial | Success),
        Success => matches!(to, Success),
        Rejected => matches!(to, Rejected),
    }
}
