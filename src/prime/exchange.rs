//! What became of one call, as a value.
//!
//! The one thing that must never be wrong here: [`Exchange::NotSent`] means that no byte of the
//! request's body left this process, so nothing can have been applied.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{answer::Body, token::TokenError};

/// What became of one call.
#[derive(Debug, Clone, PartialEq)]
pub enum Exchange {
    /// Surely not applied.
    NotSent {
        /// What kept it.
        why: NotSent,
    },
    /// It left, and nothing usable came back: it may have been applied, or may be yet.
    NoAnswer {
        /// How it ended.
        why: NoAnswer,
    },
    /// BwP, or something before it, answered.
    Answered {
        /// The HTTP status.
        status: u16,
        /// The answer's wish, whatever the status.
        retry_after: Option<RetryAfter>,
        /// What the body says.
        body: Body,
        /// The request id for Amazon's support.
        request_id: Option<String>,
    },
}

impl Exchange {
    /// Whether a request's body may have reached BwP: this is what counts as an attempt.
    pub fn sent(&self) -> bool {
        !matches!(self, Self::NotSent { .. })
    }
}

/// Why nothing left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotSent {
    /// There is no token.
    Token(TokenError),
    /// No connection: refused, unknown host, TLS.
    Connect,
    /// The time was over before the body was written.
    DeadlineBeforeSend,
    /// The target may not be called any more since the call was planned.
    Withheld,
}

/// How a call that had left ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    /// Nothing came until the deadline.
    Timeout,
    /// The connection ended before an answer began.
    Reset,
    /// A successful answer began and broke off.
    BrokenOff,
}

/// The longest wait that is believed.
const LONGEST: chrono::TimeDelta = chrono::TimeDelta::days(31);

/// `Retry-After`: seconds, or a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// So many seconds from the answer.
    Seconds(u64),
    /// Not before this moment.
    At(DateTime<Utc>),
}

impl RetryAfter {
    /// Reads the header's value: digits, or any of the three forms of an HTTP date.
    pub fn parse(value: &str) -> Option<Self> {
        let value = value.trim();
        if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(Self::Seconds(value.parse().unwrap_or(u64::MAX)));
        }
        let at = httpdate::parse_http_date(value).ok()?;
        Some(Self::At(at.into()))
    }

    /// The moment, for an answer that came at `answered_at`. It is never shortened, but that nobody means more than a month: a
    /// number without sense must not close a target for ever.
    pub fn until(self, answered_at: DateTime<Utc>) -> DateTime<Utc> {
        let moment = match self {
            Self::Seconds(seconds) => chrono::TimeDelta::from_std(Duration::from_secs(seconds))
                .ok()
                .and_then(|delay| answered_at.checked_add_signed(delay))
                .unwrap_or(DateTime::<Utc>::MAX_UTC),
            Self::At(moment) => moment,
        };
        moment.min(answered_at.checked_add_signed(LONGEST).unwrap_or(moment))
    }

    pub(super) fn from_headers(headers: &reqwest::header::HeaderMap) -> Option<Self> {
        Self::parse(headers.get(reqwest::header::RETRY_AFTER)?.to_str().ok()?)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_any_http_date() {
        let moment = RetryAfter::At("1994-11-06T08:49:37Z".parse().unwrap());
        for (value, read) in [
            ("120", Some(RetryAfter::Seconds(120))),
            (" 0 ", Some(RetryAfter::Seconds(0))),
            ("99999999999999999999999", Some(RetryAfter::Seconds(u64::MAX))),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(moment)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(moment)),
            ("Sun Nov  6 08:49:37 1994", Some(moment)),
            ("soon", None),
            ("-1", None),
            ("1.5", None),
            ("", None),
        ] {
            assert_eq!(RetryAfter::parse(value), read, "{value}");
        }
        let now = "2025-01-01T00:00:00Z".parse().unwrap();
        let later = "2025-01-01T00:02:00Z".parse::<DateTime<Utc>>().unwrap();
        assert_eq!(RetryAfter::Seconds(120).until(now), later);
        assert_eq!(RetryAfter::Seconds(u64::MAX).until(now), now + LONGEST);
    }
}
