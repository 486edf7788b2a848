//! Money is exact, in every currency's own digits.

use bwp_sync::event::{Currency, Identity, Money, MoneyError};

fn money(amount: &str, code: &str) -> Money {
    Money::parse(amount, Currency::parse(code).unwrap()).unwrap()
}

#[test]
fn amounts_go_out_as_they_came_in() {
    for (amount, code) in [
        ("0", "USD"),
        ("0.10", "USD"),
        ("0.1", "USD"),
        ("2.50", "USD"),
        ("1000000.01", "USD"),
        ("999999999999.99", "USD"),
        ("1200", "JPY"),
        ("0.001", "KWD"),
        ("999999999999.999", "KWD"),
        ("0.0001", "CLF"),
    ] {
        assert_eq!(serde_json::to_string(&money(amount, code).to_number()).unwrap(), amount);
    }
}

#[test]
fn digits_are_the_currencys_as_written() {
    for (amount, code) in [("1.000", "USD"), ("1.0", "JPY"), ("1.0000", "KWD"), ("1.0", "XAU")] {
        let currency = Currency::parse(code).unwrap();
        assert_eq!(Money::parse(amount, currency), Err(MoneyError::TooPrecise { currency }));
    }
    for code in ["usd", "US", "USDX", "ABC", "", "U$D"] {
        assert_eq!(Currency::parse(code), None, "{code}");
    }
}

#[test]
fn amounts_compare_as_decimals_within_a_currency() {
    assert_eq!(money("2.0", "USD"), money("2.00", "USD"));
    assert!(money("2", "USD") < money("10", "USD"));
    assert_ne!(money("2", "USD"), money("2", "EUR"));
    assert_eq!(money("2", "USD").partial_cmp(&money("3", "EUR")), None);
}

#[test]
fn floats_are_rounded_to_the_currencys_digits() {
    for (float, code, rounded) in [
        ("8.000000000000002", "USD", "8.00"),
        ("7.999999999999999", "USD", "8.00"),
        ("0.125", "USD", "0.13"),
        ("1200.4", "JPY", "1200"),
        ("0.12349999", "KWD", "0.123"),
    ] {
        assert_eq!(Currency::parse(code).unwrap().rounded(float.parse().unwrap()), rounded.parse().unwrap(), "{float}");
    }
}

#[test]
fn an_unnamed_return_is_named_by_its_event() {
    let identity = Identity { source: "/oms".into(), id: "e-1".into() };
    // printf '/oms\ne-1' | sha256sum
    assert_eq!(identity.derived_alias_id(), "evt-968a3f7519ab049fd2e271ae075c9c0f");
}
