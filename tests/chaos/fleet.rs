//! The replicas: started, killed, frozen, replaced; and what they said of themselves before they were gone.

use crate::storm::WORK;
use crate::support::daemon::{Builder, Daemon};
use crate::support::ops::Metrics;
use std::time::{Duration, Instant};

/// `dispatch.request_timeout`, `dispatch.lease` and `shutdown.grace` of every replica.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
pub const LEASE: Duration = Duration::from_secs(4);
pub const GRACE: Duration = Duration::from_secs(12);
/// How much longer than its lease a frozen replica is out: sometimes beyond the group's patience, too.
pub const FROZEN_BEYOND_MS: std::ops::Range<usize> = 300..3_500;
/// The same for one that wakes while others take its lanes over.
pub const DOZED_BEYOND_MS: std::ops::Range<usize> = 0..250;

/// A time in which somebody could not tell the others what it had heard.
#[derive(Clone, Debug)]
pub struct Absence {
    /// The replica; `None` is everybody.
    pub replica: Option<String>,
    pub from: Instant,
    pub until: Instant,
}

/// What the replicas counted and wrote, also those that are gone.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub stale_settles: u64,
    pub joined: u64,
    pub taken_away: u64,
    pub ledger_away: u64,
    pub breaker_moved: u64,
    pub settles_retried: u64,
}

struct Replica {
    name: String,
    daemon: Daemon,
}

impl Replica {
    /// Waits a while until it has calls on their way.
    async fn wait_for_work(&self) {
        let began = Instant::now();
        while began.elapsed() < WORK {
            let metrics = self.daemon.page("/metrics").await.map(|page| Metrics::parse(&page));
            if metrics.is_ok_and(|metrics| metrics.get("bwp_sync_in_flight", &[]) > Some(0.0)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

pub struct Fleet {
    builder: Builder,
    slots: Vec<Option<Replica>>,
    started: u64,
    pub seen: Seen,
    pub absences: Vec<Absence>,
}

impl Fleet {
    /// All replicas, started and not waited for.
    pub fn start(builder: Builder, replicas: usize) -> Fleet {
        let settings = [
            ("dispatch.max_in_flight", "8"),
            ("ingest.batch_records", "50"),
            // Longer than a late package mutation takes to show.
            ("waiting.sandbox_interval", "800ms"),
            ("waiting.read_interval", "2s"),
            ("kafka.properties.session_timeout_ms", "6000"),
            ("kafka.properties.heartbeat_interval_ms", "500"),
            ("kafka.properties.reconnect_backoff_max_ms", "1000"),
        ];
        let builder = settings.into_iter().fold(builder, |builder, (key, value)| builder.set(key, value));
        let times = [("dispatch.request_timeout", REQUEST_TIMEOUT), ("dispatch.lease", LEASE), ("shutdown.grace", GRACE)];
        let builder = times.into_iter().fold(builder, |builder, (key, time)| builder.set(key, format!("{}ms", time.as_millis())));
        let slots = (0..replicas).map(|_| None).collect();
        let mut fleet = Fleet { builder, slots, started: 0, seen: Seen::default(), absences: Vec::new() };
        (0..replicas).for_each(|slot| fleet.fill(slot));
        fleet
    }

    /// Starts a replica. Every other one is known to the group by name: when it comes back soon, nothing is rebalanced.
    fn fill(&mut self, slot: usize) {
        self.started += 1;
        let name = self.started.to_string();
        let mut builder = self.builder.clone().set("targets.default.headers.x_client", &name);
        if slot.is_multiple_of(2) {
            builder = builder.set("kafka.properties.group_instance_id", format!("slot-{slot}"));
        }
        self.slots[slot] = Some(Replica { name, daemon: builder.start() });
    }

    pub async fn wait_ready(&mut self) {
        for replica in self.slots.iter_mut().flatten() {
            replica.daemon.wait_ready().await;
        }
    }

    fn absent(&mut self, replica: String, from: Instant) {
        self.absences.push(Absence { replica: Some(replica), from, until: Instant::now() });
    }

    /// Kills a replica; a new one comes after the pause.
    pub async fn kill(&mut self, choice: usize, pause: Duration) {
        let slot = choice % self.slots.len();
        let Some(mut replica) = self.slots[slot].take() else { return };
        self.look(&replica).await;
        let from = Instant::now();
        replica.daemon.kill();
        self.absent(replica.name.clone(), from);
        self.read_log(&replica);
        tokio::time::sleep(pause).await;
        self.fill(slot);
    }

    /// Stops a replica in its tracks for longer than its lease, by a time out of the range.
    pub async fn freeze(&mut self, choice: usize, beyond_ms: std::ops::Range<usize>) {
        let slot = choice % self.slots.len();
        let Some(replica) = &self.slots[slot] else { return };
        replica.wait_for_work().await;
        let (name, from) = (replica.name.clone(), Instant::now());
        replica.daemon.signal("STOP");
        let beyond = beyond_ms.start + choice * 7 % beyond_ms.len();
        tokio::time::sleep(LEASE + Duration::from_millis(beyond as u64)).await;
        replica.daemon.signal("CONT");
        self.absent(name, from);
    }

    /// Ends a replica in order and starts another one.
    pub async fn replace(&mut self, choice: usize) -> Option<i32> {
        let slot = choice % self.slots.len();
        let code = self.end(slot).await;
        self.fill(slot);
        code
    }

    /// One replica more for a while.
    pub async fn grow(&mut self, stay: Duration) -> Option<i32> {
        self.slots.push(None);
        let slot = self.slots.len() - 1;
        self.fill(slot);
        // Its part in the group is what is wanted, not its readiness: it may have come while Postgres is away.
        tokio::time::sleep(Duration::from_secs(1) + stay).await;
        let code = self.end(slot).await;
        self.slots.pop();
        code
    }

    async fn end(&mut self, slot: usize) -> Option<i32> {
        let mut replica = self.slots[slot].take()?;
        self.look(&replica).await;
        let from = Instant::now();
        let code = replica.daemon.terminate(GRACE + Duration::from_secs(4)).await.code();
        self.absent(replica.name.clone(), from);
        self.read_log(&replica);
        if code != Some(0) {
            println!("--- replica {} ended with {code:?}:\n{}", replica.name, replica.daemon.log());
        }
        code
    }

    /// Ends all of them; gives their exit codes.
    pub async fn end_all(&mut self) -> Vec<Option<i32>> {
        let mut codes = Vec::new();
        for slot in 0..self.slots.len() {
            codes.push(self.end(slot).await);
        }
        codes
    }

    /// What a replica counts goes with it.
    async fn look(&mut self, replica: &Replica) {
        if let Ok(page) = replica.daemon.page("/metrics").await {
            let metrics = Metrics::parse(&page);
            self.seen.stale_settles += metrics.get("bwp_sync_stale_settles_total", &[]).unwrap_or(0.0) as u64;
        }
    }

    fn read_log(&mut self, replica: &Replica) {
        let log = replica.daemon.log();
        let count = |words: &str| log.matches(words).count() as u64;
        self.seen.joined += count("joined the group");
        self.seen.taken_away += count("partitions were taken away");
        self.seen.ledger_away += count("lanes cannot be claimed");
        self.seen.settles_retried += count("attempts cannot be settled yet");
        self.seen.breaker_moved += count("the breaker of a target has moved");
    }
}
