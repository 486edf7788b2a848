//! The ledger and the dispatcher in this process, on a real database and against the simulator; records are handed to the
//! ledger as ingest would hand them.

use crate::sound::assert_sound;
use crate::support::events::{Envelope, Event};
use crate::support::postgres::{Database, fresh_database};
use crate::support::{PATIENCE, wait_until};
use bwp_simulator::{Options, OrderSeed, Report, Simulator};
use bwp_sync::config::{Purpose, Settings, Sources};
use bwp_sync::dispatch::{Dispatcher, target};
use bwp_sync::event::{RawRecord, Reading, read};
use bwp_sync::ledger::{Content, Incoming, Ledger, Original, Place, Report as Intake, Targets, Totals};
use bwp_sync::ops::lifecycle::Health;
use bwp_sync::tend::waking::waking;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub struct Shop {
    pub database: Database,
    pub ledger: Ledger,
    pub simulator: Simulator,
    pub settings: Settings,
    offset: AtomicI64,
    stop: CancellationToken,
    running: Option<JoinHandle<()>>,
    wake: Arc<tokio::sync::Notify>,
}

impl Shop {
    pub async fn open(options: Options, flags: &[&str]) -> Shop {
        Shop::open_on(fresh_database().await, options, flags).await
    }

    pub async fn open_on(database: Database, options: Options, flags: &[&str]) -> Shop {
        let simulator = Simulator::start(options).await.unwrap();
        let own = simulator.options().clone();
        let mut all = vec![
            format!("database.url={}", database.url),
            format!("targets.default.endpoint={}", simulator.endpoint()),
            format!("targets.default.token_endpoint={}", simulator.token_endpoint()),
            format!("targets.default.target_id={}", own.target_id),
            format!("targets.default.client_id={}", own.client_id),
            format!("targets.default.client_secret={}", own.client_secret),
            "targets.default.environment=sandbox".to_owned(),
        ];
        all.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let sources = Sources { file: None, environment: Vec::new(), flags: all };
        let settings = Settings::load(&sources, Purpose::Run).unwrap().settings;
        let ledger = Ledger::serving(&settings.database.url.current(), 10).unwrap();
        ledger.migrate().await.unwrap();
        let mut shop = Shop {
            database,
            ledger,
            simulator,
            settings,
            offset: AtomicI64::new(0),
            stop: CancellationToken::new(),
            running: None,
            wake: Arc::default(),
        };
        shop.start();
        shop
    }

    pub fn targets(&self) -> Targets {
        self.settings.targets.iter().map(|(name, target)| (name.clone(), (&target.alias_types).into())).collect()
    }

    /// The parts of a daemon that send, for whoever takes their steps himself.
    pub fn dispatcher(&self) -> Dispatcher {
        Dispatcher {
            ledger: self.ledger.clone(),
            targets: Arc::new(target::targets(&self.settings).unwrap()),
            alias_types: Arc::new(self.targets()),
            max_in_flight: self.settings.dispatch.max_in_flight,
            request_timeout: self.settings.dispatch.request_timeout,
            lease: self.settings.dispatch.lease,
            verdicts: Arc::new(target::overrides(&self.settings)),
            cut: CancellationToken::new(),
            wake: Arc::clone(&self.wake),
            outcomes: Arc::default(),
            is_crowded: Arc::default(),
        }
    }

    pub fn start(&mut self) {
        self.stop = CancellationToken::new();
        let dispatcher = self.dispatcher();
        let targets = Arc::clone(&dispatcher.targets);
        let waking = waking(self.ledger.clone(), targets, Arc::clone(&self.wake), Health::default(), self.stop.clone());
        let (_, dispatching) = dispatcher.start(&Health::default(), self.stop.clone());
        self.running = Some(tokio::spawn(async { _ = tokio::join!(dispatching, waking) }));
    }

    pub async fn stop(&mut self) {
        self.stop.cancel();
        if let Some(running) = self.running.take() {
            running.await.unwrap();
        }
    }

    pub async fn take(&self, events: &[Event]) -> Intake {
        let batch: Vec<Incoming> = events.iter().map(|event| self.incoming(event)).collect();
        let report = self.ledger.intake(&batch, &self.targets()).await.unwrap();
        self.wake.notify_one();
        report
    }

    pub fn incoming(&self, event: &Event) -> Incoming {
        let record = event.record(Envelope::Structured);
        let place = Place { topic: "oms.test".into(), partition: 0, offset: self.offset.fetch_add(1, Ordering::Relaxed) };
        let value = record.value.clone().unwrap();
        let original = Original { key: record.key.clone(), value: value.clone(), headers: Vec::new() };
        match read(&RawRecord { key: None, value: Some(&value), headers: &[] }) {
            Reading::Event(event) => Incoming { place, content: Content::Event { event, original } },
            Reading::Fault(fault) => Incoming { place, content: Content::Fault { fault, original } },
            Reading::Tombstone => Incoming { place, content: Content::Tombstone },
        }
    }

    /// Waits until nothing is queued, retrying or in flight; what waits for a name may stay.
    pub async fn settled(&self) -> Totals {
        wait_until("the backlog to empty", PATIENCE, async || {
            let totals = self.ledger.totals().await.map_err(|error| error.to_string())?;
            let busy = totals.backlog.total() - totals.backlog.waiting;
            if busy == 0 { Ok(totals) } else { Err(format!("{totals:?}")) }
        })
        .await
    }

    /// Every outcome by the id of its event, oldest first.
    pub async fn outcomes(&self) -> BTreeMap<String, Vec<Value>> {
        let rows: Vec<String> =
            sqlx::query_scalar("SELECT outcome FROM history ORDER BY seq").fetch_all(&self.database.pool().await).await.unwrap();
        let mut outcomes: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for row in rows {
            let outcome: Value = serde_json::from_str(&row).unwrap();
            let id = outcome["data"]["event"]["id"].as_str().unwrap_or_default().to_owned();
            outcomes.entry(id).or_default().push(outcome["data"].clone());
        }
        outcomes
    }

    /// The one outcome of an event: its status and the code of its reason.
    pub async fn outcome(&self, id: &str) -> (String, String) {
        let outcomes = self.outcomes().await;
        let own = outcomes.get(id).unwrap_or_else(|| panic!("{id} has no outcome: {outcomes:#?}"));
        assert_eq!(own.len(), 1, "{own:#?}");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&own[0]["status"]), text(&own[0]["reason"]["code"]))
    }

    /// The identity holds, and the judge has found nothing.
    pub async fn assert_clean(&self) -> Report {
        assert_sound(&self.ledger).await;
        let report = self.simulator.report();
        assert_eq!(report.violations, 0, "{:#?}", report.findings);
        report
    }
}

pub fn order(id: &str, name: &str) -> OrderSeed {
    OrderSeed::new(id).alias("EXTERNAL_ID", name).line("line-1", "L-1", 2).line("line-2", "L-2", 1).package("pkg-1")
}
