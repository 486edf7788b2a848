//! `oms.order.v1`: what Buy with Prime is to know of the order itself. Partial: what is absent is unchanged.

use super::fault::{FaultCode, Read};
use super::lists;
use super::reader::{self, Value};
use super::vocabulary::vocabulary;
use super::{Alias, Money, Payment, Reference};
use std::sync::Arc;

/// How many aliases Buy with Prime keeps for an order.
const MOST_ALIASES: usize = 5;

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
    pub payments: Option<Arc<Vec<Payment>>>,
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
    pub payments: Option<Arc<Vec<Payment>>>,
}

impl OrderSnapshot {
    pub(super) fn read(value: Value<'_>) -> Read<OrderSnapshot> {
        let known = [
            "order",
            "version",
            "executionState",
            "aliases",
            "totalPrice",
            "taxes",
            "discount",
            "links",
            "payments",
            "packages",
            "lines",
            "extensions",
        ];
        let object = value.object(&known)?;
        let snapshot = OrderSnapshot {
            order: object.required("order", Reference::read)?,
            version: super::read_version(object)?,
            execution_state: object
                .optional("executionState", |value| value.one_of(ExecutionState::parse, ExecutionState::WORDS))?,
            aliases: object.optional("aliases", read_aliases)?,
            total_price: object.optional("totalPrice", Money::read)?,
            taxes: object.optional("taxes", Money::read)?,
            discount: object.optional("discount", Discount::read)?,
            links: object.optional("links", |value| value.list(OrderLink::read))?,
            payments: object.optional("payments", Payment::read_list)?,
            packages: object.optional("packages", OrderPackage::read_list)?,
            lines: object.optional("lines", OrderLine::read_list)?,
        };
        super::read_extensions(object)?;
        Ok(snapshot)
    }
}

fn read_aliases(value: Value<'_>) -> Read<Vec<Alias>> {
    let aliases = Alias::read_list(value)?;
    if aliases.len() <= MOST_ALIASES {
        return Ok(aliases);
    }
    let message = format!("`aliases` has {} entries; Buy with Prime keeps at most {MOST_ALIASES} for an order", aliases.len());
    Err(value.wrong(FaultCode::TooManyAliases, message))
}

impl Discount {
    fn read(value: Value<'_>) -> Read<Discount> {
        let object = value.object(&["amount", "display"])?;
        Ok(Discount { amount: object.required("amount", Money::read)?, display: object.optional("display", reader::prose)? })
    }
}

impl OrderLink {
    fn read(value: Value<'_>) -> Read<OrderLink> {
        let object = value.object(&["destination", "url"])?;
        let destination = |value: Value<'_>| value.one_of(LinkDestination::parse, LinkDestination::WORDS);
        Ok(OrderLink {
            destination: object.required("destination", destination)?,
            url: object.required("url", reader::some_prose)?,
        })
    }
}

impl OrderPackage {
    fn read_list(value: Value<'_>) -> Read<Vec<OrderPackage>> {
        let packages = value.list(|entry| {
            let object = entry.object(&["package", "aliases"])?;
            Ok(OrderPackage {
                package: object.required("package", Reference::read)?,
                aliases: object.optional("aliases", Alias::read_list)?,
            })
        })?;
        lists::distinct(value, &packages, |package| &package.package)?;
        Ok(packages)
    }
}

impl OrderLine {
    fn read_list(value: Value<'_>) -> Read<Vec<OrderLine>> {
        let lines = value.list(|entry| {
            let object = entry.object(&["line", "aliases", "taxes", "discount", "payments"])?;
            Ok(OrderLine {
                line: object.required("line", Reference::read)?,
                aliases: object.optional("aliases", Alias::read_list)?,
                taxes: object.optional("taxes", Money::read)?,
                discount: object.optional("discount", Discount::read)?,
                payments: object.optional("payments", Payment::read_list)?,
            })
        })?;
        lists::filled(value, &lines)?;
        lists::distinct(value, &lines, |line| &line.line)?;
        Ok(lines)
    }
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
