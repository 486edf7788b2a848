//! What one answer of Buy with Prime shows of an order.
//!
//! Owns the reading of BwP's shapes. Decides nothing and knows neither lanes nor the ledger. `None`
//! means "not shown" (not selected, or null) and is never the same as empty. Enums stay strings:
//! BwP adds values without a new version, and a deployed connector broke on one. `Deserialize`
//! reads the shape that BwP sends, `Serialize` writes these flat types for people; the two are not
//! inverse.

use rust_decimal::Decimal;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use super::wire;
use crate::event::Alias;

/// An order, as far as the answer shows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "wire::Order")]
pub struct OrderView {
    /// BwP's id of the order.
    pub id: Option<String>,
    /// `metadata.executionState`.
    pub execution_state: Option<String>,
    /// The order's aliases.
    pub aliases: Option<Vec<AliasView>>,
    /// The order's links.
    pub links: Option<Vec<LinkView>>,
    /// `totalPrice.value`.
    pub total_price: Option<ReadMoney>,
    /// `taxes.summary.collectableTaxAmount`.
    pub taxes: Option<ReadMoney>,
    /// `discounts.summary`.
    pub discount: Option<DiscountView>,
    /// `payments.details` of the order itself.
    pub payments: Option<Vec<PaymentView>>,
    /// The line items.
    pub lines: Option<Vec<LineView>>,
    /// `returns.details`.
    pub returns: Option<Vec<ReturnView>>,
    /// `refunds.details`.
    pub refunds: Option<Vec<RefundView>>,
    /// `packageInformation.details`.
    pub packages: Option<Vec<PackageView>>,
}

/// One alias. Its type is free text; every spelling is a type of its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "wire::Alias")]
pub struct AliasView(pub Alias);

impl Serialize for AliasView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_struct("AliasView", 2)?;
        members.serialize_field("alias_type", &self.0.alias_type)?;
        members.serialize_field("alias_id", &self.0.id)?;
        members.end()
    }
}

/// One link of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkView {
    /// What the link leads to.
    #[serde(rename(deserialize = "destinationType"))]
    pub destination: String,
    /// The address.
    pub url: Option<String>,
}

/// An amount of money as BwP writes it: a float, so it is rounded to the currency's digits before
/// it is compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadMoney {
    /// The number's own text as a decimal, never by way of a binary float.
    pub amount: Decimal,
    /// ISO 4217, where it is shown.
    pub currency: Option<String>,
}

impl ReadMoney {
    /// The amount at the currency's digits, without the noise of floats (38.790000000000006 is 38.79).
    pub fn rounded(&self, digits: u32) -> Decimal {
        self.amount.round_dp_with_strategy(digits, rust_decimal::RoundingStrategy::MidpointAwayFromZero).normalize()
    }
}

/// `discounts.summary` of an order or a line item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "wire::Discount")]
pub struct DiscountView {
    /// How much.
    pub amount: Option<ReadMoney>,
    /// The text shown to the shopper.
    pub display: Option<String>,
}

/// One line item of the order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "wire::LineItem")]
pub struct LineView {
    /// BwP's id of the line item.
    pub id: String,
    /// How many were ordered.
    pub quantity: Option<Decimal>,
    /// Its aliases.
    pub aliases: Option<Vec<AliasView>>,
    /// `taxes.summary.collectableTaxAmount`.
    pub taxes: Option<ReadMoney>,
    /// `discounts.summary`.
    pub discount: Option<DiscountView>,
    /// `payments.details`.
    pub payments: Option<Vec<PaymentView>>,
}

/// A share of a line item in a return, refund or package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LineShare {
    /// BwP's id of the line item.
    pub line: String,
    /// How many of it, where that is shown.
    pub quantity: Option<Decimal>,
}

/// One return.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "wire::Return")]
pub struct ReturnView {
    /// BwP's id of the return.
    pub id: String,
    /// Its state.
    pub state: Option<String>,
    /// Its aliases.
    pub aliases: Option<Vec<AliasView>>,
    /// What is returned; `None` also where an entry names no line item.
    pub lines: Option<Vec<LineShare>>,
}

/// One refund.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "wire::Refund")]
pub struct RefundView {
    /// BwP's id of the refund.
    pub id: String,
    /// Its state.
    pub state: Option<String>,
    /// Its aliases.
    pub aliases: Option<Vec<AliasView>>,
    /// `refundTotal.totalAmount`: refunded so far.
    pub total: Option<ReadMoney>,
    /// Why it was asked for.
    pub request_reason: Option<String>,
    /// Why it is in its state.
    pub status_reason: Option<String>,
    /// What is refunded; `None` also where an entry names no line item.
    pub lines: Option<Vec<LineShare>>,
    /// All payments so far.
    pub payments: Option<Vec<PaymentView>>,
}

/// One payment of a refund, an order or a line item. `payer` is never selected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "wire::Payment")]
pub struct PaymentView {
    /// The id it was sent with.
    pub id: Option<String>,
    /// How much.
    pub amount: Option<ReadMoney>,
    /// Its state.
    pub state: Option<String>,
    /// `paymentMethod.displayString`.
    pub display: Option<String>,
    /// `paymentMethod.type`.
    pub method: Option<String>,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "wire::Package")]
pub struct PackageView {
    /// BwP's id of the package.
    pub id: String,
    /// Its state.
    pub state: Option<String>,
    /// Why it was cancelled.
    pub reason: Option<String>,
    /// Its aliases.
    pub aliases: Option<Vec<AliasView>>,
    /// The tracking number, where there is a tracker.
    pub tracking_number: Option<String>,
    /// The carrier, where there is a tracker.
    pub carrier: Option<String>,
    /// The code of the tracker's latest milestone.
    pub milestone: Option<String>,
    /// What it holds; `None` also where an entry names no line item.
    pub lines: Option<Vec<LineShare>>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn order(json: &str) -> OrderView {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_is_not_shown_differs_from_what_is_empty() {
        let shown = order(r#"{"id":"322-ABC1-AAAAAA","aliases":[],"refunds":{"details":[]},"returns":null}"#);
        assert_eq!(shown.id.as_deref(), Some("322-ABC1-AAAAAA"));
        assert_eq!(shown.aliases, Some(vec![]));
        assert_eq!(shown.refunds, Some(vec![]));
        assert_eq!(shown.returns, None);
        assert_eq!(shown.packages, None);
        assert_eq!(order("{}"), OrderView::default());
    }

    #[test]
    fn a_refund_is_read_whole_and_unknown_members_are_ignored() {
        let shown = order(
            r#"{"refunds":{"summary":{"x":1},"details":[{"id":"r1","state":"NEW_WORD","createdAt":"...",
            "aliases":[{"aliasType":"EXTERNAL_REFUND_ID","aliasId":"RF-9"}],"refundTotal":{"totalAmount":{"amount":8.0,"currencyCode":"USD"}},
            "refundRequestReason":"OTHERS","refundStatusReason":null,"refundFor":{"orderLineItems":[{"lineItem":{"id":"l1"},"amount":{"value":1}},
            {"lineItem":{"id":"l2"},"amount":null}]},"paymentDetails":[{"id":"pt-1","amount":{"amount":5,"currencyCode":"USD"},"state":"SUCCESS",
            "paymentMethod":{"displayString":"Visa","type":"AMAZON_PAY"}}]}]}}"#,
        );
        let refund = &shown.refunds.unwrap()[0];
        assert_eq!(refund.state.as_deref(), Some("NEW_WORD"));
        assert_eq!(refund.total.as_ref().unwrap().rounded(2), Decimal::from(8));
        assert_eq!(refund.status_reason, None);
        let lines = refund.lines.as_ref().unwrap();
        assert_eq!((lines[0].quantity, lines[1].quantity), (Some(Decimal::ONE), None));
        let payment = &refund.payments.as_ref().unwrap()[0];
        assert_eq!((payment.display.as_deref(), payment.method.as_deref()), (Some("Visa"), Some("AMAZON_PAY")));
    }

    #[test]
    fn money_keeps_the_text_of_its_number() {
        for (text, rounded) in [
            ("8.0", "8"),
            ("38.790000000000006", "38.79"),
            ("3.879e1", "38.79"),
            ("1E+2", "100"),
            ("5e-17", "0"),
            ("1e-300", "0"),
            ("0.1000000000000000055511151231257827021181583404541015625", "0.1"),
            ("123456789012.99", "123456789012.99"),
            ("0", "0"),
            ("\"12.00\"", "12"),
        ] {
            assert_eq!(total(text).unwrap().unwrap().rounded(2).to_string(), rounded, "{text}");
        }
        assert_eq!(total("null").unwrap(), None);
        for text in ["1e300", "true", "\"ten\"", "{}"] {
            assert!(total(text).is_err(), "{text}");
        }
    }

    fn total(amount: &str) -> Result<Option<ReadMoney>, serde_json::Error> {
        let json = format!(r#"{{"totalPrice":{{"value":{{"amount":{amount}}}}}}}"#);
        serde_json::from_str::<OrderView>(&json).map(|order| order.total_price)
    }

    #[test]
    fn packages_and_returns_are_flattened() {
        let shown = order(
            r#"{"packageInformation":{"details":[{"id":"p1","state":"IN_TRANSIT","packageTracker":{"packageTrackerIdentifier":
            {"trackingNumber":"1Z","carrierCode":"UPS"},"latestMilestone":{"status":{"code":"IN_TRANSIT"}}},"packageInformationDetailsFor":
            {"orderLineItemAmounts":[{"lineItem":{"id":"l1"},"amount":{"value":2}}]}},{"id":"p2","packageTracker":null}]},
            "returns":{"details":[{"id":"t1","state":"CREATED","returnLineItems":[{"id":"x","returnFor":{"orderLineItemAmounts":
            [{"lineItem":{"id":"l1"},"amount":{"value":1.0}}]}},{"returnFor":{"orderLineItemAmounts":[{"lineItem":{"id":"l2"}}]}}]},
            {"id":"t2","returnLineItems":[{"returnFor":{"orderLineItemAmounts":[{"lineItem":null}]}}]}]}}"#,
        );
        let packages = shown.packages.unwrap();
        assert_eq!(packages[0].carrier.as_deref(), Some("UPS"));
        assert_eq!(packages[0].milestone.as_deref(), Some("IN_TRANSIT"));
        assert_eq!(packages[0].lines.as_ref().unwrap()[0].quantity, Some(Decimal::TWO));
        assert_eq!((&packages[1].carrier, &packages[1].lines), (&None, &None));
        let returns = shown.returns.unwrap();
        let lines: Vec<_> = returns[0].lines.as_ref().unwrap().iter().map(|share| share.line.as_str()).collect();
        assert_eq!(lines, ["l1", "l2"]);
        assert_eq!(returns[1].lines, None, "a share without a line item is not an empty return");
    }

    #[test]
    fn an_entry_without_an_id_makes_the_answer_unreadable() {
        for json in [
            r#"{"refunds":{"details":[{"state":"SUCCESS"}]}}"#,
            r#"{"refunds":{"details":[null]}}"#,
            r#"{"returns":{"details":[{"id":null}]}}"#,
            r#"{"lineItems":[{}]}"#,
            r#"{"aliases":[{"aliasType":"SKU"}]}"#,
        ] {
            assert!(serde_json::from_str::<OrderView>(json).is_err(), "{json}");
        }
    }
}
