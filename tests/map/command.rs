//! The command as a process: files, standard input, exit codes.

use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The exit code, standard output and standard error.
fn map(arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bwp-sync"));
    command.arg("map").args(arguments).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that ends without reading closes its end first.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("map-{}-{name}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

fn event(id: &str) -> Value {
    json!({"specversion": "1.0", "source": "/oms", "id": id, "type": "oms.order.v1", "time": "2025-03-01T12:00:00Z",
        "data": {"order": {"id": id}, "executionState": "STARTED"}})
}

fn lines(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn one_value_or_one_event_a_line_from_files_and_standard_input() {
    let (a, b) = (event("a"), event("b"));
    for input in [format!("{a:#}"), format!("[{a:#}]"), format!("{a}\n"), format!("\r\n{a}\r\n\r\n"), format!("[[{a}]]")] {
        let (code, out, err) = map(&["--output", "json", "-"], &input);
        assert_eq!((code, lines(&out).len(), err.as_str()), (0, 1, ""), "{input}");
    }
    for input in [format!("[{a},{b}]"), format!("{a}\n[{b}]\n")] {
        assert_eq!(lines(&map(&["--output", "json", "-"], &input).1).len(), 2, "{input}");
    }
    assert_eq!(map(&["-"], ""), (0, String::new(), String::new()));
    assert_eq!(map(&["--output", "json", "-"], "[]").0, 0);
    let path = file("a.json", &a.to_string());
    let path = path.to_str().unwrap();
    let (code, out, _) = map(&["--output", "json", path, "-", path], &b.to_string());
    let status: Vec<Value> = lines(&out).iter().map(|line| line["status"].clone()).collect();
    assert_eq!((code, status), (0, vec![json!("SEND"), json!("SEND"), json!("DUPLICATE")]));
}

#[test]
fn a_bad_line_is_judged_by_itself_and_makes_the_answer_a_no() {
    let (code, out, _) = map(&["--output", "json", "-"], &format!("{}\n{{broken\n{}\n", event("a"), event("b")));
    let lines = lines(&out);
    assert_eq!((code, lines.len()), (1, 3));
    assert_eq!((&lines[1]["status"], &lines[1]["reason"]["pointer"]), (&json!("QUARANTINED"), &json!("")));
    let (code, out, _) = map(&["-"], "{broken");
    assert!(code == 1 && out.starts_with("QUARANTINED"), "{out}");
    assert!(map(&["-"], &event("a").to_string()).1.starts_with("SEND            /oms#a (oms.order.v1)  updateOrder\n"));
}

#[test]
fn what_cannot_be_opened_is_2_and_nothing_is_shown() {
    let path = file("b.json", &event("a").to_string());
    let path = path.to_str().unwrap();
    for arguments in [
        vec![path, "/no/such/file"],
        vec!["/"],
        vec!["--aliases", "/no/such/file", path],
        vec!["--config", "/no/such/file", path],
        vec![],
    ] {
        let (code, out, err) = map(&arguments, "");
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}");
        assert!(!err.is_empty());
    }
    let rows = file("rows.jsonl", "\n{\"kind\":\"ORDER\"}\n");
    let (code, _, err) = map(&["--aliases", rows.to_str().unwrap(), path], "");
    assert!(code == 2 && err.contains("line 2") && err.contains("alias"), "{err}");
}

#[test]
fn aliases_and_configuration_are_used() {
    let rows = file("good.jsonl", "{\"kind\":\"ORDER\",\"alias\":{\"type\":\"ERP\",\"id\":\"a\"},\"bwpId\":\"322-A\"}\n");
    let config =
        file("config.toml", "[targets.default]\nenvironment = \"sandbox\"\n[targets.default.alias_types]\norder = \"ERP\"\n");
    let (rows, config) = (rows.to_str().unwrap(), config.to_str().unwrap());
    let (code, out, err) = map(&["--output", "json", "--config", config, "--aliases", rows, "-"], &event("a").to_string());
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(lines(&out)[0]["variables"]["orderIdentifier"], json!({"orderId": "322-A"}));
    let mut elsewhere = event("b");
    elsewhere["target"] = json!("de");
    let (code, out, _) = map(&["--output", "json", "--config", config, "-"], &elsewhere.to_string());
    assert_eq!((code, &lines(&out)[0]["status"]), (1, &json!("DEAD")));
    let shipment =
        json!({"specversion": "1.0", "source": "/oms", "id": "s", "type": "oms.shipment.v1", "time": "2025-03-01T12:00:00Z",
        "data": {"order": {"id": "a"}, "shipment": {"bwpId": "pk"}, "state": "IN_TRANSIT"}})
        .to_string();
    let operation = |arguments: &[&str]| lines(&map(arguments, &shipment).1)[0]["operation"].clone();
    assert_eq!(operation(&["--output", "json", "--config", config, "-"]), "updateOrderPackageInformation");
    assert_eq!(operation(&["--output", "json", "--config", config, "--environment", "production", "-"]), Value::Null);
    assert_eq!(operation(&["--output", "json", "-"]), Value::Null);
    assert_eq!(operation(&["--output", "json", "--environment", "sandbox", "-"]), "updateOrderPackageInformation");
}
