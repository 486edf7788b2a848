//! How parsed values are written into the ledger's documents and read back. Payers are never written: what has been settled
//! has no further need of them.

use super::{Currency, Money};
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{} {}", self.amount, String::from_utf8_lossy(&self.currency.0)))
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (amount, code) = text.split_once(' ').ok_or_else(|| D::Error::custom("an amount without a currency"))?;
        let amount = amount.parse::<Decimal>().map_err(D::Error::custom)?;
        let code: [u8; 3] = code.as_bytes().try_into().map_err(D::Error::custom)?;
        Ok(Money { amount, currency: Currency(code) })
    }
}
