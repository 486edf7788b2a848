//! One event in its three forms, and what belongs to a form rather than to its data.

use bwp_sync::event::{Event, Fault, FaultCode, RawRecord, Reading, Reference, read, read_alias_data, read_structured};
use serde_json::{Value, json};

const ATTRIBUTES: [(&str, &str); 6] = [
    ("specversion", "1.0"),
    ("id", "e-1"),
    ("source", "/oms"),
    ("type", "oms.return.v1"),
    ("time", "2025-03-01T12:00:00Z"),
    ("subject", "order/1001"),
];

fn data() -> Value {
    json!({"order": {"id": "1001"}, "return": {"id": "RMA-77"}, "version": 3, "state": "CREATED",
        "lines": [{"line": {"alias": {"type": "SKU", "id": "B-42"}}, "quantity": 1}], "initiator": null,
        "extensions": {"anything": [1.50, {"goes": true}]}})
}

fn structured() -> Value {
    let mut event: serde_json::Map<_, _> = ATTRIBUTES.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    event.insert("data".into(), data());
    event.into()
}

fn event(reading: Reading) -> Event {
    match reading {
        Reading::Event(event) => *event,
        other => panic!("not an event: {other:?}"),
    }
}

pub(crate) fn fault(reading: Reading) -> Fault {
    match reading {
        Reading::Fault(fault) => *fault,
        other => panic!("not a fault: {other:?}"),
    }
}

fn binary(attributes: &[(&str, &[u8])], value: &[u8]) -> Reading {
    let names: Vec<String> = attributes.iter().map(|(name, _)| format!("ce_{name}")).collect();
    let headers: Vec<_> = names.iter().zip(attributes).map(|(name, (_, value))| (name.as_str(), Some(*value))).collect();
    read(&RawRecord { key: None, value: Some(value), headers: &headers })
}

fn binary_attributes() -> Vec<(&'static str, &'static [u8])> {
    ATTRIBUTES.iter().map(|(name, value)| (*name, value.as_bytes())).collect()
}

/// Lists and objects in turn, as many levels as told.
fn nested(levels: usize) -> String {
    let (opens, closes): (Vec<_>, Vec<_>) =
        (0..levels).map(|level| if level % 2 == 0 { ("[", "]") } else { ("{\"a\":", "}") }).unzip();
    let inner = if levels.is_multiple_of(2) { "1" } else { "" };
    opens.concat() + inner + &closes.into_iter().rev().collect::<String>()
}

#[test]
fn the_three_forms_read_the_same() {
    let one = event(read_structured(structured().to_string().as_bytes()));
    let list = event(read_structured(json!([structured()]).to_string().as_bytes()));
    let binary = event(binary(&binary_attributes(), data().to_string().as_bytes()));
    assert_eq!(one, list);
    assert_eq!(one, binary);
    assert_eq!(one.data.order(), Reference::Id("1001".into()));
}

#[test]
fn the_header_decides_the_form_whatever_the_content_type() {
    let text = structured().to_string();
    for content_type in ["application/json", "application/cloudevents+json", "application/avro", "nonsense"] {
        let headers = [("content-type", Some(content_type.as_bytes())), ("ce_id", Some(b"another".as_slice()))];
        let read_as = event(read(&RawRecord { key: None, value: Some(text.as_bytes()), headers: &headers }));
        assert_eq!(read_as.envelope.identity.id, "e-1");
    }
    let headers = [("ce_specversion", None)];
    let fault = fault(read(&RawRecord { key: None, value: Some(text.as_bytes()), headers: &headers }));
    assert_eq!((fault.code, fault.pointer.as_str()), (FaultCode::MissingMember, "/specversion"));
}

#[test]
fn a_record_without_a_value_is_a_tombstone_and_an_empty_one_is_not() {
    let headers = [("ce_specversion", Some(b"1.0".as_slice()))];
    assert_eq!(read(&RawRecord { key: Some(b"1001"), value: None, headers: &headers }), Reading::Tombstone);
    let fault = fault(read(&RawRecord { key: None, value: Some(b""), headers: &[] }));
    assert_eq!((fault.code, fault.pointer.as_str()), (FaultCode::NotJson, ""));
}

#[test]
fn faults_of_binary_events_show_as_if_structured() {
    let mut data = data();
    data["lines"][0]["quantity"] = json!(0);
    let broken = fault(binary(&binary_attributes(), data.to_string().as_bytes()));
    assert_eq!(broken.pointer, "/data/lines/0/quantity");
    assert_eq!(broken.envelope.id.as_deref(), Some("e-1"));
    assert_eq!(broken.envelope.order, Some(Reference::Id("1001".into())));
    assert_eq!(broken.envelope.entity, Some(Reference::Id("RMA-77".into())));

    let mut attributes = binary_attributes();
    attributes.push(("id", b"e-2"));
    let twice = fault(binary(&attributes, data.to_string().as_bytes()));
    assert_eq!((twice.code, twice.pointer.as_str(), twice.envelope.id), (FaultCode::DuplicateMember, "/id", None));

    let mut attributes = binary_attributes();
    attributes[1].1 = b"\xff";
    let bytes = fault(binary(&attributes, data.to_string().as_bytes()));
    assert_eq!((bytes.code, bytes.pointer.as_str()), (FaultCode::NotUtf8, "/id"));

    let text = fault(binary(&binary_attributes(), b"{"));
    assert_eq!((text.code, text.pointer.as_str()), (FaultCode::NotJson, ""));
    assert_eq!(text.envelope.source.as_deref(), Some("/oms"), "the headers could be read");

    let mut attributes = binary_attributes();
    attributes.retain(|(name, _)| *name != "id");
    let missing = fault(binary(&attributes, b"{"));
    assert_eq!(missing.code, FaultCode::MissingMember, "the envelope comes before the data");
}

#[test]
fn what_a_faulty_event_says_soundly_is_told() {
    let mut value = structured();
    value["type"] = json!("oms.return.v2");
    let told = fault(read_structured(value.to_string().as_bytes()));
    assert_eq!((told.code, told.pointer.as_str()), (FaultCode::UnknownType, "/type"));
    assert_eq!(told.envelope.event_type.as_deref(), Some("oms.return.v2"));
    assert_eq!(told.envelope.target.as_deref(), Some("default"));
    assert_eq!(told.envelope.order, Some(Reference::Id("1001".into())));
    assert_eq!(told.envelope.entity_kind, None);
    let twice = structured().to_string().replace("\"id\":\"e-1\"", "\"id\":\"e-1\",\"id\":\"e-2\"");
    let told = fault(read_structured(twice.as_bytes())).envelope;
    assert_eq!((told.id, told.source.as_deref()), (None, Some("/oms")), "which id is meant is open");
    assert_eq!(fault(read_structured(b"nonsense")).envelope, bwp_sync::event::PartialEnvelope::default());
}

#[test]
fn an_event_is_at_most_128_levels_deep_in_every_form() {
    // The event, its data and the extensions are three levels; those within count on.
    for (inner, fits) in [(125, true), (126, false), (5000, false)] {
        let deep = |text: String| text.replace("\"anything\":", &format!("\"x\":{},\"anything\":", nested(inner)));
        let (text, data) = (deep(structured().to_string()), deep(data().to_string()));
        let list = format!("[{text}]");
        for reading in
            [read_structured(text.as_bytes()), read_structured(list.as_bytes()), binary(&binary_attributes(), data.as_bytes())]
        {
            match reading {
                Reading::Event(_) => assert!(fits, "{inner} levels"),
                Reading::Fault(fault) => {
                    assert!(!fits, "{inner} levels: {fault}");
                    assert_eq!(fault.code, FaultCode::TooDeep);
                    assert!(fault.pointer.starts_with("/data/extensions/x"), "{}", fault.pointer);
                    assert_eq!(fault.envelope.id.as_deref(), Some("e-1"));
                }
                Reading::Tombstone => panic!("a tombstone"),
            }
        }
    }
}

#[test]
fn depth_that_looks_like_numbers_is_depth() {
    let deep = "{\"$serde_json::private::Number\":".repeat(100_000) + "1" + &"}".repeat(100_000);
    let value = structured().to_string().replace("\"anything\":", &format!("\"deep\":{deep},\"anything\":"));
    assert!(matches!(fault(read_structured(value.as_bytes())).code, FaultCode::TooDeep | FaultCode::TooLarge));
    let deep = "{\"$serde_json::private::Number\":".repeat(1000) + "1" + &"}".repeat(1000);
    let value = structured().to_string().replace("\"anything\":", &format!("\"deep\":{deep},\"anything\":"));
    assert_eq!(fault(read_structured(value.as_bytes())).code, FaultCode::TooDeep);
    for deep in ["[", "{\"a\":", "[{\"a\":"] {
        let _ = read_structured(deep.repeat(150_000).as_bytes());
    }
}

#[test]
fn a_value_of_exactly_one_mebibyte_is_read() {
    let text = structured().to_string();
    let padded = |length: usize| text.clone() + &" ".repeat(length - text.len());
    event(read_structured(padded(1 << 20).as_bytes()));
    assert_eq!(fault(read_structured(padded((1 << 20) + 1).as_bytes())).code, FaultCode::TooLarge);
}

#[test]
fn payers_are_kept_as_they_are_and_shown_nowhere() {
    let payer =
        r#"{"$serde_json::private::Number":"7","id":null,"ratio":1.50,"contact":{"emailData":{"email":"jane@example.com"}}}"#;
    let refund = |payer: &str| {
        format!(
            r#"{{"specversion":"1.0","id":"e-1","source":"/oms","type":"oms.refund.v1","time":"2025-03-01T12:00:00Z",
            "data":{{"order":{{"id":"1001"}},"refund":{{"id":"RF-9"}},"state":"PARTIAL","total":{{"amount":"8.00","currency":"USD"}},
            "payments":[{{"id":"pt-1","amount":{{"amount":"5.00","currency":"USD"}},
            "method":{{"type":"CARD","display":"Visa"}},"payer":{payer}}}]}}}}"#
        )
    };
    let read_back = event(read_structured(refund(payer).as_bytes()));
    let bwp_sync::event::Data::Refund(snapshot) = &read_back.data else { panic!("a refund") };
    let kept = snapshot.payments.as_ref().unwrap()[0].payer.as_ref().unwrap();
    assert_eq!(kept["ratio"].to_string(), "1.50");
    assert!(kept.as_object().unwrap().contains_key("id"), "a null of the payer is part of it");
    assert_eq!(kept["$serde_json::private::Number"], json!("7"));
    assert!(!format!("{read_back:?}").contains("jane"));

    for (broken, pointer) in [
        (r#""Jane Doe""#, "/data/payments/0/payer"),
        (r#"["Jane Doe"]"#, "/data/payments/0/payer"),
        (r#"{"Jane":1,"Jane":2}"#, "/data/payments/0/payer"),
        (r#"{"contact":{"name":"Jane","name":"Doe"}}"#, "/data/payments/0/payer/contact/name"),
        (&format!(r#"{{"Jane":{}1{}}}"#, "[".repeat(200), "]".repeat(200)), "/data/payments/0/payer"),
    ] {
        let found = fault(read_structured(refund(broken).as_bytes()));
        assert_eq!(found.pointer, pointer);
        assert!(!format!("{found:?}").contains("Jane"), "{found:?}");
    }
}

#[test]
fn one_row_of_alias_data_stands_alone() {
    let row =
        read_alias_data(br#"{"kind":"RETURN","alias":{"type":"T","id":"R-1"},"bwpId":null,"version":1,"order":{"id":"1001"}}"#)
            .unwrap();
    assert_eq!((row.bwp_id.as_deref(), row.version, row.order()), (None, Some(1), Reference::Id("1001".into())));
    let fault = read_alias_data(br#"{"kind":"RETURN","alias":{"type":"T","id":"R-1"},"order":{"id":"1001"}}"#).unwrap_err();
    assert_eq!((fault.code, fault.pointer.as_str()), (FaultCode::MissingMember, "/bwpId"));
}

#[test]
fn null_is_the_same_as_absent() {
    let mut value = structured();
    value["data"]["note"] = Value::Null;
    value["data"]["lines"][0]["sku"] = Value::Null;
    value["target"] = Value::Null;
    let read_as = event(read_structured(value.to_string().as_bytes()));
    assert_eq!(read_as, event(read_structured(structured().to_string().as_bytes())));
}

#[test]
fn members_are_found_twice_among_many() {
    let many = |last: &str| {
        let names: Vec<String> = (0..5000).map(|i| format!("\"n{i}\":{i}")).collect();
        let members = format!("{},{last}", names.join(","));
        structured().to_string().replace("\"anything\":", &format!("{members},\"anything\":"))
    };
    event(read_structured(many("\"N7\":1").as_bytes()));
    for name in ["n7", "n4999"] {
        let found = fault(read_structured(many(&format!("\"{name}\":1")).as_bytes()));
        assert_eq!((found.code, found.pointer), (FaultCode::DuplicateMember, format!("/data/extensions/{name}")));
    }
}

#[test]
fn empty_notes_are_as_good_as_none() {
    let mut attributes = binary_attributes();
    attributes.retain(|(name, _)| *name != "subject");
    attributes.extend([("subject", b"".as_slice()), ("traceparent", b"")]);
    let read_as = event(binary(&attributes, data().to_string().as_bytes()));
    assert_eq!((read_as.envelope.subject, read_as.envelope.traceparent), (None, None));
    assert_eq!(read_as.envelope.target, "default");
}
