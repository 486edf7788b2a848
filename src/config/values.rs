//! How single values are written: durations with a unit, strict numbers, words out of a list.
//!
//! Every message is the end of a sentence that begins with the key, and names the way out. Values from the environment and
//! from flags are always text, so each kind also reads its text.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Deserializer, Error, Visitor};

/// The longest duration that may be configured: 100 years.
const LONGEST: Duration = Duration::from_secs(36_500 * 86_400);

/// Reads a duration: a whole number and its unit, `ms`, `s`, `m`, `h` or `d`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let wrong = || {
        format!("is {text:?}; a duration is a whole number with its unit, such as \"500ms\", \"30s\", \"15m\", \"2h\" or \"30d\"")
    };
    if number.is_empty() {
        return Err(wrong());
    }
    let millis_per_unit: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" => {
            return Err(format!("is {text:?}, which has no unit; write \"{text}s\" for seconds"));
        }
        _ => return Err(wrong()),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(millis_per_unit))
        .map(Duration::from_millis)
        .filter(|duration| *duration <= LONGEST)
        .ok_or_else(|| format!("is {text:?}, which is longer than 100 years"))
}

/// One value as it was written, before its type is known.
enum Scalar {
    Text(String),
    Bool(bool),
    Whole(i128),
    Float(f64),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Whole(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
        }
    }
}

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one value")
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar::Bool(value))
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar::Whole(value.into()))
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar, E> {
        Ok(Scalar::Whole(value.into()))
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar, E> {
        Ok(Scalar::Float(value))
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(value.to_owned()))
    }
}

fn scalar<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Scalar, D::Error> {
    deserializer.deserialize_any(ScalarVisitor)
}

/// Text, and nothing that only looks like it.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match scalar(deserializer)? {
        Scalar::Text(text) => Ok(text),
        other => Err(Error::custom(format!("is {other}; write it in quotes, it must be text"))),
    }
}

/// A duration; a number without a unit is refused, since nobody can tell what it means.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    match scalar(deserializer)? {
        Scalar::Text(text) => parse_duration(&text).map_err(Error::custom),
        Scalar::Whole(number) => Err(Error::custom(format!("is {number}, which has no unit; write \"{number}s\" for seconds"))),
        other => Err(Error::custom(format!("is {other}; it must be a duration such as \"30s\""))),
    }
}

/// A whole number from 0 up.
pub(super) fn whole<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i128>,
{
    let value = scalar(deserializer)?;
    let number = match &value {
        Scalar::Whole(number) => Some(*number),
        Scalar::Text(text) => text.parse().ok(),
        _ => None,
    };
    number
        .filter(|number| *number >= 0)
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| Error::custom(format!("is {value}; it must be a whole number, not negative and not huge")))
}

/// A finite number, with or without a fraction.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let value = scalar(deserializer)?;
    let number = match &value {
        Scalar::Whole(number) => Some(*number as f64),
        Scalar::Float(number) => Some(*number),
        Scalar::Text(text) => text.parse().ok(),
        Scalar::Bool(_) => None,
    };
    number.filter(|number: &f64| number.is_finite()).ok_or_else(|| Error::custom(format!("is {value}; it must be a number")))
}

/// `true` or `false`.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match scalar(deserializer)? {
        Scalar::Bool(value) => Ok(value),
        Scalar::Text(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Scalar::Text(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        other => Err(Error::custom(format!("is {other}; it must be true or false"))),
    }
}

/// An address to listen on.
pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = text(deserializer)?;
    text.parse().map_err(|_| Error::custom(format!("is {text:?}; it must be an IP address and a port, such as \"0.0.0.0:9464\"")))
}

/// One word out of a list.
pub(super) fn word<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = String>,
{
    text(deserializer)?.parse().map_err(Error::custom)
}

/// Makes an enum whose variants are written as fixed words.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)+
        }

        impl $name {
            /// The word as it is written in the configuration.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(format!("is {text:?}; it must be one of: {}", [$($word),+].join(", "))),
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::config::values::word(deserializer)
            }
        }
    };
}
pub(super) use words;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("0s"), Ok(Duration::ZERO));
        assert_eq!(parse_duration("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(parse_duration("2h"), Ok(Duration::from_secs(7_200)));
        assert_eq!(parse_duration("400d"), Ok(Duration::from_secs(400 * 86_400)));
    }

    #[test]
    fn other_spellings_are_refused_with_the_way_out() {
        assert!(parse_duration("30").unwrap_err().contains("write \"30s\""));
        for wrong in ["", "s", "-1s", "1.5s", "1 s", "1h30m", "10S", "1w", "٣s"] {
            assert!(parse_duration(wrong).unwrap_err().contains("\"15m\""), "{wrong}");
        }
        for long in ["99999999999999999999s", "36501d", "18446744073709551615d"] {
            assert!(parse_duration(long).unwrap_err().contains("100 years"), "{long}");
        }
    }
}
