//! Names at the size of a large shop: a million rows in the alias table and a hundred thousand events that wait. Is a claim slower than
//! without them; how long from an alias's commit to the send; what happens to new events while all that waits is woken at once; and what
//! memory does the daemon take? Ratios within one run. Run by `make bench`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[allow(dead_code)] // not each of its stories is told here
#[path = "../tests/e2e/merchant.rs"]
mod merchant;
#[allow(dead_code)] // not each of its tools is in use here
#[path = "../tests/e2e/service.rs"]
mod service;
#[path = "../tests/e2e/sized.rs"]
mod sized;
#[path = "../tests/e2e/sound.rs"]
mod sound;
#[path = "../tests/support/mod.rs"]
mod support;

use bwp_simulator::{Options, OrderSeed};
use bwp_sync::event::{Alias, AliasKind, AliasRow, Reference};
use bwp_sync::ledger::acts::By;
use bwp_sync::ledger::aliases::Importing;
use bwp_sync::ledger::{ClaimRequest, Ledger, Targets};
use bwp_sync::plan::subject::AliasTypes;
use bwp_sync::plan::turn::Turn;
use bwp_sync::plan::{Lane, Next};
use serde_json::json;
use service::Service;
use sized::WAITING;
use std::time::{Duration, Instant};
use support::daemon::Daemon;
use support::events::{Envelope, Event, Kind};

const PATIENCE: Duration = Duration::from_secs(600);
/// Claims that are timed, and names that come one after another.
const TIMES: usize = 300;
/// New events while all that waits is woken, and how many of those that wait are woken.
const NEW: usize = 200;

fn a_refund(order: &str, id: &str) -> Event {
    let data = json!({"order": {"id": order}, "refund": {"id": "RF-1"}, "state": "SUCCESS", "total": {"amount": "0.01", "currency": "USD"}});
    Event::new(Kind::Refund, id, data)
}

fn middle(mut times: Vec<f64>, share: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    times[((times.len() - 1) as f64 * share) as usize]
}

/// Milliseconds of a claim that finds one order due, in the middle.
async fn claim_time(ledger: &Ledger, pool: &sqlx::PgPool) -> f64 {
    let targets = Targets::from([("default".to_owned(), AliasTypes::default())]);
    let request = ClaimRequest { target: "default".into(), limit: 16, lease: Duration::from_secs(30) };
    let lane: i64 =
        sqlx::query_scalar("INSERT INTO lane (target) VALUES ('default') RETURNING id").fetch_one(pool).await.unwrap();
    let mut times = Vec::new();
    for _ in 0..TIMES {
        sqlx::query("UPDATE lane SET next_at = now() WHERE id = $1").bind(lane).execute(pool).await.unwrap();
        let began = Instant::now();
        let rest = |_: &mut Lane, now| Turn {
            settled: Vec::new(),
            standings: Default::default(),
            charged: now,
            next: Next::Rest { until: None },
        };
        assert_eq!(ledger.claim(&request, &targets, rest).await.unwrap().looked_at, 1);
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    sqlx::query("DELETE FROM lane WHERE id = $1").bind(lane).execute(pool).await.unwrap();
    middle(times, 0.5)
}

/// Milliseconds from each alias's commit to the settling of the event that waited for it: the call is among them.
async fn waking_times(service: &Service) -> Vec<f64> {
    let pool = service.pool().await;
    let mut times = Vec::new();
    for n in 0..TIMES {
        let order = (WAITING - n).to_string();
        let row = json!({"kind": "LINE_ITEM", "alias": {"type": "SKU", "id": "LATE"}, "bwpId": format!("line-{order}"), "order": {"id": order}});
        let event = Event::new(Kind::Alias, &format!("late-{n}"), row);
        service.topics.produce(&service.topics.aliases, &event.record(Envelope::Binary)).await;
        let settled = "SELECT extract(epoch FROM (SELECT max(settled_at) FROM history WHERE lane = l.lane AND kind = 0)
                - (SELECT max(settled_at) FROM history WHERE lane = l.lane AND kind = 4))::float8 * 1000
            FROM (SELECT lane FROM order_name WHERE target = 'default' AND alias_type = 'EXTERNAL_ID' AND id = $1) l";
        let began = Instant::now();
        let took: f64 = loop {
            let took: Option<f64> = sqlx::query_scalar(settled).bind(&order).fetch_one(&pool).await.unwrap();
            if let Some(took) = took {
                break took;
            }
            assert!(began.elapsed() < PATIENCE);
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        times.push(took);
    }
    times
}

/// Seconds from the arrival of each new event to its outcome, while nothing else is there or everything is woken.
async fn new_events(service: &Service, round: &str) -> Vec<f64> {
    let pool = service.pool().await;
    for n in 0..NEW {
        let event = a_refund(&format!("new-{round}-{n}"), &format!("new-{round}-{n}"));
        service.topics.produce(&service.topics.refunds, &event.record(Envelope::Binary)).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let began = Instant::now();
    let ages = "SELECT extract(epoch FROM h.settled_at - s.received_at)::float8 FROM history h JOIN stamp s USING (no) WHERE s.id LIKE $1";
    loop {
        let ages: Vec<f64> = sqlx::query_scalar(ages).bind(format!("new-{round}-%")).fetch_all(&pool).await.unwrap();
        if ages.len() == NEW {
            return ages;
        }
        assert!(began.elapsed() < PATIENCE, "{} of {NEW}", ages.len());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// When each event arrived is kept beyond its settling: a trigger of this benchmark alone.
const STAMPS: &str = "CREATE TABLE stamp (no bigint PRIMARY KEY, id text, received_at timestamptz);
    CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO stamp SELECT n.no, convert_from(n.value, 'UTF8')::json -> 'order' ->> 'id', n.received_at FROM fresh n
        WHERE n.topic LIKE '%refunds';
        RETURN NULL;
    END $$;
    CREATE TRIGGER stamp AFTER INSERT ON work REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION stamp();";

async fn wake_all(service: &Service) -> f64 {
    let types = AliasTypes::default();
    let importing =
        Importing { target: "default".into(), types, by: Some(By { who: "bench".into(), reason: None }), from: "bench".into() };
    let began = Instant::now();
    let mut import = service.ledger.import(importing).await.unwrap();
    let rows: Vec<AliasRow> = (1..=WAITING - TIMES)
        .map(|n| AliasRow {
            kind: AliasKind::LineItem,
            alias: Alias { alias_type: "SKU".into(), id: "LATE".into() },
            bwp_id: Some(format!("line-{n}")),
            version: None,
            order: Some(Reference::Id(n.to_string())),
        })
        .collect();
    for batch in rows.chunks(10_000) {
        import.take(batch).await.unwrap();
    }
    began.elapsed().as_secs_f64()
}

fn memory(daemon: &Daemon) -> u64 {
    daemon.memory() >> 20
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let service = Service::open(3, Options::default()).await;
    service.ledger.migrate().await.unwrap();
    let pool = service.pool().await;
    let empty = claim_time(&service.ledger, &pool).await;
    sized::fill(&service.database).await;
    sqlx::raw_sql("DELETE FROM waking").execute(&pool).await.unwrap();
    sqlx::raw_sql(STAMPS).execute(&pool).await.unwrap();
    let full = claim_time(&service.ledger, &pool).await;
    println!("a claim: {empty:.2} ms with an empty table, {full:.2} ms with all: {:.2}", full / empty);

    // Of the orders that wait, as many as can be sent within the benchmark's time; the others are refused by Buy with Prime.
    let waiting = (1..=WAITING)
        .rev()
        .map(|n| n.to_string())
        .map(|of| OrderSeed::new(format!("B-{of}")).line(&format!("line-{of}"), "L-1", 2).alias("EXTERNAL_ID", &of));
    let fresh = ["alone", "beside"].into_iter().flat_map(|round| (0..NEW).map(move |n| format!("new-{round}-{n}")));
    let fresh = fresh.map(|of| OrderSeed::new(format!("B-{of}")).alias("EXTERNAL_ID", &of));
    service.simulator.seed_orders(waiting.chain(fresh).collect()).unwrap();
    let mut daemon = service.builder.clone().set("log.level", "warn").set("targets.default.environment", "sandbox").start();
    daemon.wait_ready().await;
    let times = waking_times(&service).await;
    println!(
        "from an alias's commit to the outcome: p50 {:.0} ms, p99 {:.0} ms",
        middle(times.clone(), 0.5),
        middle(times, 0.99)
    );
    let idle = memory(&daemon);
    let alone = new_events(&service, "alone").await;
    let took = wake_all(&service).await;
    let beside = new_events(&service, "beside").await;
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM waking").fetch_one(&pool).await.unwrap();
    let (alone, beside) = (middle(alone, 0.99), middle(beside, 0.99));
    println!(
        "{} events woken by an import of {took:.1} s; {left} were still to be woken when the last new event was sent",
        WAITING - TIMES
    );
    println!("a new event: p99 {:.0} ms alone, {:.0} ms beside them", alone * 1e3, beside * 1e3);
    println!("memory: {idle} MiB idle, {} MiB in the middle of it", memory(&daemon));
    assert!(left > 0, "nothing was shown: all had been woken before");
    assert_eq!(daemon.terminate(Duration::from_secs(60)).await.code(), Some(0));
}
