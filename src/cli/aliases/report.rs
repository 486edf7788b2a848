//! What became of the lines of an import.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use super::rows::Wrong;
use crate::event::AliasRow;
use crate::ledger::aliases::Effect;
use crate::plan::names::{NameRow, Origin};

/// So many lines of each kind are shown one by one; all are counted.
const MOST: usize = 100;

/// The counts, and the first lines of each kind that somebody may want to look at.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    dry_run: bool,
    lines: u64,
    new: u64,
    same: u64,
    replaced: u64,
    outranked: u64,
    conflicting: u64,
    wrong: u64,
    replaced_lines: Vec<Shown>,
    outranked_lines: Vec<Shown>,
    conflicting_lines: Vec<Shown>,
    wrong_lines: Vec<WrongLine>,
}

/// A row beside the one that it met.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    line: u64,
    row: Value,
    met: Value,
    #[serde(skip)]
    text: String,
}

#[derive(Debug, Serialize)]
struct WrongLine {
    line: u64,
    #[serde(flatten)]
    wrong: Wrong,
}

impl Report {
    /// Of nothing so far.
    pub fn new(dry_run: bool) -> Report {
        Report { dry_run, ..Report::default() }
    }

    /// How many lines have been looked at.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Whether any line was wrong.
    pub fn is_wrong(&self) -> bool {
        self.wrong > 0
    }

    /// What became of rows, given the line of each, and when all of the import was said.
    pub fn add(&mut self, numbers: &[u64], rows: &[AliasRow], effects: &[Effect], said_at: DateTime<Utc>) {
        for ((number, row), effect) in numbers.iter().zip(rows).zip(effects) {
            self.lines += 1;
            let from_here = |met: &NameRow| met.origin == Origin::Import && met.time == said_at;
            let (count, lines, met) = match effect {
                Effect::New => {
                    self.new += 1;
                    continue;
                }
                Effect::Same => {
                    self.same += 1;
                    continue;
                }
                Effect::Replaced(met) if from_here(met) && met.version == row.version => {
                    (&mut self.conflicting, &mut self.conflicting_lines, met)
                }
                Effect::Replaced(met) => (&mut self.replaced, &mut self.replaced_lines, met),
                Effect::Outranked(met) if met.origin == Origin::Bwp => (&mut self.conflicting, &mut self.conflicting_lines, met),
                Effect::Outranked(met) => (&mut self.outranked, &mut self.outranked_lines, met),
            };
            *count += 1;
            if lines.len() < MOST {
                lines.push(Shown::of(*number, row, met, effect));
            }
        }
    }

    /// Counts a line that is wrong.
    pub fn add_wrong(&mut self, line: u64, wrong: Wrong) {
        self.lines += 1;
        self.wrong += 1;
        if self.wrong_lines.len() < MOST {
            self.wrong_lines.push(WrongLine { line, wrong });
        }
    }

    /// For programs.
    pub fn json(&self) -> String {
        format!("{:#}\n", json!(self))
    }

    /// For eyes.
    pub fn table(&self) -> String {
        let Report { lines, new, same, replaced, outranked, conflicting, wrong, .. } = self;
        let mut text = format!(
            "{lines} {}: {new} new, {same} the same, {replaced} replaced, {outranked} outranked, {conflicting} conflicting, \
             {wrong} wrong\n",
            if *lines == 1 { "line" } else { "lines" }
        );
        if self.dry_run {
            text.push_str("dry run: nothing was kept\n");
        }
        for (word, count, lines) in [
            ("replaced", replaced, &self.replaced_lines),
            ("outranked", outranked, &self.outranked_lines),
            ("conflicting", conflicting, &self.conflicting_lines),
        ] {
            lines.iter().for_each(|shown| text.push_str(&format!("{word}: line {}: {}\n", shown.line, shown.text)));
            text.push_str(&more(word, *count, lines.len()));
        }
        for WrongLine { line, wrong } in &self.wrong_lines {
            text.push_str(&format!("wrong: line {line}: {} {} (at {:?})\n", wrong.code, wrong.message, wrong.pointer));
        }
        text + &more("wrong", *wrong, self.wrong_lines.len())
    }
}

fn more(word: &str, count: u64, shown: usize) -> String {
    match count.saturating_sub(shown as u64) {
        0 => String::new(),
        more => format!("{word}: and {more} more\n"),
    }
}

impl Shown {
    fn of(line: u64, row: &AliasRow, met: &NameRow, effect: &Effect) -> Shown {
        let name = format!("{} {} {}", row.kind.as_str(), row.alias.alias_type, row.alias.id);
        let (mine, theirs) = (id(&row.bwp_id), id(&met.bwp_id));
        let from = origin(met.origin);
        let text = match effect {
            Effect::Replaced(_) => format!("{name}: {mine} took the place of {theirs} ({from})"),
            _ => format!("{name}: {mine} was not taken, since {from} says {theirs}"),
        };
        let met = json!({"bwpId": met.bwp_id, "origin": met.origin, "version": met.version, "saidAt": met.time});
        Shown { line, row: json!({"kind": row.kind.as_str(), "alias": row.alias, "bwpId": row.bwp_id}), met, text }
    }
}

fn id(id: &Option<String>) -> &str {
    id.as_deref().unwrap_or("nothing")
}

/// Who said something, for eyes.
pub fn origin(origin: Origin) -> &'static str {
    match origin {
        Origin::Import => "an import",
        Origin::Topic => "the alias topic",
        Origin::Bwp => "Buy with Prime",
    }
}
