//! Every example that Amazon publishes: the events that lead to it, and exactly its variables.

use super::play;
use apollo_compiler::response::JsonMap;
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Schema, request::coerce_variable_values};
use bwp_sync::config::{Coalesce, Environment};
use bwp_sync::event::read_alias_data;
use bwp_sync::prime::documents::{UPDATE_ORDER, UPDATE_PACKAGES};
use rust_decimal::Decimal;
use serde_json::{Map, Value};
use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn every_example_of_amazon_comes_from_events() {
    let schema = schema();
    let table = std::fs::read_to_string(Path::new(ROOT).join("docs/examples.md")).unwrap();
    let mut files: Vec<_> =
        std::fs::read_dir(Path::new(ROOT).join("tests/examples")).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 32);
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let example: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let row = table.lines().find(|line| line.starts_with(&format!("| [{name}](../tests/examples/{name}.json)")));
        assert!(row.is_some_and(|row| row.contains(example["title"].as_str().unwrap())), "{name} in docs/examples.md");
        let word = |key: &str| example[key].as_str();
        let lines = play(
            word("environment").map_or(Environment::Production, |word| word.parse().unwrap()),
            word("coalesce").map_or(Coalesce::Off, |word| word.parse().unwrap()),
            example["aliases"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|row| read_alias_data(row.to_string().as_bytes()).unwrap())
                .collect(),
            example["events"].as_array().unwrap(),
        );
        let sent: Vec<&Value> = lines.iter().filter(|line| line["status"] == "SEND").collect();
        assert_eq!(sent.len(), lines.len(), "{name}: {lines:#?}");
        let variables: Vec<Value> = sent.iter().map(|line| exact(&line["variables"])).collect();
        let expected: Vec<Value> = example["expected"].as_array().unwrap().iter().map(exact).collect();
        assert_eq!(variables, expected, "{name}");
        for line in sent {
            check(&schema, line).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
        }
    }
}

#[test]
fn variables_that_the_schema_lacks_are_found() {
    let line = serde_json::json!({"operation": "updateOrder", "variables":
        {"orderIdentifier": {"orderId": "1"}, "input": {"returns": {"details": [{"returnIdentifier": {"aliases": []}}]}}}});
    assert!(check(&schema(), &line).is_err());
}

fn schema() -> Valid<Schema> {
    let path = Path::new(ROOT).join("schemas/bwp-2024-11-01.graphql");
    Schema::parse_and_validate(std::fs::read_to_string(&path).unwrap(), &path).expect("a valid schema")
}

/// Whether Buy with Prime's schema takes the variables of a line.
pub fn check(schema: &Valid<Schema>, line: &Value) -> Result<(), String> {
    let document = match line["operation"].as_str().unwrap() {
        "updateOrder" => UPDATE_ORDER,
        _ => UPDATE_PACKAGES,
    };
    let document = ExecutableDocument::parse_and_validate(schema, document, "document").expect("a valid document");
    let operation = document.operations.iter().next().unwrap();
    let variables: JsonMap = serde_json::from_str(&line["variables"].to_string()).unwrap();
    coerce_variable_values(schema, operation, &variables).map(drop).map_err(|wrong| wrong.message().to_string())
}

/// The same value with every number as an exact decimal, so that 10, 10.0 and 10.00 are one.
fn exact(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::String(number.to_string().parse::<Decimal>().unwrap().normalize().to_string()),
        Value::Array(list) => list.iter().map(exact).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), exact(value))).collect::<Map<_, _>>().into(),
        other => other.clone(),
    }
}
