//! Amounts of money as exact decimals.

use rust_decimal::Decimal;

/// An ISO 4217 currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency(pub(super) [u8; 3]);

/// An amount in a currency, never negative, with no more fraction digits than the currency has.
///
/// Equal are amounts of equal value: `2.0` and `2.00` are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    pub(super) amount: Decimal,
    pub(super) currency: Currency,
}

impl Money {
    /// The exact amount, with its digits as they were written.
    pub fn amount(&self) -> Decimal {
        self.amount
    }

    /// The currency.
    pub fn currency(&self) -> Currency {
        self.currency
    }
}
