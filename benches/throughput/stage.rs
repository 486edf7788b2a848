//! What a run is about, and everything around what is measured: the stand-in, a topic with events, and what arrives.

use crate::judged::judge;
use crate::load::{HOT, ORDERS, Planned, planned, produce, produce_paced};
use crate::measures::Measures;
use crate::servers::Servers;
use crate::standin::{self, StandIn};
use crate::support::kafka::{Topics, ends};
use crate::support::wait_until;
use bwp_simulator::{Rule, Script};
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// For all that is waited for.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// Between two looks at what goes on: they are paid for by the core of what is around.
pub const GLANCE: Duration = Duration::from_millis(150);
/// Partitions of each topic.
const PARTITIONS: i32 = 6;

/// What a run is about.
#[derive(Clone, Debug, Serialize)]
pub struct Setup {
    pub latency_ms: u64,
    pub in_flight: usize,
    pub events: usize,
    pub orders: usize,
    /// Of the events, so many are of one order, and before all others; rates are those of the others.
    pub hot: usize,
    /// The least bytes of an event.
    pub bytes: usize,
    /// Rows of the alias table about other orders.
    pub names: usize,
    /// So many a second; all of them before the start where absent.
    pub pace: Option<u32>,
    pub rules: Vec<Rule>,
    /// Events that never get through.
    pub failing: usize,
    /// Whether nothing is sent until all events are durable.
    pub held: bool,
    pub replicas: usize,
    /// Whether perf looks at the daemon.
    pub profile: bool,
    /// Settings of the daemon.
    pub settings: Vec<(&'static str, String)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            latency_ms: 20,
            in_flight: 512,
            events: 20_000,
            orders: ORDERS,
            hot: 0,
            bytes: 0,
            names: 0,
            pace: None,
            rules: Vec::new(),
            failing: 0,
            held: false,
            replicas: 1,
            profile: false,
            settings: Vec::new(),
        }
    }
}

/// Everything around what is measured.
pub struct Stage<'a> {
    pub servers: &'a Servers,
    pub setup: Setup,
    pub topics: Arc<Topics>,
    pub stand_in: StandIn,
    events: Vec<Planned>,
    made: HashMap<Planned, u64>,
    stand_in_cpu: f64,
    /// Outcomes that were published before.
    before: usize,
}

impl<'a> Stage<'a> {
    pub async fn set(servers: &'a Servers, setup: Setup) -> Self {
        let topics = Arc::new(Topics::create(PARTITIONS).await);
        let stand_in = StandIn::start(standin::Settings { latency_ms: setup.latency_ms, orders: 2 * setup.orders });
        stand_in.set_faults(&Script { rules: setup.rules.clone(), seed: 7 }).await;
        let events = planned(setup.events, setup.orders, setup.hot);
        if setup.pace.is_none() {
            produce(&topics, &events, setup.bytes).await;
        }
        let stand_in_cpu = stand_in.cpu();
        Self { servers, setup, topics, stand_in, events, made: HashMap::new(), stand_in_cpu, before: 0 }
    }

    /// The same events once more, of other orders; all of them before the start.
    pub async fn again(&mut self) {
        self.before += self.setup.events;
        let events: Vec<_> = self.events.iter().map(|event| event.shifted(self.setup.orders)).collect();
        produce(&self.topics, &events, self.setup.bytes).await;
        self.stand_in_cpu = self.stand_in.cpu();
    }

    /// Makes what is to come at a pace.
    pub async fn produce(&mut self) {
        if let Some(pace) = self.setup.pace {
            self.made = produce_paced(&self.topics, &self.events, pace).await;
        }
    }

    /// Waits until there was a mutation for each event.
    pub async fn accepted(&self) {
        let wanted = self.setup.events as u64;
        wait_until("all mutations to be accepted", PATIENCE, async || {
            tokio::time::sleep(GLANCE).await;
            let accepted = self.stand_in.accepted().await;
            if accepted >= wanted { Ok(()) } else { Err(format!("{accepted} of {wanted}")) }
        })
        .await;
    }

    /// Waits until each event that can be accepted has its outcome on Kafka.
    pub async fn published(&self) {
        let wanted = (self.before + self.setup.events - self.setup.failing) as i64;
        wait_until("all outcomes to be published", PATIENCE, async || {
            tokio::time::sleep(GLANCE).await;
            let topic = self.topics.outcomes.clone();
            let there = tokio::task::spawn_blocking(move || tokio::runtime::Handle::current().block_on(ends(&topic)));
            let there: i64 = there.await.unwrap().values().sum();
            if there >= wanted { Ok(()) } else { Err(format!("{there} of {wanted}")) }
        })
        .await;
    }

    /// What the stand-in knows, for each event.
    pub async fn judged(&self) -> Measures {
        let stand_in_cpu = self.stand_in.cpu() - self.stand_in_cpu;
        let judged = judge(&self.stand_in.arrivals().await, &self.made, (self.setup.hot > 0).then_some(HOT));
        let report = self.stand_in.report().await;
        Measures {
            setup: self.setup.clone(),
            events: judged.events,
            mutations: judged.mutations,
            middle_rate: judged.middle_rate,
            whole_rate: judged.whole_rate,
            age_p50_ms: judged.age_p50_ms,
            age_p99_ms: judged.age_p99_ms,
            stand_in_cpu_us: stand_in_cpu * 1e6 / judged.events.max(1) as f64,
            order_breaks: judged.order_breaks,
            duplicates: judged.duplicates,
            overlaps: report["counts"]["concurrentMutations"].as_u64().unwrap_or(0),
            violations: report["violations"].as_u64().unwrap(),
            ..Measures::default()
        }
    }
}
