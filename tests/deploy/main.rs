//! What is deployed beside the program: the alerts see what they must, name metrics that exist, and each has its place in the
//! runbook. Needs `promtool`, which `make test` installs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod chart;

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn promtool(arguments: &[&str]) {
    let folder = root().join("deploy/prometheus");
    let fetched = root().join("target/tools/promtool");
    let program = if fetched.exists() { fetched } else { PathBuf::from("promtool") };
    let run = Command::new(program).args(arguments).current_dir(folder).output();
    let run = run.expect("promtool is missing: scripts/install test");
    let said = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "promtool {arguments:?}: {said}");
}

#[test]
fn alerts_see_what_they_must_and_nothing_else() {
    promtool(&["check", "rules", "alerts.yaml"]);
    promtool(&["test", "rules", "alerts-tests.yaml"]);
}

#[test]
fn every_alert_has_its_place_in_the_runbook() {
    let alerts = std::fs::read_to_string(root().join("deploy/prometheus/alerts.yaml")).unwrap();
    let runbook = std::fs::read_to_string(root().join("docs/runbook.md")).unwrap();
    let tests = std::fs::read_to_string(root().join("deploy/prometheus/alerts-tests.yaml")).unwrap();
    let names: Vec<&str> = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() > 10);
    for name in names {
        assert!(runbook.lines().any(|line| line == format!("### {name}")), "docs/runbook.md has no section {name}");
        let url = format!("runbook_url: docs/runbook.md#{}", name.to_lowercase());
        assert!(alerts.lines().any(|line| line.trim() == url), "{name} does not lead to its section");
        assert_eq!(
            tests.matches(&format!("{name}\"")).count() + tests.matches(&format!("{name},")).count(),
            2,
            "{name} is not tested"
        );
    }
}

#[test]
fn alerts_name_metrics_that_exist() {
    let alerts = std::fs::read_to_string(Path::new(&root()).join("deploy/prometheus/alerts.yaml")).unwrap();
    let words = alerts.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    for word in words.filter(|word| word.starts_with("bwp_sync_")) {
        let name = ["_bucket", "_count", "_sum"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
        let known = bwp_sync::ops::metrics::ALL.iter().any(|metric| metric.name == name || metric.name == word);
        assert!(known, "{word} is no metric of the program");
    }
}
