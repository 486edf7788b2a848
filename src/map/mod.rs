//! `map`: shows what events become, played through the daemon's own planner as if Buy with Prime accepted everything.
//!
//! Owns the orders of one run, in memory (`book`), and what is shown of them (`line`). Pure: no network, no database, no
//! clock; reading files and printing is the command line's matter.

mod book;
pub mod input;
mod line;
mod orders;

pub use book::Book;
pub use line::{Line, Told, table};

use crate::config::{Coalesce, Environment};
use crate::plan::Rules;
use crate::plan::subject::AliasTypes;
use chrono::TimeDelta;
use std::collections::BTreeMap;

/// What stands behind a target.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Sandbox or production.
    pub environment: Environment,
    /// The types of the merchant's own ids.
    pub alias_types: AliasTypes,
}

/// Which targets there are.
#[derive(Debug, Clone, PartialEq)]
pub enum Targets {
    /// Every name is known, and each is like this: nothing is configured.
    Any(Target),
    /// Only these are known.
    Only(BTreeMap<String, Target>),
}

/// How to play.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// `--coalesce`
    pub coalesce: Coalesce,
    /// The targets.
    pub targets: Targets,
}

impl Settings {
    /// The rules of a target; none where it is not known.
    fn rules(&self, target: &str) -> Option<Rules> {
        let target = match &self.targets {
            Targets::Any(target) => target,
            Targets::Only(targets) => targets.get(target)?,
        };
        Some(Rules {
            environment: target.environment,
            alias_types: target.alias_types.clone(),
            coalesce: self.coalesce,
            read_first: crate::config::ReadFirst::Off,
            doubted_at: None,
            read_interval: TimeDelta::zero(),
            give_up_after: TimeDelta::zero(),
            sandbox_interval: TimeDelta::zero(),
            request_timeout: TimeDelta::zero(),
            retry_budget: TimeDelta::zero(),
            blind: true,
            open_for: TimeDelta::zero(),
        })
    }
}
