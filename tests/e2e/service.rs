//! The whole service for one test: database, topics, simulator, and the settings of daemons that are in a hurry.

use crate::merchant::{Purchase, seen};
use crate::sound::assert_sound;
use crate::support::daemon::{Builder, Target};
use crate::support::events::Event;
use crate::support::kafka::{Record, Topics, consume_all};
use crate::support::postgres::{Database, fresh_database};
use crate::support::{PATIENCE, wait_until};
use bwp_simulator::{Options, Report, Simulator};
use bwp_sync::ledger::{Ledger, Totals};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Longer than the simulator needs to show a package's step.
pub const SHOWS_WITHIN: Duration = Duration::from_secs(5);

pub struct Service {
    pub topics: Topics,
    pub simulator: Simulator,
    pub builder: Builder,
    /// To look at the totals; the daemons have their own.
    pub ledger: Ledger,
    /// Goes with its guard.
    pub database: Database,
}

/// Outcomes by the id of their event: each as its own id and its data, repetitions left out.
pub type Outcomes = BTreeMap<String, BTreeMap<String, Value>>;

pub fn target(simulator: &Simulator) -> Target {
    let own = simulator.options();
    Target {
        endpoint: simulator.endpoint(),
        token_endpoint: simulator.token_endpoint(),
        target_id: own.target_id.clone(),
        client_id: own.client_id.clone(),
        client_secret: own.client_secret.clone(),
    }
}

/// A daemon that does not wait for long: for tests, not for Amazon.
pub fn hurried(builder: Builder) -> Builder {
    let settings = [
        ("dispatch.request_timeout", "2s"),
        ("dispatch.lease", "8s"),
        ("retry.initial", "100ms"),
        ("retry.max", "1s"),
        ("waiting.sandbox_interval", "300ms"),
        ("breaker.probe_interval", "200ms"),
        ("targets.default.environment", "sandbox"),
    ];
    settings.into_iter().fold(builder, |builder, (key, value)| builder.set(key, value))
}

impl Service {
    pub async fn open(partitions: i32, options: Options) -> Service {
        let (database, topics) = (fresh_database().await, Topics::create(partitions).await);
        let simulator = Simulator::start(options).await.unwrap();
        let builder = hurried(Builder::new(&database, &topics).target("default", &target(&simulator)));
        let ledger = Ledger::new(&database.url.clone().into(), 2).unwrap();
        Service { topics, simulator, builder, ledger, database }
    }

    /// For a test that looks into the tables.
    pub async fn pool(&self) -> sqlx::PgPool {
        self.database.pool().await
    }

    /// Waits until the totals are as wanted.
    pub async fn totals(&self, what: &str, deadline: Duration, wanted: impl Fn(&Totals) -> bool) -> Totals {
        wait_until(what, deadline, async || {
            let totals = self.ledger.totals().await.map_err(|error| error.to_string())?;
            assert_eq!(totals.imbalance(), 0, "{totals:?}");
            if wanted(&totals) {
                return Ok(totals);
            }
            // Counting is dear where many look.
            tokio::time::sleep(Duration::from_millis(50)).await;
            Err(format!("{totals:?}"))
        })
        .await
    }

    /// Waits until this many events have an outcome, and nothing else is there.
    pub async fn drained(&self, finals: usize, deadline: Duration) -> Totals {
        let done = |totals: &Totals| totals.finals == finals as i64 && totals.backlog.total() == 0;
        let totals = self.totals(&format!("{finals} outcomes and no backlog"), deadline, done).await;
        assert_sound(&self.ledger).await;
        totals
    }

    /// The published outcomes, once there are as many different ones; a repetition has to be identical.
    pub async fn outcomes(&self, count: usize) -> Outcomes {
        let enough = |records: &[Record]| records.len() >= count && distinct(records).len() >= count;
        let records = consume_all(&self.topics.outcomes, enough, PATIENCE).await;
        let mut outcomes = Outcomes::new();
        for (id, texts) in distinct(&records) {
            let first = texts[0];
            assert!(texts.iter().all(|text| *text == first), "{id} was repeated in other words");
            let outcome: Value = serde_json::from_slice(first).unwrap();
            let event = outcome["data"]["event"]["id"].as_str().unwrap_or_default().to_owned();
            outcomes.entry(event).or_default().insert(id, outcome["data"].clone());
        }
        outcomes
    }

    /// The published outcomes by source and id of their events, of which each has one.
    pub async fn outcomes_by_identity(&self, count: usize) -> BTreeMap<(String, String), Value> {
        let all = self.outcomes(count).await.into_values().flatten().map(|(_, data)| data);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        all.map(|data| ((text(&data["event"]["source"]), text(&data["event"]["id"])), data)).collect()
    }

    /// Buy with Prime holds what is expected of an order; a package takes a moment to show its last step.
    pub async fn assert_holds(&self, purchase: &Purchase) {
        let id = purchase.seed.id.as_deref().unwrap();
        wait_until(&format!("{id} to be {}", purchase.expected), SHOWS_WITHIN, async || {
            let held = seen(&self.simulator.order(id).unwrap());
            if held == purchase.expected { Ok(()) } else { Err(held.to_string()) }
        })
        .await;
    }

    /// Nothing does not add up, and the judge has found nothing.
    pub async fn assert_clean(&self) -> Report {
        assert_sound(&self.ledger).await;
        let report = self.simulator.report();
        assert_eq!(report.violations, 0, "{:#?}", &report.findings[..report.findings.len().min(10)]);
        report
    }
}

/// The one outcome of each event: its status.
pub fn statuses<'a>(outcomes: &'a Outcomes, events: impl IntoIterator<Item = &'a Event>) -> BTreeMap<String, String> {
    let status = |event: &Event| {
        let id = event.structured()["id"].as_str().unwrap().to_owned();
        let own = outcomes.get(&id).unwrap_or_else(|| panic!("{id} has no outcome"));
        assert_eq!(own.len(), 1, "{own:#?}");
        let status = own.values().next().unwrap()["status"].as_str().unwrap().to_owned();
        (id, status)
    };
    events.into_iter().map(status).collect()
}

fn distinct(records: &[Record]) -> BTreeMap<String, Vec<&[u8]>> {
    let mut all: BTreeMap<String, Vec<&[u8]>> = BTreeMap::new();
    for record in records {
        let id = record.json()["id"].as_str().unwrap().to_owned();
        all.entry(id).or_default().push(record.value.as_deref().unwrap());
    }
    all
}
