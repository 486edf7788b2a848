//! Doctor: whether everything that the daemon needs is there, and what to do where it is not.
//!
//! Owns the checks of Kafka ([`kafka`]), Postgres ([`ledger`]) and Buy with Prime ([`target`]), as values: a name, a verdict, what was
//! seen, the way out. They run side by side, each with a deadline of its own, and change nothing.

pub mod kafka;
pub mod ledger;
pub mod target;

use crate::config::Settings;
use serde::Serialize;
use std::time::Duration;

/// How long one check may take.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// How it stands with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// The daemon works, but not as well as it could, or not for all events.
    Warn,
    /// The daemon cannot do its work.
    Fail,
}

impl Verdict {
    /// As it is printed.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }
}

/// What one check came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it stands.
    pub verdict: Verdict,
    /// What was seen.
    pub what: String,
    /// What to do, where something is to be done.
    pub way_out: Option<String>,
}

impl Check {
    /// As it should be.
    pub fn ok(name: impl Into<String>, what: impl Into<String>) -> Check {
        Check { name: name.into(), verdict: Verdict::Ok, what: what.into(), way_out: None }
    }

    /// Not as it should be, and what to do.
    pub fn warn(name: impl Into<String>, what: impl Into<String>, way_out: impl Into<String>) -> Check {
        Check { name: name.into(), verdict: Verdict::Warn, what: what.into(), way_out: Some(way_out.into()) }
    }

    /// The daemon cannot work like this, and what to do.
    pub fn fail(name: impl Into<String>, what: impl Into<String>, way_out: impl Into<String>) -> Check {
        Check { name: name.into(), verdict: Verdict::Fail, what: what.into(), way_out: Some(way_out.into()) }
    }
}

/// Looks at everything. The checks are in a fixed order: Kafka, Postgres, then target by target.
pub async fn examine(settings: &Settings) -> Vec<Check> {
    let (kafka, ledger, targets) = tokio::join!(kafka::examine(settings), ledger::examine(settings), target::examine(settings));
    [kafka, ledger, targets].concat()
}

/// What a check comes to, within its deadline; otherwise that it did not.
async fn in_time(name: &str, way_out: &str, check: impl Future<Output = Check>) -> Check {
    match tokio::time::timeout(DEADLINE, check).await {
        Ok(check) => check,
        Err(_) => Check::fail(name, format!("no answer within {} s", DEADLINE.as_secs()), way_out),
    }
}
