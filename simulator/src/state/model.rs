//! What the simulator knows of an order. Serialised, every type here has the shape of its GraphQL type, so the schema alone
//! decides what a query may select; fields that the API does not show are skipped or, for operators, written in `admin`.

use serde::{Deserialize, Serialize};
use serde_json::Number;
use serde_json_bytes::Value;
use std::sync::Arc;
use std::time::Instant;

/// A name that the merchant gave a thing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alias {
    /// Free text.
    #[serde(alias = "type")]
    pub alias_type: String,
    /// The name itself.
    #[serde(alias = "id")]
    pub alias_id: String,
}

impl Alias {
    /// An alias of a type.
    pub fn new(alias_type: impl Into<String>, alias_id: impl Into<String>) -> Self {
        Self { alias_type: alias_type.into(), alias_id: alias_id.into() }
    }
}

/// An amount of money, its digits as they were sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Money {
    /// The decimal value.
    pub amount: Number,
    /// ISO 4217.
    pub currency_code: String,
}

/// A number of pieces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// How many.
    pub value: Number,
    /// Always `ONE`.
    #[serde(default = "one")]
    pub unit: String,
}

fn one() -> String {
    "ONE".to_owned()
}

impl Amount {
    pub(crate) fn of(value: Number) -> Self {
        Self { value, unit: one() }
    }
}

/// A line item, named by its BwP id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineRef {
    /// BwP's id.
    pub id: String,
}

/// So many pieces of one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LineAmount {
    /// How many.
    pub amount: Option<Amount>,
    /// Of which line.
    pub line_item: LineRef,
}

/// `returnFor`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReturnFor {
    /// The lines returned.
    pub order_line_item_amounts: Vec<LineAmount>,
}

/// `refundFor`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefundFor {
    /// The lines refunded.
    pub order_line_items: Vec<LineAmount>,
}

/// `refundTotal`
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefundTotal {
    /// All refunded so far.
    pub total_amount: Money,
}

/// `packageInformationDetailsFor`, under both names that it might have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PackageFor {
    /// The name that a connector reads.
    pub order_line_items: Vec<LineAmount>,
    /// The name of the sandbox input.
    pub order_line_item_amounts: Vec<LineAmount>,
}

/// State of a return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)]
pub enum ReturnState {
    Created,
    Cancelled,
    Completed,
}

/// State of a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)]
pub enum RefundState {
    Pending,
    Partial,
    Success,
    Failure,
    Rejected,
}

impl RefundState {
    /// Amazon's transition table, with `REJECTED` added after `PENDING`, `FAILURE` and itself.
    pub fn may_become(self, next: Self) -> bool {
        use RefundState::{Failure, Partial, Pending, Rejected, Success};
        match self {
            Pending => true,
            Failure => matches!(next, Partial | Failure | Success | Rejected),
            Partial => matches!(next, Partial | Success),
            Success => next == Success,
            Rejected => next == Rejected,
        }
    }
}

/// State of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)]
pub enum PackageState {
    Pending,
    InTransit,
    Delivered,
    Cancelled,
}

/// Whether an order's fulfilment has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)]
pub enum ExecutionState {
    NotStarted,
    Started,
}

/// A line item.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Line {
    pub id: String,
    pub amount: Amount,
    pub aliases: Vec<Alias>,
    pub created_at: String,
    pub product: Option<Value>,
    pub payments: Option<Value>,
    pub taxes: Option<Value>,
    pub discounts: Option<Value>,
}

/// One entry of `returnLineItems`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct ReturnLine {
    pub id: String,
    pub return_for: ReturnFor,
}

/// A return.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Return {
    pub id: String,
    pub created_at: String,
    pub updated_at: String,
    pub state: ReturnState,
    pub aliases: Vec<Alias>,
    pub return_line_items: Vec<ReturnLine>,
    /// Made through `updateOrder`, and so open to it.
    pub external: bool,
    /// What it was created with; an alias may be replaced later, a creation stays one.
    #[serde(skip)]
    pub(crate) created_with: Vec<Alias>,
    /// Its state comes from a request and not from a seed.
    #[serde(skip)]
    pub(crate) touched: bool,
}

/// A refund.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Refund {
    pub id: String,
    pub state: RefundState,
    pub created_at: String,
    pub updated_at: String,
    pub refund_request_reason: Option<String>,
    pub refund_status_reason: Option<String>,
    pub aliases: Vec<Alias>,
    pub refund_total: RefundTotal,
    pub refund_for: Option<RefundFor>,
    pub payment_details: Vec<Value>,
    /// Made through `updateOrder` and not asked for by BwP.
    pub external: bool,
    /// Its state comes from a request and not from a seed.
    #[serde(skip)]
    pub(crate) touched: bool,
}

/// Names a tracker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct TrackerIdentifier {
    pub tracking_number: String,
    pub carrier_code: String,
}

/// `packageTracker`
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Tracker {
    pub package_tracker_identifier: TrackerIdentifier,
    pub latest_milestone: Option<Value>,
    pub milestones: Vec<Value>,
}

/// A package.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Package {
    pub id: String,
    pub state: PackageState,
    pub reason: Option<String>,
    pub aliases: Vec<Alias>,
    pub package_information_details_for: PackageFor,
    pub package_tracker: Option<Tracker>,
    #[serde(skip)]
    pub(crate) tracker_from: Option<Instant>,
    #[serde(skip)]
    pub(crate) tracker_updates: u32,
}

/// An order. Returns, refunds and packages are shared between versions, so a new version of a long order is cheap.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct Order {
    pub id: String,
    pub execution_state: ExecutionState,
    pub created_at: String,
    pub updated_at: String,
    pub aliases: Vec<Alias>,
    pub order_links: Vec<Value>,
    pub line_items: Vec<Arc<Line>>,
    pub returns: Vec<Arc<Return>>,
    pub refunds: Vec<Arc<Refund>>,
    pub packages: Vec<Arc<Package>>,
    pub payments: Option<Value>,
    pub total_price: Option<Value>,
    pub taxes: Option<Value>,
    pub discounts: Option<Value>,
    /// Mutations that were accepted.
    pub accepted: u64,
    /// A package mutation that does not show yet: from when it does, and what it makes of the packages.
    #[serde(skip)]
    pub(crate) settling: Option<(Instant, Vec<Arc<Package>>)>,
}

impl Order {
    /// The line with this BwP id.
    pub fn line(&self, id: &str) -> Option<&Arc<Line>> {
        self.line_items.iter().find(|line| line.id == id)
    }
}
