//! All 32 of Amazon's examples, end to end: the events go through Kafka, the daemon and the simulator; the example's own mutations
//! go to another simulator by hand. Then both hold the same order.

use crate::service::{SHOWS_WITHIN, Service, target};
use crate::support::kafka::{Outgoing, Topics};
use crate::support::{PATIENCE, wait_until};
use bwp_simulator::{Alias, Options, OrderSeed, PackageSeed, PackageState, RefundSeed, ReturnSeed, Simulator};
use bwp_sync::prime::documents::{UPDATE_ORDER, UPDATE_PACKAGES};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Deserialize)]
struct Example {
    #[serde(skip)]
    name: String,
    title: String,
    document: String,
    events: Vec<Value>,
    #[serde(default)]
    aliases: Vec<Value>,
    environment: Option<String>,
    coalesce: Option<String>,
    expected: Vec<Value>,
}

/// An example with its account at Buy with Prime, and another one that is called by hand.
struct Stage {
    example: Example,
    daemons: Simulator,
    by_hand: Simulator,
}

fn examples() -> Vec<Example> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/examples");
    let mut all: Vec<Example> = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mut example: Example = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        example.name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        all.push(example);
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_amazons_examples() {
    let mut stages = Vec::new();
    for example in examples() {
        let open = async || {
            let simulator = Simulator::start(Options::default()).await.unwrap();
            simulator.seed_order(seed(&example)).unwrap();
            simulator
        };
        let (daemons, by_hand) = (open().await, open().await);
        stages.push(Stage { example, daemons, by_hand });
    }
    assert_eq!(stages.len(), 32);
    let service = Service::open(1, Options::default()).await;
    // No answer may come too late: what is read instead would be CONFIRMED.
    let patient = service.builder.clone().set("dispatch.request_timeout", "20s").set("dispatch.lease", "30s");
    let builder = stages.iter().fold(patient, |builder, stage| {
        let environment = stage.example.environment.as_deref().unwrap_or("production");
        let name = &stage.example.name;
        builder.target(name, &target(&stage.daemons)).set(&format!("targets.{name}.environment"), environment)
    });
    let mut daemon = builder.start();
    let mut written = BTreeMap::new();
    for wave in waves(&stages) {
        publish(&service.topics, &wave).await;
        written.extend(wave.iter().map(|event| ((text(&event["source"]), text(&event["id"])), event.clone())));
        service.drained(written.len(), PATIENCE).await;
    }
    for (event, data) in service.outcomes_by_identity(written.len()).await {
        let expected = if written[&event]["type"] == "oms.alias.v1" { "NOTHING_TO_SEND" } else { "DELIVERED" };
        assert_eq!(data["status"], expected, "{data:#}");
    }
    for stage in &stages {
        send_by_hand(stage).await;
        let Example { name, document, title, .. } = &stage.example;
        // A package takes a moment to show its last step.
        wait_until(&format!("{name}: {document}, {title}"), SHOWS_WITHIN, async || {
            let [is, should_be] = [&stage.daemons, &stage.by_hand].map(|simulator| comparable(&simulator.orders()[0]));
            if is == should_be { Ok(()) } else { Err(format!("{is:#}\ninstead of {should_be:#}")) }
        })
        .await;
        assert!(stage.daemons.orders()[0].accepted > 0, "{name}: nothing was sent");
        let report = stage.daemons.report();
        assert_eq!(report.violations, 0, "{:#?}", report.findings);
    }
    assert_eq!(daemon.terminate(PATIENCE).await.code(), Some(0));
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// What is published together: first the alias table; then the events of a joined example at once, and of the others one by one.
fn waves(stages: &[Stage]) -> Vec<Vec<Value>> {
    let mut waves: Vec<Vec<Value>> = vec![Vec::new(); 3];
    for Stage { example, .. } in stages {
        for (n, data) in example.aliases.iter().enumerate() {
            waves[0].push(json!({"specversion": "1.0", "id": format!("a-{n}"), "type": "oms.alias.v1",
                "time": "2025-03-01T12:00:00Z", "data": data}));
        }
        for (n, event) in example.events.iter().enumerate() {
            let wave = if example.coalesce.as_deref() == Some("order") { 1 } else { n + 1 };
            waves[wave].push(event.clone());
        }
        for event in waves.iter_mut().flatten().filter(|event| event.get("target").is_none()) {
            event["target"] = example.name.clone().into();
            event["source"] = format!("/oms/{}", example.name).into();
        }
    }
    waves
}

async fn publish(topics: &Topics, events: &[Value]) {
    let mut records: BTreeMap<&str, Vec<Outgoing>> = BTreeMap::new();
    for event in events {
        let topic = match event["type"].as_str().unwrap() {
            "oms.return.v1" => &topics.returns,
            "oms.refund.v1" => &topics.refunds,
            "oms.shipment.v1" => &topics.shipments,
            "oms.order.v1" => &topics.orders,
            _ => &topics.aliases,
        };
        let key = event.pointer("/data/order/bwpId").and_then(Value::as_str).unwrap_or_default();
        records.entry(topic).or_default().push(Outgoing::raw(Some(key.as_bytes()), Some(event.to_string().as_bytes())));
    }
    for (topic, records) in records {
        topics.produce_all(topic, &records).await;
    }
}

/// The order as it must have been before, from what the mutations name.
fn seed(example: &Example) -> OrderSeed {
    let inputs = || example.expected.iter().map(|variables| &variables["input"]);
    let identifier = &example.expected[0]["orderIdentifier"];
    let mut seed = match identifier["orderId"].as_str() {
        Some(id) => OrderSeed::new(id),
        None => OrderSeed::new("B-1")
            .alias(identifier["alias"]["aliasType"].as_str().unwrap(), identifier["alias"]["aliasId"].as_str().unwrap()),
    };
    let mut lines = BTreeSet::new();
    inputs().for_each(|input| collect(input, "lineItemId", &mut lines));
    seed = lines.iter().fold(seed, |seed, id| seed.line(id, &format!("alias of {id}"), 10));
    for entry in inputs().flat_map(|input| details(&input["packageInformation"])) {
        let id = text(&entry["id"]);
        if !seed.packages.iter().any(|package| package.id.as_ref() == Some(&id)) {
            seed.packages.push(PackageSeed { id: Some(id), state: Some(state_before(entry)), ..PackageSeed::default() });
        }
    }
    for entry in inputs().flat_map(|input| details(&input["returns"])) {
        if let Some(id) = entry["returnIdentifier"]["id"].as_str() {
            seed.returns.push(ReturnSeed { id: Some(id.to_owned()), external: true, ..ReturnSeed::default() });
        }
    }
    for entry in inputs().flat_map(|input| details(&input["refunds"])) {
        if let Some(id) = entry["id"].as_str() {
            let aliases = vec![Alias::new("EXTERNAL_REFUND_ID", "external-refund-id-1")];
            seed.refunds.push(RefundSeed { id: Some(id.to_owned()), aliases, ..RefundSeed::default() });
        }
    }
    seed
}

fn details(list: &Value) -> impl Iterator<Item = &Value> {
    list["details"].as_array().into_iter().flatten()
}

/// Where a package has to be so that the example's step is a legal one.
fn state_before(entry: &Value) -> PackageState {
    let step = &entry["packageState"]["packageInformationState"];
    let is_tracked = entry["packageState"].get("packageTrackerState").is_some();
    match (is_tracked, step["state"].as_str(), step["reason"].as_str()) {
        (true, ..) | (_, Some("DELIVERED"), _) | (_, _, Some("UNDELIVERABLE")) => PackageState::InTransit,
        _ => PackageState::Pending,
    }
}

/// All texts that stand under a name, however deep.
fn collect(value: &Value, name: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                match value.as_str() {
                    Some(text) if member == name => _ = into.insert(text.to_owned()),
                    _ => collect(value, name, into),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, name, into)),
        _ => {}
    }
}

async fn send_by_hand(stage: &Stage) {
    let Stage { example, by_hand, .. } = stage;
    let (own, http) = (by_hand.options(), crate::support::ops::http());
    let form = format!("grant_type=client_credentials&client_id={}&client_secret={}", own.client_id, own.client_secret);
    let request = http.post(by_hand.token_endpoint()).header("content-type", "application/x-www-form-urlencoded").body(form);
    let token: Value = serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap();
    for variables in &example.expected {
        let is_package = details(&variables["input"]["packageInformation"]).any(|entry| entry.get("packageState").is_some());
        let query = if is_package { UPDATE_PACKAGES } else { UPDATE_ORDER };
        let request = http
            .post(by_hand.endpoint())
            .bearer_auth(token["access_token"].as_str().unwrap())
            .header("x-api-target-id", &own.target_id)
            .header("x-api-version", "2024-11-01")
            .header("content-type", "application/json")
            .body(json!({"query": query, "variables": variables}).to_string());
        // A package takes a moment to show its last step; until then the next one is refused.
        wait_until("the mutation to be accepted", PATIENCE, async || {
            let answer = request.try_clone().unwrap().send().await.unwrap().text().await.unwrap();
            if answer.contains("ConflictException") || answer.contains("PackageTrackerNotAvailable") {
                return Err(answer);
            }
            assert!(!answer.contains("\"errors\""), "{}: {answer}", example.name);
            Ok(())
        })
        .await;
    }
}

/// An order without what differs between two of the same: moments and ids that the simulator made up.
fn comparable(order: &bwp_simulator::Order) -> Value {
    let mut order = serde_json::to_value(order).unwrap();
    for list in ["returns", "refunds", "packages"] {
        for item in order[list].as_array_mut().unwrap() {
            item.as_object_mut().unwrap().remove("id");
        }
    }
    strip(&mut order);
    order["packages"].as_array_mut().unwrap().sort_by_key(Value::to_string);
    order
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(members) => {
            let is_line_of_return = members.contains_key("returnFor");
            let is_own = |name: &str| ["createdAt", "updatedAt", "occurredAt", "accepted"].contains(&name);
            members.retain(|name, _| !(is_own(name) || is_line_of_return && name == "id"));
            members.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        // 10 and 10.00 are one amount.
        Value::Number(number) => *value = json!(number.as_f64()),
        // Made from the event's source, which is not the same here.
        Value::String(text) if text.starts_with("evt-") => *value = "evt-".into(),
        _ => {}
    }
}
