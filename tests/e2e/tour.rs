//! `docs/tour.md` is a real session: its commands run here, in their order, against a real daemon, and say what the page says.
//! `UPDATE_DOCS=1` writes what they said into the page.
//!
//! Comments in the page are stage directions: `<!-- publish -->` before an event, `<!-- wait: SOURCE ID STATUS -->`,
//! `<!-- paused: TARGET -->`, `<!-- refuse: ORDER -->` and `<!-- agree -->` for Buy with Prime.

use crate::service::{Service, target};
use crate::support::daemon::{Builder, Daemon};
use crate::support::kafka::{Outgoing, Topics};
use crate::support::postgres::fresh_database;
use crate::support::{PATIENCE, wait_until};
use bwp_simulator::{Answer, Apply, Options, OrderSeed, Rule, Simulator, When};
use bwp_sync::event::Identity;
use bwp_sync::ledger::Ledger;
use bwp_sync::ledger::events::EventName;
use regex::Regex;
use serde_json::Value;
use std::path::{Path, PathBuf};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tour.md");

/// What differs from run to run, and what stands for it while two outputs are compared.
const MASKS: [(&str, &str); 7] = [
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    (r"\b\d+(\.\d+)? (ms|s)\b", "DURATION"),
    (r"127\.0\.0\.1:\d+", "ADDRESS"),
    (r"\b[0-9a-f]{64}\b", "ID"),
    (r"version \d+\.\d+ [^,]*", "VERSION"),
    (r"\d+ of the server's \d+", "CONNECTIONS"),
    (" +", " "),
];

fn masked(text: &str) -> String {
    let mask = |text: String, (pattern, with): &(&str, &str)| Regex::new(pattern).unwrap().replace_all(&text, *with).into_owned();
    MASKS.iter().fold(text.to_owned(), mask)
}

/// What the page is played on.
struct Stage {
    service: Service,
    directory: PathBuf,
    /// Before the names of topics, which no other test has.
    prefix: String,
}

impl Stage {
    async fn set() -> Stage {
        let (database, topics) = (fresh_database().await, Topics::create(1).await);
        let simulator = Simulator::start(Options::default()).await.unwrap();
        let prefix = topics.orders.trim_end_matches("oms.orders").to_owned();
        let builder = Builder::new(&database, &topics)
            .target("default", &target(&simulator))
            .set("targets.default.environment", "sandbox")
            .set("kafka.group_id", format!("{prefix}bwp-sync"))
            .env("USER", "ada");
        for name in ["1001", "1002", "1003"] {
            let seed = OrderSeed::new(format!("322-TOUR-{name}")).alias("EXTERNAL_ID", name);
            simulator.seed_order(seed.line("line-1", "L-1", 2).line("line-2", "L-2", 1).package("pkg-1")).unwrap();
        }
        let ledger = Ledger::new(&database.url.clone().into(), 2).unwrap();
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tour-{prefix}"));
        std::fs::create_dir_all(&directory).unwrap();
        Stage { service: Service { topics, simulator, builder, ledger, database }, directory, prefix }
    }

    async fn direct(&self, daemon: &Daemon, direction: &str) {
        let words: Vec<&str> = direction.split_whitespace().collect();
        match words[..] {
            ["wait:", source, id, status] => self.wait(source, id, status).await,
            ["refuse:", order] => self.service.simulator.faults().one(Rule {
                when: When { operation: Some("updateOrder".into()), order: Some(order.into()), ..When::default() },
                apply: Some(Apply::No),
                answer: Answer::Errors {
                    kind: "ValidationError".into(),
                    code: Some("InvalidRefundId".into()),
                    retry_after: None,
                },
                ..Rule::default()
            }),
            ["paused:", name] => {
                wait_until(&format!("{name} to stand still"), PATIENCE, async || {
                    let paused = daemon.metrics().await.get("bwp_sync_target_paused", &[("target", name)]);
                    if paused == Some(1.0) { Ok(()) } else { Err(format!("{paused:?}")) }
                })
                .await;
            }
            ["agree"] => self.service.simulator.faults().clear(),
            _ => panic!("what is `{direction}`?"),
        }
    }

    /// Waits until an event is what it should be and nobody works on its order.
    async fn wait(&self, source: &str, id: &str, status: &str) {
        let name = EventName::Identity(Identity { source: source.to_owned(), id: id.to_owned() });
        wait_until(&format!("{id} to be {status}"), PATIENCE, async || {
            let ledger = &self.service.ledger;
            let Some(detail) = ledger.event(&name).await.map_err(|error| error.to_string())? else {
                return Err("not there".to_owned());
            };
            let order = detail.event.order.clone().unwrap_or_default();
            let found = ledger.find_orders(&order, None, None).await.map_err(|error| error.to_string())?;
            let story = ledger.story(found[0].lane).await.map_err(|error| error.to_string())?.unwrap();
            let is_due = story.lane.next_at.is_some_and(|at| at <= story.now) && status != "QUEUED";
            let unpublished = ledger.oldest().await.map_err(|error| error.to_string())?.unpublished;
            if detail.event.status == status && !story.lane.is_leased && !is_due && unpublished == 0.0 {
                return Ok(());
            }
            Err(format!("{}, {:?}, unpublished for {unpublished} s", detail.event.status, story.lane))
        })
        .await;
    }

    async fn publish(&self, json: &str) {
        let event: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"));
        let topics = &self.service.topics;
        let topic = match event["type"].as_str().unwrap() {
            "oms.return.v1" => &topics.returns,
            "oms.refund.v1" => &topics.refunds,
            "oms.shipment.v1" => &topics.shipments,
            other => panic!("what is {other}?"),
        };
        let key = event["data"]["order"]["id"].as_str().unwrap();
        let record = Outgoing::raw(Some(key.as_bytes()), Some(json.as_bytes()));
        topics.produce(topic, &record.header("content-type", b"application/cloudevents+json")).await;
    }

    /// What a command says, with the names that a shop of one's own would have.
    async fn run(&self, command: &str) -> String {
        let (builder, line, directory) = (self.service.builder.clone(), command.to_owned(), self.directory.clone());
        let output = tokio::task::spawn_blocking(move || builder.shell(&line, &directory)).await.unwrap();
        let mut text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        if !output.status.success() {
            text += &format!("(exit code {})\n", output.status.code().unwrap());
        }
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let text = text.replace(&format!("ada@{}", host.trim()), "ada@laptop");
        text.lines().map(|line| without_prefix(line, &self.prefix) + "\n").collect()
    }
}

/// A line without the prefix of topics, and of `doctor`'s, without the room that it took in the column of names.
fn without_prefix(line: &str, prefix: &str) -> String {
    let is_doctors = ["OK  ", "WARN", "FAIL", "    "].iter().any(|word| line.starts_with(word));
    let line = if is_doctors { line.replacen(&" ".repeat(prefix.len() + 2), "  ", 1) } else { line.to_owned() };
    line.replace(prefix, "")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tour_is_what_really_happens() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let stage = Stage::set().await;
    let mut daemon = stage.service.builder.start();
    daemon.wait_ready().await;
    let (mut written, mut lines) = (String::new(), page.lines().peekable());
    let mut commands = 0;
    while let Some(line) = lines.next() {
        written += &format!("{line}\n");
        let direction = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->"));
        if direction == Some("publish") {
            assert_eq!(lines.peek(), Some(&"```json"), "an event comes after `publish`");
            let event: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            stage.publish(&event[1..].join("\n")).await;
            written += &format!("{}\n```\n", event.join("\n"));
        } else if let Some(direction) = direction {
            stage.direct(&daemon, direction).await;
        }
        if line != "```console" {
            continue;
        }
        while let Some(command) = lines.next_if(|line| *line != "```") {
            let mut shown = String::new();
            while let Some(line) = lines.next_if(|line| *line != "```" && !line.starts_with("$ ")) {
                shown += &format!("{line}\n");
            }
            let said = stage.run(command.strip_prefix("$ ").expect("a command")).await;
            commands += 1;
            if masked(&said) != masked(&shown) {
                let is_written = std::env::var_os("UPDATE_DOCS").is_some();
                assert!(is_written, "{command}\n{said}\nbut docs/tour.md has\n{shown}\nrun UPDATE_DOCS=1 with this test");
                shown = said;
            }
            written += &format!("{command}\n{shown}");
        }
    }
    assert!(commands > 15, "only {commands} commands were found");
    if written != page {
        std::fs::write(PAGE, written).unwrap();
    }
    stage.service.assert_clean().await;
    std::fs::remove_dir_all(&stage.directory).unwrap();
}

#[test]
fn only_what_differs_from_run_to_run_is_masked() {
    assert_eq!(masked("2026-01-05T10:00:00.123Z  DEAD  r-1"), masked("2027-11-22T00:00:00Z DEAD r-1"));
    assert_eq!(masked("answers as 127.0.0.1:9092, in 12 ms"), masked("answers as 127.0.0.1:1, in 3 ms"));
    assert_eq!(masked(&format!("stands for {}", "0f".repeat(32))), "stands for ID");
    for (one, other) in [("WAITING r-1", "WAITING r-2"), ("HTTP 200 after 1 ms", "HTTP 503 after 1 ms"), ("2 events", "3 events")]
    {
        assert_ne!(masked(one), masked(other));
    }
    assert_eq!(without_prefix("OK    kafka group             x 0123456789.oms", "0123456789."), "OK    kafka group  x oms");
    assert_eq!(without_prefix("SINCE                     STATUS", "0123456789."), "SINCE                     STATUS");
}
