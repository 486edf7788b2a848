//! Parser, schemas, examples and counter-examples say the same.

use crate::forms::fault;
use bwp_sync::event::{FaultCode, RawRecord, Reading, read, read_structured};
use jsonschema::{Registry, Validator};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas")
}

fn json_files(folder: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.map(|path| (path.file_name().unwrap().to_string_lossy().into(), std::fs::read_to_string(path).unwrap())).collect()
}

/// A validator of one of our schema files, with the others at hand.
pub(crate) fn validator(name: &str) -> Validator {
    let schemas: Vec<Value> = json_files(&folder()).values().map(|text| serde_json::from_str(text).unwrap()).collect();
    let resources = schemas.iter().map(|schema| (schema["$id"].as_str().unwrap().to_owned(), schema.clone()));
    let registry = Registry::new().extend(resources).unwrap().prepare().unwrap();
    let schema = schemas.iter().find(|schema| schema["$id"].as_str().unwrap().ends_with(&format!("/{name}"))).unwrap();
    jsonschema::options().with_registry(&registry).build(schema).unwrap()
}

fn examples(kind: &str) -> BTreeMap<String, String> {
    json_files(&folder().join("examples").join(kind))
}

pub(crate) fn all_examples() -> BTreeMap<String, String> {
    let kinds = ["return", "refund", "shipment", "order", "alias"];
    kinds
        .into_iter()
        .flat_map(|kind| examples(kind).into_iter().map(move |(name, text)| (format!("{kind}/{name}"), text)))
        .collect()
}

#[test]
fn every_schema_is_a_schema() {
    for (name, text) in json_files(&folder()) {
        let schema: Value = serde_json::from_str(&text).unwrap();
        jsonschema::meta::validate(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
        validator(&name);
    }
}

#[test]
fn every_example_is_read_and_passes_its_schema() {
    let schema = validator("event.schema.json");
    let examples = all_examples();
    assert!(examples.len() >= 20);
    for (name, text) in examples {
        let value: Value = serde_json::from_str(&text).unwrap();
        if let Some(error) = schema.iter_errors(&value).next() {
            panic!("{name}: {error} at {}", error.instance_path());
        }
        let Reading::Event(event) = read_structured(text.as_bytes()) else {
            panic!("{name}: {:?}", read_structured(text.as_bytes()))
        };
        assert_eq!(name.split('/').next(), Some(event.envelope.kind.label()), "{name} is in another kind's folder");
    }
}

#[test]
fn outcomes_pass_their_schema() {
    let schema = validator("bwp.outcome.v1.schema.json");
    for (name, text) in examples("outcome") {
        let value: Value = serde_json::from_str(&text).unwrap();
        if let Some(error) = schema.iter_errors(&value["data"]).next() {
            panic!("{name}: {error} at {}", error.instance_path());
        }
    }
}

/// The record of a case, and the value that its schema judges where there is one.
fn read_case(case: &Value) -> (Reading, Option<Value>) {
    if let Some(text) = case.get("text") {
        let text = text.as_str().unwrap();
        return (read_structured(text.as_bytes()), serde_json::from_str(text).ok());
    }
    if let Some(headers) = case.get("headers") {
        let header = |pair: &Value| (pair[0].as_str().unwrap().to_owned(), pair[1].as_str().map(str::to_owned));
        let headers: Vec<_> = headers.as_array().unwrap().iter().map(header).collect();
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_ref().map(|value| value.as_bytes()))).collect();
        let value = Some(case["value"].as_str().unwrap().as_bytes());
        return (read(&RawRecord { key: None, value, headers: &headers }), None);
    }
    let record = case["record"].clone();
    (read_structured(record.to_string().as_bytes()), Some(record))
}

#[test]
fn every_counter_example_is_refused_where_it_says() {
    let schema = validator("event.schema.json");
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for (file, text) in json_files(&folder().join("counter-examples")) {
        for case in serde_json::from_str::<Vec<Value>>(&text).unwrap() {
            let name = format!("{file}: {}", case["name"].as_str().unwrap());
            assert!(seen.insert(name.clone()), "{name} is there twice");
            let (reading, value) = read_case(&case);
            let Reading::Fault(fault) = reading else {
                wrong.push(format!("{name}: {reading:?}"));
                continue;
            };
            let wanted = (case["code"].as_str().unwrap(), case["pointer"].as_str().unwrap());
            if (fault.code.as_str(), fault.pointer.as_str()) != wanted {
                wrong.push(format!("{name}: {fault}"));
            }
            let caught = value.is_some_and(|value| match value.as_array().map(Vec::as_slice) {
                Some([one]) => !schema.is_valid(one),
                _ => !schema.is_valid(&value),
            });
            if caught != case["schema_catches"].as_bool().unwrap() {
                wrong.push(format!("{name}: the schema {} it", if caught { "catches" } else { "lets through" }));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen.len() >= 70);
}

#[test]
fn every_code_has_a_counter_example() {
    let text: String = json_files(&folder().join("counter-examples")).into_values().collect();
    for code in FaultCode::ALL {
        // Their bytes do not fit into a file of JSON; `forms` has them.
        if !matches!(code, FaultCode::TooLarge | FaultCode::NotUtf8) {
            assert!(text.contains(&format!("\"code\": \"{code}\"")), "{code}");
        }
    }
    assert_eq!(fault(read_structured(b"{\"id\":\"\xff\"}")).code, FaultCode::NotUtf8);
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|value| references(value, found));
        }
        Value::Array(entries) => entries.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let text = std::fs::read_to_string(folder().join("asyncapi.yaml")).unwrap();
    let asyncapi: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(asyncapi["asyncapi"], "3.0.0");
    assert_eq!(asyncapi["channels"].as_object().unwrap().len(), 7);
    let mut documents = BTreeMap::from([("asyncapi.yaml".to_owned(), asyncapi)]);
    documents.extend(json_files(&folder()).into_iter().map(|(name, text)| (name, serde_json::from_str(&text).unwrap())));
    let mut count = 0;
    for (name, document) in &documents {
        let mut found = Vec::new();
        references(document, &mut found);
        for reference in found {
            let (file, pointer) = reference.split_once('#').unwrap_or((&reference, ""));
            let file = if file.is_empty() { name } else { file.trim_start_matches("./") };
            let target = documents.get(file).unwrap_or_else(|| panic!("{name}: no file for {reference}"));
            assert!(target.pointer(pointer).is_some(), "{name}: nothing at {reference}");
            count += 1;
        }
    }
    assert!(count > 50);
}
