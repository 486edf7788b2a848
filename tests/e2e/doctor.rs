//! `doctor`: what is wrong has its line, its exit code and its way out, and no secret is shown.

use crate::service::Service;
use crate::support::daemon::Builder;
use bwp_simulator::{Answer, Apply, Options, Rule, When};
use serde_json::Value;

/// What the command says: its exit code, and its checks by name.
struct Said {
    code: Option<i32>,
    text: String,
    checks: Vec<Value>,
}

fn doctor(builder: &Builder) -> Said {
    let output = builder.command(&["doctor", "--output", "json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let all: Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    let code = output.status.code();
    assert_eq!(all["ok"], code == Some(0));
    for check in all["checks"].as_array().unwrap() {
        assert_eq!(check["wayOut"].is_null(), check["verdict"] == "OK", "{check:#}");
    }
    Said { code, checks: all["checks"].as_array().unwrap().clone(), text }
}

impl Said {
    /// The line of this name says so, and shows the way out; no other line says FAIL.
    fn assert(&self, name: &str, verdict: &str, what: &str, way_out: &str) {
        let check = self.checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name}: {}", self.text));
        let text = |member: &str| check[member].as_str().unwrap_or_default();
        assert_eq!(text("verdict"), verdict, "{}", self.text);
        assert!(text("what").contains(what) && text("wayOut").contains(way_out), "{check:#}");
        let others = self.checks.iter().filter(|other| other["verdict"] == "FAIL" && other["name"] != name);
        assert_eq!(others.count(), 0, "{}", self.text);
        assert_eq!(self.code, Some(i32::from(verdict == "FAIL")), "{}", self.text);
    }
}

/// Nothing listens there.
const NOWHERE: &str = "127.0.0.1:1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_is_well_and_says_so() {
    let service = Service::open(3, Options::default()).await;
    service.ledger.migrate().await.unwrap();
    let said = doctor(&service.builder);
    assert_eq!(said.code, Some(0), "{}", said.text);
    for (name, what) in [
        ("kafka brokers", "answer as"),
        ("kafka group", "may be used"),
        ("postgres", "version "),
        ("postgres schema", "current"),
        ("postgres rights", "and migrate"),
        ("postgres session", "no transaction pooler"),
        ("postgres clock", " s apart"),
        ("postgres autovacuum", "on"),
        ("target default", "sandbox, API version 2024-11-01, plain HTTP on this machine"),
        ("target default: token", "obtained in"),
        ("target default: query", "answers with sense"),
    ] {
        said.assert(name, "OK", what, "");
    }
    said.assert(&format!("kafka topic {}", service.topics.refunds), "OK", "3 partitions, read", "");
    said.assert(&format!("kafka topic {}", service.topics.outcomes), "OK", "3 partitions, written", "");
    // The broker's default is smaller than a dead letter may be.
    said.assert("kafka record size", "WARN", &service.topics.dead_letters, "max.message.bytes=");
    let table = service.builder.command(&["doctor"]);
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.starts_with("OK    kafka brokers") && table.ends_with(" OK, 1 WARN, 0 FAIL\n"), "{table}");
    assert!(!table.contains('\u{1b}'), "no colours but on a terminal");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_has_its_line_and_its_way_out() {
    let service = Service::open(1, Options::default()).await;
    service.ledger.migrate().await.unwrap();
    let with = |key: &str, value: &str| doctor(&service.builder.clone().set(key, value));
    with("kafka.brokers", NOWHERE).assert("kafka brokers", "FAIL", NOWHERE, "host and port");
    let missing = format!("{}.late", service.topics.refunds);
    with("kafka.topics.refunds", &missing).assert(
        &format!("kafka topic {missing}"),
        "WARN",
        "does not exist",
        &format!("--create --topic {missing}"),
    );
    with("database.url", &format!("postgres://me:hunter2@{NOWHERE}/ledger")).assert("postgres", "FAIL", "", "the server is up");
    with("targets.default.client_secret", "hunter2").assert(
        "target default: token",
        "FAIL",
        "refused",
        "targets.default.client_secret",
    );
    with("targets.default.target_id", "bp-other").assert("target default: query", "FAIL", "", "targets.default.target_id");
    with("targets.default.token_endpoint", &format!("http://{NOWHERE}/token")).assert(
        "target default: token",
        "FAIL",
        "cannot be reached",
        "token_endpoint",
    );
    with("targets.default.endpoint", &format!("http://{NOWHERE}/graphql")).assert(
        "target default: query",
        "FAIL",
        "",
        "targets.default.endpoint",
    );
    let secret = with("targets.default.client_secret", "hunter2").text
        + &with("database.url", &format!("postgres://me:hunter2@{NOWHERE}/l")).text;
    assert!(!secret.contains("hunter2"), "{secret}");

    service.simulator.faults().one(Rule {
        when: When { operation: Some("order".to_owned()), ..When::default() },
        apply: Some(Apply::No),
        answer: Answer::Status { status: 503, body: Default::default(), retry_after: None },
        ..Rule::default()
    });
    doctor(&service.builder).assert("target default: query", "FAIL", "503", "without sense");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_is_behind_or_ahead_is_told_with_who_has_to_act() {
    let service = Service::open(1, Options::default()).await;
    let by_hand = service.builder.clone().set("database.migrate_on_start", "false");
    doctor(&service.builder).assert("postgres schema", "WARN", "pending (from 1 on)", "the next `bwp-sync run` applies them");
    doctor(&by_hand).assert("postgres schema", "FAIL", "pending", "run `bwp-sync migrate`");
    service.ledger.migrate().await.unwrap();
    let pool = service.pool().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'newer', true, '', 0)";
    sqlx::query(newer).execute(&pool).await.unwrap();
    doctor(&by_hand).assert("postgres schema", "WARN", "9999", "newer program");
    doctor(&service.builder).assert("postgres schema", "FAIL", "9999", "migrate_on_start = false");
}
