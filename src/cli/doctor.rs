//! `doctor`: how its checks are printed. What is checked is [`crate::doctor`]'s matter.

use std::io::IsTerminal;

use serde_json::json;

use super::run::within_runtime;
use super::{Exit, Global, Output, print};
use crate::config::{ConfigErrors, Purpose};
use crate::doctor::{self, Check, Verdict};

pub(super) const EXAMPLES: &str = "Examples:
  bwp-sync doctor --config /etc/bwp-sync.toml
  bwp-sync doctor --output json | jq '.checks[] | select(.verdict != \"OK\")'";

/// `bwp-sync doctor`
pub(super) fn run(global: &Global) -> Result<Exit, ConfigErrors> {
    let settings = global.settings(Purpose::Run)?.settings;
    Ok(within_runtime(async {
        let checks = doctor::examine(&settings).await;
        let is_well = checks.iter().all(|check| check.verdict < Verdict::Fail);
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let printed = print(&match global.output {
            Output::Table => table(&checks, colours),
            Output::Json => format!("{:#}\n", json!({ "ok": is_well, "checks": checks })),
        });
        if is_well { printed } else { Exit::No }
    }))
}

fn table(checks: &[Check], colours: bool) -> String {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let mut text: String = checks.iter().map(|check| line(check, width, colours)).collect();
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    let (ok, warn, fail) = (count(Verdict::Ok), count(Verdict::Warn), count(Verdict::Fail));
    text.push_str(&format!("\n{ok} OK, {warn} WARN, {fail} FAIL\n"));
    text
}

fn line(check: &Check, width: usize, colours: bool) -> String {
    let word = format!("{:4}", check.verdict.word());
    let word = match (colours, check.verdict) {
        (false, _) => word,
        (true, Verdict::Ok) => format!("\x1b[32m{word}\x1b[0m"),
        (true, Verdict::Warn) => format!("\x1b[33m{word}\x1b[0m"),
        (true, Verdict::Fail) => format!("\x1b[1;31m{word}\x1b[0m"),
    };
    let mut line = format!("{word}  {:width$}  {}\n", check.name, check.what);
    if let Some(way_out) = &check.way_out {
        line.push_str(&format!("      {:width$}  -> {way_out}\n", ""));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_its_way_out_below_it_and_colours_only_where_wanted() {
        let checks = [Check::ok("kafka", "fine"), Check::fail("postgres", "away", "start it")];
        let text = table(&checks, false);
        assert_eq!(text, "OK    kafka     fine\nFAIL  postgres  away\n                -> start it\n\n1 OK, 0 WARN, 1 FAIL\n");
        assert!(table(&checks, true).starts_with("\x1b[32mOK  \x1b[0m  kafka"));
    }
}
