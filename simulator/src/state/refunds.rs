//! Refunds within `updateOrder`: an upsert by BwP id or by alias, with a transition table, a cumulative total and payments
//! that are increments.

use super::input::{RefundDetails, RefundForInput};
use super::model::{Alias, Amount, LineAmount, LineRef, Money, Order, Refund, RefundFor, RefundState, RefundTotal};
use super::order::{decimal, find_line};
use crate::answer::ApiError;
use rust_decimal::Decimal;
use serde_json_bytes::Value;
use std::collections::HashSet;
use std::sync::Arc;

pub(crate) fn apply_all(order: &mut Order, entries: Vec<RefundDetails>, now: &str) -> Result<(), ApiError> {
    let mut ids = HashSet::new();
    let mut aliases = HashSet::new();
    for entry in &entries {
        if let Some(id) = entry.id.as_ref().filter(|id| !ids.insert(id.as_str())) {
            return Err(ApiError::validation("DuplicateRefundId", format!("refund {id} occurs twice in the request")));
        }
        let own: HashSet<&Alias> = entry.aliases.iter().flatten().collect();
        for alias in own {
            if !aliases.insert(alias.clone()) {
                return Err(ApiError::validation(
                    "DuplicateAliasId",
                    format!("alias {} occurs twice in the request", alias.alias_id),
                ));
            }
        }
    }
    let mut seen = HashSet::new();
    for entry in entries {
        let (total, given) = (checked_total(&entry)?, entry.id.clone());
        let index = match find(order, &entry)? {
            Some(index) => index,
            None => create(order, &entry, total.clone(), now),
        };
        if !seen.insert(index) {
            return Err(ApiError::validation("DuplicateRefundId", format!("two entries name one refund (id {given:?})")));
        }
        update(order, index, entry, total, now)?;
    }
    Ok(())
}

/// The refund that an entry is about; `None` where it creates one.
pub(crate) fn find(order: &Order, entry: &RefundDetails) -> Result<Option<usize>, ApiError> {
    let aliases = entry.aliases.as_deref().unwrap_or_default();
    let holds = |refund: &Arc<Refund>| aliases.iter().any(|it| refund.aliases.contains(it));
    let found = match &entry.id {
        Some(id) => {
            let refunds = &order.refunds;
            let by_alias = || {
                let mut named = refunds.iter();
                named.position(|it| it.aliases.iter().any(|alias| alias.alias_id == *id))
            };
            let by_id = refunds.iter().position(|it| it.id == *id);
            Some(
                by_id
                    .or_else(by_alias)
                    .ok_or_else(|| ApiError::validation("InvalidRefundId", format!("no refund {id} in this order")))?,
            )
        }
        None if aliases.is_empty() => {
            return Err(ApiError::validation("MissingRefundId", "a refund needs its id or an alias"));
        }
        None => order.refunds.iter().position(holds),
    };
    let other =
        order.refunds.iter().position(|it| holds(it) && found.is_some_and(|index| !Arc::ptr_eq(it, &order.refunds[index])));
    if let Some(other) = other {
        return Err(ApiError::validation("InvalidAliasId", format!("an alias belongs to refund {}", order.refunds[other].id)));
    }
    Ok(found)
}

fn create(order: &mut Order, entry: &RefundDetails, total: Money, now: &str) -> usize {
    order.refunds.push(Arc::new(Refund {
        id: super::new_refund_id(),
        state: entry.state.unwrap_or(RefundState::Pending),
        created_at: now.to_owned(),
        updated_at: now.to_owned(),
        refund_request_reason: None,
        refund_status_reason: None,
        aliases: Vec::new(),
        refund_total: RefundTotal { total_amount: total },
        refund_for: None,
        payment_details: Vec::new(),
        external: true,
        touched: true,
    }));
    order.refunds.len() - 1
}

fn update(order: &mut Order, index: usize, entry: RefundDetails, total: Money, now: &str) -> Result<(), ApiError> {
    let refund_for = refunded_lines(order, entry.refund_for)?;
    let refund = Arc::make_mut(&mut order.refunds[index]);
    if let Some(state) = entry.state {
        if !refund.state.may_become(state) {
            return Err(ApiError::validation(
                "InvalidRefundStateTransition",
                format!("{:?} cannot become {state:?}", refund.state),
            ));
        }
        refund.state = state;
    }
    check_total(&refund.refund_total.total_amount, &total)?;
    refund.refund_total.total_amount = total;
    if let Some(reason) = open_word(entry.refund_request_reason)? {
        if !refund.external && refund.refund_request_reason.as_ref() != Some(&reason) {
            return Err(ApiError::validation(
                "InvalidRefundRequestReasonUpdate",
                "only external refunds let their reason be changed",
            ));
        }
        refund.refund_request_reason = Some(reason);
    }
    if entry.refund_status_reason.is_some() {
        refund.refund_status_reason = entry.refund_status_reason;
    }
    for alias in entry.aliases.unwrap_or_default() {
        let mut have = refund.aliases.iter_mut();
        match have.find(|it| it.alias_type == alias.alias_type) {
            Some(old) => *old = alias,
            None => refund.aliases.push(alias),
        }
    }
    if refund_for.is_some() {
        refund.refund_for = refund_for;
    }
    refund.payment_details.extend(checked_payments(entry.payment_details)?);
    refund.touched = true;
    now.clone_into(&mut refund.updated_at);
    Ok(())
}

fn refunded_lines(order: &Order, input: Option<RefundForInput>) -> Result<Option<RefundFor>, ApiError> {
    let Some(input) = input else { return Ok(None) };
    let mut order_line_items = Vec::new();
    for line in input.order_line_items.unwrap_or_default() {
        let index = find_line(order, &line.line_item_id)?;
        order_line_items.push(LineAmount {
            amount: line.refunded_quantity.and_then(|it| it.amount).map(Amount::of),
            line_item: LineRef { id: order.line_items[index].id.clone() },
        });
    }
    Ok(Some(RefundFor { order_line_items }))
}

fn checked_payments(input: Option<Vec<Value>>) -> Result<Vec<Value>, ApiError> {
    let payments = input.unwrap_or_default();
    let mut ids = HashSet::new();
    for payment in &payments {
        if let Some(id) = payment.get("id").and_then(Value::as_str)
            && !ids.insert(id)
        {
            return Err(ApiError::validation("DuplicatePaymentId", format!("payment {id} occurs twice in the list")));
        }
        if let Some(word) = payment.get("paymentMethod").and_then(|it| it.get("type")) {
            open_word(Some(word.clone()))?;
        }
    }
    Ok(payments)
}

/// The two open enums take any word of capitals and underscores.
fn open_word(value: Option<Value>) -> Result<Option<String>, ApiError> {
    let Some(value) = value.filter(|it| !it.is_null()) else {
        return Ok(None);
    };
    match value.as_str() {
        Some(word) if !word.is_empty() && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') => Ok(Some(word.to_owned())),
        _ => Err(ApiError::validation("InvalidEnumValue", format!("{value} is not a word of capitals"))),
    }
}

fn checked_total(entry: &RefundDetails) -> Result<Money, ApiError> {
    entry
        .refund_total
        .total_amount
        .clone()
        .filter(|it| decimal(&it.amount).is_some_and(|amount| amount >= Decimal::ZERO))
        .ok_or_else(|| ApiError::validation("InvalidRefundTotal", "refundTotal needs an amount"))
}

fn check_total(old: &Money, new: &Money) -> Result<(), ApiError> {
    if old.currency_code != new.currency_code || decimal(&new.amount) < decimal(&old.amount) {
        return Err(ApiError::validation(
            "InvalidRefundTotal",
            format!("the total was {} {}, and cannot become {} {}", old.amount, old.currency_code, new.amount, new.currency_code),
        ));
    }
    Ok(())
}
