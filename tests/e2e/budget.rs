//! What one event costs the database, from its record to its outcome, against a budget: a ledger that grows dearer is noticed here.

use crate::cluster::Cluster;
use crate::shop::{Shop, order};
use crate::support::events::{Event, Kind};
use crate::support::{PATIENCE, wait_until};
use bwp_simulator::Options;
use serde_json::json;
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Executor};

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

fn refund(n: usize) -> Event {
    let payment = json!({"id": "p-1", "amount": {"amount": "5.00", "currency": "USD"}, "state": "SUCCESS",
        "method": {"type": "AMAZON_PAY", "display": "Visa ending in 1234"}});
    let data = json!({"order": {"id": n.to_string()}, "refund": {"id": format!("RF-{n}")}, "version": 1, "state": "SUCCESS",
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
