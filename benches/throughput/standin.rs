//! Buy with Prime's stand-in as a process of its own, in its fast mode, on the core of what is around.

use crate::load::order_name;
use crate::machine::{self, AROUND, on_core};
use crate::support::daemon::Target;
use crate::support::ops::http;
use bwp_simulator::{Options, OrderSeed, Script, Simulator};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

/// What it is started with.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Settings {
    pub latency_ms: u64,
    pub orders: usize,
}

/// A mutation that arrived, as it tells.
#[derive(Clone, Debug, Deserialize)]
pub struct Arrival {
    pub micros: u64,
    pub things: Vec<String>,
    pub accepted: bool,
}

/// The process, seen from outside; it is killed when dropped.
pub struct StandIn {
    child: Child,
    base: String,
    http: reqwest::Client,
}

/// The process itself: says where it listens, and serves until it is killed.
pub async fn run(settings: Settings) {
    let options = Options { fast: true, latency: Duration::from_millis(settings.latency_ms), ..Options::default() };
    let simulator = Simulator::start(options).await.unwrap();
    let seed = |n| OrderSeed::new(format!("B-{n:05}")).alias("EXTERNAL_ID", &order_name(n));
    simulator.seed_orders((0..settings.orders).map(seed).collect()).unwrap();
    println!("{}", simulator.base_url());
    std::future::pending().await
}

impl StandIn {
    pub fn start(settings: Settings) -> Self {
        let mut command = on_core(AROUND, &std::env::current_exe().unwrap());
        command.args(["stand-in", &serde_json::to_string(&settings).unwrap()]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut base = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut base).unwrap();
        Self { child, base: base.trim().to_owned(), http: http() }
    }

    /// Where and as whom to call it.
    pub fn target(&self) -> Target {
        let own = Options::default();
        Target {
            endpoint: format!("{}/graphql", self.base),
            token_endpoint: format!("{}/token", self.base),
            target_id: own.target_id,
            client_id: own.client_id,
            client_secret: own.client_secret,
        }
    }

    /// `host:port`
    pub fn address(&self) -> &str {
        self.base.trim_start_matches("http://")
    }

    pub fn cpu(&self) -> f64 {
        machine::cpu(self.child.id())
    }

    pub async fn set_faults(&self, script: &Script) {
        let body = serde_json::to_vec(script).unwrap();
        let answer = self.http.put(format!("{}/admin/faults", self.base)).body(body).send().await.unwrap();
        assert!(answer.status().is_success());
    }

    /// What the judge has seen.
    pub async fn report(&self) -> Value {
        let answer = self.http.get(format!("{}/admin/judge", self.base)).send().await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    /// Mutations accepted so far.
    pub async fn accepted(&self) -> u64 {
        self.report().await["accepted"].as_u64().unwrap()
    }

    /// Each mutation since it was last asked.
    pub async fn arrivals(&self) -> Vec<Arrival> {
        let answer = self.http.delete(format!("{}/admin/arrivals", self.base)).send().await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
