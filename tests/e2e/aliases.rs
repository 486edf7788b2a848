//! `aliases import`, `get` and `export`: the built program beside a dispatcher that runs.

use crate::shop::{Shop, order};
use crate::sound::assert_sound;
use crate::support::events::{Event, Kind};
use crate::support::{PATIENCE, wait_until};
use bwp_simulator::Options;
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

const BWP: &str = "322-ABC1-AAAAAA";

/// What a command said, and its exit code.
struct Said {
    out: String,
    err: String,
    code: i32,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }
}

fn aliases(shop: &Shop, arguments: &[&str], input: &str) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bwp-sync"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BWP_SYNC__")) {
        command.env_remove(name);
    }
    command.args(["--set", &format!("database.url={}", shop.database.url), "--set", "targets.default.target_id=t", "aliases"]);
    command.args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { out: text(stdout), err: text(stderr), code: status.code().unwrap() }
}

fn import(shop: &Shop, rows: &str) -> Value {
    let said = aliases(shop, &["import", "-", "--output", "json"], rows);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    said.json()
}

/// The counts of a report: new, same, replaced, outranked, conflicting, wrong.
fn counts(report: &Value) -> [u64; 6] {
    ["new", "same", "replaced", "outranked", "conflicting", "wrong"].map(|word| report[word].as_u64().unwrap())
}

fn order_row(id: &str, bwp_id: Value) -> Value {
    json!({"kind": "ORDER", "alias": {"type": "EXTERNAL_ID", "id": id}, "bwpId": bwp_id})
}

fn line_row(order: Value, sku: &str, bwp_id: Value) -> Value {
    json!({"kind": "LINE_ITEM", "alias": {"type": "SKU", "id": sku}, "bwpId": bwp_id, "order": order})
}

fn lines(rows: &[Value]) -> String {
    rows.iter().map(|row| row.to_string() + "\n").collect()
}

fn a_return(id: &str, order: Value) -> Event {
    let data = json!({"order": order, "return": {"id": format!("RMA-{id}")}, "state": "CREATED",
        "lines": [{"line": {"alias": {"type": "SKU", "id": "B-42"}}, "quantity": 1}]});
    Event::new(Kind::Return, id, data)
}

async fn done(shop: &Shop) {
    wait_until("everything to be sent", PATIENCE, async || {
        let totals = shop.ledger.totals().await.unwrap();
        if totals.backlog.total() == 0 { Ok(()) } else { Err(format!("{totals:?}")) }
    })
    .await;
}

async fn count(shop: &Shop, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&shop.database.pool().await).await.unwrap()
}

#[tokio::test]
async fn an_import_wakes_exactly_what_waits_for_it() {
    let shop = Shop::open(Options::default(), &["dispatch.coalesce=off"]).await;
    shop.simulator.seed_order(order(BWP, "1001")).unwrap();
    shop.simulator.seed_order(order("322-ABC1-BBBBBB", "1002")).unwrap();
    shop.take(&[a_return("r-1", json!({"id": "1001"})), a_return("r-2", json!({"id": "1002"}))]).await;
    wait_until("both to wait", PATIENCE, async || {
        let waiting = shop.ledger.totals().await.unwrap().backlog.waiting;
        if waiting == 2 { Ok(()) } else { Err(waiting.to_string()) }
    })
    .await;
    let waiting = shop.ledger.waiting().await.unwrap();
    assert_eq!((waiting.kinds.get("LINE_ITEM"), waiting.kinds.len()), (Some(&2), 1));
    assert!(waiting.oldest < PATIENCE, "{waiting:?}");
    let report = import(&shop, &lines(&[line_row(json!({"id": "1001"}), "B-42", json!("line-1"))]));
    assert_eq!(counts(&report), [1, 0, 0, 0, 0, 0]);
    wait_until("the one to be sent", PATIENCE, async || {
        let totals = shop.ledger.totals().await.unwrap();
        if totals.backlog.total() == 1 { Ok(()) } else { Err(format!("{totals:?}")) }
    })
    .await;
    assert_eq!(shop.outcome("r-1").await.0, "DELIVERED");
    assert_eq!(shop.settled().await.backlog.waiting, 1);
    // The order is named by Buy with Prime's id here, which leads to the same lane.
    import(&shop, &lines(&[line_row(json!({"bwpId": "322-ABC1-BBBBBB"}), "B-42", json!("line-1"))]));
    done(&shop).await;
    assert_eq!(shop.outcome("r-2").await.0, "DELIVERED");
    let act: (String, Value) =
        sqlx::query_as("SELECT what, subject FROM act ORDER BY id LIMIT 1").fetch_one(&shop.database.pool().await).await.unwrap();
    assert_eq!((act.0.as_str(), &act.1["rows"]["new"]), ("aliases import", &json!(1)));
    shop.assert_clean().await;
}

#[tokio::test]
async fn orders_are_tied_whichever_row_comes_first() {
    let mut shop = Shop::open(Options::default(), &[]).await;
    shop.stop().await;
    for id in ["AAAAAA", "BBBBBB", "CCCCCC"] {
        shop.simulator.seed_order(order(&format!("322-ABC1-{id}"), &format!("other-{id}"))).unwrap();
    }
    let bwp = |id: &str| json!({"bwpId": format!("322-ABC1-{id}")});
    // One waits under its alias, one under Buy with Prime's id, one under both.
    let events = [
        a_return("r-1", json!({"id": "1"})),
        a_return("r-2", bwp("BBBBBB")),
        a_return("r-3", json!({"id": "3"})),
        a_return("r-4", bwp("CCCCCC")),
    ];
    shop.take(&events).await;
    let mut rows = Vec::new();
    for (id, bwp_id) in [("1", "AAAAAA"), ("2", "BBBBBB"), ("3", "CCCCCC")] {
        rows.push(line_row(json!({"id": id}), "B-42", json!("line-1")));
        rows.push(order_row(id, json!(format!("322-ABC1-{bwp_id}"))));
        rows.push(json!({"kind": "ORDER", "alias": {"type": "SECOND", "id": id}, "bwpId": format!("322-ABC1-{bwp_id}")}));
    }
    rows.push(line_row(json!({"alias": {"type": "SECOND", "id": "2"}}), "C-1", json!("line-2")));
    // An order of which nobody has heard.
    rows.push(line_row(json!({"id": "4"}), "B-42", json!("line-9")));
    rows.reverse();
    assert_eq!(counts(&import(&shop, &lines(&rows))), [11, 0, 0, 0, 0, 0]);
    assert_eq!(count(&shop, "SELECT count(*) FROM lane WHERE merged_into IS NULL").await, 4);
    assert_eq!(counts(&import(&shop, &lines(&rows))), [0, 11, 0, 0, 0, 0]);
    shop.start();
    done(&shop).await;
    for id in ["r-1", "r-2", "r-3", "r-4"] {
        assert_eq!(shop.outcome(id).await.0, "DELIVERED", "{id}");
    }
    shop.assert_clean().await;
}

#[tokio::test]
async fn an_import_ranks_below_the_topic_and_below_buy_with_prime() {
    let shop = Shop::open(Options::default(), &[]).await;
    shop.simulator.seed_order(order(BWP, "1001")).unwrap();
    let order = json!({"id": "1001"});
    let topic = |id: &str, row: Value| Event::new(Kind::Alias, id, row);
    shop.take(&[topic("a-1", line_row(order.clone(), "S-1", json!("line-1")))]).await;
    // The order is read for the return, and Buy with Prime says what L-1 is.
    shop.take(&[a_return("r-1", order.clone())]).await;
    shop.settled().await;
    let bwp_row =
        |id: &str| json!({"kind": "LINE_ITEM", "alias": {"type": "EXTERNAL_ITEM_ID", "id": "L-1"}, "bwpId": id, "order": order});
    let report = import(&shop, &lines(&[line_row(order.clone(), "S-1", json!("line-2")), bwp_row("line-2"), bwp_row("line-1")]));
    assert_eq!(counts(&report), [0, 1, 0, 1, 1, 0], "{report:#}");
    assert_eq!(report["conflictingLines"][0]["met"]["origin"], "bwp");
    let report = import(&shop, &lines(&[line_row(order.clone(), "N-1", json!("line-1"))]));
    assert_eq!(counts(&report), [1, 0, 0, 0, 0, 0]);
    let report = import(&shop, &lines(&[line_row(order.clone(), "N-1", json!("line-2"))]));
    assert_eq!(counts(&report), [0, 0, 1, 0, 0, 0], "a later import is newer: {report:#}");
    let contradicts = [line_row(order.clone(), "M-1", json!("line-1")), line_row(order.clone(), "M-1", json!("line-2"))];
    assert_eq!(counts(&import(&shop, &lines(&contradicts))), [1, 0, 0, 0, 1, 0]);
    // By the topic it is recorded too.
    shop.take(&[topic("a-2", line_row(order.clone(), "N-1", Value::Null))]).await;
    assert_eq!(counts(&import(&shop, &lines(&[line_row(order.clone(), "N-1", json!("line-1"))]))), [0, 0, 0, 1, 0, 0]);
    let got = aliases(&shop, &["get", "--order", "1001", "--id", "N-1", "--output", "json"], "");
    assert_eq!(got.code, 0, "{}", got.err);
    let got = got.json();
    assert_eq!((&got["bwpId"], &got["origin"], &got["order"]["bwpId"]), (&Value::Null, &json!("topic"), &json!(BWP)), "{got:#}");
    let replaced: Vec<&Value> = got["replaced"].as_array().unwrap().iter().map(|old| &old["bwpId"]).collect();
    assert_eq!(replaced, [&json!("line-2"), &json!("line-1")]);
    assert_eq!(shop.ledger.waiting().await.unwrap().changes, 2);
    assert_eq!(aliases(&shop, &["get", "--id", "nobody"], "").code, 1);
    assert_eq!(aliases(&shop, &["get", "--id", "S-1", "--target", "nowhere"], "").code, 2);
    let table = aliases(&shop, &["get", "--kind", "LINE_ITEM", "--type", "SKU", "--id", "N-1"], "").out;
    assert!(table.contains("replaced line-2 (from an import)"), "{table}");
    assert_sound(&shop.ledger).await;
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let shop = Shop::open(Options::default(), &[]).await;
    shop.simulator.seed_order(order(BWP, "1001")).unwrap();
    shop.take(&[a_return("r-1", json!({"id": "1001"}))]).await;
    assert_eq!(shop.settled().await.backlog.waiting, 1);
    let rows = lines(&[line_row(json!({"id": "1001"}), "B-42", json!("line-1")), order_row("1002", json!("322-ABC1-BBBBBB"))]);
    let said = aliases(&shop, &["import", "-", "--dry-run"], &rows);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.starts_with("2 lines: 2 new, 0 the same") && said.out.contains("nothing was kept"), "{}", said.out);
    let all = "SELECT (SELECT count(*) FROM order_name WHERE id IN ('1002', '322-ABC1-BBBBBB'))
        + (SELECT count(*) FROM name WHERE id = 'B-42') + (SELECT count(*) FROM act)";
    assert_eq!(count(&shop, all).await, 0);
    assert_eq!(shop.settled().await.backlog.waiting, 1);
    shop.assert_clean().await;
}

#[tokio::test]
async fn wrong_lines_are_told_and_the_rest_is_taken() {
    let shop = Shop::open(Options::default(), &[]).await;
    let good = order_row("1001", json!(BWP)).to_string();
    let file = format!(
        "{good}\nnot json\n\n{}\n{}\n{}\n",
        json!({"kind": "LINE_ITEM", "alias": {"type": "SKU", "id": "B"}, "bwpId": "li-1"}),
        json!({"kind": "ORDER", "alias": {"type": "T", "id": " x"}, "bwpId": "322"}),
        json!({"kind": "PALLET", "alias": {"type": "T", "id": "x"}, "bwpId": "322"}),
    );
    let said = aliases(&shop, &["import", "-", "--output", "json"], &file);
    assert_eq!(said.code, 1);
    let report = said.json();
    assert_eq!(counts(&report), [1, 0, 0, 0, 0, 4]);
    let wrong: Vec<(u64, &str, &str)> = report["wrongLines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|wrong| (wrong["line"].as_u64().unwrap(), wrong["code"].as_str().unwrap(), wrong["pointer"].as_str().unwrap()))
        .collect();
    assert_eq!(
        wrong,
        [(2, "NOT_JSON", ""), (4, "MISSING_MEMBER", "/order"), (5, "BAD_ID", "/alias/id"), (6, "BAD_VALUE", "/kind")]
    );
    assert_eq!(count(&shop, "SELECT count(*) FROM order_name WHERE origin = 0").await, 1);
    assert_eq!(aliases(&shop, &["import", "/no/such/file"], "").code, 2);
    assert_eq!(aliases(&shop, &["import", "-", "--format", "csv"], "a,b\n").code, 2);
}

#[tokio::test]
async fn what_is_exported_can_be_imported_to_the_same_table() {
    let shop = Shop::open(Options::default(), &[]).await;
    let own = json!({"alias": {"type": "EXTERNAL_ID", "id": "Größe/1001"}});
    let mut versioned = order_row("Größe/1001", json!(BWP));
    versioned["version"] = json!(9_007_199_254_740_991_u64);
    let long = "ñ".repeat(256);
    let rows = [
        versioned,
        order_row("gone", Value::Null),
        line_row(own.clone(), "a,\"b\"", json!("line-1")),
        line_row(own.clone(), "A,\"B\"", json!("line-2")),
        line_row(own, &long, Value::Null),
        line_row(json!({"bwpId": "322-ABC1-BBBBBB"}), "only", json!("line-3")),
        json!({"kind": "RETURN", "alias": {"type": "R", "id": "1"}, "bwpId": "ret-1", "order": {"id": "1002"}}),
    ];
    assert_eq!(counts(&import(&shop, &lines(&rows))), [7, 0, 0, 0, 0, 0]);
    let json = aliases(&shop, &["export"], "").out;
    let csv = aliases(&shop, &["export", "--format", "csv"], "").out;
    assert_eq!(json.lines().count(), 7, "{json}");
    let copy = Shop::open(Options::default(), &[]).await;
    assert_eq!(counts(&import(&copy, &json)), [7, 0, 0, 0, 0, 0]);
    assert_eq!(aliases(&copy, &["export"], "").out, json);
    let copy = Shop::open(Options::default(), &[]).await;
    let said = aliases(&copy, &["import", "-", "--format", "csv"], &csv);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert_eq!(aliases(&copy, &["export", "--format", "csv"], "").out, csv);
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.jsonl", copy.database.name));
    std::fs::write(&file, &json).unwrap();
    let event = json!({"specversion": "1.0", "id": "e-1", "source": "/oms", "type": "oms.return.v1", "time": "2026-01-05T10:00:00Z",
        "data": {"order": {"alias": {"type": "EXTERNAL_ID", "id": "Größe/1001"}}, "return": {"id": "RMA-1"}, "state": "CREATED",
            "lines": [{"line": {"alias": {"type": "SKU", "id": "A,\"B\""}}, "quantity": 1}]}});
    let mut map = Command::new(env!("CARGO_BIN_EXE_bwp-sync"));
    map.args(["map", "--output", "json", "--aliases"]).arg(&file).arg("-").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = map.spawn().unwrap();
    child.stdin.take().unwrap().write_all(event.to_string().as_bytes()).unwrap();
    let mapped = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(mapped.contains("\"line-2\"") && mapped.contains(BWP), "{mapped}");
}

/// Orders with their row and four lines each; the file names them in an order of its own.
async fn import_many(rows: u64) {
    let shop = Shop::open(Options::default(), &[]).await;
    let mut file = String::new();
    for at in 0..rows / 5 {
        let order = format!("{}", at * 7919 % (rows / 5));
        let own = json!({"id": order});
        (0..4).for_each(|line| {
            file.push_str(&(line_row(own.clone(), &format!("S-{line}"), json!(format!("li-{order}-{line}"))).to_string() + "\n"))
        });
        file.push_str(&(order_row(&order, json!(format!("322-{order}"))).to_string() + "\n"));
    }
    for expected in [[rows, 0, 0, 0, 0, 0], [0, rows, 0, 0, 0, 0]] {
        let began = Instant::now();
        assert_eq!(counts(&import(&shop, &file)), expected);
        let took = began.elapsed().as_secs_f64();
        println!("{rows} rows, {} new, in {took:.1} s: {:.0} a second", expected[0], rows as f64 / took);
    }
    assert_eq!(count(&shop, "SELECT count(*) FROM lane WHERE merged_into IS NULL AND next_at IS NULL").await as u64, rows / 5);
    let began = Instant::now();
    let exported = aliases(&shop, &["export"], "");
    println!("exported in {:.1} s", began.elapsed().as_secs_f64());
    assert_eq!(exported.out.lines().count() as u64, rows);
}

#[tokio::test]
async fn a_hundred_thousand_rows() {
    import_many(100_000).await;
}

#[tokio::test]
#[ignore = "takes a minute; benches/import.rs has the figures"]
async fn a_million_rows() {
    import_many(1_000_000).await;
}
