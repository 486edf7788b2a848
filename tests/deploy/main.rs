//! What is deployed beside the program: the alerts see what they must, they and the dashboard name metrics that exist, each alert has
//! its place in the runbook, and a real Prometheus finds data for all of it. Needs Prometheus, which `make test` installs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod chart;
#[allow(dead_code)] // not each of its stories is told here
#[path = "../e2e/merchant.rs"]
mod merchant;
mod page;
mod prometheus;
mod scraped;
#[allow(dead_code)] // not each of its tools is in use here
#[path = "../e2e/service.rs"]
mod service;
#[allow(dead_code)]
#[path = "../e2e/sound.rs"]
mod sound;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn promtool(arguments: &[&str]) {
    let folder = root().join("deploy/prometheus");
    let run = Command::new(prometheus::program("promtool")).args(arguments).current_dir(folder).output();
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
fn every_alert_has_its_words_and_its_place_in_the_runbook() {
    let runbook = std::fs::read_to_string(root().join("docs/runbook.md")).unwrap();
    let tests = std::fs::read_to_string(root().join("deploy/prometheus/alerts-tests.yaml")).unwrap();
    let rules = page::rules();
    let alerts: Vec<_> = rules.iter().filter_map(|rule| rule.alert.as_deref().map(|name| (name, &rule.value))).collect();
    assert!(alerts.len() > 15);
    for (name, rule) in alerts {
        let said = &rule["annotations"];
        assert!(["page", "ticket"].contains(&rule["labels"]["severity"].as_str().unwrap_or_default()), "{name}: {rule:#}");
        for annotation in ["summary", "description"] {
            assert!(said[annotation].as_str().is_some_and(|text| text.len() > 10), "{name} has no {annotation}");
        }
        assert_eq!(said["runbook_url"], format!("docs/runbook.md#{}", name.to_lowercase()));
        assert!(runbook.lines().any(|line| line == format!("### {name}")), "docs/runbook.md has no section {name}");
        let (fires, rests) = (format!("{name}\""), format!("{name},"));
        assert!(tests.contains(&fires) && tests.contains(&rests), "{name} is not tested both ways");
    }
    for section in runbook.lines().filter_map(|line| line.strip_prefix("### BwpSync")) {
        let name = format!("BwpSync{section}");
        assert!(rules.iter().any(|rule| rule.alert.as_ref() == Some(&name)), "no alert leads to the section {name}");
    }
}

/// The names of our metrics in an expression.
fn named(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    let ours = words.filter(|word| word.starts_with("bwp_sync_"));
    let base =
        |word: &str| ["_bucket", "_count", "_sum"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word).to_owned();
    ours.map(base).collect()
}

#[test]
fn dashboard_and_alerts_name_metrics_that_exist_and_no_metric_is_forgotten() {
    let shown = page::panels().into_iter().flat_map(|panel| panel.expressions);
    let used: BTreeSet<String> =
        shown.chain(page::rules().into_iter().map(|rule| rule.expression)).flat_map(|one| named(&one)).collect();
    let process = ["bwp_sync_process_cpu_seconds_total", "bwp_sync_process_resident_memory_bytes"];
    let all: BTreeSet<&str> = bwp_sync::ops::metrics::ALL.iter().map(|metric| metric.name).chain(process).collect();
    let unknown: Vec<_> = used.iter().filter(|name| !all.contains(name.as_str())).collect();
    assert!(unknown.is_empty(), "no metrics of the program: {unknown:?}");
    // Of these the others show enough; they are for whoever looks closer.
    let closer = ["bwp_sync_imbalance_by_kind", "bwp_sync_alias_changes_total"];
    let unseen: Vec<_> = all.into_iter().filter(|name| !used.contains(*name) && !closer.contains(name)).collect();
    assert!(unseen.is_empty(), "neither on the dashboard nor in a rule: {unseen:?}");
}

#[test]
fn the_dashboard_answers_four_questions_and_explains_each_panel() {
    let dashboard = page::dashboard();
    let rows: Vec<&Value> = dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] == "row").collect();
    let questions: Vec<&str> = rows.iter().filter_map(|row| row["title"].as_str()).collect();
    assert_eq!(questions, ["Is it fine?", "Who waits, and why?", "Is BwP fine?", "Are we fast?"]);
    let variables: Vec<&Value> =
        dashboard["templating"]["list"].as_array().unwrap().iter().map(|variable| &variable["name"]).collect();
    assert_eq!(variables, ["datasource", "target"]);
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64()), "{}: its id is another one's, too", panel["title"]);
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        assert!(x + w <= 24);
        for place in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(place), "{} lies on another panel", panel["title"]);
        }
    }
    for panel in page::panels() {
        let description = panel.value["description"].as_str().unwrap_or_default();
        assert!(description.len() > 15 && description.ends_with('.'), "{}: {description}", panel.title);
        for target in panel.value["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{}", panel.title);
        }
        for expression in &panel.expressions {
            let has_target = bwp_sync::ops::metrics::ALL
                .iter()
                .any(|metric| metric.labels.contains(&"target") && named(expression).contains(metric.name));
            assert_eq!(has_target, expression.contains("$target"), "{}: {expression}", panel.title);
        }
    }
}
