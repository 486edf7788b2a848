//! What happened, counted; and what a count of zero means.

use std::fmt::Display;

/// Lines with a count each.
#[derive(Default)]
pub struct Table {
    lines: Vec<(String, u64)>,
    missing: Vec<String>,
}

impl Table {
    /// Something that has to have happened.
    pub fn fault(&mut self, name: impl Display, count: u64) {
        if count == 0 {
            self.missing.push(name.to_string());
        }
        self.lines.push((name.to_string(), count));
    }

    /// Something that is good to know.
    pub fn note(&mut self, name: impl Display, count: u64) {
        self.lines.push((name.to_string(), count));
    }

    pub fn title(&mut self, name: &str) {
        self.lines.push((format!("-- {name}"), 0));
    }

    pub fn print(&self) {
        for (name, count) in &self.lines {
            if name.starts_with("--") { println!("{name}") } else { println!("{count:>8}  {name}") }
        }
    }

    /// # Panics
    /// Where a fault did not happen: then the run shows nothing.
    pub fn assert_all_happened(&self) {
        assert!(self.missing.is_empty(), "these faults never happened, so the run shows nothing: {:?}", self.missing);
    }
}
