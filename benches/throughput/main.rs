//! How fast: the daemon and its Postgres on one core, against a consumer by hand that keeps nothing, in the same run. Kafka, the stand-in
//! for Buy with Prime and this program are on another core. `docs/performance.md` says how to read it. Run by `make bench`, or alone:
//!
//! ```sh
//! cargo bench --bench throughput -- s1 paced        # some scenarios; all of them without a name
//! PROFILE=1 cargo bench --bench throughput -- s1    # and where the processor's time went
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod by_hand;
mod counters;
mod filled;
mod growth;
mod judged;
mod load;
mod machine;
mod measures;
mod plot;
mod profile;
mod report;
mod run;
mod scenarios;
mod servers;
mod stage;
mod standin;
#[path = "../../tests/support/mod.rs"]
mod support;

use serde::de::DeserializeOwned;
use std::path::Path;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

fn given<T: DeserializeOwned>(arguments: &[String]) -> T {
    serde_json::from_str(arguments.get(1).expect("settings")).unwrap()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Cargo adds a flag of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    match arguments.first().map(String::as_str) {
        Some("stand-in") => standin::run(given(&arguments)).await,
        Some("by-hand") => by_hand::run(given(&arguments)).await,
        _ => return measure(&arguments).await,
    }
    ExitCode::SUCCESS
}

/// Ended from outside: what was started goes with its guards.
async fn interrupted() {
    let mut term = signal(SignalKind::terminate()).unwrap();
    tokio::select! {
        _ = term.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

async fn measure(names: &[String]) -> ExitCode {
    machine::stay_on_core(machine::AROUND);
    let scenarios = match scenarios::chosen(names) {
        Ok(scenarios) => scenarios,
        Err(unknown) => {
            eprintln!("there is no scenario {unknown}; there are: {}", scenarios::names());
            return ExitCode::FAILURE;
        }
    };
    let servers = servers::Servers::start().await;
    let profile = std::env::var("PROFILE").is_ok();
    let report = tokio::select! {
        report = scenarios::play(&servers, &scenarios, profile) => report,
        () = interrupted() => return ExitCode::FAILURE,
    };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench/throughput.json");
    report.close(&servers, &file).await;
    match report.wrong() {
        0 => ExitCode::SUCCESS,
        wrong => {
            eprintln!("{wrong} things that must never happen");
            ExitCode::FAILURE
        }
    }
}
