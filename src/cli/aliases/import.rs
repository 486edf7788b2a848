//! `aliases import`: a thread reads the file, batches of rows go to the ledger, and a report says what became of them.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Instant;

use tokio::sync::mpsc;

use super::report::Report;
use super::rows::{self, Line};
use super::{Format, ImportArgs};
use crate::cli::{Exit, Output, print};
use crate::config::Settings;
use crate::ledger::aliases::Importing;
use crate::ledger::{Ledger, LedgerError};
use crate::plan::subject::AliasTypes;

/// Lines that go to the ledger together.
const BATCH: usize = 10_000;

/// Imports the file.
pub async fn run(ledger: &Ledger, settings: &Settings, args: &ImportArgs, output: Output) -> Exit {
    let types = settings.targets.get(&args.target).map(|target| AliasTypes::from(&target.alias_types)).unwrap_or_default();
    let importing = Importing { target: args.target.clone(), types, by: args.acting.by(), from: args.file.display().to_string() };
    let mut report = Report::new(args.acting.dry_run);
    let ended = import(ledger, importing, args, &mut report).await;
    let printed = print(&match output {
        Output::Table => report.table(),
        Output::Json => report.json(),
    });
    match ended {
        Err((exit, error)) => {
            eprintln!("error: {error}");
            exit
        }
        Ok(()) if report.is_wrong() => Exit::No,
        Ok(()) => printed,
    }
}

async fn import(ledger: &Ledger, importing: Importing, args: &ImportArgs, report: &mut Report) -> Result<(), (Exit, String)> {
    let stopped = |error: LedgerError| {
        (Exit::No, format!("{error}; what the report counts was done, the rest was not: the same import can be run again"))
    };
    let mut import = ledger.import(importing).await.map_err(stopped)?;
    let (sender, mut batches) = mpsc::channel(2);
    let (path, format) = (args.file.clone(), args.format);
    let reader = tokio::task::spawn_blocking(move || read(&path, format, &sender));
    let progress = Progress::new();
    while let Some(lines) = batches.recv().await {
        let (mut numbers, mut rows) = (Vec::with_capacity(lines.len()), Vec::with_capacity(lines.len()));
        for Line { number, row } in lines {
            match row {
                Ok(row) => {
                    numbers.push(number);
                    rows.push(row);
                }
                Err(wrong) => report.add_wrong(number, wrong),
            }
        }
        let effects = import.take(&rows).await.map_err(stopped)?;
        report.add(&numbers, &rows, &effects, import.said_at());
        progress.show(report.lines());
    }
    progress.end();
    match reader.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err((Exit::Usage, error)),
        Err(error) => Err((Exit::No, error.to_string())),
    }
}

/// Reads the file in batches, no further ahead than the channel holds.
fn read(path: &Path, format: Option<Format>, batches: &mpsc::Sender<Vec<Line>>) -> Result<(), String> {
    let mut batch = Vec::with_capacity(BATCH);
    rows::each(path, format, |line| {
        batch.push(line);
        batch.len() < BATCH || batches.blocking_send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH))).is_ok()
    })?;
    if !batch.is_empty() {
        // Where nobody takes it any more, the import has said why.
        drop(batches.blocking_send(batch));
    }
    Ok(())
}

/// How far it is, for eyes.
struct Progress {
    began: Instant,
    is_shown: bool,
}

impl Progress {
    fn new() -> Progress {
        Progress { began: Instant::now(), is_shown: std::io::stderr().is_terminal() }
    }

    fn show(&self, lines: u64) {
        if self.is_shown {
            let rate = lines as f64 / self.began.elapsed().as_secs_f64().max(0.001);
            eprint!("\r{lines} lines, {rate:.0} a second ");
        }
    }

    fn end(&self) {
        if self.is_shown {
            eprintln!();
        }
    }
}
