//! What the body of an answer says, strict about success.
//!
//! Pure. HTTP 200 proves nothing: only an order where the operation promises one, with no errors
//! beside it, is an order. What it means for an event is decided elsewhere.

use std::{fmt, marker::PhantomData};

use serde::de::{IgnoredAny, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::{documents::Operation, text, view::OrderView};

/// What an answer's body turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// The operation's order, and no errors.
    Order(Box<OrderView>),
    /// BwP named errors.
    Errors {
        /// At least one.
        errors: Vec<GraphError>,
        /// Whether `data` holds anything beside them.
        data_present: bool,
    },
    /// No errors, and null where the order would be.
    NullOrder,
    /// Anything else: HTML, nothing, half a JSON, another shape.
    Unreadable {
        /// What was wrong, without the body's own text.
        why: String,
    },
}

/// One entry of `errors`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GraphError {
    /// The type of the troubleshooting tables, such as `ValidationError`.
    pub error_type: Option<String>,
    /// The code, such as `InvalidRefundId`.
    pub code: Option<String>,
    /// A classification may hold `errorCode` and `code`, and it is not known which of them is the
    /// table's: this is the other one.
    pub other_code: Option<String>,
    /// BwP's words, clipped, without tokens and addresses.
    pub message: String,
}

/// Reads one answer. Nearly all are the order that was asked for, and are read as that at once; any other is taken apart to tell
/// what it is.
pub fn parse(operation: Operation, content_type: Option<&str>, bytes: &[u8]) -> Body {
    promised(operation, bytes).map_or_else(|| told(operation, content_type, bytes), Body::Order)
}

/// An answer as it is promised.
#[derive(Deserialize)]
struct Promised {
    data: Option<Object<Data>>,
    errors: Option<Vec<IgnoredAny>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    update_order: Option<Object<Written>>,
    update_order_package_information: Option<Object<Written>>,
    order: Option<Object<Box<OrderView>>>,
}

#[derive(Deserialize)]
struct Written {
    order: Option<Object<Box<OrderView>>>,
}

/// A value that is an object: what serde derives would take a list for one.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Whole(PhantomData))
    }
}

/// Reads an [`Object`].
struct Whole<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Whole<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Object)
    }
}

fn promised(operation: Operation, bytes: &[u8]) -> Option<Box<OrderView>> {
    // Text that is known to be UTF-8 as a whole is not looked at string by string.
    let promised = match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(bytes),
    };
    let Object(Promised { data, errors }) = promised.ok()?;
    let Object(data) = data.filter(|_| errors.is_none_or(|errors| errors.is_empty()))?;
    let Object(order) = match operation {
        Operation::UpdateOrder => data.update_order?.0.order?,
        Operation::UpdatePackages => data.update_order_package_information?.0.order?,
        Operation::ReadOrder => data.order?,
    };
    Some(order)
}

fn told(operation: Operation, content_type: Option<&str>, bytes: &[u8]) -> Body {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return unreadable("the answer is empty");
    }
    let root = match serde_json::from_slice(bytes) {
        Ok(Value::Object(root)) => root,
        Ok(_) => return unreadable("the answer is JSON, but no object"),
        Err(_) => return not_json(content_type),
    };
    match root.get("errors") {
        Some(Value::Array(errors)) if !errors.is_empty() => Body::Errors {
            errors: errors.iter().map(graph_error).collect(),
            data_present: root.get("data").is_some_and(holds_anything),
        },
        None | Some(Value::Null | Value::Array(_)) => order(operation, root),
        Some(_) => unreadable("`errors` is no list"),
    }
}

fn order(operation: Operation, mut root: Map<String, Value>) -> Body {
    let data = match root.remove("data") {
        Some(Value::Object(data)) => data,
        Some(Value::Null) => return Body::NullOrder,
        Some(_) => return unreadable("`data` is no object"),
        None => return unreadable("the answer has neither `data` nor `errors`"),
    };
    match at_order(operation, data) {
        Some(Value::Null) => Body::NullOrder,
        Some(order @ Value::Object(_)) => match serde_json::from_value(order) {
            Ok(view) => Body::Order(Box::new(view)),
            // serde's text quotes the value after the first quotation mark
            Err(error) => {
                let fault = error.to_string();
                let fault = fault.split('"').next().unwrap_or_default();
                unreadable(&format!("the order has another shape: {}", text::clip(fault, 100)))
            }
        },
        _ => unreadable("`data` does not hold the order that was asked for"),
    }
}

/// The value where the order must be; null as soon as something on the way is.
fn at_order(operation: Operation, mut data: Map<String, Value>) -> Option<Value> {
    let value = data.remove(operation.name())?;
    match value {
        Value::Object(mut result) if operation.writes() => result.remove("order"),
        other if operation.writes() && !other.is_null() => None,
        other => Some(other),
    }
}

fn holds_anything(data: &Value) -> bool {
    match data {
        Value::Null => false,
        Value::Object(members) => members.values().any(|member| !member.is_null()),
        _ => true,
    }
}

fn not_json(content_type: Option<&str>) -> Body {
    let kind = content_type.and_then(|kind| kind.split(';').next()).unwrap_or_default();
    match kind.trim() {
        "" | "application/json" => unreadable("the answer is no JSON"),
        kind => unreadable(&format!("the answer is no JSON but {}", text::clip(kind, 60))),
    }
}

fn unreadable(why: &str) -> Body {
    Body::Unreadable { why: why.to_owned() }
}

/// Both known shapes, and the one that graphql-java gives by default; the first place that has a
/// member wins.
fn graph_error(error: &Value) -> GraphError {
    let extensions = &error["extensions"];
    let classification = &extensions["classification"];
    let first = |places: &[&Value]| {
        let word = places.iter().find_map(|place| place.as_str()).map(str::trim);
        word.filter(|word| !word.is_empty()).map(|word| text::clip(word, 100))
    };
    let message = error["message"].as_str().or(error.as_str()).unwrap_or_default();
    let mut read = GraphError {
        error_type: first(&[&classification["type"], classification, &extensions["errorType"], &error["errorType"]]),
        code: first(&[
            &classification["errorCode"],
            &classification["code"],
            &extensions["errorCode"],
            &extensions["code"],
            &error["errorInfo"],
        ]),
        other_code: first(&[&classification["code"], &extensions["code"]]),
        message: text::safe(message),
    };
    if read.other_code == read.code {
        read.other_code = None;
    }
    if read.error_type.is_none() && read.code.is_none() {
        name_from_message(message, &mut read);
    }
    read
}

/// The last resort: a message such as `ValidationError: InvalidRefundId: ...`.
fn name_from_message(message: &str, read: &mut GraphError) {
    let is_name = |word: &&str| {
        word.len() > 4
            && word.starts_with(|first: char| first.is_ascii_uppercase())
            && word.chars().all(|char| char.is_ascii_alphanumeric())
    };
    for name in message.split(':').map(str::trim).take_while(is_name).take(2) {
        if read.error_type.is_none() && (name.ends_with("Error") || name.ends_with("Exception")) {
            read.error_type = Some(text::clip(name, 100));
        } else if read.code.is_none() {
            read.code = Some(text::clip(name, 100));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn write(json: &str) -> Body {
        parse(Operation::UpdateOrder, Some("application/json"), json.as_bytes())
    }

    #[test]
    fn only_the_promised_order_without_errors_is_an_order() {
        let order = |json| matches!(write(json), Body::Order(_));
        assert!(order(r#"{"data":{"updateOrder":{"order":{"id":"x"}}}}"#));
        assert!(order(r#"{"data":{"updateOrder":{"order":{"id":"x"}}},"errors":null}"#));
        assert!(order(r#"{"errors":[],"data":{"updateOrder":{"order":{}}},"extensions":{}}"#));
        let read = parse(Operation::ReadOrder, None, br#"{"data":{"order":{"id":"x"}}}"#);
        assert!(matches!(read, Body::Order(view) if view.id.as_deref() == Some("x")));

        for null in [r#"{"data":null}"#, r#"{"data":{"updateOrder":null}}"#, r#"{"data":{"updateOrder":{"order":null}}}"#] {
            assert_eq!(write(null), Body::NullOrder, "{null}");
        }
        for other in [
            "",
            " \n",
            "null",
            "[]",
            "{}",
            "<html>",
            r#"{"data":{}}"#,
            r#"{"data":7}"#,
            r#"{"data":{"updateOrder":{}}}"#,
            r#"{"data":{"updateOrder":true}}"#,
            r#"{"data":{"updateOrder":{"order":"x"}}}"#,
            r#"{"data":{"order":{"id":"x"}}}"#,
            r#"{"data":{"updateOrder":{"order":{"id":5}}}}"#,
            r#"{"data":{"updateOrder":[{"id":"x"}]}}"#,
            r#"{"data":[{"order":{"id":"x"}},null,null]}"#,
            r#"{"data":{"updateOrder":{"order":["x",null,null,null,null,null,null,null,null,null,null,null]}}}"#,
            r#"[{"updateOrder":{"order":{"id":"x"}}},null]"#,
            r#"{"data":{"updateOrder":{"order":{"id":"x"}}},"errors":"no"}"#,
            r#"{"data":{"updateOrder":{"order":{"id":"x"}}"#,
            r#"{"message":"Forbidden"}"#,
        ] {
            assert!(matches!(write(other), Body::Unreadable { .. }), "{other}");
        }
    }

    #[test]
    fn unreadable_says_why_without_quoting() {
        let html = parse(Operation::ReadOrder, Some("text/html; charset=utf-8"), b"<p>secret");
        assert_eq!(html, unreadable("the answer is no JSON but text/html"));
        let Body::Unreadable { why } = write(r#"{"data":{"updateOrder":{"order":{"aliases":"Jane Doe"}}}}"#) else {
            panic!("readable")
        };
        assert!(why.contains("invalid type") && !why.contains("Jane"), "{why}");
    }

    #[test]
    fn both_shapes_of_errors_are_read() {
        for (entry, error_type, code, other) in [
            (
                r#"{"extensions":{"classification":{"type":"ValidationError","errorCode":"InvalidRefundId","code":"E7"}}}"#,
                Some("ValidationError"),
                Some("InvalidRefundId"),
                Some("E7"),
            ),
            (
                r#"{"extensions":{"classification":{"type":"ValidationError","code":"InvalidRefundId"}}}"#,
                Some("ValidationError"),
                Some("InvalidRefundId"),
                None,
            ),
            (r#"{"extensions":{"classification":"ThrottlingError"}}"#, Some("ThrottlingError"), None, None),
            (r#"{"extensions":{"errorType":"ConflictException","code":"Busy"}}"#, Some("ConflictException"), Some("Busy"), None),
            (r#"{"errorType":"MappingTemplate","errorInfo":null,"path":["order"]}"#, Some("MappingTemplate"), None, None),
            (
                r#"{"message":"ValidationError: InvalidAliasId: it is taken"}"#,
                Some("ValidationError"),
                Some("InvalidAliasId"),
                None,
            ),
            (r#"{"message":"Something went wrong: badly"}"#, None, None, None),
            (r#""only a string""#, None, None, None),
            ("null", None, None, None),
        ] {
            let Body::Errors { errors, .. } = write(&format!(r#"{{"errors":[{entry}]}}"#)) else { panic!("{entry}") };
            assert_eq!(errors[0].error_type.as_deref(), error_type, "{entry}");
            assert_eq!(errors[0].code.as_deref(), code, "{entry}");
            assert_eq!(errors[0].other_code.as_deref(), other, "{entry}");
        }
    }

    #[test]
    fn data_beside_errors_is_told() {
        let present = |data: &str| match write(&format!(r#"{{"errors":[{{}}],"data":{data}}}"#)) {
            Body::Errors { data_present, .. } => data_present,
            other => panic!("{other:?}"),
        };
        assert!(present(r#"{"updateOrder":{"order":{"id":"x"}}}"#));
        assert!(present(r#"{"updateOrder":{"order":null}}"#));
        assert!(!present(r#"{"order":null}"#));
        assert!(!present("null"));
    }
}
