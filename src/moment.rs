//! Moments as text, exactly as chrono and its serde write them, at a fraction of the cost: documents of the ledger have one for each
//! member that a snapshot said.

use chrono::{DateTime, Datelike, SecondsFormat, Timelike, Utc};
use serde::Serializer;

/// As many bytes as `2025-03-01T12:00:00.123456789Z` has.
const LONGEST: usize = 30;

/// For `#[serde(serialize_with)]`: what chrono's own way would write.
pub fn serialize<S: Serializer>(moment: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut text = [0; LONGEST];
    match write(&mut text, *moment, digits(*moment)) {
        Some(text) => serializer.serialize_str(text),
        None => serde::Serialize::serialize(moment, serializer),
    }
}

/// The same for a moment that may not be there.
pub fn serialize_some<S: Serializer>(moment: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
    struct There<'a>(&'a DateTime<Utc>);

    impl serde::Serialize for There<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serialize(self.0, serializer)
        }
    }

    match moment {
        Some(moment) => serializer.serialize_some(&There(moment)),
        None => serializer.serialize_none(),
    }
}

/// To the millisecond: `2025-03-01T12:00:00.123Z`.
pub fn in_millis(moment: DateTime<Utc>) -> String {
    let mut text = [0; LONGEST];
    match write(&mut text, moment, 3) {
        Some(text) => text.to_owned(),
        None => moment.to_rfc3339_opts(SecondsFormat::Millis, true),
    }
}

/// How many digits its fraction needs: by the thousand.
fn digits(moment: DateTime<Utc>) -> usize {
    match moment.nanosecond() {
        0 => 0,
        nanos if nanos % 1_000_000 == 0 => 3,
        nanos if nanos % 1_000 == 0 => 6,
        _ => 9,
    }
}

/// Nothing where it takes another form: years of other than four digits, leap seconds.
fn write(text: &mut [u8; LONGEST], moment: DateTime<Utc>, digits: usize) -> Option<&str> {
    let (moment, mut fraction) = (moment.naive_utc(), moment.nanosecond());
    let year = u32::try_from(moment.year()).ok().filter(|year| *year <= 9999)?;
    if fraction > 999_999_999 {
        return None;
    }
    *text = *b"0000-00-00T00:00:00.000000000Z";
    put(&mut text[0..4], year);
    put(&mut text[5..7], moment.month());
    put(&mut text[8..10], moment.day());
    put(&mut text[11..13], moment.hour());
    put(&mut text[14..16], moment.minute());
    put(&mut text[17..19], moment.second());
    let end = match digits {
        0 => 19,
        _ => {
            (digits..9).for_each(|_| fraction /= 10);
            put(&mut text[20..20 + digits], fraction);
            20 + digits
        }
    };
    text[end] = b'Z';
    std::str::from_utf8(&text[..=end]).ok()
}

/// A number's last digits.
fn put(digits: &mut [u8], mut number: u32) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;
    use chrono::TimeDelta;
    use proptest::prelude::*;

    fn as_chrono_does(moment: DateTime<Utc>) {
        let text = serialize(&moment, serde_json::value::Serializer).unwrap();
        assert_eq!(text, serde_json::to_value(moment).unwrap());
        assert_eq!(serialize_some(&Some(moment), serde_json::value::Serializer).unwrap(), text);
        assert_eq!(in_millis(moment), moment.to_rfc3339_opts(SecondsFormat::Millis, true));
    }

    #[test]
    fn the_ends_of_what_there_is_are_written_as_chrono_does() {
        let leap = DateTime::parse_from_rfc3339("2016-12-31T23:59:60.5Z").unwrap().to_utc();
        for moment in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC, DateTime::UNIX_EPOCH, leap] {
            as_chrono_does(moment);
        }
        assert_eq!(serialize_some(&None, serde_json::value::Serializer).unwrap(), serde_json::Value::Null);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn moments_are_written_as_chrono_does(seconds in -70_000_000_000_i64..270_000_000_000, nanos in 0_u32..1_000_000_000, unit in 0_u32..10) {
            let nanos = nanos - nanos % 10_u32.pow(unit);
            as_chrono_does(DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds) + TimeDelta::nanoseconds(nanos.into()));
        }
    }
}
