//! Secrets and payers are in no log, metric, state, outcome or answer of a command. Dead letters are the originals and carry what
//! those carried; `map` prints the mutations of its own input; `events show --raw` says that it shows all.

use crate::collector::Collector;
use crate::marked::{self, CLIENT_SECRET, DATABASE_PASSWORD, HEADER, ORDERS, SASL_PASSWORD, TRACE_ID, found};
use crate::service::Service;
use crate::support::PATIENCE;
use crate::support::daemon::{Builder, Daemon};
use crate::support::events::{Envelope, Event};
use crate::support::kafka::{Record, consume_all, consume_present};
use crate::support::wait_until;
use bwp_simulator::Script;
use serde_json::Value;

/// Nothing of what is marked is in a text.
fn assert_clean(what: &str, text: &str) {
    let shown: Vec<(&str, Vec<String>)> =
        text.lines().map(|line| (line, found(line))).filter(|(_, found)| !found.is_empty()).collect();
    assert!(shown.is_empty(), "{what} shows {shown:#?}");
}

/// What a command says, which is clean.
fn said(builder: &Builder, arguments: &[&str]) -> String {
    let output = builder.command(arguments);
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_clean(&arguments.join(" "), &text);
    assert!(!text.contains("panicked"), "{text}");
    text
}

/// The same settings, with every secret marked.
fn with_secrets(service: &Service, format: &str) -> Builder {
    let url = service.database.url.replace("postgres@", &format!("postgres:{DATABASE_PASSWORD}@"));
    assert!(url.contains(DATABASE_PASSWORD));
    [
        ("database.url", url.as_str()),
        ("kafka.properties.sasl_username", "somebody"),
        ("kafka.properties.sasl_password", SASL_PASSWORD),
        ("targets.default.headers.x_api_access_key", HEADER),
        ("ingest.poison_share", "1"),
        ("log.level", "debug"),
        ("log.format", format),
    ]
    .into_iter()
    .fold(service.builder.clone(), |builder, (key, value)| builder.set(key, value))
}

/// Everything happens that can happen to an event with a payer in it.
async fn everything_happens(service: &Service) {
    let events = marked::events();
    let (contradiction, first): (Vec<&Event>, Vec<&Event>) = events.iter().partition(|event| event.id() == "contradicts-ff");
    for (event, envelope) in first.iter().zip(Envelope::ALL.into_iter().cycle()) {
        service.topics.publish(event, envelope).await;
    }
    let unreadable = marked::unreadable();
    service.topics.produce_all(&service.topics.refunds, &unreadable).await;
    // One waits, and one is refused in words that nobody knows, again and again.
    let settled = (first.len() - 2 + unreadable.len()) as i64;
    service.totals("all others to be settled", PATIENCE, |totals| totals.finals == settled).await;
    service.topics.publish(contradiction[0], Envelope::Binary).await;
    service.totals("the contradiction, too", PATIENCE, |totals| totals.finals == settled + 1).await;
}

async fn nothing_is_shown(format: &str) {
    let service = Service::open(1, marked::simulated()).await;
    assert_eq!(service.simulator.options().client_secret, CLIENT_SECRET);
    service.simulator.seed_orders(marked::seeds()).unwrap();
    service.simulator.faults().set(Script { rules: marked::faults(), seed: 0 });
    let builder = with_secrets(&service, format);
    let collector = Collector::start().await;
    let mut daemon = builder.clone().env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.address).start();
    daemon.wait_ready().await;
    everything_happens(&service).await;

    let sent = serde_json::to_string(&service.simulator.requests()).unwrap();
    assert!(found(&sent).len() >= 5, "the payers were never sent: {:?}", found(&sent));
    outcomes_are_clean(&service).await;
    pages_are_clean(&daemon).await;
    commands_are_clean(&service, &builder);
    assert_eq!(daemon.terminate(PATIENCE).await.code(), Some(0));
    assert!(collector.spans().len() > marked::events().len(), "{}", collector.text());
    assert_clean("the traces", &collector.text());
    let log = daemon.log();
    assert!(log.contains("DEBUG"), "this is no debug log: {log}");
    assert_eq!(log.lines().next().unwrap().starts_with('{'), format == "json");
    for (order, outcome) in [("whole", "DELIVERED"), ("refused", "DEAD"), ("lost", "CONFIRMED")] {
        let has = |line: &&str| line.contains(outcome) && line.contains(order) && line.contains("settled");
        assert!(log.lines().any(|line| has(&line)), "{order} {outcome}: {log}");
    }
    if format == "json" {
        assert_is_good_json(&log);
    }
    assert_clean("the log", &log);
}

/// Every line is one object, no member of it twice; a settled event has all that its outcome is known by.
fn assert_is_good_json(log: &str) {
    for line in log.lines().filter(|line| !line.contains("\"DEBUG\"")) {
        // JSON is YAML, and this reader of it refuses what is there twice.
        let read: Result<Value, _> = serde_saphyr::from_str(line);
        let object = read.unwrap_or_else(|error| panic!("{error}: {line}"));
        for member in ["timestamp", "level", "message", "target"] {
            assert!(object[member].is_string(), "no {member}: {line}");
        }
        if object["message"] == "settled" {
            for member in ["order", "source", "event", "kind", "outcome"] {
                assert!(object[member].is_string(), "no {member}: {line}");
            }
            assert!(object["attempts"].is_u64(), "{line}");
            let traced = object["event"] == "refused-f";
            assert_eq!(object["trace_id"], if traced { TRACE_ID.into() } else { Value::Null }, "{line}");
        }
    }
}

async fn outcomes_are_clean(service: &Service) {
    let outcomes = &service.topics.outcomes;
    let enough = |records: &[Record]| records.len() >= marked::events().len() - 2 + marked::unreadable().len();
    let records = consume_all(outcomes, enough, PATIENCE).await;
    for record in records {
        let outcome: Value = record.json();
        assert_clean("an outcome", &format!("{outcome:#}"));
    }
    let dead = wait_until("all dead letters", PATIENCE, async || {
        let dead = consume_present(&service.topics.dead_letters).await;
        if dead.len() >= marked::unreadable().len() + 3 { Ok(dead) } else { Err(dead.len().to_string()) }
    })
    .await;
    for letter in &dead {
        let ours = letter.headers.iter().filter(|(name, _)| name.starts_with("x-bwp-sync-"));
        ours.for_each(|(name, value)| assert_clean(name, &String::from_utf8_lossy(value.as_deref().unwrap())));
    }
    // The originals do carry what is looked for: it was there to be shown.
    assert!(dead.iter().all(|letter| !found(&String::from_utf8_lossy(letter.value.as_deref().unwrap())).is_empty()));
}

async fn pages_are_clean(daemon: &Daemon) {
    for page in ["/metrics", "/state", "/readyz", "/livez"] {
        let text = daemon.page(page).await.unwrap();
        assert_clean(page, &text);
        assert!(page != "/metrics" || text.contains("bwp_sync_unlisted_errors_total{code=\"***\"}"), "{text}");
    }
}

fn commands_are_clean(service: &Service, builder: &Builder) {
    assert!(said(builder, &["check"]).contains("postgres:***@"));
    said(builder, &["check", "--output", "json"]);
    said(builder, &["doctor"]);
    for order in ORDERS.into_iter().filter(|order| *order != "elsewhere") {
        assert!(said(builder, &["explain", order]).contains(order));
        said(builder, &["explain", order, "--output", "json"]);
        said(builder, &["forget", order, "--dry-run"]);
        said(builder, &["aliases", "get", "--order", order]);
    }
    let all: Value = serde_json::from_slice(&builder.command(&["events", "list", "--output", "json"]).stdout).unwrap();
    said(builder, &["events", "list"]);
    said(builder, &["events", "list", "--output", "json"]);
    let listed = all.as_array().unwrap();
    assert!(listed.len() >= marked::events().len(), "{all:#}");
    for event in listed.iter().filter(|event| event["source"].is_string()) {
        let name = [event["source"].as_str().unwrap(), event["id"].as_str().unwrap()];
        said(builder, &["events", "show", name[0], name[1]]);
        said(builder, &["events", "show", name[0], name[1], "--output", "json"]);
    }
    // What could not be read is shown by its outcome.
    let topic = &service.topics.refunds;
    let shown = (0..20).map(|offset| said(builder, &["events", "show", &format!("{topic}/0/{offset}")]));
    assert!(shown.filter(|text| text.contains("QUARANTINED")).count() >= 3);
    map_is_clean(builder);
}

/// `map` prints what it was given, and nothing of it anywhere else.
fn map_is_clean(builder: &Builder) {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.jsonl", uuid::Uuid::new_v4()));
    let events = marked::events().into_iter().map(|event| event.structured().to_string());
    let unreadable = marked::unreadable().into_iter().map(|record| String::from_utf8(record.value.unwrap()).unwrap());
    std::fs::write(&file, events.chain(unreadable).collect::<Vec<_>>().join("\n")).unwrap();
    let output = builder.command(&["map", "--output", "json", file.to_str().unwrap()]);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_clean("the errors of map", &String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let mut reasons = 0;
    for line in lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        reasons += usize::from(line["reason"].is_object());
        assert_clean("a reason of map", &line["reason"].to_string());
    }
    assert!(reasons >= marked::unreadable().len(), "{lines}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_shown_in_json_logs_and_wherever_else_anybody_looks() {
    nothing_is_shown("json").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_shown_in_pretty_logs() {
    nothing_is_shown("pretty").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_error_of_a_wrong_configuration_shows_a_secret() {
    let service = Service::open(1, marked::simulated()).await;
    let fine = with_secrets(&service, "pretty");
    let wrong = [
        ("database.url", format!("postgres:/somebody:{DATABASE_PASSWORD}")),
        ("database.url", format!("postgres://somebody:{DATABASE_PASSWORD}@host:port/name")),
        ("database.url", format!("postgres://somebody:{DATABASE_PASSWORD}@127.0.0.1:1/name")),
        ("database.url", format!("postgres://nobody:{DATABASE_PASSWORD}@{}", service.database.url.split_once('@').unwrap().1)),
        ("database.url", format!("{}?password={DATABASE_PASSWORD}&sslmode={DATABASE_PASSWORD}", service.database.url)),
        ("database.password", DATABASE_PASSWORD.to_owned()),
        ("targets.default.endpoint", format!("https://somebody:{CLIENT_SECRET}@example.com/graphql")),
        ("targets.default.token_endpoint", format!("ftp://somebody:{CLIENT_SECRET}@example.com/token")),
        ("targets.default.token_endpoint", format!("http://example.com/token?secret={CLIENT_SECRET}")),
        ("targets.default.client_secret", format!("{CLIENT_SECRET}-which-is-wrong")),
        ("targets.default.client_secret_file", "/nowhere/secret".to_owned()),
        ("targets.default.headers.x_api_access_key", format!("{HEADER}\n")),
        ("targets.default.headers.authorization", format!("{HEADER} is no name")),
        ("kafka.properties.security_protocol", "SASL_PLAINTEXT".to_owned()),
        ("kafka.properties.sasl_jaas_config", format!("password={SASL_PASSWORD}")),
        ("kafka.properties.ssl_key_pem", format!("-----BEGIN {SASL_PASSWORD}")),
    ];
    for (key, value) in wrong {
        let mut builder = fine.clone().set(key, &value);
        if key == "kafka.properties.security_protocol" {
            builder = builder.set("kafka.properties.sasl_mechanisms", "PLAIN");
        }
        let says = format!("{}{}", said(&builder, &["check"]), said(&builder, &["doctor"]));
        assert!(!says.is_empty(), "{key}");
    }
}
