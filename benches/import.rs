//! A million rows of the alias table from a file, beside a plain `COPY` of what comes of them into the same three tables; the same file
//! again; and three hundred thousand rows from the alias topic, with a full replay of it. Ratios within one run. Run by `make bench`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[allow(dead_code)] // not each of its stories is told here
#[path = "../tests/e2e/merchant.rs"]
mod merchant;
#[allow(dead_code)] // not each of its tools is in use here
#[path = "../tests/e2e/service.rs"]
mod service;
#[path = "../tests/e2e/sound.rs"]
mod sound;
#[path = "../tests/support/mod.rs"]
mod support;

use bwp_simulator::Options;
use bwp_sync::ledger::Ledger;
use futures_util::TryStreamExt;
use serde_json::{Value, json};
use service::Service;
use sqlx::{Connection, PgPool};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use support::events::{Envelope, Event, Kind};
use support::kafka::Outgoing;
use support::postgres::{Database, fresh_database};

/// Orders with a row of their own and four line items each.
const ORDERS: usize = 200_000;
const LINES: usize = 4;
const ROUNDS: usize = 3;
/// The same on the topic.
const ON_TOPIC: usize = 60_000;
const PATIENCE: Duration = Duration::from_secs(600);

/// What a row is written to, in the order of writing.
const TABLES: [&str; 3] = ["lane (id, target, bwp_id)", "order_name", "name"];

/// The rows of an order, which are said under names of the merchant's.
fn rows(order: usize) -> impl Iterator<Item = Value> {
    let lines = (0..LINES).map(move |line| {
        json!({"kind": "LINE_ITEM", "alias": {"type": "SKU", "id": format!("S-{line}")}, "bwpId": format!("li-{order}-{line}"),
            "order": {"id": order.to_string()}})
    });
    let own =
        json!({"kind": "ORDER", "alias": {"type": "EXTERNAL_ID", "id": order.to_string()}, "bwpId": format!("322-{order}")});
    lines.chain([own])
}

/// A file that names the orders in an order of its own.
fn write_file(path: &Path) {
    let mut text = String::new();
    for n in 0..ORDERS {
        rows(n * 7919 % ORDERS).for_each(|row| writeln!(text, "{row}").unwrap());
    }
    std::fs::write(path, text).unwrap();
}

async fn migrated() -> Database {
    let database = fresh_database().await;
    let ledger = Ledger::new(&database.url.clone().into(), 1).unwrap();
    ledger.migrate().await.unwrap();
    ledger.close().await;
    database
}

/// Seconds that the command takes, from its start to its end; `word` is what became of every row.
fn import(database: &Database, file: &Path, word: &str) -> f64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bwp-sync"));
    command.args(["--set", &format!("database.url={}", database.url), "--set", "targets.default.target_id=t"]);
    command.args(["aliases", "import", "--output", "json"]).arg(file);
    let began = Instant::now();
    let done = command.output().unwrap();
    let took = began.elapsed().as_secs_f64();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(report[word], json!(ORDERS * (LINES + 1)), "{report:#}");
    took
}

/// What an import has written, table by table, as `COPY` gives it.
async fn copied_out(pool: &PgPool) -> Vec<Vec<u8>> {
    let mut tables = Vec::new();
    for table in TABLES {
        let mut connection = pool.acquire().await.unwrap();
        let mut rows = connection.copy_out_raw(&format!("COPY {table} TO STDOUT")).await.unwrap();
        let mut text = Vec::new();
        while let Some(part) = rows.try_next().await.unwrap() {
            text.extend_from_slice(&part);
        }
        drop(rows);
        tables.push(text);
    }
    tables
}

/// Seconds of a plain `COPY` of the same rows in the same order, with the same indexes, in one transaction.
async fn copy(database: &Database, tables: Vec<Vec<u8>>) -> f64 {
    let pool = database.pool().await;
    let mut connection = pool.acquire().await.unwrap();
    let began = Instant::now();
    let mut transaction = connection.begin().await.unwrap();
    for (table, text) in TABLES.into_iter().zip(tables) {
        let mut copy = transaction.copy_in_raw(&format!("COPY {table} FROM STDIN")).await.unwrap();
        copy.send(text).await.unwrap();
        copy.finish().await.unwrap();
    }
    transaction.commit().await.unwrap();
    began.elapsed().as_secs_f64()
}

async fn import_beside_copy() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("import.jsonl");
    write_file(&file);
    let rows = (ORDERS * (LINES + 1)) as f64;
    println!("{rows} rows of {ORDERS} orders");
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let (imported, plain) = (migrated().await, migrated().await);
        let new = import(&imported, &file, "new");
        let tables = copied_out(&imported.pool().await).await;
        let raw = copy(&plain, tables).await;
        let same = import(&imported, &file, "same");
        println!(
            "round {round}: {new:.1} s new ({:.0}/s), {raw:.1} s plain COPY: {:.2}; {same:.1} s the same again ({:.0}/s)",
            rows / new,
            new / raw,
            rows / same
        );
        ratios.push(new / raw);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio: {:.2}", ratios[ROUNDS / 2]);
    std::fs::remove_file(file).unwrap();
}

/// Row versions by table, as the server has counted them so far.
async fn row_versions(pool: &PgPool) -> BTreeMap<String, i64> {
    let counts: Vec<(String, i64)> = sqlx::query_as(
        "SELECT regexp_replace(relname, '_(default|\\d{8})$', ''), sum(n_tup_ins + n_tup_upd + n_tup_del)::bigint
         FROM pg_stat_user_tables GROUP BY 1",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    counts.into_iter().collect()
}

/// Reads the whole topic under a group that nobody has had, until all records are in the ledger. Shows rows a second, from the first
/// record taken to the last, and the row versions that each cost.
async fn read_topic(service: &Service, pool: &PgPool, what: &str) -> BTreeMap<String, i64> {
    let before = row_versions(pool).await;
    let read = async || service.ledger.totals().await.unwrap().read;
    let (from, count) = (read().await, (ON_TOPIC * (LINES + 1)) as i64);
    let builder = service.builder.clone().set("kafka.group_id", format!("{}-{what}", service.builder.group()));
    let mut daemon = builder.set("log.level", "warn").start();
    daemon.wait_ready().await;
    let launched = Instant::now();
    let mut began = None;
    loop {
        let done = read().await - from;
        if done > 0 {
            began.get_or_insert((Instant::now(), done));
        }
        if done == count {
            break;
        }
        assert!(launched.elapsed() < PATIENCE, "{done} of {count}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (began, first) = began.unwrap();
    let rate = (count - first) as f64 / began.elapsed().as_secs_f64();
    assert_eq!(daemon.terminate(PATIENCE).await.code(), Some(0), "{}", daemon.log());
    // A session hands in its counts at its end at the latest.
    let after = support::wait_until("the sessions to end", PATIENCE, async || {
        let sessions =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'bwp-sync'";
        let others: i64 = sqlx::query_scalar(sessions).fetch_one(pool).await.unwrap();
        if others <= 2 { Ok(row_versions(pool).await) } else { Err(others.to_string()) }
    })
    .await;
    let written: BTreeMap<String, i64> =
        after.into_iter().map(|(table, now)| (table.clone(), now - before.get(&table).copied().unwrap_or_default())).collect();
    let each = written.values().sum::<i64>() as f64 / count as f64;
    println!("{what}: {count} rows from the topic, {rate:.0} a second, {each:.3} row versions each");
    written
}

async fn replay() {
    let service = Service::open(3, Options::default()).await;
    service.ledger.migrate().await.unwrap();
    let pool = service.pool().await;
    let records: Vec<Outgoing> = (0..ON_TOPIC)
        .flat_map(|order| rows(order).enumerate().map(move |(n, row)| Event::new(Kind::Alias, &format!("{order}-{n}"), row)))
        .map(|event| event.record(Envelope::Binary))
        .collect();
    service.topics.produce_all(&service.topics.aliases, &records).await;
    drop(records);
    read_topic(&service, &pool, "first").await;
    let written = read_topic(&service, &pool, "again").await;
    println!("of the replay: {:?}", written.iter().filter(|(_, count)| **count > 0).collect::<Vec<_>>());
    for table in ["seen", "order_name", "name", "lane", "history"] {
        assert_eq!(written.get(table), Some(&0), "a replay changes nothing");
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    import_beside_copy().await;
    replay().await;
}
