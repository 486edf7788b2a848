//! A line for the eyes while the day is played: rewritten in place on a terminal, else one every two seconds.

use crate::daemon::Daemon;
use crate::play::Played;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// When to show what.
pub struct Progress {
    records: usize,
    began: Instant,
    shown: Option<Instant>,
    is_terminal: bool,
}

impl Progress {
    /// Of a day with so many records.
    pub fn new(records: usize) -> Self {
        Self { records, began: Instant::now(), shown: None, is_terminal: std::io::stdout().is_terminal() }
    }

    /// Shows where the day stands, if it is time.
    pub async fn show(&mut self, played: &Played, daemon: &Daemon) {
        let pause = Duration::from_millis(if self.is_terminal { 250 } else { 2000 });
        if self.shown.is_some_and(|at| at.elapsed() < pause) {
            return;
        }
        self.shown = Some(Instant::now());
        let line = line(self.began.elapsed(), played, self.records, &daemon.page("/metrics").await.unwrap_or_default());
        if self.is_terminal {
            // Cut off at the edge: a line that wraps could not be rewritten.
            print!("\r\x1b[K\x1b[?7l{line}\x1b[?7h");
            drop(std::io::stdout().flush());
        } else {
            println!("{line}");
        }
    }

    /// Leaves the line.
    pub fn end(&self) {
        if self.is_terminal {
            println!();
        }
    }
}

fn line(elapsed: Duration, played: &Played, records: usize, metrics: &str) -> String {
    let settled: Vec<String> = played.seen.by_status().iter().map(|(status, count)| format!("{status} {count}")).collect();
    let backlog = |state: &str| Daemon::metric(metrics, &format!("bwp_sync_backlog{{state=\"{state}\"}}")).unwrap_or(0.0);
    let states = ["waiting", "queued", "retrying", "in_flight"].map(|state| format!("{state} {}", backlog(state)));
    let settled = if settled.is_empty() { "nothing yet".to_owned() } else { settled.join(" ") };
    format!("{:3} s  sent {}/{records} | {settled} | {}", elapsed.as_secs(), played.records, states.join(" "))
}
