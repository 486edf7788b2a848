//! `updateOrder` on one order: the parts that belong to the order itself. Every function here changes a draft; a draft that
//! met an error is thrown away, so a mutation is applied whole or not at all.

use super::input::{Details, LineIdentifier, PackageAliases, UpdateLine, UpdateOrder};
use super::model::{Alias, ExecutionState, Order};
use super::{refunds, returns};
use crate::answer::ApiError;
use rust_decimal::Decimal;
use serde_json::Number;
use serde_json_bytes::Value;
use std::sync::Arc;

const MAX_ALIASES: usize = 5;
const MAX_LINKS: usize = 5;

/// Applies an `updateOrder`. `taken` tells whether another order of the store has the alias.
pub(crate) fn update(order: &mut Order, input: UpdateOrder, taken: &dyn Fn(&Alias) -> bool, now: &str) -> Result<(), ApiError> {
    let aliases = input.aliases.unwrap_or_default();
    if let Some(alias) = aliases.iter().find(|alias| taken(alias)) {
        return Err(ApiError::validation(
            "AliasValueAlreadyExists",
            format!("alias {} belongs to another order", alias.alias_id),
        ));
    }
    append_aliases(&mut order.aliases, aliases, "order")?;
    start(order, input.desired_execution_state)?;
    set_once(&mut order.discounts, input.discounts)?;
    for line in input.line_items.unwrap_or_default() {
        update_line(order, line)?;
    }
    add_links(order, input.order_links.unwrap_or_default())?;
    for package in Details::into_vec(input.package_information) {
        name_package(order, package)?;
    }
    merge_payments(&mut order.payments, input.payments);
    for entry in Details::into_vec(input.returns) {
        returns::apply(order, entry, now)?;
    }
    refunds::apply_all(order, Details::into_vec(input.refunds), now)?;
    replace(&mut order.taxes, input.taxes);
    replace(&mut order.total_price, input.total_price);
    now.clone_into(&mut order.updated_at);
    order.accepted += 1;
    Ok(())
}

fn start(order: &mut Order, wanted: Option<ExecutionState>) -> Result<(), ApiError> {
    match (order.execution_state, wanted) {
        (ExecutionState::Started, Some(ExecutionState::NotStarted)) => {
            Err(ApiError::validation("InvalidExecutionStateTransition", "an order that is STARTED cannot go back to NOT_STARTED"))
        }
        (_, Some(state)) => {
            order.execution_state = state;
            Ok(())
        }
        (_, None) => Ok(()),
    }
}

fn update_line(order: &mut Order, input: UpdateLine) -> Result<(), ApiError> {
    let index = find_line(order, &input.id)?;
    let line = Arc::make_mut(&mut order.line_items[index]);
    for alias in input.aliases.unwrap_or_default() {
        if !line.aliases.contains(&alias) {
            line.aliases.push(alias);
        }
    }
    set_once(&mut line.discounts, input.discounts)?;
    merge_payments(&mut line.payments, input.payments);
    replace(&mut line.taxes, input.taxes);
    Ok(())
}

fn name_package(order: &mut Order, input: PackageAliases) -> Result<(), ApiError> {
    let Some(package) = order.packages.iter_mut().find(|it| it.id == input.id) else {
        return Err(ApiError::validation(
            "PackageInformationDetailIdNotFound",
            format!("package {} is not in this order", input.id),
        ));
    };
    let package = Arc::make_mut(package);
    append_aliases(&mut package.aliases, input.aliases.unwrap_or_default(), "package")
}

fn add_links(order: &mut Order, links: Vec<Value>) -> Result<(), ApiError> {
    for link in links {
        let same =
            |other: &Value| other.get("destinationType") == link.get("destinationType") && other.get("url") == link.get("url");
        if !order.order_links.iter().any(same) {
            order.order_links.push(link);
        }
    }
    if order.order_links.len() > MAX_LINKS {
        return Err(ApiError::validation("OrderLinkLimitExceeded", "an order has at most 5 links"));
    }
    Ok(())
}

/// The line that an identifier names: by BwP id or by any alias of a line, exactly one of them.
pub(crate) fn find_line(order: &Order, id: &LineIdentifier) -> Result<usize, ApiError> {
    let found = match (&id.line_item_id, &id.alias) {
        (Some(id), None) => order.line_items.iter().position(|line| line.id == *id),
        (None, Some(alias)) => order.line_items.iter().position(|line| line.aliases.contains(alias)),
        _ => None,
    };
    found.ok_or_else(|| ApiError::validation("InvalidLineItemId", "no line item of this order is so named"))
}

fn append_aliases(have: &mut Vec<Alias>, new: Vec<Alias>, what: &'static str) -> Result<(), ApiError> {
    for alias in new {
        if !have.contains(&alias) {
            have.push(alias);
        }
    }
    if have.len() > MAX_ALIASES {
        return Err(ApiError::validation("AliasLimitExceeded", format!("a {what} has at most {MAX_ALIASES} aliases")));
    }
    Ok(())
}

/// Discounts stay as they are once set; null and the same value leave them so.
fn set_once(have: &mut Option<Value>, new: Option<Value>) -> Result<(), ApiError> {
    match (&have, new) {
        (_, None) => Ok(()),
        (None, new) => {
            *have = new;
            Ok(())
        }
        (Some(old), Some(new)) if same(old, &new) => Ok(()),
        _ => Err(ApiError::validation("InvalidDiscountUpdate", "discounts cannot be changed once they are set")),
    }
}

fn replace(have: &mut Option<Value>, new: Option<Value>) {
    if new.is_some() {
        *have = new;
    }
}

/// A summary replaces; details are added by id, the same id replacing its entry.
fn merge_payments(have: &mut Option<Value>, new: Option<Value>) {
    let (Some(Value::Object(old)), Some(Value::Object(new))) = (have.as_mut(), new.as_ref()) else {
        return replace(have, new);
    };
    if let Some(summary) = new.get("summary") {
        old.insert("summary", summary.clone());
    }
    let Some(new) = new.get("details").and_then(Value::as_array) else {
        return;
    };
    let mut all = old.get("details").and_then(Value::as_array).cloned().unwrap_or_default();
    for payment in new {
        let id = payment.get("id").filter(|id| !id.is_null());
        match all.iter_mut().find(|it| id.is_some() && it.get("id") == id) {
            Some(entry) => *entry = payment.clone(),
            None => all.push(payment.clone()),
        }
    }
    old.insert("details", Value::Array(all));
}

/// Equal as values: numbers by what they are worth, not by how they are written.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => decimal(left) == decimal(right),
        (Value::Array(left), Value::Array(right)) => left.len() == right.len() && left.iter().zip(right).all(|(l, r)| same(l, r)),
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len() && left.iter().all(|(key, l)| right.get(key.as_str()).is_some_and(|r| same(l, r)))
        }
        _ => left == right,
    }
}

/// The exact value of a number as it was written.
pub(crate) fn decimal(number: &Number) -> Option<Decimal> {
    let text = number.to_string();
    Decimal::from_str_exact(&text).or_else(|_| Decimal::from_scientific(&text)).ok()
}
