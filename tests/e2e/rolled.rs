//! A rollout and a rollback with two programs: the one that this is, and an earlier one. They share a group and a ledger while pods are
//! replaced, forth and back, under traffic: nothing is lost, nothing is doubled.
//!
//! `make rollout` builds the earlier one (`BEFORE=revision`; else the last with fewer migrations) and runs this.

use crate::merchant::{Purchase, STORIES, publish, purchase};
use crate::service::{Service, statuses};
use crate::support::daemon::Daemon;
use crate::support::events::Event;
use crate::support::{PATIENCE, wait_until};
use bwp_simulator::Options;
use bwp_sync::ledger::Totals;
use std::path::PathBuf;
use std::time::Duration;

/// Orders of one act of the play.
const ORDERS: usize = 25 * STORIES;

struct Rollout {
    service: Service,
    before: PathBuf,
    purchases: Vec<Purchase>,
    written: i64,
    /// How many events have come, and how many of these wait for a name.
    count: usize,
    waiting: i64,
}

impl Rollout {
    async fn open() -> Rollout {
        let before = std::env::var_os("BWP_TEST_BEFORE").expect("BWP_TEST_BEFORE is the earlier program; see `make rollout`");
        let service = Service::open(6, Options { latency: Duration::from_millis(5), ..Options::default() }).await;
        Rollout { service, before: before.into(), purchases: Vec::new(), written: 0, count: 0, waiting: 0 }
    }

    async fn start_before(&self) -> Daemon {
        ready(self.service.builder.start_program(&self.before, &["run"])).await
    }

    async fn start_this(&self) -> Daemon {
        ready(self.service.builder.start()).await
    }

    /// The next orders, and what they need that comes late.
    async fn act(&mut self) {
        let from = self.purchases.len();
        let next: Vec<Purchase> = (from..from + ORDERS).map(purchase).collect();
        self.service.simulator.seed_orders(next.iter().map(|purchase| purchase.seed.clone()).collect()).unwrap();
        let events: Vec<&Event> = next.iter().flat_map(|purchase| &purchase.events).collect();
        self.written += publish(&self.service.topics, &events).await;
        self.count += events.len();
        self.waiting += next.iter().map(|purchase| purchase.waiting).sum::<i64>();
        self.purchases.extend(next);
    }

    /// Names that orders of the act before have waited for.
    async fn late(&mut self, act: usize) {
        let late: Vec<&Event> = self.purchases[act * ORDERS..][..ORDERS].iter().flat_map(|purchase| &purchase.late).collect();
        self.written += publish(&self.service.topics, &late).await;
        self.count += late.len();
        self.waiting -= self.purchases[act * ORDERS..][..ORDERS].iter().map(|purchase| purchase.waiting).sum::<i64>();
    }

    async fn settled(&self) {
        let (read, waiting) = (self.written, self.waiting);
        // What waits for a name and may have been sent counts as retrying.
        let is_done = |totals: &Totals| {
            let Totals { read: seen, backlog, .. } = totals;
            (*seen, backlog.total(), backlog.waiting + backlog.retrying) == (read, waiting, waiting)
        };
        self.service.totals("only what waits for names to be left", PATIENCE * 2, is_done).await;
    }
}

async fn ready(mut daemon: Daemon) -> Daemon {
    daemon.wait_ready().await;
    daemon
}

async fn has_part(daemon: &mut Daemon) {
    wait_until("a replica to have its part in it", PATIENCE, async || {
        let read = daemon.metrics().await.get("bwp_sync_records_read_total", &[]).unwrap_or_default();
        if read > 0.0 { Ok(()) } else { Err("nothing read".to_owned()) }
    })
    .await;
}

async fn end(mut daemon: Daemon) {
    assert_eq!(daemon.terminate(Duration::from_secs(15)).await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs an earlier program: make rollout"]
async fn two_versions_side_by_side_forth_and_back() {
    let mut rollout = Rollout::open().await;
    // The earlier one has made the ledger, and has events that wait.
    let mut old = rollout.start_before().await;
    rollout.act().await;
    rollout.settled().await;
    let before = migrations(&rollout).await;
    // The rollout: this one migrates beside it. Both work; then the earlier one ends in the middle of it.
    rollout.act().await;
    let mut new = rollout.start_this().await;
    let after = migrations(&rollout).await;
    rollout.late(0).await;
    rollout.act().await;
    has_part(&mut old).await;
    has_part(&mut new).await;
    rollout.settled().await;
    rollout.act().await;
    end(old).await;
    rollout.late(1).await;
    rollout.settled().await;
    // The rollback: the earlier one starts on the ledger as this one has left it, and in the end works alone.
    rollout.act().await;
    let mut old = rollout.start_before().await;
    rollout.late(2).await;
    has_part(&mut old).await;
    rollout.act().await;
    end(new).await;
    rollout.late(3).await;
    rollout.settled().await;
    // And forth again.
    let new = rollout.start_this().await;
    rollout.act().await;
    end(old).await;
    for act in 4..7 {
        rollout.late(act).await;
    }
    println!("migrations: {before} before, {after} after; {} events of {} orders", rollout.count, rollout.purchases.len());
    let service = &rollout.service;
    let totals = service.drained(rollout.count, PATIENCE * 2).await;
    assert_eq!((totals.read, totals.duplicates), (rollout.written, rollout.written - rollout.count as i64));
    let outcomes = service.outcomes(rollout.count).await;
    assert_eq!(outcomes.len(), rollout.count);
    let all = rollout.purchases.iter().flat_map(|purchase| purchase.events.iter().chain(&purchase.late));
    for (event, status) in statuses(&outcomes, all) {
        assert!(["DELIVERED", "CONFIRMED", "SUPERSEDED", "NOTHING_TO_SEND"].contains(&status.as_str()), "{event}: {status}");
    }
    for purchase in &rollout.purchases {
        service.assert_holds(purchase).await;
    }
    service.assert_clean().await;
    end(new).await;
}

async fn migrations(rollout: &Rollout) -> i64 {
    let pool = rollout.service.pool().await;
    sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(&pool).await.unwrap()
}
