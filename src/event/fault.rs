//! Why a record could not be read as an event: what is wrong, where, and the way out.

use super::path::Path;
use super::{AliasKind, Reference};
use chrono::{DateTime, Utc};

/// Defines the codes of faults with their spelling in outcomes.
macro_rules! codes {
    ($($(#[$meta:meta])* $variant:ident = $word:literal,)+) => {
        /// What kind of fault it is. The spellings are part of the contract with whoever reads outcomes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum FaultCode { $($(#[$meta])* $variant,)+ }

        impl FaultCode {
            /// Every code.
            pub const ALL: &'static [FaultCode] = &[$(FaultCode::$variant),+];

            /// The spelling in outcomes.
            pub const fn as_str(self) -> &'static str {
                match self { $(FaultCode::$variant => $word),+ }
            }
        }
    };
}

codes! {
    /// The record's value is longer than 1 MiB.
    TooLarge = "TOO_LARGE",
    /// Bytes that are not UTF-8.
    NotUtf8 = "NOT_UTF8",
    /// Text that is not JSON.
    NotJson = "NOT_JSON",
    /// More than 128 levels of objects and lists.
    TooDeep = "TOO_DEEP",
    /// A member, or an attribute's header, is there twice.
    DuplicateMember = "DUPLICATE_MEMBER",
    /// A JSON array of none or several events.
    NotOneEvent = "NOT_ONE_EVENT",
    /// `data_base64` instead of `data`.
    BinaryData = "BINARY_DATA",
    /// A `type` that is none of the five.
    UnknownType = "UNKNOWN_TYPE",
    /// A member that the kind of event does not have.
    UnknownMember = "UNKNOWN_MEMBER",
    /// A member that must be there is not.
    MissingMember = "MISSING_MEMBER",
    /// A member that is only allowed beside another value than the one given.
    MisplacedMember = "MISPLACED_MEMBER",
    /// Another JSON type than the member has.
    WrongType = "WRONG_TYPE",
    /// A value outside what the member allows.
    BadValue = "BAD_VALUE",
    /// An id or alias type that is empty, too long, or has a control character or a space at an end.
    BadId = "BAD_ID",
    /// Not the text of an amount, or more fraction digits than the currency has.
    BadAmount = "BAD_AMOUNT",
    /// Not an ISO 4217 code in capitals.
    BadCurrency = "BAD_CURRENCY",
    /// A reference with none or several of `id`, `alias` and `bwpId`.
    NotOneReference = "NOT_ONE_REFERENCE",
    /// A given list that must not be empty is.
    EmptyList = "EMPTY_LIST",
    /// A list names one thing twice.
    RepeatedEntry = "REPEATED_ENTRY",
    /// More aliases than Buy with Prime keeps for the thing.
    TooManyAliases = "TOO_MANY_ALIASES",
    /// A refund's payment is in another currency than its total.
    CurrencyMismatch = "CURRENCY_MISMATCH",
    /// A refund's payments are more than its total.
    PaymentsExceedTotal = "PAYMENTS_EXCEED_TOTAL",
}

impl std::fmt::Display for FaultCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a record could not be read, and what of it could.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{code} at {pointer:?}: {message}")]
pub struct Fault {
    /// The kind of fault.
    pub code: FaultCode,
    /// One sentence: the member, its value where that can be shown, the way out.
    pub message: String,
    /// RFC 6901 into the structured event.
    pub pointer: String,
    /// What could be read all the same.
    pub envelope: PartialEnvelope,
}

/// What could be read of a record that is not an event; the rest is null in its outcome.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PartialEnvelope {
    /// The CloudEvents `source`.
    pub source: Option<String>,
    /// The CloudEvents `id`.
    pub id: Option<String>,
    /// The CloudEvents `type`, one of ours or not.
    pub event_type: Option<String>,
    /// When the producer says it happened.
    pub time: Option<DateTime<Utc>>,
    /// The target; `default` where an event that could be read that far names none.
    pub target: Option<String>,
    /// The order that the data names.
    pub order: Option<Reference>,
    /// What kind of thing the event is about.
    pub entity_kind: Option<AliasKind>,
    /// The thing itself, as far as the data names it.
    pub entity: Option<Reference>,
}

/// A fault as the readers find it, before anybody asked what else could be read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Problem {
    pub(super) code: FaultCode,
    pub(super) message: String,
    pub(super) pointer: String,
}

/// What a reader returns.
pub(super) type Read<T> = Result<T, Problem>;

impl Problem {
    pub(super) fn at(path: &Path<'_>, code: FaultCode, message: impl Into<String>) -> Problem {
        Problem { code, message: message.into(), pointer: path.pointer() }
    }

    /// A fault of the whole record, of which no JSON object can be read.
    pub(super) fn whole(code: FaultCode, message: impl Into<String>) -> Problem {
        Problem::at(&Path::ROOT, code, message)
    }

    pub(super) fn with(self, envelope: PartialEnvelope) -> Box<Fault> {
        Box::new(Fault { code: self.code, message: self.message, pointer: self.pointer, envelope })
    }
}

/// A value as a message may show it: quoted, control characters escaped, clipped. Not shown is what seems to be an e-mail address
/// or the number of a card: somebody put it into the wrong member.
pub(super) fn clip(text: &str) -> String {
    const SHOWN: usize = 48;
    if text.contains('@') || is_card_number(text) {
        return "***".to_owned();
    }
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// Whether it may be the number of a card: 13 to 19 digits, perhaps in groups, whose check digit is right.
pub fn is_card_number(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|char| char.to_digit(10)).collect();
    let doubled = |(n, digit): (usize, &u32)| if n % 2 == 1 { digit * 2 - if *digit > 4 { 9 } else { 0 } } else { *digit };
    text.chars().all(|char| char.is_ascii_digit() || char == ' ' || char == '-')
        && (13..=19).contains(&digits.len())
        && digits.iter().rev().enumerate().map(doubled).sum::<u32>() % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn codes_are_distinct_words_of_capitals_and_underscores() {
        let words: HashSet<_> = FaultCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), FaultCode::ALL.len());
        assert!(words.iter().all(|word| word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')));
    }

    #[test]
    fn shown_values_are_clipped_and_escaped() {
        assert_eq!(clip("a\0\"b"), r#""a\0\"b""#);
        for hidden in ["jane@example.com", "4111111111111111", "4111 1111 1111 1111", " 5555-5555-5555-4444"] {
            assert_eq!(clip(hidden), "***");
        }
        for shown in ["4111111111111112", "411111111111", "1001", "-"] {
            assert_eq!(clip(shown), format!("{shown:?}"));
        }
        assert_eq!(clip(&"é".repeat(49)), format!("\"{}\"…", "é".repeat(48)));
    }
}
