//! The command line: what may be asked, and the exit code that answers. It owns arguments and exit codes; what a command
//! does is the library's matter.
//!
//! Exit codes: 0 fine, 1 no, 2 usage or configuration (clap's own code for usage).

mod acting;
pub mod aliases;
mod check;
mod completion;
mod doctor;
mod events;
mod explain;
mod forget;
pub mod map;
mod output;
pub mod pause;
mod run;
mod story;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{Args, Parser, Subcommand};

use crate::config::{ConfigErrors, Loaded, Purpose, Settings, Sources};
pub use output::{Output, print};

/// What `--version` shows.
static VERSION: LazyLock<String> = LazyLock::new(|| match crate::COMMIT {
    Some(commit) => format!("{} ({commit})", crate::VERSION),
    None => crate::VERSION.to_owned(),
});

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It is so, or it is done.
    Fine,
    /// It is not so, or it could not be done.
    No,
    /// It was asked wrongly, or the configuration forbids it.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Fine => Self::SUCCESS,
            Exit::No => Self::from(1),
            Exit::Usage => Self::from(2),
        }
    }
}

/// Keeps Amazon Buy with Prime true to a merchant's own order management system.
#[derive(Debug, Parser)]
#[command(name = "bwp-sync", version = VERSION.as_str(), propagate_version = false)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// The command itself.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
pub struct Global {
    /// A configuration file (TOML) above the built-in defaults; the environment (BWP_SYNC__SECTION__KEY) and --set win
    /// over it.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Sets one key of the configuration, above all else. May be repeated.
    #[arg(long, global = true, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    /// The form of what is printed.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub output: Output,
}

impl Global {
    /// The settings for a purpose, with their warnings already said.
    pub fn settings(&self, purpose: Purpose) -> Result<Loaded, ConfigErrors> {
        let sources = Sources::of_process(self.config.clone(), self.set.clone());
        let loaded = Settings::load(&sources, purpose)?;
        for warning in &loaded.warnings {
            eprintln!("warning: {warning}");
        }
        Ok(loaded)
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the daemon until SIGTERM: reads the topics, calls Buy with Prime, records and publishes every outcome.
    ///
    /// Exits 0 when everything in flight was finished within shutdown.grace, and 1 where the grace ended first.
    Run,
    /// Applies the pending migrations of the ledger's schema, as its owner.
    Migrate,
    /// Checks the configuration and prints what is in force, with the source of every value and the secrets masked.
    ///
    /// Looks at nothing else: no network, no database. Exits 2 where the start would be refused.
    Check,
    /// Shows the mutations that events would become, for a producer's own tests.
    Map(map::MapArgs),
    /// Looks at events, retries dead ones, gives up others.
    #[command(subcommand)]
    Events(events::EventsCommand),
    /// Tells the whole story of an order in plain sentences.
    Explain(explain::ExplainArgs),
    /// Erases the personal data of an order that the ledger keeps, and says what it keeps and why.
    Forget(forget::ForgetArgs),
    /// Looks into the alias table, loads it, or writes it out.
    Aliases(aliases::AliasesArgs),
    /// Stops a target or a topic on every replica, or lists what stands still.
    Pause(pause::PauseArgs),
    /// Lets a target or a topic go on that was paused.
    Resume(pause::PauseArgs),
    /// Looks at everything that the daemon needs (Kafka, Postgres, Buy with Prime) and says what is wrong and what to do.
    ///
    /// Changes nothing. Exits 1 where a line says FAIL.
    #[command(after_help = doctor::EXAMPLES)]
    Doctor,
    /// Prints the completion of this command for a shell.
    #[command(after_help = completion::EXAMPLES)]
    Completion {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// The whole command: reads the arguments of this process and does what they say.
pub fn main() -> ExitCode {
    let Cli { global, command } = Cli::parse();
    let outcome = match command {
        Command::Run => run::run(&global),
        Command::Migrate => run::migrate(&global),
        Command::Check => check::run(&global),
        Command::Map(args) => map::run(&global, &args),
        Command::Events(command) => events::run(&global, command),
        Command::Explain(args) => explain::run(&global, &args),
        Command::Forget(args) => forget::run(&global, &args),
        Command::Aliases(args) => aliases::run(&global, &args),
        Command::Pause(args) => pause::run(&global, &args, pause::Act::Pause),
        Command::Resume(args) => pause::run(&global, &args, pause::Act::Resume),
        Command::Doctor => doctor::run(&global),
        Command::Completion { shell } => Ok(completion::run(shell)),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(errors) => {
            for refusal in &errors.0 {
                eprintln!("error: {refusal}");
            }
            Exit::Usage.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_fit_together() {
        super::Cli::command().debug_assert();
    }
}
