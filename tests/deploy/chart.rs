//! The chart knows what the program knows: its version, its configuration, its alerts. What helm makes of it is judged by
//! `make deploy-check`.

use crate::{promtool, root};
use serde_json::Value;
use std::collections::BTreeSet;

/// Keys that the chart decides itself, or takes from a Secret.
const OWN: [&str; 6] = [
    "database.migrate_on_start",
    "database.url",
    "database.url_file",
    "ops.listen",
    "targets.NAME.client_secret",
    "targets.NAME.client_secret_file",
];

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The keys of a table, and the sections that hold keys of the user's own.
fn keys(path: &str, value: &Value, found: &mut BTreeSet<String>) {
    match value.as_object() {
        Some(table) if !table.is_empty() => {
            for (name, inner) in table {
                keys(&if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, inner, found);
            }
        }
        _ => {
            found.insert(path.to_owned());
        }
    }
}

/// The same of a JSON Schema.
fn schema_keys(path: &str, schema: &Value, found: &mut BTreeSet<String>) {
    let Some(properties) = schema["properties"].as_object().filter(|_| !path.ends_with(".headers")) else {
        let any = &schema["additionalProperties"];
        if any["properties"].is_object() {
            return schema_keys(&format!("{path}.NAME"), any, found);
        }
        found.insert(path.to_owned());
        return;
    };
    assert_eq!(schema["additionalProperties"], false, "{path} takes anything");
    for (name, inner) in properties {
        schema_keys(&if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, inner, found);
    }
}

#[test]
fn the_values_know_every_key_of_the_configuration() {
    let source = config::File::from_str(&read("config/default.toml"), config::FileFormat::Toml);
    let default: Value = config::Config::builder().add_source(source).build().unwrap().try_deserialize().unwrap();
    let mut known = BTreeSet::new();
    keys("", &default, &mut known);
    for own in OWN {
        assert!(known.remove(own), "{own} is no key any more");
    }
    let schema: Value = serde_json::from_str(&read("deploy/helm/bwp-sync/values.schema.json")).unwrap();
    let mut offered = BTreeSet::new();
    schema_keys("", &schema["properties"]["config"], &mut offered);
    assert!(known.len() > 40, "{known:?}");
    let missing: Vec<_> = known.difference(&offered).collect();
    let unknown: Vec<_> = offered.difference(&known).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "the schema lacks {missing:?}, and has {unknown:?}");
}

#[test]
fn the_chart_is_of_this_version() {
    let chart: Value = serde_saphyr::from_str(&read("deploy/helm/bwp-sync/Chart.yaml")).unwrap();
    assert_eq!(chart["appVersion"], bwp_sync::VERSION);
}

#[test]
fn the_chart_has_the_alerts_and_the_dashboard_themselves() {
    for (linked, file) in [("alerts.yaml", "prometheus/alerts.yaml"), ("dashboard.json", "grafana/bwp-sync.json")] {
        let link = root().join("deploy/helm/bwp-sync/files").join(linked);
        assert!(link.is_symlink(), "{linked} is a copy");
        assert_eq!(link.canonicalize().unwrap(), root().join("deploy").join(file).canonicalize().unwrap());
    }
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/bwp-sync.json")).unwrap();
    assert!(dashboard["title"].is_string());
}

#[test]
fn prometheus_takes_the_file_of_compose() {
    promtool(&["check", "config", "--syntax-only", "../compose/prometheus.yaml"]);
}
