//! The runs: the daemon or the consumer by hand, from its start until all is done.

use crate::by_hand;
use crate::counters::{Counted, counted, longest};
use crate::filled::{add_names, multiply};
use crate::load::order_name;
use crate::machine::{MEASURED, cpu, cpu_of_family, on_core, peak_memory};
use crate::measures::Measures;
use crate::profile::Recording;
use crate::servers::Servers;
use crate::stage::{GLANCE, PATIENCE, Setup, Stage};
use crate::support::daemon::{Builder, Daemon};
use crate::support::kafka::{brokers, committed};
use crate::support::postgres::{Database, fresh_database};
use crate::support::wait_until;
use bwp_simulator::Script;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Statements that are told of a run.
const STATEMENTS: i64 = 15;

/// The daemon on its core, with its database.
pub struct Measured {
    pub database: Database,
    pub builder: Builder,
    before: Counted,
    postgres_cpu: f64,
}

impl Measured {
    /// Migrated, not started.
    pub async fn prepare(stage: &Stage<'_>) -> Self {
        let database = fresh_database().await;
        let builder = Builder::new(&database, &stage.topics)
            .target("default", &stage.stand_in.target())
            .set("dispatch.coalesce", "off")
            .set("dispatch.max_in_flight", stage.setup.in_flight.to_string())
            .set("log.level", "warn");
        let builder = stage.setup.settings.iter().fold(builder, |builder, (key, value)| builder.set(key, value));
        let migrated = builder.command(&["migrate"]);
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        if stage.setup.names > 0 {
            add_names(&database, stage.setup.names).await;
        }
        let mut measured = Self { database, builder, before: Counted::default(), postgres_cpu: 0.0 };
        measured.begin(stage).await;
        measured
    }

    /// What is used counts from here.
    pub async fn begin(&mut self, stage: &Stage<'_>) {
        sqlx::query("CHECKPOINT").execute(&stage.servers.admin).await.unwrap();
        self.before = counted(stage.servers, &self.database).await;
        self.postgres_cpu = cpu_of_family(stage.servers.postmaster());
    }

    pub fn start(&self) -> Daemon {
        let core = MEASURED.to_string();
        self.builder.start_program(Path::new("taskset"), &["-c", &core, &program(), "run"])
    }

    /// A command of the program, with the daemon's settings.
    pub fn command(&self, arguments: &[&str]) {
        let done = self.builder.command(arguments);
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Seconds until the program has explained an order: the fastest of a few times.
    fn explain(&self, order: &str) -> f64 {
        let once = || {
            let began = Instant::now();
            self.command(&["explain", order]);
            began.elapsed().as_secs_f64()
        };
        (0..5).map(|_| once()).fold(f64::MAX, f64::min)
    }

    /// Waits until all events are durable and Kafka may forget them.
    pub async fn taken(&self, stage: &Stage<'_>) {
        wait_until("all offsets to be committed", PATIENCE, async || {
            tokio::time::sleep(GLANCE).await;
            let (group, topic) = (self.builder.group().to_owned(), stage.topics.refunds.clone());
            let there: i64 = tokio::task::spawn_blocking(move || committed(&group, &topic).values().sum()).await.unwrap();
            if there >= stage.setup.events as i64 { Ok(()) } else { Err(there.to_string()) }
        })
        .await;
    }

    /// Takes what was used so far, and ends the daemons.
    pub async fn end(&self, stage: &Stage<'_>, mut daemons: Vec<Daemon>) -> Measures {
        let used: f64 = daemons.iter().map(|daemon| cpu(daemon.id())).sum();
        let postgres = cpu_of_family(stage.servers.postmaster()) - self.postgres_cpu;
        let peak_memory_mib = daemons.iter().map(|daemon| peak_memory(daemon.id())).fold(0.0, f64::max);
        let judged = stage.judged().await;
        for daemon in &mut daemons {
            assert_eq!(daemon.terminate(PATIENCE).await.code(), Some(0));
        }
        let (before, after) = (self.before, counted(stage.servers, &self.database).await);
        let each = |after: i64, before: i64| Some((after - before) as f64 / judged.events.max(1) as f64);
        let us = |seconds: f64| seconds * 1e6 / judged.events.max(1) as f64;
        Measures {
            cpu_us: us(used),
            postgres_cpu_us: Some(us(postgres)),
            peak_memory_mib,
            row_versions: each(after.row_versions, before.row_versions),
            wal_bytes: each(after.wal_bytes, before.wal_bytes),
            statements: after.statements.zip(before.statements).and_then(|(after, before)| each(after, before)),
            commits: each(after.commits, before.commits),
            longest: longest(stage.servers, &self.database, STATEMENTS).await,
            ..judged
        }
    }
}

/// What is measured: the program built with this benchmark, or the one that the variable names, such as an earlier build.
pub fn program() -> String {
    std::env::var("PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_bwp-sync").to_owned())
}

/// The daemon, from its start until each event that can be accepted has its outcome on Kafka.
pub async fn daemon(servers: &Servers, setup: Setup) -> Measures {
    let mut stage = Stage::set(servers, setup).await;
    let measured = Measured::prepare(&stage).await;
    if stage.setup.held {
        measured.command(&["pause", "target", "default", "--reason", "benchmark"]);
    }
    let mut daemons: Vec<Daemon> = (0..stage.setup.replicas).map(|_| measured.start()).collect();
    let recording = daemons.first().filter(|_| stage.setup.profile).and_then(|daemon| Recording::begin(daemon.id()));
    if stage.setup.pace.is_some() {
        for daemon in &mut daemons {
            daemon.wait_ready().await;
        }
    }
    if stage.setup.held {
        measured.taken(&stage).await;
        measured.command(&["resume", "target", "default"]);
    }
    stage.produce().await;
    stage.published().await;
    let measures = measured.end(&stage, daemons).await;
    Measures { symbols: recording.map(Recording::end).unwrap_or_default(), ..measures }
}

/// The same load on an empty ledger, and on one in which so many events were settled before.
pub struct Settled {
    pub empty: Measures,
    pub full: Measures,
    /// Seconds until an order is explained, in each.
    pub explained: [f64; 2],
}

pub async fn settled(servers: &Servers, setup: Setup, count: usize) -> Settled {
    let mut stage = Stage::set(servers, setup).await;
    let mut measured = Measured::prepare(&stage).await;
    let daemon = measured.start();
    stage.published().await;
    let empty = measured.end(&stage, vec![daemon]).await;
    let before = measured.explain(&order_name(1));
    multiply(&measured.database, (count / stage.setup.events).max(1)).await;
    let after = measured.explain(&order_name(1));
    stage.again().await;
    measured.begin(&stage).await;
    let daemon = measured.start();
    stage.published().await;
    let full = measured.end(&stage, vec![daemon]).await;
    Settled { empty, full, explained: [before, after] }
}

/// What an outage left behind.
pub struct Outage {
    /// Events that had come and were not accepted when it was over.
    pub backlog: usize,
    /// Seconds until all of them were.
    pub drained: f64,
    pub measures: Measures,
}

/// The daemon while nothing can be reached, with events coming at the setup's pace; then it can, and what was left is sent.
pub async fn outage(servers: &Servers, setup: Setup) -> Outage {
    let mut stage = Stage::set(servers, setup).await;
    let measured = Measured::prepare(&stage).await;
    let mut daemon = measured.start();
    daemon.wait_ready().await;
    stage.produce().await;
    stage.stand_in.set_faults(&Script::default()).await;
    let (over, accepted) = (Instant::now(), stage.stand_in.accepted().await);
    stage.accepted().await;
    let drained = over.elapsed().as_secs_f64();
    stage.published().await;
    let backlog = stage.setup.events - accepted as usize;
    Outage { backlog, drained, measures: measured.end(&stage, vec![daemon]).await }
}

/// A process that is killed when dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The consumer by hand, from its start until all events are accepted.
pub async fn by_hand(servers: &Servers, setup: Setup) -> Measures {
    let mut stage = Stage::set(servers, setup).await;
    let target = stage.stand_in.target();
    let (id, secret) = (&target.client_id, &target.client_secret);
    let settings = by_hand::Settings {
        brokers: brokers(),
        topic: stage.topics.refunds.clone(),
        group: stage.topics.refunds.clone(),
        address: stage.stand_in.address().to_owned(),
        target_id: target.target_id.clone(),
        credentials: format!("grant_type=client_credentials&client_id={id}&client_secret={secret}"),
        in_flight: stage.setup.in_flight,
    };
    let mut command = on_core(MEASURED, &std::env::current_exe().unwrap());
    command.args(["by-hand", &serde_json::to_string(&settings).unwrap()]).stdin(Stdio::null());
    let process = Killed(command.spawn().unwrap());
    stage.produce().await;
    stage.accepted().await;
    let (used, peak_memory_mib) = (cpu(process.0.id()), peak_memory(process.0.id()));
    let judged = stage.judged().await;
    Measures { cpu_us: used * 1e6 / judged.events.max(1) as f64, peak_memory_mib, ..judged }
}

/// Events made durable a second while nothing can be sent: between a tenth and nine tenths of them.
pub async fn intake(servers: &Servers, setup: Setup) -> f64 {
    let stage = Stage::set(servers, setup).await;
    let measured = Measured::prepare(&stage).await;
    measured.command(&["pause", "target", "default", "--reason", "benchmark"]);
    let mut daemon = measured.start();
    measured.taken(&stage).await;
    assert_eq!(daemon.terminate(PATIENCE).await.code(), Some(0));
    let pool = measured.database.pool().await;
    let times = "SELECT extract(epoch FROM max(received_at) FILTER (WHERE place <= 0.9) - min(received_at) FILTER (WHERE place >= 0.1))::float8
        FROM (SELECT received_at, percent_rank() OVER (ORDER BY received_at, no) AS place FROM work) w";
    let seconds: f64 = sqlx::query_scalar(times).fetch_one(&pool).await.unwrap();
    stage.setup.events as f64 * 0.8 / seconds
}

/// Milliseconds from the start of the program, on a migrated database, to its first call.
pub async fn first_call(servers: &Servers, setup: Setup) -> f64 {
    let stage = Stage::set(servers, setup).await;
    let measured = Measured::prepare(&stage).await;
    let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as f64;
    let daemon = measured.start();
    stage.accepted().await;
    let arrivals = stage.stand_in.arrivals().await;
    drop(daemon);
    (arrivals[0].micros as f64 - began) / 1e3
}
