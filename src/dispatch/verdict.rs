//! What an exchange with BwP means for the things that were sent.
//!
//! Pure: one table (`verdict/table.rs`) is the code, the test and the page `docs/verdicts.md` at
//! once. The first row that fits decides. What is done about a verdict is the loop's business.

mod page;
mod table;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::prime::{
    answer::{Body, GraphError},
    documents::Operation,
    exchange::{Exchange, NoAnswer, NotSent, RetryAfter},
    token::TokenFailure,
};

pub use page::markdown;

/// What is to be done. In the order of caution: of several errors in one answer, the one with the
/// smallest verdict decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It may have been applied: the order is read and compared before anything else of it.
    Unknown,
    /// The credentials fail: the target's breaker opens; it costs no attempt.
    Credentials,
    /// The target cannot be reached at all: the breaker opens; it costs no attempt.
    TargetDown,
    /// Too fast: surely not applied; the limiter slows down.
    Throttled,
    /// BwP does not know the order: it is waited for.
    OrderUnknown,
    /// Surely not applied now, and bound to succeed later: again after `waiting.sandbox_interval`.
    NotYet,
    /// Surely not applied: again with the usual delays.
    Retry,
    /// What was to be created is there already: the order is read, and it is looked for.
    AlreadyExists,
    /// It may be so already: the order is read; what is not so is refused.
    CheckState,
    /// Refused for good.
    Refused,
    /// Accepted.
    Delivered,
}

impl Verdict {
    /// All of them, in the order of caution.
    pub const ALL: [Self; 11] = [
        Self::Unknown,
        Self::Credentials,
        Self::TargetDown,
        Self::Throttled,
        Self::OrderUnknown,
        Self::NotYet,
        Self::Retry,
        Self::AlreadyExists,
        Self::CheckState,
        Self::Refused,
        Self::Delivered,
    ];

    /// Its name in metrics, in the configuration and in the documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Credentials => "credentials",
            Self::TargetDown => "target_down",
            Self::Throttled => "throttled",
            Self::OrderUnknown => "order_unknown",
            Self::NotYet => "not_yet",
            Self::Retry => "retry",
            Self::AlreadyExists => "already_exists",
            Self::CheckState => "check_state",
            Self::Refused => "refused",
            Self::Delivered => "delivered",
        }
    }
}

/// What was judged, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// What is to be done.
    pub verdict: Verdict,
    /// BwP's own code (else its type) where BwP spoke, else a word of ours.
    pub code: String,
    /// For people; clipped, without tokens and addresses.
    pub message: String,
    /// A floor for the next request, whatever the verdict.
    pub retry_after: Option<RetryAfter>,
    /// False where only a catch-all row fits: an answer that nobody has judged yet.
    pub listed: bool,
}

/// Verdicts for single codes or types of BwP that the configuration sets in place of the table's. Large and small letters are
/// the same: variables of the environment have only one of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overrides(BTreeMap<String, Verdict>);

impl Overrides {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    fn get(&self, word: &str) -> Option<Verdict> {
        if self.0.is_empty() { None } else { self.0.get(&word.to_ascii_lowercase()).copied() }
    }
}

impl FromIterator<(String, Verdict)> for Overrides {
    fn from_iter<T: IntoIterator<Item = (String, Verdict)>>(words: T) -> Self {
        Self(words.into_iter().map(|(word, verdict)| (word.to_ascii_lowercase(), verdict)).collect())
    }
}

/// One thing seen, as the table knows it.
#[derive(Debug, Clone, Copy)]
struct Fact<'a> {
    operation: Operation,
    seen: Seen,
    status: u16,
    error_type: &'a str,
    code: &'a str,
}

/// What kind of thing was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// The token endpoint answered, and not with a token; the status is the token endpoint's.
    TokenRefused,
    /// The API refused one fresh token after another.
    TokenRejected,
    /// The token endpoint could not be reached or understood.
    NoToken,
    /// No connection to the API.
    NoConnection,
    /// The deadline passed before the body was written.
    TooLate,
    /// The request left and no usable answer came.
    NoAnswer,
    /// The order that the operation promises.
    Order,
    /// Null in its place.
    NullOrder,
    /// No GraphQL answer.
    Unreadable,
    /// An error, and no data.
    Error,
    /// An error beside data.
    ErrorBesideData,
}

/// Judges what became of one call.
pub fn judge(operation: Operation, exchange: &Exchange, overrides: &Overrides) -> Judgement {
    let fact = |seen, status| Fact { operation, seen, status, error_type: "", code: "" };
    match exchange {
        Exchange::NotSent { why } => not_sent(why, fact),
        Exchange::NoAnswer { why } => {
            let (code, message) = no_answer(*why);
            ruled(fact(Seen::NoAnswer, 0), code.to_owned(), message.to_owned())
        }
        Exchange::Answered { status, retry_after, body, .. } => {
            let status = *status;
            let judgement = match body {
                Body::Order(_) => {
                    let seen = fact(Seen::Order, status);
                    ruled(seen, http_code(status, "ACCEPTED"), format!("HTTP {status}"))
                }
                Body::NullOrder => {
                    let words = format!("HTTP {status}, and null where the order would be");
                    ruled(fact(Seen::NullOrder, status), http_code(status, "NULL_ORDER"), words)
                }
                Body::Unreadable { why } => {
                    let code = http_code(status, "UNREADABLE_ANSWER");
                    ruled(fact(Seen::Unreadable, status), code, format!("HTTP {status}: {why}"))
                }
                Body::Errors { errors, data_present } => {
                    let seen = if *data_present { Seen::ErrorBesideData } else { Seen::Error };
                    errors_judged(fact(seen, status), errors, overrides)
                }
            };
            Judgement { retry_after: *retry_after, ..judgement }
        }
    }
}

fn not_sent(why: &NotSent, fact: impl Fn(Seen, u16) -> Fact<'static>) -> Judgement {
    let error = match why {
        NotSent::Connect => {
            let message = "no connection to the API could be made".to_owned();
            return ruled(fact(Seen::NoConnection, 0), "NO_CONNECTION".to_owned(), message);
        }
        NotSent::DeadlineBeforeSend => {
            let message = "the time was over before anything was sent".to_owned();
            return ruled(fact(Seen::TooLate, 0), "TOO_LATE".to_owned(), message);
        }
        NotSent::Withheld => {
            let message = "the target may not be called any more, so nothing was sent".to_owned();
            return ruled(fact(Seen::TooLate, 0), "WITHHELD".to_owned(), message);
        }
        NotSent::Token(error) => error,
    };
    let (fact, code) = match error.failure() {
        TokenFailure::Refused { status } => (fact(Seen::TokenRefused, status), "TOKEN_REFUSED"),
        TokenFailure::Rejected => (fact(Seen::TokenRejected, 0), "TOKEN_REJECTED"),
        TokenFailure::Unreachable => (fact(Seen::NoToken, 0), "TOKEN_ENDPOINT_UNREACHABLE"),
        TokenFailure::Unreadable => (fact(Seen::NoToken, 0), "TOKEN_UNREADABLE"),
    };
    let until: Option<DateTime<Utc>> = match error {
        crate::prime::token::TokenError::BackingOff { until, .. } => Some(*until),
        crate::prime::token::TokenError::Failed(_) => None,
    };
    let judgement = ruled(fact, code.to_owned(), error.failure().to_string());
    Judgement { retry_after: until.map(RetryAfter::At), ..judgement }
}

fn no_answer(why: NoAnswer) -> (&'static str, &'static str) {
    match why {
        NoAnswer::Timeout => ("NO_ANSWER_IN_TIME", "no answer came in time"),
        NoAnswer::Reset => ("CONNECTION_LOST", "the connection ended before an answer came"),
        NoAnswer::BrokenOff => ("ANSWER_BROKE_OFF", "the answer broke off"),
    }
}

/// Our own code for an answer without BwP's: what was read of it, or the status that spoils it.
fn http_code(status: u16, at_success: &str) -> String {
    match status {
        200..300 => at_success.to_owned(),
        _ => format!("HTTP_{status}"),
    }
}

/// Every error is judged; the most cautious verdict stands, of equals the first.
fn errors_judged(fact: Fact<'_>, errors: &[GraphError], overrides: &Overrides) -> Judgement {
    let each = errors.iter().map(|error| error_judged(fact, error, overrides));
    let worst = each.min_by_key(|judgement| judgement.verdict);
    // `Body::Errors` holds at least one
    worst.unwrap_or_else(|| ruled(fact, http_code(fact.status, "ERROR"), String::new()))
}

/// Where an error has two codes, the one that the table or the configuration knows is meant.
fn error_judged(fact: Fact<'_>, error: &GraphError, overrides: &Overrides) -> Judgement {
    let error_type = error.error_type.as_deref().unwrap_or_default();
    let codes = [error.code.as_deref(), error.other_code.as_deref()];
    let known = |code: &&str| overrides.get(code).is_some() || table::knows(code);
    let code = codes.into_iter().flatten().find(known).or(codes[0]).unwrap_or_default();
    let fact = Fact { error_type, code, ..fact };
    let shown = [code, error_type].into_iter().find(|word| !word.is_empty());
    let shown = shown.map_or_else(|| http_code(fact.status, "ERROR"), str::to_owned);
    let judgement = ruled(fact, shown, error.message.clone());
    match overrides.get(code).or_else(|| overrides.get(error_type)) {
        Some(verdict) if table::row(fact).speaks_of_errors() => {
            // No error is an order: what is taken to be done is read.
            let verdict = if verdict == Verdict::Delivered { Verdict::CheckState } else { verdict };
            Judgement { verdict: for_operation(fact.operation, verdict), listed: true, ..judgement }
        }
        _ => judgement,
    }
}

fn ruled(fact: Fact<'_>, code: String, message: String) -> Judgement {
    let row = table::row(fact);
    Judgement {
        verdict: for_operation(fact.operation, row.verdict),
        code,
        message,
        retry_after: None,
        listed: !row.rest || (fact.code.is_empty() && row.names(fact.error_type)),
    }
}

/// A read changes nothing, so there is nothing unknown about it: it is made again.
fn for_operation(operation: Operation, verdict: Verdict) -> Verdict {
    match verdict {
        Verdict::Unknown if !operation.writes() => Verdict::Retry,
        verdict => verdict,
    }
}

#[cfg(test)]
mod tests;
