//! What an entry changes at Buy with Prime: what is known once it is accepted, and what a read has to show if it was.

use super::subject::{Name, Subject};
use super::thing::{Known, PackageHeld, PaymentHeld};
use super::things::Things;
use crate::event::{
    Alias, AliasKind, Discount, ExecutionState, Milestone, Money, OrderLink, RefundState, ReturnState, ShipmentState,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The change that one entry makes. Written into the ledger before the send, so that any replica can compare later.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the kinds of entries")]
pub enum Effect {
    Order(OrderEffect),
    Line(LineEffect),
    Package(PackageEffect),
    Return(ReturnEffect),
    Refund(RefundEffect),
    Shipment(ShipmentEffect),
}

/// A change of the order itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the members of the contract's order data")]
pub struct OrderEffect {
    pub execution_state: Option<ExecutionState>,
    pub aliases: Vec<Alias>,
    pub total_price: Option<Money>,
    pub taxes: Option<Money>,
    pub discount: Option<Discount>,
    pub links: Vec<OrderLink>,
    pub payments: BTreeMap<String, PaymentHeld>,
}

/// A change of a line item.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the members of the contract's order data")]
pub struct LineEffect {
    pub line: String,
    pub aliases: Vec<Alias>,
    pub taxes: Option<Money>,
    pub discount: Option<Discount>,
    pub payments: BTreeMap<String, PaymentHeld>,
}

/// Aliases attached to a package.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PackageEffect {
    /// The package.
    pub package: String,
    /// The new aliases.
    pub aliases: Vec<Alias>,
}

/// A return created or changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReturnEffect {
    /// Whether the entry creates it.
    pub create: bool,
    /// Its new state.
    pub state: Option<ReturnState>,
    /// Its new, complete list of aliases.
    pub aliases: Option<Vec<Alias>>,
    /// The lines that it is created with.
    pub lines: Option<BTreeMap<String, u32>>,
}

/// A refund created or changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefundEffect {
    /// Whether the entry creates it.
    pub create: bool,
    /// Its new state.
    pub state: RefundState,
    /// Its new total.
    pub total: Money,
    /// The total before, where known: whether the total can tell that the entry was applied.
    pub total_before: Option<Money>,
    /// A new reason of the request.
    pub request_reason: Option<String>,
    /// A new reason of the state.
    pub status_reason: Option<String>,
    /// New lines.
    pub lines: Option<BTreeMap<String, Option<u32>>>,
    /// Aliases in the entry.
    pub aliases: Vec<Alias>,
    /// Payments sent with it, by id.
    pub payments: BTreeMap<String, PaymentHeld>,
}

/// A step of a package in the sandbox.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShipmentEffect {
    /// The package.
    pub package: String,
    /// Its new state.
    pub state: Option<ShipmentState>,
    /// Its new milestone.
    pub milestone: Option<Milestone>,
    /// The lines that were split off.
    pub lines: Option<BTreeMap<String, u32>>,
}

impl Effect {
    /// What is known of the thing once Buy with Prime has accepted the entry, and the aliases that now stand for an id.
    pub fn apply(&self, subject: &Subject, things: &mut Things, now: DateTime<Utc>) -> Vec<(AliasKind, Alias, String)> {
        if let Effect::Package(effect) = self {
            let package = Subject::Package(Name::Bwp(effect.package.clone()));
            hold_package(things, &package, |held| held.aliases.extend(effect.aliases.iter().cloned()));
            let learned = effect.aliases.iter().map(|alias| (AliasKind::Package, alias.clone(), effect.package.clone()));
            return learned.collect();
        }
        let thing = things.hold(subject);
        match (self, &mut thing.known) {
            (Effect::Order(effect), Known::Order { held, .. }) => {
                set(&mut held.execution_state, &effect.execution_state);
                set(&mut held.total_price, &effect.total_price);
                set(&mut held.taxes, &effect.taxes);
                set(&mut held.discount, &effect.discount);
                held.aliases.extend(effect.aliases.iter().cloned());
                held.links.extend(effect.links.iter().cloned());
                held.payments.extend(effect.payments.clone());
            }
            (Effect::Line(effect), Known::Line { held, .. }) => {
                set(&mut held.taxes, &effect.taxes);
                set(&mut held.discount, &effect.discount);
                held.aliases.extend(effect.aliases.iter().cloned());
                held.payments.extend(effect.payments.clone());
                let line = &effect.line;
                return effect.aliases.iter().map(|alias| (AliasKind::LineItem, alias.clone(), line.clone())).collect();
            }
            (Effect::Return(effect), Known::Return { held, .. }) => {
                held.exists |= effect.create || effect.state != Some(ReturnState::Cancelled);
                set(&mut held.state, &effect.state);
                set(&mut held.lines, &effect.lines);
                if let Some(aliases) = &effect.aliases {
                    held.aliases = Some(aliases.iter().cloned().collect());
                }
            }
            (Effect::Refund(effect), Known::Refund { held, .. }) => {
                held.exists = true;
                held.state = Some(effect.state);
                held.total = Some(effect.total);
                set(&mut held.request_reason, &effect.request_reason);
                set(&mut held.status_reason, &effect.status_reason);
                set(&mut held.lines, &effect.lines);
                merge_aliases(&mut held.aliases, &effect.aliases);
                held.sent.extend(effect.payments.keys().cloned());
                held.payments.extend(effect.payments.clone());
            }
            (Effect::Shipment(effect), Known::Shipment { held, .. }) => {
                set(&mut held.state, &effect.state);
                set(&mut held.split, &effect.lines);
                if let Some(milestone) = effect.milestone {
                    held.milestone = Some(milestone.as_str().to_owned());
                }
                if held.split.is_some() && effect.lines.is_none() {
                    held.package = Some(effect.package.clone());
                }
                held.unseen_since = Some(now);
            }
            _ => {}
        }
        Vec::new()
    }
}

/// Buy with Prime merges a refund's aliases by type: the same type overwrites its id.
pub fn merge_aliases(held: &mut BTreeSet<Alias>, new: &[Alias]) {
    for alias in new {
        held.retain(|present| present.alias_type != alias.alias_type);
        held.insert(alias.clone());
    }
}

/// Changes what is known of a package, which needs not have been heard of before.
pub fn hold_package(things: &mut Things, package: &Subject, change: impl FnOnce(&mut PackageHeld)) {
    if let Known::Package { held, .. } = &mut things.hold(package).known {
        change(held);
    }
}

fn set<T: Clone>(slot: &mut Option<T>, value: &Option<T>) {
    if value.is_some() {
        slot.clone_from(value);
    }
}
