//! `aliases`: its arguments and exit codes. What the table is, is the ledger's matter.

mod import;
mod report;
mod rows;
mod show;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::acting::Acting;
use super::run::{failed, within_runtime};
use super::{Exit, Global};
use crate::config::{ConfigErrors, Purpose, Settings};
use crate::event::{AliasKind, DEFAULT_TARGET};
use crate::ledger::Ledger;
use crate::ledger::aliases::Wanted;

/// The alias table: what Buy with Prime calls the things of the merchant's orders.
#[derive(Debug, Args)]
pub struct AliasesArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: AliasesCommand,
}

/// What can be done with the alias table.
#[derive(Debug, Subcommand)]
pub enum AliasesCommand {
    /// Shows rows, where they came from, and what they replaced. Exits 1 where there is none.
    #[command(
        after_help = "Examples:\n  bwp-sync aliases get --order 1001\n  bwp-sync aliases get --kind RETURN --id RMA-77 --output json"
    )]
    Get(GetArgs),
    /// Loads rows from a file and wakes the events that wait for them.
    ///
    /// Rows may come in any order; the newest row of a name wins, and what Buy with Prime itself answered wins over any. A row without
    /// version ranks below any row of the alias topic. Nothing of a wrong line is taken, and where there is one, the exit code is 1. A dry
    /// run says what would become of each row, in batches of 10000, each as if it came alone.
    #[command(
        after_help = "Examples:\n  bwp-sync aliases import shop.jsonl --dry-run\n  bwp-sync aliases import shop.csv --reason 'first load'\n  zcat shop.jsonl.gz | bwp-sync aliases import - --target de"
    )]
    Import(ImportArgs),
    /// Writes all rows to standard output, in the form that `import` and `map --aliases` read.
    #[command(
        after_help = "Examples:\n  bwp-sync aliases export > aliases.jsonl\n  bwp-sync aliases export --format csv --target de > aliases.csv"
    )]
    Export(ExportArgs),
}

/// The arguments of `aliases get`: what is given has to apply.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// Whose table.
    #[arg(long, value_name = "TARGET", default_value = DEFAULT_TARGET)]
    pub target: String,
    /// ORDER, LINE_ITEM, RETURN, REFUND or PACKAGE.
    #[arg(long, value_name = "KIND", value_parser = kind)]
    pub kind: Option<AliasKind>,
    /// The alias type.
    #[arg(long = "type", value_name = "TYPE")]
    pub alias_type: Option<String>,
    /// The alias id.
    #[arg(long, value_name = "ID", required_unless_present = "order")]
    pub id: Option<String>,
    /// Rows of this order: its id under any alias type, or Buy with Prime's.
    #[arg(long, value_name = "ID")]
    pub order: Option<String>,
}

/// The arguments of `aliases import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Whose table.
    #[arg(long, value_name = "TARGET", default_value = DEFAULT_TARGET)]
    pub target: String,
    /// The form of the file; without it, CSV where its name ends with `.csv`, else JSON Lines.
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Who does it, why, and whether it is meant.
    #[command(flatten)]
    pub acting: Acting,
    /// The file, `-` for standard input: JSON Lines of `oms.alias.v1` data, or CSV with the columns
    /// kind,alias_type,alias_id,bwp_id,order_alias_type,order_alias_id. In CSV an empty bwp_id removes the row, and an order_alias_id
    /// without order_alias_type is Buy with Prime's own id.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// The arguments of `aliases export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Whose table.
    #[arg(long, value_name = "TARGET", default_value = DEFAULT_TARGET)]
    pub target: String,
    /// The form. CSV has no place for versions.
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    pub format: Format,
}

/// The form of a file of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One `oms.alias.v1` object a line.
    Jsonl,
    /// With a header.
    Csv,
}

/// Does what is asked.
pub(super) fn run(global: &Global, args: &AliasesArgs) -> Result<Exit, ConfigErrors> {
    let settings = global.settings(Purpose::Ledger)?.settings;
    let target = match &args.command {
        AliasesCommand::Get(get) => &get.target,
        AliasesCommand::Import(import) => &import.target,
        AliasesCommand::Export(export) => &export.target,
    };
    if !settings.targets.contains_key(target) {
        let known: Vec<&str> = settings.targets.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        eprintln!("error: the target {target:?} is not configured (known: {known})");
        return Ok(Exit::Usage);
    }
    Ok(within_runtime(async {
        match Ledger::new(&settings.database.url.current(), 2) {
            Ok(ledger) => dispatch(&ledger, &settings, global, args).await,
            Err(error) => failed(&error.to_string()),
        }
    }))
}

async fn dispatch(ledger: &Ledger, settings: &Settings, global: &Global, args: &AliasesArgs) -> Exit {
    match ledger.is_current().await {
        Ok(true) => {}
        Ok(false) => return failed("the schema is not current; run `bwp-sync migrate`"),
        Err(error) => return failed(&error.to_string()),
    }
    match &args.command {
        AliasesCommand::Get(get) => {
            let GetArgs { kind, alias_type, id, order, .. } = get;
            let wanted = Wanted { kind: *kind, alias_type: alias_type.clone(), id: id.clone(), order: order.clone() };
            show::get(ledger, &get.target, &wanted, global.output).await
        }
        AliasesCommand::Import(import) => import::run(ledger, settings, import, global.output).await,
        AliasesCommand::Export(export) => show::export(ledger, &export.target, export.format).await,
    }
}

fn kind(text: &str) -> Result<AliasKind, String> {
    AliasKind::parse(text).ok_or_else(|| format!("it must be one of: {}", AliasKind::WORDS.join(", ")))
}
