//! `forget`: its arguments and what is printed.

use super::acting::{Acting, confirm};
use super::events::open;
use super::explain::ExplainArgs;
use super::run::{failed, within_runtime};
use super::{Exit, Global, Output, print};
use crate::config::{ConfigErrors, Purpose, Settings};
use crate::ledger::LedgerError;
use crate::ledger::forget::Forgotten;
use clap::Args;
use serde_json::json;
use std::fmt::Write;

/// What is kept, and why.
const KEPT: &str = "kept: ids, amounts, states and outcomes, since they tell what was done with the order; they name nobody.
kept elsewhere: records on Kafka, the dead letters among them, until the retention of their topics ends; what Buy with Prime holds.
";

/// Erases the personal data of an order that the ledger keeps, and says what it keeps and why. Cannot be undone.
#[derive(Debug, Args)]
pub struct ForgetArgs {
    /// The order.
    #[command(flatten)]
    pub order: ExplainArgs,
    /// Does not ask.
    #[arg(long)]
    pub yes: bool,
    /// Who and why.
    #[command(flatten)]
    pub acting: Acting,
}

/// `bwp-sync forget`
pub(super) fn run(global: &Global, args: &ForgetArgs) -> Result<Exit, ConfigErrors> {
    let settings = global.settings(Purpose::Ledger)?.settings;
    Ok(within_runtime(async { forget(&settings, args, global.output).await.unwrap_or_else(|error| failed(&error.to_string())) }))
}

async fn forget(settings: &Settings, args: &ForgetArgs, output: Output) -> Result<Exit, LedgerError> {
    let ledger = open(settings).await?;
    let lanes: Vec<i64> = args.order.lanes(&ledger).await?.into_iter().collect();
    match lanes.len() {
        0 => return Ok(Exit::No),
        1 => {}
        many => {
            eprintln!("error: {many} orders have the name {}; say which with --type or --target", args.order.order);
            return Ok(Exit::Usage);
        }
    }
    let question = format!("erase the personal data of order {} for good?", args.order.order);
    if !args.acting.dry_run
        && let Err(exit) = confirm(&question, args.yes)
    {
        return Ok(exit);
    }
    let order = ledger.order_scope(&lanes).await?;
    let forgotten = ledger.forget(&order, args.acting.by().as_ref()).await?;
    let printed = match output {
        Output::Json => print(&format!("{:#}\n", json!({"dryRun": args.acting.dry_run, "result": forgotten}))),
        Output::Table => print(&told(&forgotten, args.acting.dry_run)),
    };
    Ok(if forgotten.still_to_send.is_empty() || args.acting.dry_run { printed } else { Exit::No })
}

fn told(forgotten: &Forgotten, dry_run: bool) -> String {
    let mut text = String::from(if dry_run { "would be erased:\n" } else { "erased:\n" });
    for (count, what) in [
        (forgotten.dead_events, "payers in records of dead events"),
        (forgotten.dead_letters, "dead letters that wait to be published"),
        (forgotten.quarantined, "records that could not be read"),
        (forgotten.requests, "requests with a payer, who was masked from the beginning"),
    ] {
        let _ = writeln!(text, "  {count} {what}");
    }
    for (source, id) in &forgotten.still_to_send {
        let _ = writeln!(
            text,
            "kept: the payer in {source} {id}, since it has still to be sent; wait for its end or discard it, then forget again"
        );
    }
    text + KEPT
}
