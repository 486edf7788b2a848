//! `aliases get` and `aliases export`: rows on standard output.

use std::io::{BufWriter, ErrorKind, Write};

use serde_json::{Value, json};

use super::Format;
use super::report::origin;
use super::rows::{COLUMNS, to_fields, to_json};
use crate::cli::run::failed;
use crate::cli::{Exit, Output, print};
use crate::event::AliasRow;
use crate::ledger::aliases::{Entry, Wanted};
use crate::ledger::{Ledger, LedgerError};
use crate::plan::names::Origin;

/// Shows rows; no where there is none.
pub async fn get(ledger: &Ledger, target: &str, wanted: &Wanted, output: Output) -> Exit {
    let entries = match ledger.get_aliases(target, wanted).await {
        Ok(entries) => entries,
        Err(error) => return failed(&error.to_string()),
    };
    let printed = print(&match output {
        Output::Json => entries.iter().map(|entry| json_of(entry).to_string() + "\n").collect::<String>(),
        Output::Table => entries.iter().map(text_of).collect(),
    });
    if entries.is_empty() {
        eprintln!("no such row");
        return Exit::No;
    }
    printed
}

fn json_of(entry: &Entry) -> Value {
    let row = &entry.row;
    let replaced = entry.replaced.iter().map(|replaced| {
        let row = &replaced.row;
        json!({"bwpId": row.bwp_id, "origin": row.origin, "version": row.version, "saidAt": row.time, "replacedAt": replaced.at})
    });
    json!({
        "kind": entry.kind.as_str(), "alias": entry.alias, "bwpId": row.bwp_id, "origin": row.origin, "version": row.version,
        "saidAt": row.time, "order": {"bwpId": entry.order_bwp_id, "aliases": entry.order_aliases},
        "replaced": replaced.collect::<Vec<_>>(),
    })
}

fn text_of(entry: &Entry) -> String {
    let row = &entry.row;
    let version = |version: Option<u64>| version.map(|version| format!(", version {version}")).unwrap_or_default();
    let names = entry.order_aliases.iter().map(|alias| format!("{} {}", alias.alias_type, alias.id));
    let names: Vec<String> = entry.order_bwp_id.iter().map(|id| format!("bwpId {id}")).chain(names).collect();
    let mut text = format!(
        "{} {} {}: {}\n  from {}{}, {}\n  order {}\n",
        entry.kind.as_str(),
        entry.alias.alias_type,
        entry.alias.id,
        row.bwp_id.as_deref().unwrap_or(match row.origin {
            Origin::Bwp => "(on several things: it names none of them)",
            Origin::Import | Origin::Topic => "(removed)",
        }),
        origin(row.origin),
        version(row.version),
        row.time.format("%Y-%m-%d %H:%M:%SZ"),
        names.join(", "),
    );
    for replaced in &entry.replaced {
        let old = &replaced.row;
        text.push_str(&format!(
            "  replaced {} (from {}{}) at {}\n",
            old.bwp_id.as_deref().unwrap_or("(nothing)"),
            origin(old.origin),
            version(old.version),
            replaced.at.format("%Y-%m-%d %H:%M:%SZ"),
        ));
    }
    text
}

/// Why an export ended early.
enum Stopped {
    Ledger(LedgerError),
    Output(std::io::Error),
}

impl From<LedgerError> for Stopped {
    fn from(error: LedgerError) -> Stopped {
        Stopped::Ledger(error)
    }
}

/// Writes all rows of a target.
pub async fn export(ledger: &Ledger, target: &str, format: Format) -> Exit {
    let mut out = BufWriter::new(std::io::stdout());
    let written = match format {
        Format::Jsonl => ledger.export_aliases(target, |row| writeln!(out, "{}", to_json(&row)).map_err(Stopped::Output)).await,
        Format::Csv => {
            let mut csv = csv::Writer::from_writer(&mut out);
            let mut write = |fields: &[String]| csv.write_record(fields).map_err(|error| Stopped::Output(error.into()));
            match write(&COLUMNS.map(str::to_owned)) {
                Ok(()) => ledger.export_aliases(target, |row: AliasRow| write(&to_fields(&row))).await,
                stopped => stopped,
            }
        }
    };
    match written.and_then(|()| out.flush().map_err(Stopped::Output)) {
        Ok(()) => Exit::Fine,
        Err(Stopped::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Exit::Fine,
        Err(Stopped::Output(error)) => failed(&format!("standard output: {error}")),
        Err(Stopped::Ledger(error)) => failed(&error.to_string()),
    }
}
