//! `oms.order.v1`: what Buy with Prime is to know of the order itself. Partial: what is absent is unchanged.

use super::vocabulary::vocabulary;
use super::{Alias, Money, Payment, Reference};

/// The order's own members, as far as the event has them.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderSnapshot {
    /// The order.
    pub order: Reference,
    /// The producer's version.
    pub version: Option<u64>,
    /// Whether fulfilment may start.
    pub execution_state: Option<ExecutionState>,
    /// Aliases to add, at most five.
    pub aliases: Option<Vec<Alias>>,
    /// The order's price.
    pub total_price: Option<Money>,
    /// Tax to collect.
    pub taxes: Option<Money>,
    /// The order-level share of the discounts.
    pub discount: Option<Discount>,
    /// Links to other systems.
    pub links: Option<Vec<OrderLink>>,
    /// Order-level payments.
    pub payments: Option<Vec<Payment>>,
    /// Aliases of packages.
    pub packages: Option<Vec<OrderPackage>>,
    /// What is new of the order's lines.
    pub lines: Option<Vec<OrderLine>>,
}

/// A discount and what it is called.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Discount {
    /// How much.
    pub amount: Money,
    /// What the shopper sees.
    pub display: Option<String>,
}

/// A link of the order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct OrderLink {
    /// Where it leads.
    pub destination: LinkDestination,
    /// The address.
    pub url: String,
}

/// A package of the order and the aliases to attach to it.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderPackage {
    /// The package.
    pub package: Reference,
    /// The aliases.
    pub aliases: Option<Vec<Alias>>,
}

/// A line item of the order and what is new of it.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderLine {
    /// The line item.
    pub line: Reference,
    /// Aliases to add.
    pub aliases: Option<Vec<Alias>>,
    /// Tax to collect.
    pub taxes: Option<Money>,
    /// The line's share of the discounts.
    pub discount: Option<Discount>,
    /// Payments of the line.
    pub payments: Option<Vec<Payment>>,
}

vocabulary! {
    /// Whether fulfilment may start: `OrderExecutionStateInput`.
    pub enum ExecutionState {
        /// `NOT_STARTED`
        NotStarted = "NOT_STARTED",
        /// `STARTED`
        Started = "STARTED",
    }
}

vocabulary! {
    /// Where an order link leads.
    pub enum LinkDestination {
        /// `EXTERNAL_ORDER_MANAGEMENT`
        ExternalOrderManagement = "EXTERNAL_ORDER_MANAGEMENT",
        /// `EXTERNAL_ORDER_TRACKING`
        ExternalOrderTracking = "EXTERNAL_ORDER_TRACKING",
        /// `BWP_STOREFRONT`
        BwpStorefront = "BWP_STOREFRONT",
        /// `AMAZON_STOREFRONT`
        AmazonStorefront = "AMAZON_STOREFRONT",
    }
}
