//! The arguments of the mutations as Rust types. They are read after the schema has checked and coerced them, so only what
//! the simulator acts on is named here and nothing is checked twice.

use super::model::{Alias, Amount, ExecutionState, Money, PackageState, RefundState, ReturnState, TrackerIdentifier};
use serde::Deserialize;
use serde_json::Number;
use serde_json_bytes::Value;

#[derive(Debug, Deserialize)]
pub(crate) struct Details<T> {
    pub details: Option<Vec<T>>,
}

impl<T> Details<T> {
    pub fn into_vec(this: Option<Self>) -> Vec<T> {
        this.and_then(|it| it.details).unwrap_or_default()
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrderIdentifier {
    pub order_id: Option<String>,
    pub alias: Option<Alias>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LineIdentifier {
    pub line_item_id: Option<String>,
    pub alias: Option<Alias>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UpdateOrder {
    pub aliases: Option<Vec<Alias>>,
    pub desired_execution_state: Option<ExecutionState>,
    pub discounts: Option<Value>,
    pub line_items: Option<Vec<UpdateLine>>,
    pub order_links: Option<Vec<Value>>,
    pub package_information: Option<Details<PackageAliases>>,
    pub payments: Option<Value>,
    pub refunds: Option<Details<RefundDetails>>,
    pub returns: Option<Details<ReturnDetails>>,
    pub taxes: Option<Value>,
    pub total_price: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct UpdateLine {
    pub id: LineIdentifier,
    pub aliases: Option<Vec<Alias>>,
    pub discounts: Option<Value>,
    pub payments: Option<Value>,
    pub taxes: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct PackageAliases {
    pub id: String,
    pub aliases: Option<Vec<Alias>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReturnDetails {
    pub aliases: Option<Vec<Alias>>,
    pub return_identifier: Option<ReturnIdentifier>,
    pub return_line_items: Option<Vec<ReturnLineItem>>,
    pub state: Option<ReturnState>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ReturnIdentifier {
    pub id: Option<String>,
    pub alias: Option<Alias>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReturnLineItem {
    pub return_for: Option<LineAmounts>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LineAmounts {
    pub order_line_item_amounts: Option<Vec<InputLineAmount>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InputLineAmount {
    pub line_item_id: LineIdentifier,
    pub amount: Option<InputAmount>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct InputAmount {
    pub value: Option<Number>,
}

impl InputLineAmount {
    pub fn amount(&self) -> Option<Amount> {
        self.amount.as_ref().and_then(|it| it.value.clone()).map(Amount::of)
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefundDetails {
    pub aliases: Option<Vec<Alias>>,
    pub id: Option<String>,
    pub payment_details: Option<Vec<Value>>,
    pub refund_for: Option<RefundForInput>,
    pub refund_request_reason: Option<Value>,
    pub refund_status_reason: Option<String>,
    pub refund_total: RefundTotalInput,
    pub state: Option<RefundState>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefundForInput {
    pub order_line_items: Option<Vec<RefundedLine>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefundedLine {
    pub line_item_id: LineIdentifier,
    pub refunded_quantity: Option<RefundedQuantity>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RefundedQuantity {
    pub amount: Option<Number>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefundTotalInput {
    pub total_amount: Option<Money>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UpdatePackages {
    pub package_information: Option<Details<PackageUpdate>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PackageUpdate {
    pub id: String,
    pub package_state: PackageStates,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PackageStates {
    pub package_information_state: Option<InformationState>,
    pub package_tracker_state: Option<TrackerState>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InformationState {
    pub state: PackageState,
    pub reason: Option<String>,
    pub package_information_details_for: Option<LineAmounts>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TrackerState {
    pub package_tracker_identifier: TrackerIdentifier,
    pub latest_milestone: Milestone,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Milestone {
    pub status: MilestoneStatus,
}

#[derive(Debug, Deserialize)]
pub(crate) struct MilestoneStatus {
    pub code: String,
}
