//! What one event costs the database, from its record to its outcome, against a budget: a ledger that grows dearer is noticed here.

use crate::cluster::Cluster;
use crate::shop::{Shop, order};
use crate::steps::Replica;
use crate::support::events::{Event, Kind};
use crate::support::{PATIENCE, wait_until};
use bwp_simulator::Options;
use serde_json::json;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Executor};
use std::sync::{Arc, Mutex};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

const EVENTS: usize = 500;
const BATCH: usize = 250;

/// Row versions that the first event of an order may cost, with the names that it teaches: 16.1 were measured, one of
/// them the call that was made. The count hardly varies, so that one row version more is noticed.
const ROW_VERSIONS: f64 = 16.5;
/// Bytes of WAL for the same (7,820, of which 800 for the call and for finding outcomes by their id), without images of whole pages.
const WAL_BYTES: f64 = 8_100.0;
/// Transactions for each hundred events. How many go together depends on the machine, and the longer it takes the more of them only
/// look whether there is something to do: 44 were seen on a quiet machine, 64 on a very busy one. One for each event, be it at
/// intake, claim or settle, would make it more than a hundred.
const COMMITS_PER_HUNDRED: f64 = 100.0;

/// What the server has counted.
#[derive(Clone, Copy, Debug)]
struct Counted {
    row_versions: i64,
    commits: i64,
    wal: i64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_event_costs_no_more_than_its_budget() {
    let cluster = Cluster::start();
    // Autovacuum writes when it likes.
    let admin = PgPoolOptions::new().max_connections(1).connect(&cluster.url()).await.unwrap();
    admin.execute(AssertSqlSafe("ALTER SYSTEM SET autovacuum = off".to_owned())).await.unwrap();
    admin.execute(AssertSqlSafe("SELECT pg_reload_conf()".to_owned())).await.unwrap();
    let mut shop = Shop::open_on(cluster.database(), Options::default(), &["dispatch.max_in_flight=32"]).await;
    let seeds = (0..EVENTS).map(|n| order(&format!("B-{n}"), &format!("{n}"))).collect();
    shop.simulator.seed_orders(seeds).unwrap();
    let before = counted(&admin).await;

    let events: Vec<Event> = (0..EVENTS).map(refund).collect();
    for batch in events.chunks(BATCH) {
        assert_eq!(shop.take(batch).await.new, BATCH as u64);
    }
    assert_eq!(shop.settled().await.finals, EVENTS as i64);
    shop.stop().await;
    shop.assert_clean().await;
    // A session hands in its counts at its end at the latest.
    shop.ledger.close().await;
    let after = wait_until("all sessions to have ended", PATIENCE, async || {
        let others: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
        )
        .fetch_one(&admin)
        .await
        .unwrap();
        let outcomes: i64 = sqlx::query_scalar(
            "SELECT coalesce(sum(n_tup_ins), 0)::bigint FROM pg_stat_user_tables WHERE relname LIKE 'history%'",
        )
        .fetch_one(&admin)
        .await
        .unwrap();
        if others == 0 && outcomes == EVENTS as i64 { Ok(counted(&admin).await) } else { Err(format!("{others} {outcomes}")) }
    })
    .await;
    for (table, inserted, updated, deleted) in by_table(&admin).await {
        println!("{table:24} {inserted:6} inserted {updated:6} updated {deleted:6} deleted");
    }
    let each = |after: i64, before: i64| (after - before) as f64 / EVENTS as f64;
    let row_versions = each(after.row_versions, before.row_versions);
    let wal = each(after.wal, before.wal);
    let commits = each(after.commits, before.commits) * 100.0;
    println!("one event: {row_versions:.2} row versions, {wal:.0} bytes of WAL; a hundred: {commits:.1} transactions");
    assert!(row_versions <= ROW_VERSIONS, "{row_versions:.2} row versions for each event");
    assert!(wal <= WAL_BYTES, "{wal:.0} bytes of WAL for each event");
    assert!(commits <= COMMITS_PER_HUNDRED, "{commits:.1} transactions for a hundred events");
}

/// Statements of an event that comes alone, at intake, claim and settle, with the ends of transactions and without their beginnings: of
/// an order's first one, which makes its lane and learns its names, and of its next one. Each is a trip to the server, which costs more
/// than most of what is asked there.
const STATEMENTS: [[usize; 3]; 2] = [[8, 4, 7], [6, 4, 6]];

/// Counts what is asked of the server.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> Layer<S> for Asked {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            self.0.lock().unwrap().push(format!("{event:?}"));
        }
    }
}

impl Asked {
    /// How many since the last look.
    fn count(&self) -> usize {
        let asked = std::mem::take(&mut *self.0.lock().unwrap());
        asked.iter().for_each(|statement| println!("{statement}"));
        asked.len()
    }
}

#[tokio::test]
async fn an_event_that_comes_alone_takes_no_more_statements_than_its_budget() {
    let mut shop = Shop::open(Options::default(), &[]).await;
    shop.stop().await;
    shop.simulator.seed_order(order("B-7", "7")).unwrap();
    let mut replica = Replica::of(&shop);
    let asked = Asked::default();
    let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(asked.clone()));
    let mut counts = [[0; 3]; 2];
    for (n, counts) in counts.iter_mut().enumerate() {
        shop.take(&[refund_of(7, n)]).await;
        counts[0] = asked.count();
        replica.claim().await;
        counts[1] = asked.count();
        assert_eq!(replica.held.len(), 1);
        replica.call(0).await;
        asked.count();
        assert_eq!(replica.settle(0).await, Some(true));
        counts[2] = asked.count();
    }
    drop(guard);
    assert_eq!(shop.ledger.totals().await.unwrap().finals, 2);
    assert_eq!(counts, STATEMENTS);
}

fn refund(n: usize) -> Event {
    refund_of(n, n)
}

fn refund_of(order: usize, n: usize) -> Event {
    let payment = json!({"id": "p-1", "amount": {"amount": "5.00", "currency": "USD"}, "state": "SUCCESS",
        "method": {"type": "AMAZON_PAY", "display": "Visa ending in 1234"}});
    let data = json!({"order": {"id": order.to_string()}, "refund": {"id": format!("RF-{n}")}, "version": 1, "state": "SUCCESS",
        "total": {"amount": "5.00", "currency": "USD"}, "payments": [payment]});
    Event::new(Kind::Refund, &format!("f-{n}"), data)
}

async fn counted(admin: &PgPool) -> Counted {
    let (row_versions, commits, wal) = sqlx::query_as(
        "SELECT (SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint FROM pg_stat_user_tables),
                (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()),
                pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint",
    )
    .fetch_one(admin)
    .await
    .unwrap();
    Counted { row_versions, commits, wal }
}

async fn by_table(admin: &PgPool) -> Vec<(String, i64, i64, i64)> {
    sqlx::query_as(
        "SELECT relname::text, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables
         WHERE n_tup_ins + n_tup_upd + n_tup_del > 0 ORDER BY 2 + 3 + 4 DESC, 1",
    )
    .fetch_all(admin)
    .await
    .unwrap()
}
