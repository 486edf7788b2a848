//! The shapes of Buy with Prime's inputs (`schemas/bwp-2024-11-01.graphql`), written as JSON text from borrowed values. Members stand
//! in the order of their names, here and in whatever is made of them: one input has one text.

use crate::event::{Alias, Currency, Discount, Money, Payment};
use serde::{Serialize, Serializer};
use serde_json::{Number, Value};

/// The JSON text of an input.
pub fn text(input: &impl Serialize) -> String {
    crate::text::json(input, 128)
}

/// Writes an object of members that are JSON text already; their names need no escapes.
pub fn write_object<'a>(text: &mut String, members: impl IntoIterator<Item = (&'a str, &'a str)>) {
    text.push('{');
    for (at, (name, member)) in members.into_iter().enumerate() {
        text.push_str(if at == 0 { "\"" } else { ",\"" });
        text.push_str(name);
        text.push_str("\":");
        text.push_str(member);
    }
    text.push('}');
}

/// `MoneyInput`, with exactly the decimal value.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MoneyInput {
    amount: Number,
    #[serde(serialize_with = "code")]
    currency_code: Currency,
}

fn code<S: Serializer>(currency: &Currency, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(currency.code())
}

impl From<&Money> for MoneyInput {
    fn from(money: &Money) -> Self {
        MoneyInput { amount: money.to_number(), currency_code: money.currency() }
    }
}

/// `AliasInput`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AliasInput<'a> {
    alias_id: &'a str,
    alias_type: &'a str,
}

impl<'a> From<&'a Alias> for AliasInput<'a> {
    fn from(alias: &'a Alias) -> Self {
        AliasInput { alias_id: &alias.id, alias_type: &alias.alias_type }
    }
}

/// A list of `AliasInput`
pub fn aliases(aliases: &[Alias]) -> Vec<AliasInput<'_>> {
    aliases.iter().map(AliasInput::from).collect()
}

/// An input that has nothing but a summary.
#[derive(Serialize)]
pub struct Summary<T> {
    summary: T,
}

/// The summary of a `DiscountAllocationInput`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DiscountInput<'a> {
    amount: MoneyInput,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_string: Option<&'a str>,
}

/// `DiscountAllocationInput`
pub fn discount(discount: &Discount) -> Summary<DiscountInput<'_>> {
    Summary { summary: DiscountInput { amount: (&discount.amount).into(), display_string: discount.display.as_deref() } }
}

/// The summary of a `TaxInput`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tax {
    collectable_tax_amount: MoneyInput,
}

/// `TaxInput`
pub fn taxes(amount: &Money) -> Summary<Tax> {
    Summary { summary: Tax { collectable_tax_amount: amount.into() } }
}

/// `PaymentDetailsInput`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentInput<'a> {
    amount: MoneyInput,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payer: Option<&'a Value>,
    payment_method: MethodInput<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MethodInput<'a> {
    display_string: &'a str,
    r#type: &'a str,
}

impl<'a> From<&'a Payment> for PaymentInput<'a> {
    fn from(payment: &'a Payment) -> Self {
        PaymentInput {
            amount: (&payment.amount).into(),
            id: &payment.id,
            payer: payment.payer.as_ref(),
            payment_method: MethodInput { display_string: &payment.method.display, r#type: &payment.method.method_type },
            state: payment.state.map(|state| state.as_str()),
        }
    }
}

/// `{lineItemId}`: how a line item is named.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LineItemId<'a> {
    line_item_id: &'a str,
}

impl<'a> From<&'a str> for LineItemId<'a> {
    fn from(line_item_id: &'a str) -> Self {
        LineItemId { line_item_id }
    }
}

/// `{lineItemId, amount}`: an element of `orderLineItemAmounts`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LineAmount<'a> {
    amount: Quantity,
    line_item_id: LineItemId<'a>,
}

#[derive(Serialize)]
struct Quantity {
    value: u32,
}

/// `{orderLineItemAmounts}`: lines of the order with how much of each is meant.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LineAmounts<'a> {
    order_line_item_amounts: Vec<LineAmount<'a>>,
}

/// Lines with how much of each is meant; one where nothing is said.
pub fn line_amounts(lines: &[(String, Option<u32>)]) -> LineAmounts<'_> {
    let lines = lines
        .iter()
        .map(|(id, quantity)| LineAmount { amount: Quantity { value: quantity.unwrap_or(1) }, line_item_id: id.as_str().into() });
    LineAmounts { order_line_item_amounts: lines.collect() }
}
