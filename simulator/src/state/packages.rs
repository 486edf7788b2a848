//! `updateOrderPackageInformation`: checks against the packages as they are, and the packages as they will be once the
//! update has settled.

use super::input::{InformationState, LineAmounts, PackageUpdate, TrackerState};
use super::model::{LineAmount, LineRef, Order, Package, PackageFor, PackageState, Tracker, TrackerIdentifier};
use super::order::{decimal, find_line};
use crate::answer::ApiError;
use rust_decimal::Decimal;
use serde_json::Number;
use serde_json_bytes::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the packages depend on besides the order.
pub(crate) struct Rules {
    pub settled_at: Instant,
    pub tracker_delay: Duration,
    pub tracker_limit: u32,
}

/// The packages as they will be.
pub(crate) fn plan(order: &Order, entries: &[PackageUpdate], rules: &Rules, now: &str) -> Result<Vec<Arc<Package>>, ApiError> {
    let mut packages = order.packages.clone();
    for entry in entries {
        let states = &entry.package_state;
        let same_id = entries.iter().filter(|it| it.id == entry.id);
        match (&states.package_information_state, &states.package_tracker_state) {
            (Some(_), Some(_)) => {
                return Err(refuse("ConflictingPackageStateInput", "both kinds of state given"));
            }
            (None, None) => return Err(refuse("MissingPackageStateInput", "no state given")),
            (Some(state), None) => {
                let split = same_id.count() > 1;
                change(order, &mut packages, &entry.id, state, split, rules)?;
            }
            (None, Some(state)) => track(&mut packages, &entry.id, state, rules, now)?,
        }
    }
    Ok(packages)
}

fn refuse(code: &'static str, message: impl Into<String>) -> ApiError {
    ApiError::validation(code, message)
}

fn find(packages: &[Arc<Package>], id: &str) -> Result<usize, ApiError> {
    packages
        .iter()
        .position(|it| it.id == id)
        .ok_or_else(|| refuse("PackageInformationDetailIdNotFound", format!("package {id} is not in this order")))
}

fn change(
    order: &Order,
    packages: &mut Vec<Arc<Package>>,
    id: &str,
    wanted: &InformationState,
    split: bool,
    rules: &Rules,
) -> Result<(), ApiError> {
    let index = find(packages, id)?;
    check_step(packages[index].state, wanted)?;
    let pending = packages[index].state == PackageState::Pending;
    let lines = asked_lines(order, wanted.package_information_details_for.as_ref())?;
    let whole = lines.as_ref().is_none_or(|lines| covers(lines, &packages[index]));
    if !pending || (!split && whole) {
        enter(Arc::make_mut(&mut packages[index]), wanted, rules);
        return Ok(());
    }
    let Some(lines) = lines else {
        return Err(refuse("InvalidLineItemId", "each part of a split package names its lines"));
    };
    let rest = subtract(&packages[index], &lines)?;
    let mut part = Package {
        id: super::new_id(),
        aliases: Vec::new(),
        package_information_details_for: holding(lines),
        ..(*packages[index]).clone()
    };
    enter(&mut part, wanted, rules);
    if rest.is_empty() {
        packages.remove(index);
    } else {
        Arc::make_mut(&mut packages[index]).package_information_details_for = holding(rest);
    }
    packages.push(Arc::new(part));
    Ok(())
}

fn check_step(from: PackageState, wanted: &InformationState) -> Result<(), ApiError> {
    use PackageState::{Cancelled, Delivered, InTransit, Pending};
    if wanted.state == Cancelled && wanted.reason.is_none() {
        return Err(refuse("MissingCancellationReason", "CANCELLED needs a reason"));
    }
    let legal = match (from, wanted.state, wanted.reason.as_deref()) {
        (Pending, Cancelled, Some(reason)) => reason != "UNDELIVERABLE",
        (InTransit, Cancelled, Some(reason)) => reason == "UNDELIVERABLE",
        (Pending, InTransit, _) | (InTransit, Delivered, _) => true,
        _ => false,
    };
    if legal {
        return Ok(());
    }
    let reason = wanted.reason.as_deref().unwrap_or("no reason");
    Err(refuse(
        "InvalidPackageDeliveryDetailStateTransition",
        format!("a package that is {from:?} cannot become {:?} ({reason})", wanted.state),
    ))
}

fn enter(package: &mut Package, wanted: &InformationState, rules: &Rules) {
    package.state = wanted.state;
    package.reason = wanted.reason.clone().filter(|_| wanted.state == PackageState::Cancelled);
    if wanted.state == PackageState::InTransit {
        package.tracker_from = Some(rules.settled_at + rules.tracker_delay);
    }
}

fn asked_lines(order: &Order, input: Option<&LineAmounts>) -> Result<Option<Vec<LineAmount>>, ApiError> {
    let Some(entries) = input.and_then(|it| it.order_line_item_amounts.as_ref()) else {
        return Ok(None);
    };
    let mut lines = Vec::with_capacity(entries.len());
    for entry in entries {
        let index = find_line(order, &entry.line_item_id)?;
        lines.push(LineAmount { amount: entry.amount(), line_item: LineRef { id: order.line_items[index].id.clone() } });
    }
    Ok(Some(lines))
}

fn quantity(lines: &[LineAmount], id: &str) -> Decimal {
    let of_line = lines.iter().filter(|it| it.line_item.id == id);
    of_line.filter_map(|it| it.amount.as_ref().and_then(|amount| decimal(&amount.value))).sum()
}

fn covers(lines: &[LineAmount], package: &Package) -> bool {
    let held = &package.package_information_details_for.order_line_items;
    held.iter().all(|it| quantity(lines, &it.line_item.id) == quantity(held, &it.line_item.id))
        && lines.iter().all(|it| held.iter().any(|h| h.line_item == it.line_item))
}

fn subtract(package: &Package, lines: &[LineAmount]) -> Result<Vec<LineAmount>, ApiError> {
    let held = &package.package_information_details_for.order_line_items;
    for line in lines {
        let (asked, there) = (quantity(lines, &line.line_item.id), quantity(held, &line.line_item.id));
        if asked > there || asked <= Decimal::ZERO {
            return Err(refuse(
                "InvalidLineItemAmount",
                format!("{asked} of line item {} asked, {there} in the package", line.line_item.id),
            ));
        }
    }
    let mut rest = Vec::new();
    for line in held {
        let left = quantity(held, &line.line_item.id) - quantity(lines, &line.line_item.id);
        if left > Decimal::ZERO
            && let Ok(value) = left.normalize().to_string().parse::<Number>()
        {
            rest.push(LineAmount { amount: Some(super::model::Amount::of(value)), line_item: line.line_item.clone() });
        }
    }
    Ok(rest)
}

pub(crate) fn holding(lines: Vec<LineAmount>) -> PackageFor {
    PackageFor { order_line_items: lines.clone(), order_line_item_amounts: lines }
}

fn track(packages: &mut [Arc<Package>], id: &str, wanted: &TrackerState, rules: &Rules, now: &str) -> Result<(), ApiError> {
    let index = find(packages, id)?;
    let package = Arc::make_mut(&mut packages[index]);
    let there = package.tracker_from.is_some_and(|from| from <= Instant::now());
    match package.state {
        PackageState::InTransit if there => {}
        PackageState::InTransit | PackageState::Pending => {
            return Err(refuse("PackageTrackerNotAvailableForUpdate", "wait five minutes, query, retry"));
        }
        PackageState::Delivered | PackageState::Cancelled => {
            return Err(refuse("InvalidPackageDeliveryDetailStateTransition", format!("the package is {:?}", package.state)));
        }
    }
    if package.tracker_updates >= rules.tracker_limit {
        return Err(refuse("UpdatePackageTrackerLimitExceeded", "too many tracker updates"));
    }
    let named = &wanted.package_tracker_identifier;
    let tracker = package.package_tracker.get_or_insert_with(|| empty(named));
    if tracker.package_tracker_identifier != *named {
        return Err(refuse("PackageTrackerNotFound", "the package has another tracker"));
    }
    let code = &wanted.latest_milestone.status.code;
    let milestone = json!({"status": {"code": code}, "occurredAt": now});
    tracker.milestones.push(milestone.clone());
    tracker.latest_milestone = Some(milestone);
    package.tracker_updates += 1;
    if code == "DELIVERED" {
        package.state = PackageState::Delivered;
    }
    Ok(())
}

pub(crate) fn empty(named: &TrackerIdentifier) -> Tracker {
    Tracker { package_tracker_identifier: named.clone(), latest_milestone: None, milestones: Vec::new() }
}
