//! What operators do: events are listed, shown, retried and discarded, an order is explained and forgotten; while somebody works on it,
//! and with the built program.

use crate::shop::{Shop, order};
use crate::support::events::{Event, Kind};
use crate::support::{PATIENCE, wait_until};
use bwp_simulator::{Answer, Apply, Body, Options, Rule, When};
use serde_json::{Value, json};
use std::process::Command;

/// How a command ended.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }
}

/// Runs the program on the shop's ledger.
pub async fn bwp_sync(shop: &Shop, arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bwp-sync"));
    command.env_clear().env("USER", "ada").env("BWP_SYNC__DATABASE__URL", &shop.database.url).args(arguments);
    let own = shop.simulator.options();
    for (key, value) in [
        ("ENDPOINT", shop.simulator.endpoint()),
        ("TOKEN_ENDPOINT", shop.simulator.token_endpoint()),
        ("TARGET_ID", own.target_id.clone()),
        ("CLIENT_ID", own.client_id.clone()),
        ("CLIENT_SECRET", own.client_secret.clone()),
    ] {
        command.env(format!("BWP_SYNC__TARGETS__DEFAULT__{key}"), value);
    }
    command.stdin(std::process::Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

pub fn a_return(order: &str, line: &str) -> Event {
    let lines = json!([{"line": {"id": line}, "quantity": 1}]);
    let data =
        json!({"order": {"id": order}, "return": {"id": format!("RMA-{order}-{line}")}, "state": "CREATED", "lines": lines});
    Event::new(Kind::Return, &format!("r-{order}-{line}"), data)
}

fn a_line_alias(order: &str, id: &str) -> Event {
    let row =
        json!({"kind": "LINE_ITEM", "alias": {"type": "EXTERNAL_ITEM_ID", "id": id}, "bwpId": "line-1", "order": {"id": order}});
    Event::new(Kind::Alias, &format!("a-{order}-{id}"), row)
}

const MARK: &str = "Marked-Payer-Name";

pub fn a_refund(order: &str, id: &str) -> Event {
    let payer = json!({"id": MARK, "billingAddress": {"name": MARK, "streetAddress": "12 Elm St"}});
    let payment = json!({"id": format!("p-{id}"), "amount": {"amount": "5.00", "currency": "USD"}, "state": "SUCCESS",
        "method": {"type": "AMAZON_PAY", "display": "Visa ending in 1234"}, "payer": payer});
    let data = json!({"order": {"id": order}, "refund": {"id": format!("RF-{id}")}, "version": 1, "state": "SUCCESS",
        "total": {"amount": "5.00", "currency": "USD"}, "payments": [payment]});
    Event::new(Kind::Refund, &format!("f-{id}"), data)
}

pub fn rule(order: &str, answer: Answer) -> Rule {
    let when = When { operation: Some("updateOrder".into()), order: Some(order.into()), ..When::default() };
    Rule { when, apply: Some(Apply::No), answer, ..Rule::default() }
}

pub fn refused() -> Answer {
    Answer::Errors { kind: "ValidationError".into(), code: Some("InvalidInput".into()), retry_after: None }
}

/// A shop with some orders.
pub async fn open(flags: &[&str]) -> Shop {
    let shop = Shop::open(Options::default(), flags).await;
    let seeds = ["1001", "1002", "1003"].map(|name| order(&format!("B-{name}"), name));
    shop.simulator.seed_orders(seeds.into()).unwrap();
    shop
}

pub async fn until(shop: &Shop, status: &str, count: usize) -> Value {
    wait_until(&format!("{count} {status}"), PATIENCE, async || {
        let ran = bwp_sync(shop, &["events", "list", "--status", status, "--output", "json"]).await;
        let events = ran.json();
        let all = bwp_sync(shop, &["events", "list"]).await.out;
        if events.as_array().unwrap().len() == count { Ok(events) } else { Err(all) }
    })
    .await
}

async fn statuses(shop: &Shop, id: &str) -> Vec<String> {
    let own = shop.outcomes().await.remove(id).unwrap_or_default();
    own.iter().map(|outcome| outcome["status"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_died_of_a_missing_name_is_retried_by_one_command() {
    let shop = open(&["waiting.give_up_after=200ms", "waiting.read_interval=100ms"]).await;
    shop.take(&[a_return("1001", "L-8"), a_return("1002", "L-8"), a_return("1003", "L-1")]).await;
    let dead = until(&shop, "DEAD", 2).await;
    assert_eq!(dead[0]["reason"]["code"], "ALIAS_UNKNOWN", "{dead:#}");
    assert_eq!((&dead[0]["kind"], &dead[0]["source"], &dead[0]["outcomes"]), (&json!("return"), &json!("/oms"), &json!(1)));

    let explained = bwp_sync(&shop, &["explain", "1001"]).await;
    assert_eq!(explained.code, 0, "{}", explained.err);
    for says in [
        "/oms r-1001-L-8 (return) died at ",
        "ALIAS_UNKNOWN: still unknown after waiting.give_up_after: LINE_ITEM EXTERNAL_ITEM_ID L-8",
        "the order was read",
    ] {
        assert!(explained.out.contains(says), "{says}: {}", explained.out);
    }
    shop.take(&[a_line_alias("1001", "L-8"), a_line_alias("1002", "L-8")]).await;
    let dry = bwp_sync(&shop, &["events", "retry", "--code", "ALIAS_UNKNOWN", "--dry-run"]).await;
    assert_eq!((dry.code, dry.out.as_str()), (0, "would retry 2 events\n  2 DEAD ALIAS_UNKNOWN\n"), "{}", dry.err);
    assert_eq!(until(&shop, "DEAD", 2).await, dead);
    assert_eq!(bwp_sync(&shop, &["events", "retry"]).await.code, 2, "which is not said");

    let retried = bwp_sync(&shop, &["events", "retry", "--code", "ALIAS_UNKNOWN", "--reason", "the names came"]).await;
    assert_eq!((retried.code, retried.out.as_str()), (0, "retried 2 events\n  2 DEAD ALIAS_UNKNOWN\n"), "{}", retried.err);
    wait_until("both to be delivered", PATIENCE, async || {
        let both = [statuses(&shop, "r-1001-L-8").await, statuses(&shop, "r-1002-L-8").await];
        if both.iter().all(|all| *all == ["DEAD", "DELIVERED"]) { Ok(()) } else { Err(format!("{both:?}")) }
    })
    .await;
    shop.settled().await;
    shop.assert_clean().await;
    let explained = bwp_sync(&shop, &["explain", "EXTERNAL_ID:1001", "--output", "json"]).await.json();
    let (acts, past) = (&explained[0]["acts"], explained[0]["story"]["past"].to_string());
    assert_eq!((&acts[0]["what"], &acts[0]["reason"]), (&json!("retry"), &json!("the names came")), "{acts:#}");
    assert!(acts[0]["who"].as_str().unwrap().starts_with("ada"), "{acts:#}");
    for says in [
        "retried /oms r-1001-L-8, because: the names came",
        "ended DELIVERED after 1 mutation",
        "updateOrder was sent for /oms r-1001-L-8",
    ] {
        assert!(past.contains(says), "{says}: {past}");
    }
    let nothing = bwp_sync(&shop, &["events", "retry", "--code", "ALIAS_UNKNOWN"]).await;
    assert_eq!((nothing.code, nothing.out.as_str()), (1, "nothing to retry\n"));
    let shown = bwp_sync(&shop, &["events", "show", "/oms#r-1001-L-8#1", "--output", "json"]).await.json();
    let ids: Vec<&Value> = shown["outcomes"].as_array().unwrap().iter().map(|outcome| &outcome["id"]).collect();
    assert_eq!(ids, ["/oms#r-1001-L-8#1", "/oms#r-1001-L-8#2"], "{shown:#}");
    assert_eq!((&shown["event"]["status"], shown["attempts"].as_array().unwrap().len()), (&json!("DELIVERED"), 1), "{shown:#}");
    assert!(shown["attempts"][0]["request"]["input"].is_object(), "what was sent is JSON, not text of it: {shown:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_given_up_while_others_of_their_order_go_on() {
    let shop = open(&["dispatch.request_timeout=4s", "dispatch.lease=10s"]).await;
    shop.simulator.faults().one(rule("1002", refused()));
    shop.take(&[a_return("1001", "L-8"), a_refund("1002", "dead")]).await;
    until(&shop, "WAITING", 1).await;
    until(&shop, "DEAD", 1).await;
    shop.simulator.faults().one(rule("1003", Answer::Never));
    shop.take(&[a_refund("1003", "flying")]).await;
    until(&shop, "IN_FLIGHT", 1).await;
    // Behind what is in flight, in a lane that is held.
    shop.take(&[a_return("1003", "L-8")]).await;

    let no_terminal = bwp_sync(&shop, &["events", "discard", "--all"]).await;
    assert_eq!((no_terminal.code, no_terminal.err.contains("--yes")), (2, true), "{}", no_terminal.err);
    let flying = bwp_sync(&shop, &["events", "discard", "--yes", "--source", "/oms", "--id", "f-flying"]).await;
    assert_eq!(flying.code, 1, "{}", flying.out);
    assert!(flying.out.contains("left alone: 1 event: "), "{}", flying.out);
    let queued =
        bwp_sync(&shop, &["events", "discard", "--yes", "--order", "1003", "--kind", "return", "--reason", "sent twice"]).await;
    assert_eq!((queued.code, queued.out.contains("discarded 1 event\n")), (0, true), "{}{}", queued.out, queued.err);
    let rest =
        bwp_sync(&shop, &["events", "discard", "--yes", "--status", "waiting", "--status", "dead", "--output", "json"]).await;
    assert_eq!((rest.code, &rest.json()["result"]["done"]), (0, &json!(2)), "{}{}", rest.out, rest.err);
    shop.simulator.faults().clear();

    let totals = shop.settled().await;
    assert_eq!((totals.finals, totals.backlog.waiting, totals.imbalance()), (4, 0, 0), "{totals:?}");
    assert_eq!(statuses(&shop, "r-1003-L-8").await, ["DISCARDED"]);
    assert_eq!(statuses(&shop, "r-1001-L-8").await, ["DISCARDED"]);
    assert_eq!(statuses(&shop, "f-dead").await, ["DEAD", "DISCARDED"]);
    assert_eq!(statuses(&shop, "f-flying").await, ["DELIVERED"]);
    let reason = shop.outcomes().await["r-1003-L-8"][0]["reason"].clone();
    assert_eq!(reason, json!({"class": "operator", "code": "DISCARDED", "message": "sent twice"}));
    // The name that it waited for comes too late.
    shop.take(&[a_line_alias("1001", "L-8")]).await;
    shop.settled().await;
    let report = shop.assert_clean().await;
    assert_eq!(report.violations, 0);
    assert_eq!(shop.simulator.order("B-1001").unwrap().returns.len(), 0);
    let listed = bwp_sync(&shop, &["events", "list", "--class", "operator"]).await;
    assert_eq!((listed.code, listed.out.lines().count()), (0, 4), "{}", listed.out);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_explained_whatever_it_waits_for() {
    let shop = open(&[]).await;
    let away = Answer::Errors { kind: "ThrottlingError".into(), code: Some("ThrottlingException".into()), retry_after: None };
    shop.simulator.faults().one(rule("1002", away));
    shop.take(&[a_return("1001", "L-8"), a_refund("1002", "late"), a_refund("1003", "fine")]).await;
    until(&shop, "WAITING", 1).await;
    until(&shop, "RETRYING", 1).await;
    until(&shop, "DELIVERED", 1).await;

    let waiting = bwp_sync(&shop, &["explain", "B-1001"]).await;
    assert_eq!(waiting.code, 0, "{}", waiting.err);
    for says in [
        "/oms r-1001-L-8 (return) waits for line item EXTERNAL_ITEM_ID L-8 since ",
        "; it is given up at ",
        "line item EXTERNAL_ITEM_ID L-1: stands for line-1, said by Buy with Prime",
        "its next turn is at ",
    ] {
        assert!(waiting.out.contains(says), "{says}: {}", waiting.out);
    }
    let told = bwp_sync(&shop, &["explain", "B-1001", "--output", "json"]).await.json()[0]["story"]["now"][0].clone();
    let told = told.as_str().unwrap();
    let (since, end) = told.split_once(" since ").and_then(|(_, rest)| rest.split_once("; it is given up at ")).unwrap();
    let hours = |from: &str, to: &str| {
        let at = |text: &str| chrono::DateTime::parse_from_rfc3339(text).unwrap();
        (at(to) - at(from)).num_hours()
    };
    assert_eq!(hours(since, end), 72, "{told}");
    let retrying = bwp_sync(&shop, &["explain", "1002", "--type", "EXTERNAL_ID"]).await;
    for says in [
        "/oms f-late (refund) is to be tried again",
        "refund EXTERNAL_REFUND_ID RF-late failed ",
        "; it is tried again at ",
        "ThrottlingException",
        "request: {",
        r#""payer":{"billingAddress""#,
        "***",
    ] {
        assert!(retrying.out.contains(says), "{says}: {}", retrying.out);
    }
    let settled = bwp_sync(&shop, &["explain", "1003"]).await;
    for says in [
        "/oms f-fine (refund) ended DELIVERED after 1 mutation",
        "every event of it is settled",
        "nothing, until an event comes",
        "HTTP 200 after ",
    ] {
        assert!(settled.out.contains(says), "{says}: {}", settled.out);
    }
    assert!(!format!("{}{}{}", waiting.out, retrying.out, settled.out).contains(MARK));
    let unknown = bwp_sync(&shop, &["explain", "9999"]).await;
    assert_eq!((unknown.code, unknown.err.contains("no order is known by the name 9999")), (1, true), "{}", unknown.err);
    shop.assert_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_is_forgotten_leaves_no_payer_behind() {
    let shop = open(&[]).await;
    shop.simulator.faults().one(rule("1001", refused()));
    let mut unreadable = a_refund("1001", "bad");
    unreadable.data["state"] = json!("NO_STATE");
    shop.take(&[a_refund("1001", "dead"), unreadable]).await;
    until(&shop, "DEAD", 1).await;
    shop.simulator.faults().clear();
    let away = Answer::Status { status: 503, body: Body::default(), retry_after: None };
    shop.simulator.faults().one(rule("1001", away));
    shop.take(&[a_refund("1001", "unsent")]).await;
    wait_until("a call that failed", PATIENCE, async || {
        let told = bwp_sync(&shop, &["explain", "1001"]).await.out;
        if told.contains("HTTP 503") { Ok(()) } else { Err(told) }
    })
    .await;
    let masked = bwp_sync(&shop, &["events", "show", "/oms", "f-dead"]).await;
    assert_eq!((masked.code, masked.out.contains(MARK)), (0, false), "{}", masked.out);
    let raw = bwp_sync(&shop, &["events", "show", "/oms", "f-dead", "--raw"]).await;
    assert!(raw.out.contains(MARK), "{}", raw.out);

    let dry = bwp_sync(&shop, &["forget", "1001", "--dry-run"]).await;
    assert_eq!(dry.code, 0, "{}{}", dry.out, dry.err);
    assert!(!marked(&shop).await.is_empty());
    assert_eq!(bwp_sync(&shop, &["forget", "1001"]).await.code, 2);
    let kept = bwp_sync(&shop, &["forget", "1001", "--yes"]).await;
    assert_eq!(kept.code, 1, "{}{}", kept.out, kept.err);
    assert!(kept.out.contains("kept: the payer in /oms f-unsent, since it has still to be sent"), "{}", kept.out);
    assert_eq!(marked(&shop).await, ["work"]);

    shop.simulator.faults().clear();
    shop.settled().await;
    let done = bwp_sync(&shop, &["forget", "1001", "--yes", "--reason", "the customer asked", "--output", "json"]).await;
    assert_eq!((done.code, &done.json()["result"]["stillToSend"]), (0, &json!([])), "{}{}", done.out, done.err);
    assert_eq!(marked(&shop).await, [""; 0]);
    let told = bwp_sync(&shop, &["explain", "1001"]).await.out;
    assert!(told.contains("erased personal data in ") && told.contains("because: the customer asked"), "{told}");
    // What died can still be retried, without its payer.
    let retried = bwp_sync(&shop, &["events", "retry", "--order", "1001"]).await;
    assert_eq!((retried.code, retried.out.as_str()), (0, "retried 1 event\n  1 DEAD InvalidInput\n"), "{}", retried.err);
    shop.settled().await;
    shop.assert_clean().await;
}

/// The tables in which the marked payer stands, as text or as bytes.
async fn marked(shop: &Shop) -> Vec<String> {
    let pool = shop.database.pool().await;
    let tables: Vec<String> = sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        .fetch_all(&pool)
        .await
        .unwrap();
    let hex: String = MARK.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut marked = Vec::new();
    for table in tables {
        let sql = format!("SELECT count(*) FROM {table} AS t WHERE t::text LIKE '%{MARK}%' OR t::text LIKE '%{hex}%'");
        let count: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&pool).await.unwrap();
        if count > 0 {
            marked.push(table);
        }
    }
    marked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_had_no_target_is_taken_in_anew_once_it_is_configured() {
    let mut shop = open(&[]).await;
    let eu = |event: Event| event.with("target", "eu");
    let events = [eu(a_line_alias("1001", "L-8")), eu(a_return("1001", "L-8"))];
    shop.take(&events).await;
    until(&shop, "DEAD", 2).await;
    let not_yet = bwp_sync(&shop, &["events", "retry", "--code", "UNKNOWN_TARGET"]).await;
    assert_eq!((not_yet.code, not_yet.out.contains("2 events: its target is not configured")), (1, true), "{}", not_yet.out);
    shop.assert_clean().await;

    shop.stop().await;
    let own = shop.settings.targets["default"].clone();
    shop.settings.targets.insert("eu".into(), own);
    let simulator = shop.simulator.options().clone();
    let settings = [
        format!("targets.eu.endpoint={}", shop.simulator.endpoint()),
        format!("targets.eu.token_endpoint={}", shop.simulator.token_endpoint()),
        format!("targets.eu.target_id={}", simulator.target_id),
        format!("targets.eu.client_id={}", simulator.client_id),
        format!("targets.eu.client_secret={}", simulator.client_secret),
        "targets.eu.environment=sandbox".to_owned(),
    ];
    let mut arguments = vec!["events", "retry", "--code", "UNKNOWN_TARGET", "--output", "json"];
    settings.iter().for_each(|setting| arguments.extend(["--set", setting]));
    let retried = bwp_sync(&shop, &arguments).await;
    assert_eq!((retried.code, &retried.json()["result"]["done"]), (0, &json!(2)), "{}{}", retried.out, retried.err);
    shop.start();
    shop.settled().await;
    assert_eq!(statuses(&shop, "a-1001-L-8").await, ["DEAD", "NOTHING_TO_SEND"]);
    assert_eq!(statuses(&shop, "r-1001-L-8").await, ["DEAD", "DELIVERED"]);
    let shown = bwp_sync(&shop, &["events", "show", "/oms", "r-1001-L-8", "--output", "json"]).await.json();
    let ids: Vec<&Value> = shown["outcomes"].as_array().unwrap().iter().map(|outcome| &outcome["id"]).collect();
    assert_eq!(ids, ["/oms#r-1001-L-8#1", "/oms#r-1001-L-8#2"], "{shown:#}");
    shop.assert_clean().await;
}
