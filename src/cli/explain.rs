//! `explain`: its arguments and what is printed.

use super::events::open;
use super::run::{failed, within_runtime};
use super::story::{Limits, tell, text};
use super::{Exit, Global, Output, print};
use crate::config::{ConfigErrors, Purpose, Settings};
use crate::ledger::{Ledger, LedgerError};
use chrono::TimeDelta;
use clap::Args;
use serde_json::json;
use std::collections::BTreeSet;

/// Tells the whole story of an order in plain sentences.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bwp-sync explain 1001
  bwp-sync explain SHOP:B-17
  bwp-sync explain 322-ABC1-AAAAAA --output json")]
pub struct ExplainArgs {
    /// Any name of the order: the merchant's id, an alias as TYPE:ID, or Buy with Prime's id.
    #[arg(value_name = "ORDER")]
    pub order: String,
    /// The alias type of the name.
    #[arg(long = "type", value_name = "TYPE")]
    pub alias_type: Option<String>,
    /// The target of the order.
    #[arg(long, value_name = "NAME")]
    pub target: Option<String>,
}

impl ExplainArgs {
    /// The lanes of the orders that have the name.
    pub(super) async fn lanes(&self, ledger: &Ledger) -> Result<BTreeSet<i64>, LedgerError> {
        let found = ledger.find_orders(&self.order, self.alias_type.as_deref(), self.target.as_deref()).await?;
        if found.is_empty() {
            eprintln!("no order is known by the name {}", self.order);
        }
        Ok(found.into_iter().map(|found| found.lane).collect())
    }
}

/// `bwp-sync explain`
pub(super) fn run(global: &Global, args: &ExplainArgs) -> Result<Exit, ConfigErrors> {
    let settings = global.settings(Purpose::Ledger)?.settings;
    Ok(within_runtime(async { explain(&settings, args, global.output).await.unwrap_or_else(|error| failed(&error.to_string())) }))
}

async fn explain(settings: &Settings, args: &ExplainArgs, output: Output) -> Result<Exit, LedgerError> {
    let ledger = open(settings).await?;
    let delta = |duration| TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
    let limits = Limits { give_up_after: delta(settings.waiting.give_up_after), retry_budget: delta(settings.retry.budget) };
    let mut exit = Exit::No;
    let mut all = Vec::new();
    for lane in args.lanes(&ledger).await? {
        let Some(story) = ledger.story(lane).await? else { continue };
        match output {
            Output::Table => exit = print(&text(&args.order, &story, &limits)),
            Output::Json => all.push(json!({
                "order": args.order, "target": story.lane.target, "bwpId": story.lane.bwp_id, "names": story.names, "nameChanges": story.changes,
                "story": tell(&story, &limits), "open": story.open, "outcomes": story.outcomes, "attempts": story.attempts,
                "acts": story.acts,
            })),
        }
    }
    if !all.is_empty() {
        exit = print(&format!("{:#}\n", json!(all)));
    }
    Ok(exit)
}
