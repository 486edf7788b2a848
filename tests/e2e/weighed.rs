//! What a million events weigh in the ledger: a merchant's orders of every kind, taken in and settled, and scaled up.

use crate::merchant::{Purchase, purchase};
use crate::shop::Shop;
use crate::support::events::Event;
use bwp_simulator::Options;
use sqlx::{Executor, PgPool};
use std::collections::BTreeMap;

const ORDERS: usize = 1000;

/// Bytes of one event that waits or is retried, and of one that is settled, with all that is kept of it: docs/database.md.
const UNSETTLED: f64 = 1_200.0;
const SETTLED: f64 = 4_200.0;

/// Bytes of each table with its indexes, all days together, without what autovacuum would give back.
async fn weigh(pool: &PgPool) -> BTreeMap<String, i64> {
    pool.execute("VACUUM FULL").await.unwrap();
    let sql = "SELECT coalesce(p.relname, c.relname)::text, sum(pg_total_relation_size(c.oid))::bigint
        FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_class p ON p.oid = i.inhparent
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' GROUP BY 1";
    let rows: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(pool).await.unwrap();
    rows.into_iter().collect()
}

/// What each table has gained, for each event.
fn gained(empty: &BTreeMap<String, i64>, full: &BTreeMap<String, i64>, events: usize) -> f64 {
    let mut sum = 0.0;
    for (table, bytes) in full {
        let each = (bytes - empty.get(table).unwrap_or(&0)) as f64 / events as f64;
        if each >= 1.0 {
            println!("{table:15} {each:7.0} bytes an event");
        }
        sum += each;
    }
    println!("all             {sum:7.0} bytes an event");
    sum
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_events_weigh_what_the_page_says() {
    let flags = ["waiting.sandbox_interval=300ms", "retry.initial=100ms", "dispatch.max_in_flight=32"];
    let mut shop = Shop::open(Options::default(), &flags).await;
    shop.stop().await;
    let pool = shop.database.pool().await;
    let purchases: Vec<Purchase> = (0..ORDERS).map(purchase).collect();
    shop.simulator.seed_orders(purchases.iter().map(|purchase| purchase.seed.clone()).collect()).unwrap();
    let empty = weigh(&pool).await;
    let events: Vec<Event> = purchases.iter().flat_map(|purchase| &purchase.events).cloned().collect();
    let late: Vec<Event> = purchases.iter().flat_map(|purchase| &purchase.late).cloned().collect();
    for batch in events.chunks(100) {
        shop.take(batch).await;
    }
    println!("{} events of {ORDERS} orders, none settled", events.len());
    let unsettled = gained(&empty, &weigh(&pool).await, events.len());
    for batch in late.chunks(100) {
        shop.take(batch).await;
    }
    shop.start();
    let all = events.len() + late.len();
    assert_eq!(shop.settled().await.finals, all as i64);
    shop.stop().await;
    shop.assert_clean().await;
    println!("{all} events, all settled");
    let settled = gained(&empty, &weigh(&pool).await, all);
    assert!(unsettled < UNSETTLED && settled < SETTLED, "{unsettled:.0} and {settled:.0} bytes an event");
}
