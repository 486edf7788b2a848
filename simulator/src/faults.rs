//! The fault script: which requests are answered otherwise than the semantics say, and how. Decides only; `graphql` and
//! `token` carry it out.

use crate::state::lock;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Rules, looked at in their order: the first that matches and fires decides.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Script {
    /// The rules.
    pub rules: Vec<Rule>,
    /// Where the dice of `probability` begin.
    pub seed: u64,
}

/// One rule.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Rule {
    /// For people, and for [`Faults::switch`].
    pub name: Option<String>,
    /// Looked over until it is switched on.
    pub off: bool,
    /// Which requests.
    pub when: When,
    /// Whether the mutation takes effect; where absent, it does so with the answers `normal` and `beside` only.
    pub apply: Option<Apply>,
    /// Waited for before anything is applied. A client that leaves meanwhile ends the request without effect.
    pub latency_ms: u64,
    /// What is answered.
    pub answer: Answer,
}

/// Which requests a rule is about; absent members match everything.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct When {
    /// `order`, `updateOrder`, `updateOrderPackageInformation` or `token`.
    pub operation: Option<String>,
    /// BwP id of the order, or the id of any of its aliases.
    pub order: Option<String>,
    /// Only the n-th match, counted from 1.
    pub nth: Option<u64>,
    /// Not the first so many matches.
    pub after: u64,
    /// At most so many times.
    pub times: Option<u64>,
    /// By the dice, which fall the same way in every run.
    pub probability: Option<f64>,
}

/// Whether a mutation takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Apply {
    /// It does not.
    No,
    /// It does, before the answer.
    Yes,
    /// It does so many milliseconds later, whatever became of the connection.
    LateMs(u64),
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// As if there were no rule.
    #[default]
    Normal,
    /// HTTP 429.
    TooManyRequests {
        /// The header.
        #[serde(rename = "retryAfter")]
        retry_after: Option<RetryAfter>,
    },
    /// Any status with any body.
    Status {
        /// The status.
        status: u16,
        /// The body.
        #[serde(default)]
        body: Body,
        /// The header.
        #[serde(rename = "retryAfter")]
        retry_after: Option<RetryAfter>,
    },
    /// HTTP 200 with a page.
    Html,
    /// HTTP 200 with `errors`.
    Errors {
        /// The error type, such as `ThrottlingError`.
        #[serde(rename = "type")]
        kind: String,
        /// The error code.
        code: Option<String>,
        /// The header.
        #[serde(rename = "retryAfter")]
        retry_after: Option<RetryAfter>,
    },
    /// HTTP 200, `{"data": null}` and no errors.
    NullData,
    /// HTTP 200 with the data and an error beside it.
    Beside {
        /// The error type.
        #[serde(rename = "type")]
        kind: String,
        /// The error code.
        code: Option<String>,
    },
    /// The connection is reset.
    Reset,
    /// No answer as long as the client waits; the connection is reset after [`Options::gateway_limit`](crate::Options).
    Never,
    /// HTTP 401, as with an expired token.
    Unauthorized,
}

impl Answer {
    /// The header that goes with it.
    pub(crate) fn retry_after(&self) -> Option<RetryAfter> {
        match self {
            Self::TooManyRequests { retry_after } | Self::Status { retry_after, .. } | Self::Errors { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }
}

/// The header `Retry-After`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RetryAfter {
    /// So many seconds.
    Seconds(u64),
    /// A date at least so many seconds ahead.
    Date(u64),
}

/// The body beside a status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Body {
    /// An `errors` array.
    #[default]
    Json,
    /// A page.
    Html,
    /// Nothing.
    Empty,
}

impl RetryAfter {
    /// The header's value, and the moment until which it asks to wait.
    pub(crate) fn header(self) -> (String, Instant) {
        let now = Instant::now();
        match self {
            Self::Seconds(seconds) => (seconds.to_string(), now + Duration::from_secs(seconds)),
            Self::Date(seconds) => {
                // The header knows whole seconds only, so the date is the next one.
                let clock = Utc::now();
                let whole = clock.timestamp() + i64::try_from(seconds).unwrap_or(0) + 1;
                let date = DateTime::from_timestamp(whole, 0).unwrap_or(clock);
                let ahead = (date - clock).to_std().unwrap_or_default();
                let text = date.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
                (text, now + ahead)
            }
        }
    }
}

/// A rule and how often it came into play.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fired {
    /// The rule.
    pub rule: Rule,
    /// Requests it was about.
    pub matched: u64,
    /// Requests it decided.
    pub fired: u64,
}

/// The script in force.
#[derive(Debug, Default)]
pub struct Faults {
    state: Mutex<(u64, Vec<Fired>)>,
}

impl Faults {
    /// Replaces the script and its counts.
    pub fn set(&self, script: Script) {
        let fresh = |rule| Fired { rule, matched: 0, fired: 0 };
        *lock(&self.state) = (script.seed, script.rules.into_iter().map(fresh).collect());
    }

    /// A script of one rule.
    pub fn one(&self, rule: Rule) {
        self.set(Script { rules: vec![rule], seed: 0 });
    }

    /// No faults from now on.
    pub fn clear(&self) {
        self.set(Script::default());
    }

    /// Switches the rules of that name on or off; the others, and all counts, stay as they are. Gives how many there are.
    pub fn switch(&self, name: &str, on: bool) -> usize {
        let mut state = lock(&self.state);
        let named = state.1.iter_mut().filter(|entry| entry.rule.name.as_deref() == Some(name));
        named.map(|entry| entry.rule.off = !on).count()
    }

    /// What fired how often.
    pub fn counts(&self) -> Vec<Fired> {
        lock(&self.state).1.clone()
    }

    /// The rule for a request; `named` tells whether a name is one of its order.
    pub(crate) fn pick(&self, operation: &str, named: &dyn Fn(&str) -> bool) -> Option<Rule> {
        let mut state = lock(&self.state);
        let (seed, rules) = &mut *state;
        for (index, entry) in rules.iter_mut().enumerate() {
            let when = &entry.rule.when;
            let about = when.operation.as_deref().is_none_or(|it| it == operation) && when.order.as_deref().is_none_or(named);
            if entry.rule.off || !about {
                continue;
            }
            entry.matched += 1;
            let dice = || roll(*seed, index as u64, entry.matched);
            let fires = entry.matched > when.after
                && when.nth.is_none_or(|nth| nth == entry.matched)
                && when.times.is_none_or(|times| entry.fired < times)
                && when.probability.is_none_or(|share| dice() < share);
            if fires {
                entry.fired += 1;
                return Some(entry.rule.clone());
            }
        }
        None
    }
}

/// A number in 0..1 that depends on nothing but its arguments (splitmix64).
fn roll(seed: u64, rule: u64, count: u64) -> f64 {
    let mut x =
        seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(rule << 40).wrapping_add(count.wrapping_mul(0xD1B5_4A32_D192_ED03));
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^= x >> 31;
    (x >> 11) as f64 / (1_u64 << 53) as f64
}
