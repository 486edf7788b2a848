//! What the ledger knows of one thing: what Buy with Prime is known to hold of it, what settled snapshots said, and its pace.

use super::effect::Effect;
use super::outcome::Reason;
use super::rank::EventNo;
use super::wanted::{LineWanted, OrderWanted, PackageWanted, RefundWanted, ReturnWanted, ShipmentWanted};
use crate::event::{
    Alias, Discount, ExecutionState, Money, OrderLink, Payment, PaymentMethod, PaymentState, RefundState, ReturnState,
    ShipmentState,
};
use crate::moment;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A thing of an order, as the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Thing {
    /// What is known, by kind.
    pub known: Known,
    /// When it may be tried again, and how often it was.
    #[serde(default, skip_serializing_if = "Pace::is_idle")]
    pub pace: Pace,
    /// Whether a refusal has to be checked against the order before it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Box<Check>>,
}

/// What is known of a thing: the members of settled snapshots, and what Buy with Prime is known to hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the kinds of things, each with its pair")]
pub enum Known {
    Order { base: Box<OrderWanted>, held: Box<OrderHeld> },
    Line { base: Box<LineWanted>, held: Box<LineHeld> },
    Package { base: Box<PackageWanted>, held: Box<PackageHeld> },
    Return { base: Box<ReturnWanted>, held: Box<ReturnHeld> },
    Refund { base: Box<RefundWanted>, held: Box<RefundHeld> },
    Shipment { base: Box<ShipmentWanted>, held: Box<ShipmentHeld> },
}

/// The pace of a thing: it waits alone, never the rest of its order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pace {
    /// Not before this.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "moment::serialize_some")]
    pub due: Option<DateTime<Utc>>,
    /// Failed attempts in a row.
    pub attempts: u32,
    /// The first of them: the time budget counts from here.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "moment::serialize_some")]
    pub first_failure: Option<DateTime<Utc>>,
    /// Sent alone from now on, since a mutation that it was joined in was refused or not answered.
    pub solo: bool,
    /// What went wrong last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Reason>,
}

impl Pace {
    /// Whether nothing is held back.
    pub fn is_idle(&self) -> bool {
        *self == Pace::default()
    }
}

/// A refusal that may only mean that it is already so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What Buy with Prime said: the reason of the end where the order does not show it.
    pub reason: Reason,
    /// Whether it was the creation of a return: one that exists settles it.
    pub create: bool,
    /// The events that were refused.
    pub events: BTreeSet<EventNo>,
    /// What was refused: where a read shows it, it was done before, and the thing goes on from there.
    #[serde(default)]
    pub effect: Option<Effect>,
}

/// What Buy with Prime is known to hold of the order itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the members of the contract's order data")]
pub struct OrderHeld {
    pub execution_state: Option<ExecutionState>,
    pub aliases: BTreeSet<Alias>,
    pub total_price: Option<Money>,
    pub taxes: Option<Money>,
    pub discount: Option<Discount>,
    pub links: BTreeSet<OrderLink>,
    pub payments: BTreeMap<String, PaymentHeld>,
}

/// What Buy with Prime is known to hold of a line item.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the members of the contract's order data")]
pub struct LineHeld {
    pub aliases: BTreeSet<Alias>,
    pub taxes: Option<Money>,
    pub discount: Option<Discount>,
    pub payments: BTreeMap<String, PaymentHeld>,
}

/// What Buy with Prime is known to hold of a package.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PackageHeld {
    /// Aliases it carries.
    pub aliases: BTreeSet<Alias>,
    /// Its state, as last read.
    pub state: Option<String>,
    /// Its latest milestone, as last read.
    pub milestone: Option<String>,
    /// Its tracking number, as last read.
    pub tracking_number: Option<String>,
    /// Line items and quantities in it, as last read.
    pub lines: Option<BTreeMap<String, u32>>,
    /// When it was last read; none where it never was.
    #[serde(serialize_with = "moment::serialize_some")]
    pub read_at: Option<DateTime<Utc>>,
    /// Whether the last read of the order no longer showed it.
    pub gone: bool,
}

/// What Buy with Prime is known to hold of a return.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReturnHeld {
    /// Whether it was created or read.
    pub exists: bool,
    /// Its state; also what it was closed with before it ever existed there.
    pub state: Option<ReturnState>,
    /// Its complete list of aliases, where known.
    pub aliases: Option<BTreeSet<Alias>>,
    /// The lines that it was created with.
    pub lines: Option<BTreeMap<String, u32>>,
}

/// What Buy with Prime is known to hold of a refund.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the members of the contract's refund data")]
pub struct RefundHeld {
    pub exists: bool,
    pub state: Option<RefundState>,
    pub total: Option<Money>,
    pub request_reason: Option<String>,
    pub status_reason: Option<String>,
    pub lines: Option<BTreeMap<String, Option<u32>>>,
    pub aliases: BTreeSet<Alias>,
    pub payments: BTreeMap<String, PaymentHeld>,
    /// The ids of all payments that were ever sent for it, whatever became of them. Reads add none: Buy with Prime may show ids
    /// of its own.
    pub sent: BTreeSet<String>,
    /// Payments that may have been taken in, by the events that sent them.
    pub doubtful: BTreeMap<String, BTreeSet<EventNo>>,
}

/// What is known of the package mutations made for a shipment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShipmentHeld {
    /// The package that this part became after a split, once a read has shown it.
    pub package: Option<String>,
    /// The last state that Buy with Prime accepted.
    pub state: Option<ShipmentState>,
    /// The last milestone that Buy with Prime accepted.
    pub milestone: Option<String>,
    /// When the last step was accepted, until a read shows it.
    #[serde(serialize_with = "moment::serialize_some")]
    pub unseen_since: Option<DateTime<Utc>>,
    /// The lines that were sent with the first step: the package was split by them.
    pub split: Option<BTreeMap<String, u32>>,
}

/// A payment that was sent or read: enough to know it again, without the payer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PaymentHeld {
    /// How much; none where a read did not say it.
    pub amount: Option<Money>,
    /// How; none where a read did not say it.
    pub method: Option<Arc<PaymentMethod>>,
    /// Its state.
    pub state: Option<PaymentState>,
}

impl From<&Payment> for PaymentHeld {
    fn from(payment: &Payment) -> Self {
        PaymentHeld { amount: Some(payment.amount), method: Some(payment.method.clone()), state: payment.state }
    }
}

impl PaymentHeld {
    /// Whether the payment is, as far as known, of another amount or method.
    pub fn contradicts(&self, payment: &Payment) -> bool {
        self.amount.is_some_and(|amount| amount != payment.amount)
            || self.method.as_ref().is_some_and(|method| *method != payment.method)
    }
}
