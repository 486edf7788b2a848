//! RFC 3339 times, strictly: what chrono tolerates beyond them (a space for the `T`, a typographic minus) is refused.

use super::fault::{FaultCode, Read, clip};
use super::reader::Value;
use chrono::{DateTime, Timelike, Utc};

/// The last moment within a second. A leap second is brought down to it, since neither chrono's arithmetic nor a database knows
/// more than 60 seconds a minute.
const LAST_NANOSECOND: u32 = 999_999_999;

pub(super) fn read(value: Value<'_>) -> Read<DateTime<Utc>> {
    let text = value.text()?;
    parse(text).ok_or_else(|| {
        let message =
            format!("{} is {}; it must be an RFC 3339 time, for instance 2025-03-01T12:00:00Z", value.label(), clip(text));
        value.wrong(FaultCode::BadValue, message)
    })
}

fn parse(text: &str) -> Option<DateTime<Utc>> {
    if !has_shape(text.as_bytes()) {
        return None;
    }
    let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
    match time.nanosecond() {
        0..=LAST_NANOSECOND => Some(time),
        _ => time.with_nanosecond(LAST_NANOSECOND),
    }
}

/// `2025-03-01T12:00:00`, a fraction or none, then `Z` or an offset.
fn has_shape(text: &[u8]) -> bool {
    let matches = |text: &[u8], shape: &[u8]| {
        text.len() == shape.len()
            && text.iter().zip(shape).all(|(byte, want)| match want {
                b'0' => byte.is_ascii_digit(),
                b'T' | b'Z' => byte.eq_ignore_ascii_case(want),
                b'+' => matches!(byte, b'+' | b'-'),
                _ => byte == want,
            })
    };
    let Some((moment, mut rest)) = text.split_at_checked(19) else { return false };
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return false;
        }
        rest = &fraction[digits..];
    }
    matches(moment, b"0000-00-00T00:00:00") && (matches(rest, b"Z") || matches(rest, b"+00:00"))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn times_are_rfc_3339() {
        for good in [
            "2025-03-01T12:00:00Z",
            "2025-03-01t12:00:00z",
            "2025-03-01T12:00:00.123456789012Z",
            "2025-03-01T12:00:00+05:30",
            "2025-03-01T12:00:00.5-00:00",
            "2024-02-29T23:59:59Z",
            "0000-01-01T00:00:00Z",
        ] {
            assert!(parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "2025-03-01",
            "2025-03-01T12:00:00",
            "2025-03-01 12:00:00Z",
            "2025-03-01T12:00:00.Z",
            "2025-03-01T12:00Z",
            "2025-03-01T12:00:00+0530",
            "2025-03-01T12:00:00+05",
            "2025-03-01T12:00:00\u{2212}05:00",
            "2025-02-29T12:00:00Z",
            "2025-13-01T12:00:00Z",
            "2025-03-01T24:00:00Z",
            "2025-03-01T12:00:00+24:00",
            "2025-03-01T12:00:00+05:60",
            "2025-03-01T12:00:00Z ",
            "12025-03-01T12:00:00Z",
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_leap_second_is_the_end_of_the_second_before() {
        let leap = parse("2016-12-31T23:59:60Z");
        assert_eq!(leap, parse("2016-12-31T23:59:59.999999999Z"));
        assert!(leap < parse("2017-01-01T00:00:00Z"));
    }
}
