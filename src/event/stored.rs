//! How parsed values are written into the ledger's documents and read back. Payers are never written: what has been settled
//! has no further need of them.

use super::{Currency, Money};
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // One text, where `collect_str` would write and look at it piece by piece.
        let mut text = self.amount_text();
        text.push(' ');
        text.push_str(self.currency().code());
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (amount, code) = text.split_once(' ').ok_or_else(|| D::Error::custom("an amount without a currency"))?;
        let amount = amount.parse::<Decimal>().map_err(D::Error::custom)?;
        let currency = Currency::parse(code).ok_or_else(|| D::Error::custom("an unknown currency"))?;
        Ok(Money::from_parts(amount, currency))
    }
}
