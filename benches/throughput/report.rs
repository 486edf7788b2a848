//! What is shown: a table, what was to be reached, and a file for programs.

use crate::machine;
use crate::measures::Measures;
use crate::run;
use crate::servers::Servers;
use chrono::Utc;
use serde::Serialize;
use serde_json::{Value, json};
use std::path::Path;

/// A run with its name.
#[derive(Debug, Serialize)]
pub struct Row {
    pub scenario: String,
    pub system: &'static str,
    #[serde(flatten)]
    pub measures: Measures,
}

/// A figure with what was to be reached.
#[derive(Debug, Serialize)]
pub struct Figure {
    pub name: String,
    pub value: f64,
    #[serde(flatten)]
    pub wanted: Option<Wanted>,
}

/// What was to be reached.
#[derive(Debug, Serialize)]
pub struct Wanted {
    pub must: f64,
    pub aim: f64,
    /// Whether less is better.
    pub at_most: bool,
}

/// All of it.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
    figures: Vec<Figure>,
}

impl Report {
    pub fn row(&mut self, scenario: &str, system: &'static str, measures: Measures) {
        let row = Row { scenario: scenario.to_owned(), system, measures };
        println!("{}", line(&row));
        self.rows.push(row);
    }

    pub fn at_least(&mut self, name: &str, value: f64, must: f64, aim: f64) {
        self.figure(name, value, Some(Wanted { must, aim, at_most: false }));
    }

    pub fn at_most(&mut self, name: &str, value: f64, must: f64, aim: f64) {
        self.figure(name, value, Some(Wanted { must, aim, at_most: true }));
    }

    /// A figure that helps to read the others.
    pub fn told(&mut self, name: &str, value: f64) {
        self.figure(name, value, None);
    }

    fn figure(&mut self, name: &str, value: f64, wanted: Option<Wanted>) {
        let figure = Figure { name: name.to_owned(), value, wanted };
        println!("  {}", told(&figure));
        self.figures.push(figure);
    }

    /// Duplicates, overlaps and breaks of order, and whatever else the judge has found.
    pub fn wrong(&self) -> u64 {
        self.rows.iter().map(|row| row.measures.wrong()).sum()
    }

    /// All figures once more, and the file.
    pub async fn close(&self, servers: &Servers, file: &Path) {
        println!("\n{}", heading());
        self.rows.iter().for_each(|row| println!("{}", line(row)));
        println!();
        self.figures.iter().for_each(|figure| println!("{}", told(figure)));
        let text = serde_json::to_string_pretty(&self.json(servers).await).unwrap();
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
        println!("\nall of it: {}", file.display());
    }

    async fn json(&self, servers: &Servers) -> Value {
        let setting = async |name: &str| -> String {
            sqlx::query_scalar("SELECT current_setting($1)").bind(name).fetch_one(&servers.admin).await.unwrap()
        };
        let mut settings = serde_json::Map::new();
        for name in ["fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "wal_level", "shared_preload_libraries"]
        {
            settings.insert(name.to_owned(), setting(name).await.into());
        }
        json!({
            "time": Utc::now(),
            "machine": {"processor": machine::processor(), "kernel": machine::first_line("uname", &["-sr"])},
            "versions": {
                "bwp-sync": machine::first_line(&run::program(), &["--version"]),
                "rustc": machine::first_line("rustc", &["--version"]),
                "postgres": setting("server_version").await,
                "java": machine::first_line("java", &["-version"]),
                "librdkafka": rdkafka::util::get_rdkafka_version().1,
            },
            "postgres_settings": settings,
            "cores": {"kafka, stand-in, benchmark": machine::AROUND, "what is measured, Postgres": machine::MEASURED},
            "runs": self.rows,
            "figures": self.figures,
        })
    }
}

pub fn heading() -> String {
    format!(
        "{:24} {:9} {:>7} {:>9} {:>9} {:>8} {:>8} {:>8} {:>7} {:>6} {:>6} {:>6} {:>6} {:>5}",
        "scenario",
        "system",
        "events",
        "middle/s",
        "whole/s",
        "cpu/10k",
        "pg/10k",
        "sim/10k",
        "MiB",
        "rows",
        "WAL",
        "stmts",
        "commit",
        "wrong"
    )
}

fn line(row: &Row) -> String {
    let it = &row.measures;
    let or_none = |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |value| format!("{value:.digits$}"));
    // Microseconds an event are hundredths of a second for ten thousand.
    let mut line = format!(
        "{:24} {:9} {:>7} {:>9.0} {:>9.0} {:>8.2} {:>8} {:>8.2} {:>7.1} {:>6} {:>6} {:>6} {:>6} {:>5}",
        row.scenario,
        row.system,
        it.events,
        it.middle_rate,
        it.whole_rate,
        it.cpu_us / 100.0,
        or_none(it.postgres_cpu_us.map(|us| us / 100.0), 2),
        it.stand_in_cpu_us / 100.0,
        it.peak_memory_mib,
        or_none(it.row_versions, 1),
        or_none(it.wal_bytes, 0),
        or_none(it.statements, 2),
        or_none(it.commits, 2),
        it.wrong(),
    );
    if let (Some(p50), Some(p99)) = (it.age_p50_ms, it.age_p99_ms) {
        line += &format!("  age p50 {p50:.1} ms p99 {p99:.1} ms");
    }
    line
}

fn told(figure: &Figure) -> String {
    let Figure { name, value, wanted } = figure;
    let Some(Wanted { must, aim, at_most }) = wanted else {
        return format!("{name}: {value:.3}");
    };
    let reached = |limit: &f64| if *at_most { value <= limit } else { value >= limit };
    let word = match (reached(aim), reached(must)) {
        (true, _) => "aim reached",
        (_, true) => "reached",
        _ => "NOT reached",
    };
    format!("{name}: {value:.3} (must {must}, aim {aim}): {word}")
}

/// Where the time of Postgres and of the daemon went.
pub fn profile(measures: &Measures) {
    let events = measures.events.max(1) as f64;
    measures.symbols.iter().for_each(|symbol| println!("    {symbol}"));
    println!("    {:>9} {:>8} {:>9} {:>8} {:>8}  statement", "ms", "calls", "us/event", "rows", "WAL B/e");
    for it in &measures.longest {
        let text: String = it.text.chars().take(150).collect();
        let (each, wal) = (it.milliseconds * 1e3 / events, it.wal_bytes as f64 / events);
        println!("    {:>9.0} {:>8} {each:>9.1} {:>8} {wal:>8.0}  {text}", it.milliseconds, it.calls, it.rows);
    }
}
