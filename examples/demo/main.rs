//! `make demo`: a merchant's day, played against the built daemon.
//!
//! The broker is librdkafka's own mock cluster and Buy with Prime is the simulator, both in this process; the daemon is a
//! process of its own, and so is Postgres, which scripts/demo starts. Shows what happens while it happens, checks at the end
//! that nothing was lost or doubled, and exits 1 where something was.
//!
//! | file | idea |
//! |---|---|
//! | `day`, `script`, `event` | what happens, and what each order must look like in the end: known before anything starts |
//! | `faults` | what Buy with Prime does wrong meanwhile |
//! | `broker`, `daemon` | the parts beside the simulator |
//! | `play`, `seen`, `progress` | the day itself: records out, outcomes in, a line for the eyes |
//! | `check`, `holds` | was anything lost or doubled? |
//! | `report`, `story` | what is printed afterwards |

mod broker;
mod check;
mod daemon;
mod day;
mod event;
mod faults;
mod holds;
mod play;
mod progress;
mod report;
mod script;
mod seen;
mod story;

use broker::Broker;
use bwp_simulator::{Options, Simulator};
use daemon::Daemon;
use day::Day;
use std::process::ExitCode;
use std::time::Duration;

/// What goes wrong, as a sentence.
type Problem = Box<dyn std::error::Error>;

/// The same day every time.
const SEED: u64 = 20_241_101;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("the runtime cannot be started: {error}")),
    };
    let verdict = runtime.block_on(async {
        let stage = tokio::select! {
            stage = show() => stage,
            _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        };
        match stage {
            Ok(stage) => stage.end().await,
            Err(problem) => failed(&problem.to_string()),
        }
    });
    runtime.shutdown_timeout(Duration::from_millis(200));
    verdict
}

fn failed(problem: &str) -> ExitCode {
    eprintln!("\ndemo: {problem}");
    ExitCode::FAILURE
}

/// What is still up when the day is over, in the order in which it ends, and what was found wrong.
struct Stage {
    daemon: Daemon,
    simulator: Simulator,
    broker: Broker,
    wrong: Vec<String>,
}

/// Plays the day and shows all of it but the verdict.
async fn show() -> Result<Stage, Problem> {
    // Without a provider no HTTP client can be built, although nothing here speaks TLS. A second install is refused: fine.
    drop(rustls::crypto::ring::default_provider().install_default());
    let day = Day::plan(SEED);
    let broker = Broker::start()?;
    let options = Options { latency: Duration::from_millis(5), request_log: 20_000, ..Options::default() };
    let simulator = Simulator::start(options).await?;
    simulator.seed_orders(day.seeds.clone()).map_err(|error| format!("the orders cannot be seeded: {error:?}"))?;
    simulator.faults().set(faults::script());
    let mut daemon = Daemon::start(&broker, &simulator)?;
    report::parts(&broker, &simulator, &daemon, &day);
    daemon.ready().await?;

    let mut played = play::play(&day, &broker, &simulator, &mut daemon).await?;
    let (identity, mut wrong) = check::identity(&daemon, &day, &played).await?;
    wrong.extend(check::outcomes(&day, &broker, &mut played).await?);
    wrong.extend(check::faults(&simulator));
    wrong.extend(check::judge(&simulator));
    wrong.extend(check::orders(&day, &simulator).await);
    report::outcomes(&played.seen);
    report::faults(&simulator);
    report::judge(&simulator);
    report::identity(&identity);
    story::tell(&day, &played, &simulator);
    Ok(Stage { daemon, simulator, broker, wrong })
}

impl Stage {
    /// Ends everything, at once or when it was looked at for long enough, and gives the verdict.
    async fn end(mut self) -> ExitCode {
        if std::env::var("STAY").is_ok_and(|stay| !stay.is_empty()) {
            report::verdict(&self.wrong);
            report::places(&self.broker, &self.simulator, &self.daemon);
            println!("\nEverything stays up until Ctrl-C.");
            drop(tokio::signal::ctrl_c().await);
        }
        self.wrong.extend(self.daemon.terminate().await);
        report::verdict(&self.wrong);
        println!("The daemon's log: {}. To look around, keep everything up: make demo STAY=1", self.daemon.log());
        if self.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
