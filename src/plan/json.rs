//! The shapes of Buy with Prime's inputs (`schemas/bwp-2024-11-01.graphql`), from parsed values.

use crate::event::{Alias, Discount, Money, Payment};
use serde_json::{Map, Value, json};

/// An object of these members. They are moved into it; `json!` would copy each, and all within.
pub fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// `MoneyInput`, with exactly the decimal value.
pub fn money(money: &Money) -> Value {
    object([("amount", Value::Number(money.to_number())), ("currencyCode", json!(money.currency().code()))])
}

/// `AliasInput`
pub fn alias(alias: &Alias) -> Value {
    object([("aliasType", json!(alias.alias_type)), ("aliasId", json!(alias.id))])
}

/// A list of `AliasInput`
pub fn aliases<'a>(aliases: impl IntoIterator<Item = &'a Alias>) -> Value {
    Value::Array(aliases.into_iter().map(alias).collect())
}

/// `DiscountAllocationInput`
pub fn discount(discount: &Discount) -> Value {
    let mut summary = Map::from_iter([("amount".to_owned(), money(&discount.amount))]);
    if let Some(display) = &discount.display {
        summary.insert("displayString".to_owned(), json!(display));
    }
    object([("summary", Value::Object(summary))])
}

/// `TaxInput`
pub fn taxes(amount: &Money) -> Value {
    object([("summary", object([("collectableTaxAmount", money(amount))]))])
}

/// `PaymentDetailsInput`
pub fn payment(payment: &Payment) -> Value {
    let mut entry = Map::new();
    entry.insert("id".to_owned(), json!(payment.id));
    entry.insert("amount".to_owned(), money(&payment.amount));
    let method = object([("displayString", json!(payment.method.display)), ("type", json!(payment.method.method_type))]);
    entry.insert("paymentMethod".to_owned(), method);
    if let Some(state) = payment.state {
        entry.insert("state".to_owned(), json!(state.as_str()));
    }
    if let Some(payer) = &payment.payer {
        entry.insert("payer".to_owned(), payer.clone());
    }
    Value::Object(entry)
}

/// `{lineItemId, amount}`: an element of `orderLineItemAmounts`.
pub fn line_amount(line_item: &str, quantity: u32) -> Value {
    json!({"lineItemId": {"lineItemId": line_item}, "amount": {"value": quantity}})
}
