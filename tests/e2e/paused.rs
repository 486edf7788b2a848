//! An operator stops a target or a topic on all replicas, and lets it go on.

use crate::service::{Service, statuses};
use crate::sound::wrong;
use crate::support::daemon::{Builder, Daemon};
use crate::support::events::{Envelope, Event, Kind};
use crate::support::kafka::ends;
use crate::support::postgres::fresh_database;
use crate::support::{PATIENCE, wait_until};
use bwp_simulator::{Answer, Apply, Options, OrderSeed, Rule, When};
use bwp_sync::ledger::Ledger;
use serde_json::{Value, json};
use std::time::Duration;

fn refund(order: &str) -> Event {
    let data = json!({"order": {"id": order}, "refund": {"id": format!("RF-{order}")}, "version": 1, "state": "SUCCESS",
        "total": {"amount": "5.00", "currency": "USD"}});
    Event::new(Kind::Refund, &format!("refund-{order}"), data)
}

fn price(order: &str) -> Event {
    let data = json!({"order": {"id": order}, "version": 1, "totalPrice": {"amount": "8.00", "currency": "USD"}});
    Event::new(Kind::Order, &format!("order-{order}"), data)
}

fn seed(service: &Service, order: &str) {
    let seed = OrderSeed::new(format!("B-{order}")).line(&format!("line-{order}"), "L-1", 1).alias("EXTERNAL_ID", order);
    service.simulator.seed_order(seed).unwrap();
}

/// Runs the command; gives what it says.
fn told(builder: &Builder, arguments: &[&str]) -> String {
    let output = builder.command(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn shows(daemons: &[Daemon], metric: &str, labels: &[(&str, &str)], value: f64) {
    for daemon in daemons {
        wait_until(&format!("{metric} to be {value}"), Duration::from_secs(5), async || {
            let seen = daemon.metrics().await.get(metric, labels);
            if seen == Some(value) { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await;
    }
}

async fn started(builder: &Builder) -> Vec<Daemon> {
    let mut daemons = vec![builder.start(), builder.start()];
    for daemon in &mut daemons {
        daemon.wait_ready().await;
    }
    daemons
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_target_is_not_called_and_no_time_is_charged() {
    let service = Service::open(2, Options::default()).await;
    let settings = [
        ("retry.budget", "8s"),
        ("waiting.give_up_after", "8s"),
        ("waiting.read_interval", "500ms"),
        ("breaker.failures", "1000000"),
    ];
    let builder = settings.into_iter().fold(service.builder.clone(), |builder, (key, value)| builder.set(key, value));
    seed(&service, "one");
    seed(&service, "three");
    service.simulator.faults().one(Rule {
        when: When { operation: Some("updateOrder".to_owned()), order: Some("one".to_owned()), ..When::default() },
        apply: Some(Apply::No),
        answer: Answer::Status { status: 503, body: Default::default(), retry_after: None },
        ..Rule::default()
    });
    let mut daemons = started(&builder).await;
    // One that fails again and again, and one whose order nobody knows.
    let events = [refund("one"), refund("two"), refund("three")];
    for event in &events[..2] {
        service.topics.publish(event, Envelope::Binary).await;
    }
    let has_failed = async || {
        let fired: u64 = service.simulator.faults().counts().iter().map(|count| count.fired).sum();
        if fired >= 2 { Ok(()) } else { Err(fired.to_string()) }
    };
    wait_until("a refund to fail again", PATIENCE, has_failed).await;
    service.totals("the other to wait", PATIENCE, |totals| totals.backlog.waiting == 1).await;

    let said = told(&builder, &["pause", "target", "default", "--reason", "BwP maintenance", "--who", "ann"]);
    assert!(said.starts_with("target default is paused"), "{said}");
    shows(&daemons, "bwp_sync_target_paused", &[("target", "default")], 1.0).await;
    shows(&daemons, "bwp_sync_in_flight", &[], 0.0).await;
    let requests = service.simulator.report().requests;
    // It survives a restart, and intake goes on.
    assert_eq!(daemons[0].terminate(PATIENCE).await.code(), Some(0));
    daemons[0] = builder.start();
    daemons[0].wait_ready().await;
    shows(&daemons[..1], "bwp_sync_target_paused", &[("target", "default")], 1.0).await;
    service.topics.publish(&events[2], Envelope::Binary).await;
    service.totals("intake to go on", PATIENCE, |totals| totals.read == 3 && totals.backlog.queued >= 1).await;
    let pool = service.pool().await;
    wait_until("the pause to outlast every budget", PATIENCE, async || {
        let is_long: bool = sqlx::query_scalar("SELECT paused_since < now() - interval '9 s' FROM target WHERE name = 'default'")
            .fetch_one(&pool)
            .await
            .unwrap();
        if is_long { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    assert_eq!(service.simulator.report().requests, requests, "a paused target was called");
    assert_eq!(wrong(&service.ledger).await, [], "nobody is late at a target that is paused");
    assert_eq!(service.ledger.totals().await.unwrap().finals, 0);
    let metrics = daemons[1].metrics().await;
    let of = |name: &str, labels: &[(&str, &str)]| metrics.get(name, labels).unwrap_or_else(|| panic!("no {name}"));
    for (state, least) in [("waiting", 6.0), ("queued", 1.0)] {
        let age = of("bwp_sync_backlog_oldest_seconds", &[("state", state)]);
        assert!((least..60.0).contains(&age), "{state}: {age}");
    }
    let token = of("bwp_sync_token_age_seconds", &[("target", "default")]);
    assert!(token == -1.0 || token > 5.0, "the other replica may have made all calls: {token}");
    assert!(of("bwp_sync_database_connections", &[]) >= 1.0);
    assert!(of("bwp_sync_process_cpu_seconds_total", &[]) >= 0.0 && of("bwp_sync_process_resident_memory_bytes", &[]) > 1e6);
    let listed: Value = serde_json::from_str(&told(&builder, &["pause", "--output", "json"])).unwrap();
    assert_eq!(
        (&listed[0]["name"], &listed[0]["who"], &listed[0]["reason"]),
        (&json!("default"), &json!("ann"), &json!("BwP maintenance"))
    );
    assert_eq!(daemons[1].state().await["paused"], listed);
    assert!(told(&builder, &["pause", "default"]).contains("was paused already, since "), "a bare name that is only one of both");

    service.simulator.faults().clear();
    seed(&service, "two");
    assert!(told(&builder, &["resume", "default", "--who", "ben"]).starts_with("target default goes on"));
    service.drained(3, PATIENCE).await;
    let outcomes = service.outcomes(3).await;
    assert!(statuses(&outcomes, &events).values().all(|status| status == "DELIVERED"), "{outcomes:#?}");
    let acts: Vec<(String, String, Value)> =
        sqlx::query_as("SELECT who, what, subject FROM act ORDER BY id").fetch_all(&pool).await.unwrap();
    let act = |who: &str, what: &str| (who.to_owned(), what.to_owned(), json!({"target": "default"}));
    assert_eq!(acts, [act("ann", "pause"), act("ben", "resume")]);
    for mut daemon in daemons {
        assert_eq!(daemon.terminate(PATIENCE).await.code(), Some(0));
    }
    service.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_topic_is_not_read_and_the_others_are() {
    let service = Service::open(2, Options::default()).await;
    let mut daemons = started(&service.builder).await;
    let topic = service.topics.refunds.clone();
    told(&service.builder, &["pause", "--topic", &topic, "--reason", "rubbish in it"]);
    let labels = [("topic", topic.as_str())];
    shows(&daemons, "bwp_sync_ingest_paused", &labels, 1.0).await;
    let names: Vec<String> = (0..24).map(|n| format!("{n}")).collect();
    names.iter().for_each(|name| seed(&service, name));
    let events: Vec<Event> = names.iter().map(|name| refund(name)).chain(names.iter().map(|name| price(name))).collect();
    for event in &events[..12] {
        service.topics.publish(event, Envelope::Binary).await;
    }
    // Partitions that change hands stay paused.
    daemons[0].kill();
    daemons[0] = service.builder.start();
    daemons[0].wait_ready().await;
    for event in &events[12..] {
        service.topics.publish(event, Envelope::Binary).await;
    }
    service.totals("the other topic to be done", PATIENCE * 2, |totals| totals.finals == 24).await;
    assert_eq!(service.ledger.totals().await.unwrap().read, 24, "a paused topic was read");
    assert_eq!(ends(&topic).await.values().sum::<i64>(), 24);
    shows(&daemons, "bwp_sync_ingest_paused", &labels, 1.0).await;
    assert!(told(&service.builder, &["pause"]).contains(": rubbish in it"));

    told(&service.builder, &["resume", "topic", &topic]);
    service.drained(48, PATIENCE).await;
    let outcomes = service.outcomes(48).await;
    assert!(statuses(&outcomes, &events).values().all(|status| status == "DELIVERED"), "{outcomes:#?}");
    assert_eq!(told(&service.builder, &["pause"]), "nothing is paused\n");
    for mut daemon in daemons {
        assert_eq!(daemon.terminate(PATIENCE).await.code(), Some(0));
    }
    service.assert_clean().await;
}

#[tokio::test]
async fn a_name_that_is_nothing_or_both_is_refused() {
    let service = Service::open(1, Options::default()).await;
    service.ledger.migrate().await.unwrap();
    let both = service.builder.clone().set("kafka.topics.refunds", "default");
    for (builder, arguments, words) in [
        (&service.builder, &["pause", "defualt"][..], "neither a target nor a topic that is read; there is: default"),
        (&service.builder, &["pause", "target", "emea"], "no target `emea` in the configuration; there is: default"),
        (&service.builder, &["pause", "thing", "default"], "say `target NAME` or `topic NAME`"),
        (&both, &["pause", "default"], "is a target and a topic"),
    ] {
        let output = builder.command(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.contains(words)), (Some(2), true), "{arguments:?}: {said}");
    }
    assert!(told(&both, &["pause", "topic", "default"]).starts_with("topic default is paused"));
}

#[tokio::test]
async fn time_that_is_both_paused_and_down_counts_once() {
    use bwp_sync::ledger::acts::By;
    use bwp_sync::ledger::pause::Pausable;
    let database = fresh_database().await;
    let ledger = Ledger::new(&database.url.clone().into(), 2).unwrap();
    ledger.migrate().await.unwrap();
    let pool = database.pool().await;
    let by = By { who: "ann".to_owned(), reason: None };
    let earlier = async |seconds: i32| {
        let sql = "UPDATE target SET open_since = open_since - make_interval(secs => $1), paused_since = paused_since - make_interval(secs => $1)";
        sqlx::query(sql).bind(seconds).execute(&pool).await.unwrap();
    };
    let clock = async |seconds: i64| {
        let standing = ledger.target_standings().await.unwrap().remove(0);
        assert!((standing.open_for.num_seconds() - seconds).abs() < 20, "{standing:?}, not {seconds}");
        (standing.is_open, standing.is_paused)
    };
    ledger.breaker("default", true).await.unwrap();
    earlier(100).await;
    assert!(ledger.pause(Pausable::Target, "default", &by).await.unwrap());
    assert_eq!(clock(100).await, (true, true));
    earlier(200).await;
    assert_eq!(clock(300).await, (true, true));
    ledger.breaker("default", false).await.unwrap();
    assert_eq!(clock(300).await, (false, true));
    earlier(400).await;
    ledger.breaker("default", true).await.unwrap();
    earlier(800).await;
    assert_eq!(clock(1500).await, (true, true));
    assert!(ledger.resume(Pausable::Target, "default", &by).await.unwrap());
    assert_eq!(clock(1500).await, (true, false));
    earlier(1600).await;
    ledger.breaker("default", false).await.unwrap();
    assert_eq!(clock(3100).await, (false, false));
    assert!(!ledger.resume(Pausable::Target, "default", &by).await.unwrap());
}
