//! What holds for every record: nothing makes the parser panic, the forms agree, and whatever is read passes its schema.

use crate::schemas::{all_examples, validator};
use bwp_sync::event::{Currency, Money, RawRecord, Reading, read, read_alias_data, read_structured};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use std::sync::LazyLock;

static EXAMPLES: LazyLock<Vec<Value>> =
    LazyLock::new(|| all_examples().values().map(|text| serde_json::from_str(text).unwrap()).collect());

fn example() -> impl Strategy<Value = Value> {
    any::<Index>().prop_map(|index| index.get(&EXAMPLES).clone())
}

/// Values that are wrong almost everywhere, or nearly right.
fn replacement() -> impl Strategy<Value = Value> {
    let odd =
        ["", " ", "1.0", "-0", "10.00", "10.001", "USD", "XAU", "JPY", "CANCELLED", "CREATED", "a\u{0}b", "\u{85}", "é", "1001"];
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-2i64..3).prop_map(Value::from),
        prop::sample::select(vec!["1.0", "1e0", "-0", "0.5", "1000000", "1000001", "9007199254740992"])
            .prop_map(|text| serde_json::from_str(text).unwrap()),
        prop::sample::select(odd.to_vec()).prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!({"id": "x"})),
        Just(json!({"bwpId": "x", "id": null})),
        Just(json!({"alias": {"type": "T", "id": "x"}})),
        Just(json!({"amount": "3.00", "currency": "USD"})),
        Just(json!({"amount": "3", "currency": "JPY"})),
    ]
}

/// One change somewhere in a value.
#[derive(Debug, Clone)]
enum Change {
    Remove,
    Replace(Value),
    Add(Value),
    Double,
}

fn change() -> impl Strategy<Value = (Index, Change)> {
    let change = prop_oneof![
        Just(Change::Remove),
        replacement().prop_map(Change::Replace),
        replacement().prop_map(Change::Add),
        Just(Change::Double),
    ];
    (any::<Index>(), change)
}

fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    let escape = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| pointers(value, &format!("{at}/{}", escape(name)), found))
        }
        Value::Array(entries) => entries.iter().enumerate().for_each(|(i, value)| pointers(value, &format!("{at}/{i}"), found)),
        _ => {}
    }
}

fn apply(root: &mut Value, (place, change): &(Index, Change)) {
    let mut found = Vec::new();
    pointers(root, "", &mut found);
    let pointer = place.get(&found).clone();
    let Some((parent, name)) = pointer.rsplit_once('/') else { return };
    match change {
        Change::Replace(value) => *root.pointer_mut(&pointer).unwrap() = value.clone(),
        Change::Remove => match root.pointer_mut(parent).unwrap() {
            Value::Object(members) => drop(members.remove(name)),
            Value::Array(entries) => drop(entries.remove(name.parse().unwrap())),
            _ => {}
        },
        Change::Add(value) => match root.pointer_mut(&pointer).unwrap() {
            // An unknown member that is null is absent; there the schemas are stricter (`prop_assume` below has the rest).
            Value::Object(members) if !value.is_null() => drop(members.insert("another".into(), value.clone())),
            Value::Array(entries) => entries.push(value.clone()),
            _ => {}
        },
        Change::Double => {
            if let Value::Array(entries) = root.pointer_mut(&pointer).unwrap() {
                entries.extend(entries.first().cloned());
            }
        }
    }
}

fn binary(event: &Value) -> Reading {
    let attributes = event.as_object().unwrap().iter().filter(|(name, _)| *name != "data");
    let names: Vec<_> = attributes.map(|(name, value)| (format!("ce_{name}"), value.as_str().map(str::as_bytes))).collect();
    let headers: Vec<_> = names.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let data = event["data"].to_string();
    read(&RawRecord { key: None, value: Some(data.as_bytes()), headers: &headers })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_the_parser_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        header in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let _ = read_structured(&bytes);
        let _ = read_alias_data(&bytes);
        let headers = [("ce_specversion", Some(b"1.0".as_slice())), ("ce_id", Some(header.as_slice())), ("ce_type", None)];
        let _ = read(&RawRecord { key: None, value: Some(&bytes), headers: &headers });
    }

    #[test]
    fn no_scrap_of_json_makes_the_parser_panic(text in r#"([\[\]{}:,"]|null|1|-0|"id"|"data"|"[$]serde_json::private::Number"|\\u[0-9a-f]{4}){0,60}"#) {
        let _ = read_structured(text.as_bytes());
        let _ = read_alias_data(text.as_bytes());
    }

    #[test]
    fn no_change_of_bytes_makes_the_parser_panic(event in example(), place in any::<Index>(), byte in any::<u8>(), cut in any::<Index>()) {
        let mut bytes = event.to_string().into_bytes();
        let at = place.index(bytes.len());
        bytes[at] = byte;
        let _ = read_structured(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        let _ = read_structured(&bytes);
    }

    #[test]
    fn what_is_read_passes_its_schema(mut event in example(), changes in prop::collection::vec(change(), 1..3)) {
        static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| validator("event.schema.json"));
        changes.iter().for_each(|change| apply(&mut event, change));
        prop_assume!(!event.to_string().contains("\"another\":null"));
        match read_structured(event.to_string().as_bytes()) {
            Reading::Event(_) => {
                let error = SCHEMA.iter_errors(&event).next();
                prop_assert!(error.is_none(), "{event} is read, but {error:?}");
            }
            Reading::Fault(fault) => {
                // The place that is blamed, or where the missing member would be, is a place of the event.
                let parent = fault.pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
                prop_assert!(event.pointer(parent).is_some(), "{fault} in {event}");
                prop_assert!(!fault.message.is_empty());
            }
            Reading::Tombstone => prop_assert!(false, "a tombstone"),
        }
    }

    #[test]
    fn the_forms_agree(mut event in example(), changes in prop::collection::vec(change(), 0..3)) {
        changes.iter().for_each(|change| apply(&mut event["data"], change));
        let text = event.to_string();
        let alone = read_structured(text.as_bytes());
        prop_assert_eq!(&alone, &read_structured(format!(" [ {text} ] ").as_bytes()));
        prop_assert_eq!(&alone, &binary(&event));
    }

    #[test]
    fn decimals_survive_exactly(
        whole in prop_oneof![Just("0".to_owned()), "[1-9][0-9]{0,11}"],
        fraction in "[0-9]{0,5}",
        code in prop::sample::select(vec!["USD", "JPY", "KWD", "CLF", "XAU"]),
    ) {
        let currency = Currency::parse(code).unwrap();
        let text = if fraction.is_empty() { whole.clone() } else { format!("{whole}.{fraction}") };
        let money = Money::parse(&text, currency);
        prop_assert_eq!(money.is_ok(), fraction.len() <= currency.digits() as usize);
        if let Ok(money) = money {
            prop_assert_eq!(money.to_number().to_string(), text.clone());
            prop_assert_eq!(serde_json::to_string(&money.to_number()).unwrap(), text.clone());
            prop_assert_eq!(money.to_string(), format!("{text} {code}"));
        }
    }
}
