//! The dashboard and the rules as values.

use serde_json::Value;

/// A panel that shows something.
pub struct Panel {
    pub title: String,
    pub value: Value,
    pub expressions: Vec<String>,
}

fn read(path: &str) -> String {
    std::fs::read_to_string(crate::root().join(path)).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// `deploy/grafana/bwp-sync.json`.
pub fn dashboard() -> Value {
    serde_json::from_str(&read("deploy/grafana/bwp-sync.json")).unwrap()
}

/// Its panels without the rows' headings.
pub fn panels() -> Vec<Panel> {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row");
    let expressions = |panel: &Value| panel["targets"].as_array().unwrap().iter().map(|target| text(&target["expr"])).collect();
    panels.map(|panel| Panel { title: text(&panel["title"]), expressions: expressions(panel), value: panel.clone() }).collect()
}

/// A rule of `deploy/prometheus/alerts.yaml`.
pub struct Rule {
    /// The alert's name; none where it only records.
    pub alert: Option<String>,
    pub expression: String,
    pub value: Value,
}

/// All of them.
pub fn rules() -> Vec<Rule> {
    let file: Value = serde_saphyr::from_str(&read("deploy/prometheus/alerts.yaml")).unwrap();
    let rules = file["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap());
    rules
        .map(|rule| Rule {
            alert: rule["alert"].as_str().map(str::to_owned),
            expression: text(&rule["expr"]),
            value: rule.clone(),
        })
        .collect()
}

/// An expression of the dashboard as Grafana would send it.
pub fn filled_in(expression: &str) -> String {
    expression.replace("$__rate_interval", "5m").replace("$target", ".*")
}

/// What an alert compares: the sides of its comparisons.
pub fn sides(expression: &str) -> Vec<String> {
    let compared = expression.split(" and ").flat_map(|part| {
        let operator = [" > ", " == "].into_iter().find(|operator| part.contains(operator));
        operator.map_or_else(|| vec![part], |operator| part.splitn(2, operator).collect())
    });
    compared.map(|side| side.trim().to_owned()).collect()
}
