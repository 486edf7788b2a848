//! What commands that change something have in common: who does it and why, and that it is meant.

use super::Exit;
use crate::ledger::acts::By;
use clap::Args;
use std::io::{BufRead, IsTerminal, Write};

/// Who changes something, and why.
#[derive(Debug, Clone, Args)]
pub struct Acting {
    /// Who does it, as it is recorded and shown by `explain`. Without it, $USER@host.
    #[arg(long, value_name = "NAME")]
    pub who: Option<String>,
    /// Why, as it is recorded.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Only says what would be done.
    #[arg(long)]
    pub dry_run: bool,
}

impl Acting {
    /// Who and why; none for a dry run.
    pub fn by(&self) -> Option<By> {
        (!self.dry_run).then(|| By { who: self.who.clone().unwrap_or_else(user), reason: self.reason.clone() })
    }
}

/// Who runs the command: `$USER@host`.
pub fn user() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "unknown".to_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match host.trim() {
        "" => user,
        host => format!("{user}@{host}"),
    }
}

/// Asks on a terminal whether it is meant. Without a terminal somebody has to have said so before.
pub fn confirm(question: &str, yes: bool) -> Result<(), Exit> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        eprintln!("error: this cannot be undone, and there is no terminal to ask on; say --yes, or --dry-run to look first");
        return Err(Exit::Usage);
    }
    eprint!("{question} [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    match std::io::stdin().lock().read_line(&mut answer) {
        Ok(_) if matches!(answer.trim(), "y" | "Y" | "yes") => Ok(()),
        _ => {
            eprintln!("nothing was changed");
            Err(Exit::No)
        }
    }
}
