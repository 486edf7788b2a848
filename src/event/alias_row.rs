//! `oms.alias.v1`: one row of the alias-resolution table.

use super::{Alias, Reference};
use serde::{Deserialize, Serialize};

/// That an alias of a thing stands for an id of Buy with Prime, or no longer does.
#[derive(Debug, Clone, PartialEq)]
pub struct AliasRow {
    /// What kind of thing it names.
    pub kind: AliasKind,
    /// The name.
    pub alias: Alias,
    /// Buy with Prime's id; none removes the row.
    pub bwp_id: Option<String>,
    /// The producer's version of the row.
    pub version: Option<u64>,
    /// The order that the thing belongs to; always there but for an order's own row, where it may be absent.
    pub order: Option<Reference>,
}

impl AliasRow {
    /// The order that the row is about.
    pub fn order(&self) -> Reference {
        match (&self.order, self.kind) {
            (Some(order), kind) if kind != AliasKind::Order => order.clone(),
            _ => Reference::Alias(self.alias.clone()),
        }
    }
}

/// What an alias can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AliasKind {
    /// An order.
    Order,
    /// A line item of an order.
    LineItem,
    /// A return.
    Return,
    /// A refund.
    Refund,
    /// A package; also what a shipment is.
    Package,
}
