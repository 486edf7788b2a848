//! What the judge can tell from an order alone: pure functions over a request and the order it meets, and over two versions
//! of an order.

use super::Wrong;
use crate::state::input::{Details, UpdateOrder};
use crate::state::{Order, Refund, Return, ReturnState, decimal, refunds, returns};
use serde_json_bytes::Value;
use std::sync::Arc;

/// One wrong thing of an order.
pub(crate) type Found = (Wrong, String);

/// Steps back that a request asks for, measured against what earlier requests brought about.
pub(crate) fn asked(order: &Order, input: &UpdateOrder) -> Vec<Found> {
    let mut found = Vec::new();
    for entry in input.returns.iter().flat_map(|it| it.details.iter().flatten()) {
        let at = entry.return_identifier.as_ref();
        let at = at.and_then(|it| returns::find(order, it));
        let (Some(at), Some(state)) = (at, entry.state) else {
            continue;
        };
        let have = &order.returns[at];
        if have.touched && have.state != ReturnState::Created && have.state != state {
            let detail = format!("return {}: {:?} to {state:?}", have.id, have.state);
            found.push((Wrong::StateWentBack, detail));
        }
    }
    for entry in refund_entries(&input.refunds) {
        let Ok(Some(at)) = refunds::find(order, entry) else {
            continue;
        };
        let have = &order.refunds[at];
        if !have.touched {
            continue;
        }
        if let Some(state) = entry.state.filter(|it| !have.state.may_become(*it)) {
            let detail = format!("refund {}: {:?} to {state:?}", have.id, have.state);
            found.push((Wrong::StateWentBack, detail));
        }
        let old = &have.refund_total.total_amount;
        let new = entry.refund_total.total_amount.as_ref();
        if let Some(new) = new.filter(|it| decimal(&it.amount) < decimal(&old.amount)) {
            let detail = format!("refund {}: {} to {}", have.id, old.amount, new.amount);
            found.push((Wrong::TotalWentDown, detail));
        }
    }
    found
}

fn refund_entries<T>(list: &Option<Details<T>>) -> impl Iterator<Item = &T> {
    list.iter().flat_map(|it| it.details.iter().flatten())
}

/// What a mutation did twice.
pub(crate) fn done(before: &Order, after: &Order) -> Vec<Found> {
    let mut found = Vec::new();
    for (index, created) in after.returns.iter().enumerate().skip(before.returns.len()) {
        let earlier = after.returns.iter().take(index);
        if let Some(twin) = earlier.filter(|it| it.external).find(|it| twins(it, created)) {
            let detail = format!("return {} again as {}", twin.id, created.id);
            found.push((Wrong::ReturnCreatedTwice, detail));
        }
    }
    for (index, refund) in after.refunds.iter().enumerate() {
        let old = before.refunds.get(index);
        if old.is_some_and(|old| Arc::ptr_eq(old, refund)) {
            continue;
        }
        let known = old.map_or(0, |old| old.payment_details.len());
        found.extend(paid_twice(refund, known));
    }
    found
}

fn twins(one: &Return, other: &Return) -> bool {
    let (a, b) = (&one.created_with, &other.created_with);
    if a.is_empty() && b.is_empty() {
        let lines = |it: &Return| -> Vec<_> {
            let lines = it.return_line_items.iter();
            lines.map(|line| line.return_for.clone()).collect()
        };
        return lines(one) == lines(other);
    }
    a.iter().any(|alias| b.contains(alias))
}

fn paid_twice(refund: &Refund, known: usize) -> Vec<Found> {
    let id = |payment: &Value| payment.get("id").and_then(Value::as_str).map(str::to_owned);
    let ids: Vec<Option<String>> = refund.payment_details.iter().map(id).collect();
    let mut found = Vec::new();
    for (index, id) in ids.iter().enumerate().skip(known) {
        if let Some(id) = id
            && ids[..index].iter().any(|it| it.as_ref() == Some(id))
        {
            let detail = format!("payment {id} of refund {}", refund.id);
            found.push((Wrong::PaymentAppliedTwice, detail));
        }
    }
    found
}
