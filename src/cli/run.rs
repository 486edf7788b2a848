//! `run` and `migrate`: the commands that need a runtime.

use super::{Exit, Global};
use crate::config::{ConfigErrors, Purpose};
use crate::ledger::Ledger;
use crate::ops::{logging, metrics};
use crate::run::{self, RunError};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// `bwp-sync run`
pub fn run(global: &Global) -> Result<Exit, ConfigErrors> {
    let settings = global.settings(Purpose::Run)?.settings;
    if let Err(error) = logging::init(&settings.log) {
        eprintln!("error: logging cannot be started: {error}");
        return Ok(Exit::No);
    }
    let metrics = match metrics::install() {
        Ok(metrics) => metrics,
        Err(error) => return Ok(failed(&format!("metrics cannot be started: {error}"))),
    };
    Ok(within_runtime(async {
        let (stop, now) = (CancellationToken::new(), CancellationToken::new());
        let (Ok(terminate), Ok(interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
            return failed("signals cannot be received");
        };
        tokio::spawn(listen(terminate, interrupt, stop.clone(), now.clone()));
        match run::run(settings, metrics, stop, now).await {
            Ok(()) => Exit::Fine,
            Err(RunError::Configuration(text)) => {
                eprintln!("error: {text}");
                Exit::Usage
            }
            Err(error) => failed(&error.to_string()),
        }
    }))
}

/// `bwp-sync migrate`
pub fn migrate(global: &Global) -> Result<Exit, ConfigErrors> {
    let settings = global.settings(Purpose::Ledger)?.settings;
    Ok(within_runtime(async {
        let migrated = async {
            let ledger = Ledger::new(&settings.database.url.current(), 1)?;
            ledger.migrate().await
        };
        match migrated.await {
            Ok(()) => {
                println!("the schema is current");
                Exit::Fine
            }
            Err(error) => failed(&error.to_string()),
        }
    }))
}

/// The first signal drains; the second cuts the drain short.
async fn listen(
    mut terminate: tokio::signal::unix::Signal,
    mut interrupt: tokio::signal::unix::Signal,
    stop: CancellationToken,
    now: CancellationToken,
) {
    for token in [stop, now] {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        token.cancel();
    }
}

pub(super) fn within_runtime(work: impl Future<Output = Exit>) -> Exit {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let exit = runtime.block_on(work);
            runtime.shutdown_timeout(std::time::Duration::from_millis(100));
            exit
        }
        Err(error) => failed(&format!("the runtime cannot be started: {error}")),
    }
}

pub(super) fn failed(text: &str) -> Exit {
    eprintln!("error: {text}");
    Exit::No
}
