//! A real Prometheus, asked over its HTTP interface.

use crate::support::ops::http;
use crate::support::{PATIENCE, wait_until};
use serde_json::Value;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A program of Prometheus: fetched by `scripts/install test`, or the system's.
pub fn program(name: &str) -> PathBuf {
    let fetched = crate::root().join("target/tools").join(name);
    if fetched.exists() { fetched } else { PathBuf::from(name) }
}

/// A Prometheus that looks every half second, with the rules that are deployed. Dropping this ends it.
pub struct Prometheus {
    child: Child,
    home: PathBuf,
    address: String,
    http: reqwest::Client,
}

impl Prometheus {
    /// Starts one that scrapes these addresses.
    pub async fn start(addresses: &[String]) -> Prometheus {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("prometheus-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&home).unwrap();
        let rules = crate::root().join("deploy/prometheus/alerts.yaml");
        let targets = addresses.iter().map(|address| format!("{address:?}")).collect::<Vec<_>>().join(", ");
        let config = format!(
            "global: {{scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}}\nrule_files: [{rules:?}]\n\
             scrape_configs:\n  - job_name: bwp-sync\n    static_configs: [{{targets: [{targets}]}}]\n"
        );
        std::fs::write(home.join("prometheus.yml"), config).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let log = std::fs::File::create(home.join("log")).unwrap();
        let child = Command::new(program("prometheus"))
            .arg(format!("--config.file={}", home.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", home.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus is missing: scripts/install test");
        let prometheus = Prometheus { child, home, address, http: http() };
        prometheus.until("Prometheus is up", "vector(1)", |samples| samples.len() == 1).await;
        prometheus
    }

    /// The samples of an expression now: each one's value, without those that are no number.
    pub async fn query(&self, expression: &str) -> Result<Vec<f64>, String> {
        let asked = self.http.post(format!("http://{}/api/v1/query", self.address)).form(&[("query", expression)]);
        let text = asked.send().await.map_err(|error| error.to_string())?.text().await.map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
        let data = &answer["data"];
        let number =
            |value: &Value| value[1].as_str().and_then(|text| text.parse::<f64>().ok()).filter(|number| !number.is_nan());
        match data["resultType"].as_str() {
            Some("vector") => {
                Ok(data["result"].as_array().into_iter().flatten().filter_map(|one| number(&one["value"])).collect())
            }
            Some("scalar") => Ok(number(&data["result"]).into_iter().collect()),
            _ => Err(format!("{expression}: {text}")),
        }
    }

    /// Waits until an expression gives what is wanted.
    pub async fn until(&self, what: &str, expression: &str, wanted: impl Fn(&[f64]) -> bool) {
        wait_until(what, PATIENCE, async || {
            let samples = self.query(expression).await.map_err(|error| format!("{error}\n{}", self.log()))?;
            if wanted(&samples) { Ok(()) } else { Err(format!("{expression}: {samples:?}")) }
        })
        .await;
    }

    /// Every rule as Prometheus sees it: its name, and how its last evaluation ended.
    pub async fn rules(&self) -> Vec<(String, String)> {
        let asked = self.http.get(format!("http://{}/api/v1/rules", self.address)).send().await.unwrap();
        let answer: Value = serde_json::from_str(&asked.text().await.unwrap()).unwrap();
        let groups = answer["data"]["groups"].as_array().unwrap();
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        rules.map(|rule| (text(&rule["name"]), text(&rule["health"]))).collect()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.home.join("log")).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.home);
    }
}
