//! Traps that others fell into, and that no test of a single part shows: each test is named after what must not happen to us.
//! The whole list, with the tests that show the others, is in docs/guarantees.md.

use crate::service::Service;
use crate::shop::{Shop, order};
use crate::support::events::{Envelope, Event, Kind};
use crate::support::kafka::{committed, consume_all, consume_present, ends};
use crate::support::{PATIENCE, wait_until};
use bwp_simulator::{Answer, Apply, Body, Options, OrderSeed, Rule, Script, When};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn a_refund(order: &str, id: &str) -> Event {
    let data = json!({"order": {"id": order}, "refund": {"id": id}, "state": "SUCCESS",
        "total": {"amount": "5.00", "currency": "USD"}});
    Event::new(Kind::Refund, &format!("{order}-{id}"), data)
}

fn unavailable() -> Rule {
    let answer = Answer::Status { status: 503, body: Body::default(), retry_after: None };
    Rule {
        when: When { operation: Some("updateOrder".into()), ..When::default() },
        apply: Some(Apply::No),
        answer,
        ..Rule::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_outage_moves_no_partition_and_holds_back_no_offset() {
    let service = Service::open(1, Options::default()).await;
    service
        .simulator
        .seed_orders((0..20).map(|n| OrderSeed::new(format!("B-{n}")).alias("EXTERNAL_ID", &n.to_string())).collect())
        .unwrap();
    let away = Answer::Status { status: 503, body: Body::default(), retry_after: None };
    let rule = Rule { apply: Some(Apply::No), answer: away, ..Rule::default() };
    service.simulator.faults().set(Script { rules: vec![rule], seed: 0 });
    let poll_interval = Duration::from_secs(6);
    let builder = ["max_poll_interval_ms", "session_timeout_ms"].into_iter().fold(service.builder.clone(), |builder, key| {
        builder.set(&format!("kafka.properties.{key}"), poll_interval.as_millis().to_string())
    });
    let mut daemon = builder.start();
    daemon.wait_ready().await;
    let began = Instant::now();
    let events: Vec<Event> = (0..20).map(|n| a_refund(&n.to_string(), "RF-1")).collect();
    for event in &events {
        service.topics.publish(event, Envelope::Binary).await;
    }
    wait_until("all offsets to be committed although nothing can be sent", PATIENCE, async || {
        let (there, here) = (committed(builder.group(), &service.topics.refunds), ends(&service.topics.refunds).await);
        if there == here { Ok(()) } else { Err(format!("{there:?} of {here:?}")) }
    })
    .await;
    wait_until("the outage to outlast what a member of the group may take", PATIENCE, async || {
        if began.elapsed() > poll_interval + Duration::from_secs(3) { Ok(()) } else { Err(String::new()) }
    })
    .await;
    let log = daemon.log();
    assert_eq!((log.matches("joined the group").count(), log.matches("were taken away").count()), (1, 0), "{log}");
    service.simulator.faults().clear();
    service.drained(events.len(), PATIENCE).await;
    service.assert_clean().await;
    assert_eq!(daemon.terminate(PATIENCE).await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_stuck_events_keep_their_age_and_do_not_starve_the_young() {
    const STUCK: usize = 200;
    let shop = Shop::open(Options::default(), &["waiting.read_interval=100ms", "dispatch.max_in_flight=4"]).await;
    let waiting = |n: usize| {
        let data = json!({"order": {"id": format!("{n}")}, "return": {"id": "RMA-1"}, "state": "CREATED",
            "lines": [{"line": {"alias": {"type": "SKU", "id": "nobody knows it"}}, "quantity": 1}]});
        Event::new(Kind::Return, &format!("stuck-{n}"), data)
    };
    let seeds = (0..STUCK).map(|n| order(&format!("B-{n}"), &n.to_string()));
    shop.simulator.seed_orders(seeds.chain([order("B-young", "young")]).collect()).unwrap();
    shop.take(&(0..STUCK).map(waiting).collect::<Vec<_>>()).await;
    let pool = shop.database.pool().await;
    let ages = async || -> Vec<(i64, Option<chrono::DateTime<chrono::Utc>>)> {
        sqlx::query_as("SELECT no, waiting_since FROM work ORDER BY no").fetch_all(&pool).await.unwrap()
    };
    wait_until("all to wait", PATIENCE, async || {
        let totals = shop.ledger.totals().await.unwrap();
        if totals.backlog.waiting == STUCK as i64 { Ok(()) } else { Err(format!("{totals:?}")) }
    })
    .await;
    let before = ages().await;
    let reads = || shop.simulator.report().requests.get("order").copied().unwrap_or(0);
    let first = reads();
    shop.take(&[a_refund("young", "RF-1")]).await;
    wait_until("the young one to be sent", PATIENCE, async || {
        if shop.outcomes().await.contains_key("young-RF-1") { Ok(()) } else { Err(format!("{} reads", reads() - first)) }
    })
    .await;
    assert!(reads() - first < 2 * STUCK as u64, "it had to wait until all stuck ones had been read");
    wait_until("the stuck ones to be read again", PATIENCE, async || {
        if reads() - first > STUCK as u64 { Ok(()) } else { Err(format!("{} reads", reads() - first)) }
    })
    .await;
    assert_eq!(ages().await, before, "waiting again is not waiting anew");
    assert!(before.iter().all(|(_, since)| since.is_some()));
    shop.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_neither_hurries_a_retry_nor_costs_one() {
    let mut shop = Shop::open(Options::default(), &["retry.initial=1h", "retry.max=2h", "breaker.failures=100"]).await;
    shop.simulator.seed_order(order("B-1", "1")).unwrap();
    let refusal = Answer::Errors { kind: "ThrottlingError".into(), code: None, retry_after: None };
    shop.simulator.faults().one(Rule { answer: refusal, ..unavailable() });
    shop.take(&[a_refund("1", "RF-1")]).await;
    let pool = shop.database.pool().await;
    let standing = async || -> (Option<chrono::DateTime<chrono::Utc>>, Option<Value>, Option<Value>) {
        let statement = "SELECT l.next_at, (SELECT e.doc -> 'pace' FROM entity e WHERE e.lane = l.id LIMIT 1), w.progress
                         FROM lane l JOIN work w ON w.lane = l.id WHERE NOT l.is_leased";
        sqlx::query_as(statement).fetch_optional(&pool).await.unwrap().unwrap_or_default()
    };
    let before = wait_until("the first try to be postponed", PATIENCE, async || match standing().await {
        (Some(at), pace, progress) if at > chrono::Utc::now() + chrono::TimeDelta::minutes(50) => Ok((Some(at), pace, progress)),
        other => Err(format!("{other:?}")),
    })
    .await;
    let asked = || shop.simulator.report().requests.get("updateOrder").copied();
    let once = asked();
    for _ in 0..3 {
        shop.stop().await;
        shop.start();
    }
    // Somebody else's event is sent: the dispatcher works.
    shop.simulator.faults().clear();
    shop.simulator.seed_order(order("B-2", "2")).unwrap();
    shop.take(&[a_refund("2", "RF-2")]).await;
    wait_until("another order to be sent", PATIENCE, async || {
        if shop.outcomes().await.contains_key("2-RF-2") { Ok(()) } else { Err(String::new()) }
    })
    .await;
    assert_eq!(shop.simulator.report().requests.get("updateOrder").copied(), once.map(|count| count + 1));
    assert_eq!(standing().await, before);
    shop.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_flat_whatever_the_backlog() {
    const RECORDS: usize = 3_000;
    let service = Service::open(2, Options::default()).await;
    let busy = Answer::TooManyRequests { retry_after: None };
    service.simulator.faults().set(Script { rules: vec![Rule { answer: busy, ..Rule::default() }], seed: 0 });
    let mut daemon = service.builder.start();
    daemon.wait_ready().await;
    let page = async |from: usize, to: usize| {
        let padding = "x".repeat(30_000);
        let records: Vec<_> = (from..to)
            .map(|n| {
                let mut event = a_refund(&n.to_string(), "RF-1");
                event.data["extensions"] = json!({"note": padding});
                event.record(Envelope::Binary)
            })
            .collect();
        service.topics.produce_all(&service.topics.refunds, &records).await;
        service.totals("the records to be durable", PATIENCE * 2, |totals| totals.backlog.total() == to as i64).await;
        daemon.memory()
    };
    let small = page(0, RECORDS / 3).await;
    let large = page(RECORDS / 3, RECORDS).await;
    println!("{} MiB with {} events in the backlog, {} MiB with {RECORDS}", small >> 20, RECORDS / 3, large >> 20);
    // 2,000 records more are 60 MB more in the ledger, and none in memory: what grows are the allocator's leftovers.
    assert!(large < small + (30 << 20), "{small} bytes, then {large}");
    assert_eq!(daemon.terminate(PATIENCE).await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_and_payers_are_nowhere_but_where_they_must_be() {
    const PAYER: &str = "Wilhelmina Marked";
    let service = Service::open(1, Options::default()).await;
    service.simulator.seed_order(OrderSeed::new("B-1").alias("EXTERNAL_ID", "1")).unwrap();
    let answer = Answer::Errors { kind: "ValidationError".into(), code: Some("InvalidRefundId".into()), retry_after: None };
    service.simulator.faults().one(Rule { answer, ..unavailable() });
    let mut daemon = service.builder.clone().set("log.level", "trace").start();
    daemon.wait_ready().await;
    let mut event = a_refund("1", "RF-1");
    event.data["payments"] = json!([{"id": "p-1", "amount": {"amount": "5.00", "currency": "USD"},
        "method": {"type": "AMAZON_PAY", "display": "Visa"}, "payer": {"billingAddress": {"name": PAYER}}}]);
    let original = event.record(Envelope::Structured);
    service.topics.produce(&service.topics.refunds, &original).await;
    let letters = consume_all(&service.topics.dead_letters, |records| !records.is_empty(), PATIENCE).await;
    assert_eq!(letters[0].value, original.value, "the letter is the record");
    let headers: Vec<String> = letters[0]
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_deref().unwrap_or_default())))
        .collect();
    let outcomes = consume_present(&service.topics.outcomes).await;
    let outcomes: Vec<String> = outcomes.iter().map(|record| record.json().to_string()).collect();
    assert!(outcomes[0].contains("InvalidRefundId"), "{outcomes:?}");
    let secret = service.simulator.options().client_secret.clone();
    let pages = [daemon.page("/metrics").await.unwrap(), daemon.page("/state").await.unwrap(), daemon.log()];
    for text in pages.iter().chain(&headers).chain(&outcomes) {
        for marked in [PAYER, "Marked", secret.as_str()] {
            assert!(!text.contains(marked), "{marked} is in {text}");
        }
    }
    assert_eq!(daemon.terminate(PATIENCE).await.code(), Some(0));
}
