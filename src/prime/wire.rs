//! The shape of an order in BwP's answers, and its way into [`super::view`].
//!
//! Private to `prime`. Parts that may be null are optional; an entry that cannot be told from
//! others (no id) is an error, since "not found" must never be concluded from an answer that was
//! only half understood.

use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::view::{
    AliasView, DiscountView, LineShare, LineView, LinkView, OrderView, PackageView, PaymentView, ReadMoney, RefundView,
    ReturnView,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Order {
    id: Option<String>,
    metadata: Option<Metadata>,
    aliases: Option<Vec<AliasView>>,
    order_links: Option<Vec<LinkView>>,
    total_price: Option<TotalPrice>,
    taxes: Option<Summary<Tax>>,
    discounts: Option<Summary<DiscountView>>,
    payments: Option<Details<PaymentView>>,
    line_items: Option<Vec<LineView>>,
    returns: Option<Details<ReturnView>>,
    refunds: Option<Details<RefundView>>,
    package_information: Option<Details<PackageView>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Alias {
    alias_type: String,
    alias_id: String,
}

#[derive(Deserialize)]
struct Details<T> {
    details: Option<Vec<T>>,
}

#[derive(Deserialize)]
struct Summary<T> {
    summary: Option<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    execution_state: Option<String>,
}

#[derive(Deserialize)]
struct TotalPrice {
    value: Option<Money>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tax {
    collectable_tax_amount: Option<Money>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Money {
    #[serde(default, deserialize_with = "decimal")]
    amount: Option<Decimal>,
    currency_code: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Discount {
    amount: Option<Money>,
    display_string: Option<String>,
}

#[derive(Deserialize)]
struct Amount {
    #[serde(default, deserialize_with = "decimal")]
    value: Option<Decimal>,
}

#[derive(Deserialize)]
struct Id {
    id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Share {
    line_item: Option<Id>,
    amount: Option<Amount>,
}

/// Both names are seen for the read side; one of them is there.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shares {
    #[serde(alias = "orderLineItems")]
    order_line_item_amounts: Option<Vec<Share>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LineItem {
    id: String,
    amount: Option<Amount>,
    aliases: Option<Vec<AliasView>>,
    taxes: Option<Summary<Tax>>,
    discounts: Option<Summary<DiscountView>>,
    payments: Option<Details<PaymentView>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Return {
    id: String,
    state: Option<String>,
    aliases: Option<Vec<AliasView>>,
    return_line_items: Option<Vec<ReturnLineItem>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReturnLineItem {
    return_for: Option<Shares>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Refund {
    id: String,
    state: Option<String>,
    aliases: Option<Vec<AliasView>>,
    refund_total: Option<RefundTotal>,
    refund_request_reason: Option<String>,
    refund_status_reason: Option<String>,
    refund_for: Option<Shares>,
    payment_details: Option<Vec<PaymentView>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RefundTotal {
    total_amount: Option<Money>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payment {
    id: Option<String>,
    amount: Option<Money>,
    state: Option<String>,
    payment_method: Option<PaymentMethod>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PaymentMethod {
    display_string: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Package {
    id: String,
    state: Option<String>,
    reason: Option<String>,
    aliases: Option<Vec<AliasView>>,
    package_tracker: Option<Tracker>,
    package_information_details_for: Option<Shares>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tracker {
    package_tracker_identifier: Option<TrackerIdentifier>,
    latest_milestone: Option<Milestone>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TrackerIdentifier {
    tracking_number: Option<String>,
    carrier_code: Option<String>,
}

#[derive(Deserialize)]
struct Milestone {
    status: Option<MilestoneStatus>,
}

#[derive(Deserialize)]
struct MilestoneStatus {
    code: Option<String>,
}

impl<T> Details<T> {
    fn flat(part: Option<Self>) -> Option<Vec<T>> {
        part.and_then(|part| part.details)
    }
}

impl<T> Summary<T> {
    fn flat(part: Option<Self>) -> Option<T> {
        part.and_then(|part| part.summary)
    }
}

impl Shares {
    fn flat(self) -> Option<Vec<LineShare>> {
        self.order_line_item_amounts?
            .into_iter()
            .map(|share| {
                let quantity = share.amount.and_then(|amount| amount.value);
                Some(LineShare { line: share.line_item?.id?, quantity })
            })
            .collect()
    }
}

fn tax(part: Option<Summary<Tax>>) -> Option<ReadMoney> {
    Summary::flat(part).and_then(|tax| Money::flat(tax.collectable_tax_amount))
}

impl From<Order> for OrderView {
    fn from(order: Order) -> Self {
        Self {
            id: order.id,
            execution_state: order.metadata.and_then(|metadata| metadata.execution_state),
            aliases: order.aliases,
            links: order.order_links,
            total_price: order.total_price.and_then(|price| Money::flat(price.value)),
            taxes: tax(order.taxes),
            discount: Summary::flat(order.discounts),
            payments: Details::flat(order.payments),
            lines: order.line_items,
            returns: Details::flat(order.returns),
            refunds: Details::flat(order.refunds),
            packages: Details::flat(order.package_information),
        }
    }
}

impl From<Alias> for AliasView {
    fn from(alias: Alias) -> Self {
        Self(crate::event::Alias { alias_type: alias.alias_type, id: alias.alias_id })
    }
}

impl From<LineItem> for LineView {
    fn from(line: LineItem) -> Self {
        Self {
            id: line.id,
            quantity: line.amount.and_then(|amount| amount.value),
            aliases: line.aliases,
            taxes: tax(line.taxes),
            discount: Summary::flat(line.discounts),
            payments: Details::flat(line.payments),
        }
    }
}

impl From<Return> for ReturnView {
    fn from(entry: Return) -> Self {
        let shares = |items: Vec<ReturnLineItem>| -> Option<Vec<LineShare>> {
            let parts: Option<Vec<_>> = items.into_iter().map(|item| item.return_for?.flat()).collect();
            parts.map(|parts| parts.concat())
        };
        Self { id: entry.id, state: entry.state, aliases: entry.aliases, lines: entry.return_line_items.and_then(shares) }
    }
}

impl From<Refund> for RefundView {
    fn from(refund: Refund) -> Self {
        Self {
            id: refund.id,
            state: refund.state,
            aliases: refund.aliases,
            total: refund.refund_total.and_then(|total| Money::flat(total.total_amount)),
            request_reason: refund.refund_request_reason,
            status_reason: refund.refund_status_reason,
            lines: refund.refund_for.and_then(Shares::flat),
            payments: refund.payment_details,
        }
    }
}

impl From<Payment> for PaymentView {
    fn from(payment: Payment) -> Self {
        let (display, method) = payment.payment_method.map_or((None, None), |method| (method.display_string, method.kind));
        Self { id: payment.id, amount: Money::flat(payment.amount), state: payment.state, display, method }
    }
}

impl From<Package> for PackageView {
    fn from(package: Package) -> Self {
        let tracker = package.package_tracker;
        let (identifier, latest) =
            tracker.map_or((None, None), |tracker| (tracker.package_tracker_identifier, tracker.latest_milestone));
        let (tracking_number, carrier) = identifier.map_or((None, None), |known| (known.tracking_number, known.carrier_code));
        Self {
            id: package.id,
            state: package.state,
            reason: package.reason,
            aliases: package.aliases,
            tracking_number,
            carrier,
            milestone: latest.and_then(|milestone| milestone.status).and_then(|status| status.code),
            lines: package.package_information_details_for.and_then(Shares::flat),
        }
    }
}

impl From<Discount> for DiscountView {
    fn from(discount: Discount) -> Self {
        Self { amount: Money::flat(discount.amount), display: discount.display_string }
    }
}

impl Money {
    fn flat(part: Option<Self>) -> Option<ReadMoney> {
        let money = part?;
        Some(ReadMoney { amount: money.amount?, currency: money.currency_code })
    }
}

/// A JSON number, or the same in quotes, without a detour through a binary float.
fn decimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Decimal>, D::Error> {
    let text = match Value::deserialize(deserializer)? {
        Value::Null => return Ok(None),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text,
        _ => return Err(serde::de::Error::custom("a number is wanted")),
    };
    match parse_decimal(&text) {
        Some(decimal) => Ok(Some(decimal.normalize())),
        None => Err(serde::de::Error::custom("a number of at most 28 digits is wanted")),
    }
}

fn parse_decimal(text: &str) -> Option<Decimal> {
    let Some((digits, exponent)) = text.split_once(['e', 'E']) else {
        return Decimal::from_str(text).ok();
    };
    let (digits, exponent) = (Decimal::from_str(digits).ok()?, exponent.parse::<i32>().ok()?);
    let power = |n: u32| 10i128.checked_pow(n).and_then(|power| Decimal::try_from_i128_with_scale(power, 0).ok());
    match (exponent, power(exponent.unsigned_abs())) {
        (0.., Some(power)) => digits.checked_mul(power),
        (..0, Some(power)) => digits.checked_div(power),
        (0.., None) => digits.is_zero().then_some(Decimal::ZERO),
        (..0, None) => Some(Decimal::ZERO),
    }
}
