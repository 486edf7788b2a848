//! Amounts of money as exact decimals.

use super::fault::{FaultCode, Read, clip};
use super::reader::Value;
use rust_decimal::{Decimal, RoundingStrategy};
use std::cmp::Ordering;
use std::fmt;

/// The most digits before the point.
const MOST_DIGITS: usize = 12;

/// An ISO 4217 currency.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency {
    code: [u8; 3],
    digits: u8,
}

impl Currency {
    /// The currency with this code, if ISO 4217 has one. Codes are in capitals.
    pub fn parse(code: &str) -> Option<Currency> {
        // What nearly all amounts are in, since the table is looked through from A to Z.
        if code == "USD" {
            return Some(Currency { code: *b"USD", digits: 2 });
        }
        let known = iso_currency::Currency::from_code(code)?;
        // Gold, test codes and the like have no minor unit.
        let digits = known.exponent().and_then(|digits| u8::try_from(digits).ok()).unwrap_or(0);
        Some(Currency { code: code.as_bytes().try_into().ok()?, digits })
    }

    /// The code, for instance `USD`.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.code).unwrap_or_default()
    }

    /// How many fraction digits ISO 4217 gives it; none where it gives no minor unit.
    pub fn digits(&self) -> u32 {
        self.digits.into()
    }

    /// A decimal that may have gone through a float, back at this currency's digits, halves away from zero.
    pub fn rounded(&self, amount: Decimal) -> Decimal {
        amount.round_dp_with_strategy(self.digits(), RoundingStrategy::MidpointAwayFromZero)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount in a currency, never negative, with no more fraction digits than the currency has.
///
/// Equal are amounts of equal value: `2.0` and `2.00` are one. Amounts in different currencies have no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    amount: Decimal,
    currency: Currency,
}

/// Why a text is no amount of money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not of the form of an amount.
    #[error("an amount is digits without a leading zero, at most {MOST_DIGITS} before the point, for instance 10.00")]
    NotAnAmount,
    /// More fraction digits than the currency has.
    #[error("{currency} has at most {} digits after the point, counted as written", currency.digits())]
    TooPrecise {
        /// The currency.
        currency: Currency,
    },
}

impl Money {
    /// An amount as it stands in an event, for instance `10.00`.
    ///
    /// # Errors
    /// Where the text is not of the form of an amount, or finer than the currency.
    pub fn parse(amount: &str, currency: Currency) -> Result<Money, MoneyError> {
        let (whole, fraction) = match amount.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (amount, None),
        };
        let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let well_formed = all_digits(whole)
            && whole.len() <= MOST_DIGITS
            && (whole == "0" || !whole.starts_with('0'))
            && fraction.is_none_or(all_digits);
        if !well_formed {
            return Err(MoneyError::NotAnAmount);
        }
        if fraction.is_some_and(|fraction| fraction.len() > currency.digits() as usize) {
            return Err(MoneyError::TooPrecise { currency });
        }
        let amount = amount.parse().map_err(|_| MoneyError::NotAnAmount)?;
        Ok(Money { amount, currency })
    }

    /// An amount that was read from Buy with Prime or the ledger.
    pub fn from_parts(amount: Decimal, currency: Currency) -> Money {
        Money { amount, currency }
    }

    /// The exact amount, with its digits as they were written.
    pub fn amount(&self) -> Decimal {
        self.amount
    }

    /// The currency.
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// The amount as a JSON number, digit for digit as it was written.
    pub fn to_number(&self) -> serde_json::Number {
        // A decimal's text always is a JSON number; the checked way would only add an error that cannot be.
        serde_json::Number::from_string_unchecked(self.amount_text())
    }

    /// The text of the amount, digit by digit as it was written; so most amounts need none of what `Display` can do.
    pub(super) fn amount_text(&self) -> String {
        let scale = self.amount.scale() as usize;
        match u64::try_from(self.amount.mantissa()) {
            Ok(digits) if scale < 10 && self.amount.is_sign_positive() => digits_with_point(digits, scale),
            _ => self.amount.to_string(),
        }
    }

    pub(super) fn read(value: Value<'_>) -> Read<Money> {
        let object = value.object(&["amount", "currency"])?;
        let currency = object.required("currency", |value| {
            let code = value.text()?;
            Currency::parse(code).ok_or_else(|| {
                let message = format!("{} is {}; it must be an ISO 4217 code in capitals", value.label(), clip(code));
                value.wrong(FaultCode::BadCurrency, message)
            })
        });
        object.required("amount", |value| {
            let text = value.text()?;
            let currency = currency?;
            Money::parse(text, currency)
                .map_err(|error| value.wrong(FaultCode::BadAmount, format!("{} is {}; {error}", value.label(), clip(text))))
        })
    }
}

/// A number with so many of its digits after a point.
fn digits_with_point(mut digits: u64, scale: usize) -> String {
    let mut text = [b'0'; 32];
    let (mut from, mut place) = (text.len(), 0);
    while digits > 0 || place <= scale {
        from -= 1;
        text[from] = b'0' + (digits % 10) as u8;
        (digits, place) = (digits / 10, place + 1);
        if place == scale {
            from -= 1;
            text[from] = b'.';
        }
    }
    std::str::from_utf8(&text[from..]).unwrap_or_default().to_owned()
}

impl PartialOrd for Money {
    fn partial_cmp(&self, other: &Money) -> Option<Ordering> {
        (self.currency == other.currency).then(|| self.amount.cmp(&other.amount))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Currency, Money};
    use proptest::prelude::*;
    use rust_decimal::Decimal;

    #[test]
    fn a_dollar_is_what_the_table_says() {
        let known = iso_currency::Currency::from_code("USD").unwrap();
        let dollar = Currency::parse("USD").unwrap();
        assert_eq!((dollar.code(), Some(dollar.digits())), (known.code(), known.exponent().map(u32::from)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn an_amount_is_written_as_its_decimal_is(digits in prop_oneof![-9_i64..9999, any::<i64>()], far in -1_i128..9, scale in 0_u32..29) {
            let amount = Decimal::from_i128_with_scale(i128::from(digits) + (far << 70), scale);
            prop_assert_eq!(Money::from_parts(amount, Currency::parse("EUR").unwrap()).amount_text(), amount.to_string());
        }
    }
}
