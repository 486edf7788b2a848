//! Returns within `updateOrder`: an entry without `returnIdentifier` creates, one with it updates an external return.

use super::input::{ReturnDetails, ReturnIdentifier, ReturnLineItem};
use super::model::{Alias, LineAmount, LineRef, Order, Return, ReturnFor, ReturnLine, ReturnState};
use super::order::{decimal, find_line};
use crate::answer::ApiError;
use rust_decimal::Decimal;
use std::collections::HashMap;
use std::sync::Arc;

const MAX_ALIASES: usize = 2;

pub(crate) fn apply(order: &mut Order, entry: ReturnDetails, now: &str) -> Result<(), ApiError> {
    match &entry.return_identifier {
        None => create(order, entry, now),
        Some(identifier) => {
            let Some(index) = find(order, identifier) else {
                return Err(ApiError::validation("InvalidReturnId", "no return of this order is so named"));
            };
            update(order, index, entry, now)
        }
    }
}

/// The return that an identifier names: by BwP id or by alias, exactly one of them.
pub(crate) fn find(order: &Order, identifier: &ReturnIdentifier) -> Option<usize> {
    match (&identifier.id, &identifier.alias) {
        (Some(id), None) => order.returns.iter().position(|it| it.id == *id),
        (None, Some(alias)) => order.returns.iter().position(|it| it.aliases.contains(alias)),
        _ => None,
    }
}

fn create(order: &mut Order, entry: ReturnDetails, now: &str) -> Result<(), ApiError> {
    let aliases = entry.aliases.unwrap_or_default();
    check_aliases(order, &aliases, None)?;
    let return_line_items = lines(order, entry.return_line_items.unwrap_or_default())?;
    order.returns.push(Arc::new(Return {
        id: super::new_id(),
        created_at: now.to_owned(),
        updated_at: now.to_owned(),
        state: entry.state.unwrap_or(ReturnState::Created),
        created_with: aliases.clone(),
        aliases,
        return_line_items,
        external: true,
        touched: true,
    }));
    Ok(())
}

/// `returnLineItems` of an update change nothing: whether they may is not known, and connectors send them every time.
fn update(order: &mut Order, index: usize, entry: ReturnDetails, now: &str) -> Result<(), ApiError> {
    if !order.returns[index].external {
        return Err(ApiError::validation("ReturnNotExternal", "a return created by Buy with Prime cannot be updated"));
    }
    if let Some(aliases) = &entry.aliases {
        check_aliases(order, aliases, Some(index))?;
    }
    lines(order, entry.return_line_items.unwrap_or_default())?;
    let it = Arc::make_mut(&mut order.returns[index]);
    if let Some(state) = entry.state {
        if it.state != ReturnState::Created && state != it.state {
            return Err(ApiError::validation(
                "InvalidReturnStateTransition",
                format!("a return that is {:?} cannot become {state:?}", it.state),
            ));
        }
        it.state = state;
        it.touched = true;
    }
    if let Some(aliases) = entry.aliases {
        it.aliases = aliases;
    }
    now.clone_into(&mut it.updated_at);
    Ok(())
}

fn check_aliases(order: &Order, aliases: &[Alias], own: Option<usize>) -> Result<(), ApiError> {
    if aliases.len() > MAX_ALIASES {
        return Err(ApiError::validation("AliasLimitExceeded", format!("a return has at most {MAX_ALIASES} aliases")));
    }
    let others = order.returns.iter().enumerate();
    for (_, other) in others.filter(|(index, _)| Some(*index) != own) {
        if let Some(alias) = aliases.iter().find(|it| other.aliases.contains(it)) {
            return Err(ApiError::validation(
                "AliasValueAlreadyExists",
                format!("alias {} belongs to return {}", alias.alias_id, other.id),
            ));
        }
    }
    Ok(())
}

fn lines(order: &Order, items: Vec<ReturnLineItem>) -> Result<Vec<ReturnLine>, ApiError> {
    let mut asked: HashMap<usize, Decimal> = HashMap::new();
    let mut result = Vec::with_capacity(items.len());
    for item in items {
        let amounts = item.return_for.and_then(|it| it.order_line_item_amounts);
        let mut order_line_item_amounts = Vec::new();
        for entry in amounts.unwrap_or_default() {
            let index = find_line(order, &entry.line_item_id)?;
            let line = &order.line_items[index];
            let amount = entry.amount();
            if let Some(quantity) = amount.as_ref().and_then(|it| decimal(&it.value)) {
                let sum = asked.entry(index).or_default();
                *sum += quantity;
                let most = decimal(&line.amount.value).unwrap_or_default();
                if quantity <= Decimal::ZERO || *sum > most {
                    return Err(ApiError::validation(
                        "InvalidReturnQuantity",
                        format!("{sum} of line item {} asked, {most} there", line.id),
                    ));
                }
            }
            order_line_item_amounts.push(LineAmount { amount, line_item: LineRef { id: line.id.clone() } });
        }
        result.push(ReturnLine { id: super::new_id(), return_for: ReturnFor { order_line_item_amounts } });
    }
    Ok(result)
}
