//! `bwp-sync run`: the whole wiring. Every loop of the program is started here, and ended here.

use crate::config::{Secret, Settings};
use crate::dispatch::target::{self, Target};
use crate::dispatch::{Dispatcher, hands::Inlet, verdict::Verdict};
use crate::ingest::{self, Inbox, IngestSettings, IntakeError, Limits, Signals, Status};
use crate::kafka::KafkaSettings;
use crate::ledger::retention::{Keep, Retention};
use crate::ledger::{Incoming, Ledger, LedgerError, LedgerOutbox, Report, Targets};
use crate::ops::http::{Ops, Server};
use crate::ops::lifecycle::Health;
use crate::ops::metrics;
use crate::ops::state::StateBoard;
use crate::ops::traces;
use crate::publish::{self, PublishSettings};
use crate::{backoff, tend};
use fail::fail_point;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// How long writing down what was cut short may take, beyond `shutdown.grace`.
const CUT_TAKES_AT_MOST: Duration = Duration::from_secs(1);

/// Why the program could not start, or not end in time.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration cannot be used.
    #[error("{0}")]
    Configuration(String),
    /// The ops port cannot be opened.
    #[error("ops.listen {address}: {error}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
    /// The schema does not fit.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A loop ended that only a stop may end.
    #[error("the loop `{0}` ended although nobody stopped it; the process ends, so that it is started again")]
    LoopEnded(&'static str),
    /// `shutdown.grace` ended first.
    #[error(
        "shutdown.grace ended before everything was finished; orders whose calls were in flight will be read before anything else is sent"
    )]
    GraceEnded,
    /// A second signal came.
    #[error("a second signal cut the drain short; orders whose calls were in flight will be read before anything else is sent")]
    CutShort,
}

/// Runs until `stop`; a second token, `now`, cuts the drain short.
///
/// # Errors
/// Where it cannot start, or its drain did not end in time.
pub async fn run(
    settings: Settings,
    metrics: PrometheusHandle,
    stop: CancellationToken,
    now: CancellationToken,
) -> Result<(), RunError> {
    let targets = Arc::new(target::targets(&settings).map_err(RunError::Configuration)?);
    let names: Arc<Targets> =
        Arc::new(targets.iter().map(|(name, target)| (name.clone(), target.rules().alias_types.clone())).collect());
    let (health, board) = (Health::default(), StateBoard::default());
    let ops = Ops { health: health.clone(), board: board.clone(), metrics };
    let address = settings.ops.listen;
    let server = Server::bind(address, ops).await.map_err(|error| RunError::Listen { address, error })?;
    let (served, ended) = (TaskTracker::new(), CancellationToken::new());
    served.spawn(server.run(ended.clone()));
    start_metrics(&settings);
    let http = crate::prime::http().map_err(|error| RunError::Configuration(format!("no HTTPS client can be made: {error}")))?;
    traces::start(&http).map_err(RunError::Configuration)?;

    let ledger = Ledger::serving(&settings.database.url.current(), settings.database.max_connections)?;
    let replica = Uuid::new_v4();
    let pauses = tend::pauses::Pauses::default();
    let start = Start { targets: &targets, names: &names, replica, pauses: &pauses, migrate: settings.database.migrate_on_start };
    if !start.prepare(&ledger, &health, &stop).await? {
        ended.cancel();
        return Ok(());
    }
    let (wake, outcomes, totals, status) =
        (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(Mutex::new(None)), Status::default());
    let cut = CancellationToken::new();
    let dispatcher = Dispatcher {
        ledger: ledger.clone(),
        targets: Arc::clone(&targets),
        alias_types: Arc::clone(&names),
        max_in_flight: settings.dispatch.max_in_flight,
        request_timeout: settings.dispatch.request_timeout,
        lease: settings.dispatch.lease,
        verdicts: Arc::new(target::overrides(&settings)),
        cut: cut.clone(),
        wake: Arc::clone(&wake),
        outcomes: Arc::clone(&outcomes),
        is_crowded: Arc::default(),
    };
    let audited = tend::LastAudit::default();
    show_state(&board, &totals, &audited, &status, &dispatcher);
    let paused = pauses.clone();
    board.show("paused", move || json!(paused.now()));

    let publishing = CancellationToken::new();
    let mut loops = Loops::default();
    loops.start("watch", tend::watch::watch(ledger.clone(), Arc::clone(&names), totals, health.clone(), stop.clone()));
    let auditor = tend::audit::Auditor::new(ledger.clone(), names.keys().cloned().collect(), settings.dispatch.lease * 2);
    loops.start("audit", tend::audit::audit(auditor, audited, health.clone(), stop.clone()));
    loops.start("throttles", tend::throttles(ledger.clone(), Arc::clone(&targets), pauses.clone(), health.clone(), stop.clone()));
    loops.start("replicas", tend::replicas::replicas(ledger.clone(), targets, replica, health.clone(), stop.clone()));
    loops.start("retention", tend::retention(Retention::new(ledger.clone(), keep(&settings)), health.clone(), stop.clone()));
    let waking =
        tend::waking::waking(ledger.clone(), Arc::clone(&dispatcher.targets), Arc::clone(&wake), health.clone(), stop.clone());
    loops.start("waking", waking);
    let (inlet, work) = dispatcher.start(&health, stop.clone());
    loops.start(
        "ingest",
        take_in(ingest_settings(&settings), LedgerInbox(inlet), signals(&health, &wake, &outcomes, pauses, status), stop.clone()),
    );
    // The publisher ends after the dispatcher, so that it has the last outcomes.
    let worked = publishing.clone().drop_guard();
    loops.start("dispatch", async move {
        work.await;
        drop(worked);
    });
    let outbox = LedgerOutbox { ledger: ledger.clone(), holder: replica };
    loops.start("publish", hand_out(publish_settings(&settings), outbox, outcomes, health.clone(), publishing.clone()));

    let ended_early = tokio::select! {
        biased;
        () = stop.cancelled() => None,
        // Told to stop, the loops end too, and may be seen first.
        name = loops.first_ended() => (!stop.is_cancelled()).then_some(name),
    };
    stop.cancel();
    health.stop();
    fail_point!("drain-begins");
    tracing::info!("stopping: nothing new is taken, calls in flight are finished");
    let drained = drain(&mut loops, &ledger, settings.shutdown.grace, &cut, &now).await;
    traces::stop().await;
    ended.cancel();
    served.close();
    drop(tokio::time::timeout(Duration::from_secs(1), served.wait()).await);
    match ended_early {
        Some(name) => Err(RunError::LoopEnded(name)),
        None => drained,
    }
}

/// What is in flight gets its grace. What is left then is cut short: released where nothing had left, marked unknown where it had.
async fn drain(
    loops: &mut Loops,
    ledger: &Ledger,
    grace: Duration,
    cut: &CancellationToken,
    now: &CancellationToken,
) -> Result<(), RunError> {
    let error = tokio::select! {
        () = loops.all_ended() => {
            fail_point!("drain-ended");
            ledger.close().await;
            fail_point!("drain-closed");
            return Ok(());
        }
        () = tokio::time::sleep(grace) => RunError::GraceEnded,
        () = now.cancelled() => RunError::CutShort,
    };
    cut.cancel();
    if tokio::time::timeout(CUT_TAKES_AT_MOST, loops.all_ended()).await.is_err() {
        tracing::warn!("not all that was in flight could be released; its orders are held until their leases end");
    }
    Err(error)
}

/// The loops of the program, by name.
#[derive(Default)]
struct Loops(tokio::task::JoinSet<&'static str>);

impl Loops {
    fn start(&mut self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let task = tokio::spawn(work);
        self.0.spawn(async move {
            if let Err(error) = task.await {
                tracing::error!(%error, name, "a loop broke");
            }
            name
        });
    }

    /// The name of the first loop that ends.
    async fn first_ended(&mut self) -> &'static str {
        match self.0.join_next().await {
            Some(Ok(name)) => name,
            Some(Err(_)) | None => "unknown",
        }
    }

    async fn all_ended(&mut self) {
        while self.0.join_next().await.is_some() {}
    }
}

/// What has to be so before anything is read or sent.
struct Start<'a> {
    targets: &'a BTreeMap<String, Arc<Target>>,
    names: &'a Targets,
    replica: Uuid,
    pauses: &'a tend::pauses::Pauses,
    migrate: bool,
}

impl Start<'_> {
    /// Waits for Postgres and a schema that is current, migrating where that is wanted. False where it was told to stop first.
    async fn prepare(&self, ledger: &Ledger, health: &Health, stop: &CancellationToken) -> Result<bool, RunError> {
        let pulse = health.register("prepare");
        let mut failures = backoff::reconnect();
        while !stop.is_cancelled() {
            pulse.tick();
            match self.learn(ledger).await {
                Ok(true) => {
                    health.schema_is_current();
                    pulse.done();
                    return Ok(true);
                }
                Ok(false) => {
                    tracing::warn!("the schema is behind this program; run `bwp-sync migrate` as the owner. Waiting");
                }
                Err(error) if error.is_passing() => tracing::warn!(%error, "the database is awaited"),
                Err(error) => return Err(error.into()),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(backoff::pause(&mut failures)) => {}
            }
        }
        pulse.done();
        Ok(false)
    }

    /// Whether the schema is current; where it is, all is learned that has to be known before the first turn and the first record.
    async fn learn(&self, ledger: &Ledger) -> Result<bool, LedgerError> {
        if self.migrate {
            ledger.migrate().await?;
        }
        if !ledger.is_current().await? {
            return Ok(false);
        }
        ledger.fix_alias_types(self.names).await?;
        tend::come_home(ledger, self.targets).await?;
        tend::learn_standings(ledger, self.targets).await?;
        self.pauses.learn(ledger).await?;
        tend::replicas::join(ledger, self.targets, self.replica).await?;
        Ok(true)
    }
}

/// The ledger and those who work on its orders, as ingest sees them.
struct LedgerInbox(Inlet);

impl Inbox for LedgerInbox {
    async fn intake(&self, batch: &[Incoming]) -> Result<Report, IntakeError> {
        metrics::BATCH_SIZE.record(&["intake"], batch.len());
        self.0.intake(batch).await.map_err(|error| {
            let text = error.to_string();
            if error.is_passing() { IntakeError::Unavailable(text) } else { IntakeError::Broken(text) }
        })
    }
}

async fn take_in(settings: IngestSettings, inbox: LedgerInbox, signals: Signals, stop: CancellationToken) {
    if let Err(error) = ingest::run(settings, inbox, signals, stop).await {
        tracing::error!(%error, "nothing is read from Kafka");
    }
}

async fn hand_out(settings: PublishSettings, outbox: LedgerOutbox, wake: Arc<Notify>, health: Health, stop: CancellationToken) {
    let pulse = health.register_with("publish", publish::PAGE_TAKES_AT_MOST * 2);
    if let Err(error) = publish::run(settings, outbox.clone(), wake, || pulse.tick(), stop).await {
        tracing::error!(%error, "outcomes are not published");
    }
    if let Err(error) = outbox.ledger.release_outbox(outbox.holder).await {
        tracing::debug!(%error, "the outbox could not be handed over");
    }
    fail_point!("drain-released");
    pulse.done();
}

fn signals(health: &Health, wake: &Arc<Notify>, outcomes: &Arc<Notify>, pauses: tend::pauses::Pauses, status: Status) -> Signals {
    let pulse = health.register("ingest");
    let (ready, wake, outcomes) = (health.clone(), Arc::clone(wake), Arc::clone(outcomes));
    Signals {
        tick: Arc::new(move || pulse.tick()),
        ready: Arc::new(move || ready.ingest_is_ready()),
        taken_in: Arc::new(move |report| {
            for (topic, count) in &report.quarantined {
                metrics::QUARANTINED.add(&[topic], *count);
                metrics::OUTCOMES.add(&["UNKNOWN", "QUARANTINED"], *count);
                outcomes.notify_one();
            }
            crate::dispatch::settling::report(&report.finals, &outcomes);
            if report.is_work_due {
                wake.notify_one();
            }
        }),
        is_topic_paused: Arc::new(move |topic| pauses.is_topic_paused(topic)),
        status,
    }
}

fn ingest_settings(settings: &Settings) -> IngestSettings {
    IngestSettings {
        kafka: kafka_settings(settings),
        group_id: settings.kafka.group_id.clone(),
        topics: settings.kafka.topics.read().into_iter().map(str::to_owned).collect(),
        limits: Limits {
            records: settings.ingest.batch_records,
            bytes: settings.ingest.batch_bytes,
            wait: settings.ingest.batch_wait,
        },
        poison_share: settings.ingest.poison_share,
    }
}

fn publish_settings(settings: &Settings) -> PublishSettings {
    PublishSettings {
        kafka: kafka_settings(settings),
        outcomes: settings.kafka.topics.outcomes.clone(),
        dead_letters: settings.kafka.topics.dead_letters.clone(),
    }
}

fn kafka_settings(settings: &Settings) -> KafkaSettings {
    let properties = settings.kafka.properties.iter().map(|(name, value): (&String, &Secret)| (name.clone(), value.current()));
    KafkaSettings { brokers: settings.kafka.brokers.clone(), properties: properties.collect() }
}

fn keep(settings: &Settings) -> Keep {
    let retention = &settings.retention;
    Keep { dedupe: retention.dedupe, history: retention.history, known_state: retention.known_state }
}

fn start_metrics(settings: &Settings) {
    let topics = &settings.kafka.topics;
    metrics::start_at_zero(&metrics::KnownLabels {
        read_topics: topics.read(),
        written_topics: [topics.outcomes(), topics.dead_letters()].into_iter().flatten().collect(),
        verdicts: Verdict::ALL.into_iter().map(Verdict::name).collect(),
        targets: settings.targets.keys().map(String::as_str).collect(),
    });
    metrics::WAITING_LIMIT.set(&[], settings.waiting.give_up_after.as_secs_f64());
}

fn show_state(
    board: &StateBoard,
    totals: &tend::LastTotals,
    audited: &tend::LastAudit,
    status: &Status,
    dispatcher: &Dispatcher,
) {
    use crate::dispatch::lock;
    let (last, lanes) = (Arc::clone(totals), Arc::clone(totals));
    board.show("backlog", move || json!(lock(&last).map(|totals| totals.backlog)));
    board.show("lanes", move || json!({"due": lock(&lanes).map(|totals| totals.lanes)}));
    let audited = Arc::clone(audited);
    board.show("audit", move || json!(*lock(&audited)));
    let (targets, gates) = (Arc::clone(&dispatcher.targets), Arc::clone(&dispatcher.targets));
    board.show("breaker", move || {
        targets.iter().map(|(name, target)| (name.clone(), json!({"open": lock(&target.gate).is_open()}))).collect()
    });
    let most = dispatcher.max_in_flight;
    board.show("limits", move || {
        let own = |target: &Target| {
            let gate = lock(&target.gate);
            json!({"limit": gate.limit(), "in_flight": gate.in_flight()})
        };
        json!({"max_in_flight": most, "targets": gates.iter().map(|(name, target)| (name.clone(), own(target))).collect::<serde_json::Map<_, _>>()})
    });
    let status = status.clone();
    board.show("lag", move || json!(status.snapshot()));
}
