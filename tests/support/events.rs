//! Events as a producer would write them: a kind, an id, the data, and one of the three envelopes.

use serde_json::{Map, Value, json};

use super::kafka::{Outgoing, Topics};

/// The five kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Return,
    Refund,
    Shipment,
    Order,
    Alias,
}

/// The ways in which an event may travel in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// Attributes in `ce_` headers, the data as the value.
    Binary,
    /// Everything in one JSON object.
    Structured,
    /// The same, as the one element of an array.
    ArrayOfOne,
}

/// An event that is not yet in an envelope.
#[derive(Clone, Debug)]
pub struct Event {
    pub kind: Kind,
    pub data: Value,
    /// The CloudEvents attributes, `specversion` and `type` among them.
    attributes: Map<String, Value>,
    key: Option<Vec<u8>>,
}

impl Kind {
    pub const ALL: [Self; 5] = [Self::Return, Self::Refund, Self::Shipment, Self::Order, Self::Alias];

    /// The CloudEvents `type`.
    pub fn event_type(self) -> &'static str {
        match self {
            Self::Return => "oms.return.v1",
            Self::Refund => "oms.refund.v1",
            Self::Shipment => "oms.shipment.v1",
            Self::Order => "oms.order.v1",
            Self::Alias => "oms.alias.v1",
        }
    }
}

impl Envelope {
    pub const ALL: [Self; 3] = [Self::Binary, Self::Structured, Self::ArrayOfOne];
}

impl Event {
    /// An event from `/oms`, keyed by the id of its order.
    pub fn new(kind: Kind, id: &str, data: Value) -> Self {
        let attributes = json!({
            "specversion": "1.0", "id": id, "source": "/oms", "type": kind.event_type(), "time": "2026-01-05T10:00:00Z",
        });
        let Value::Object(attributes) = attributes else { unreachable!("an object was written above") };
        let key = order_key(&data);
        Self { kind, data, attributes, key }
    }

    /// The same with an attribute set: `source`, `time`, `subject`, `target`, `traceparent`, or one to be ignored.
    pub fn with(mut self, attribute: &str, value: &str) -> Self {
        self.attributes.insert(attribute.to_owned(), value.into());
        self
    }

    /// The same without an attribute that it should have.
    pub fn without(mut self, attribute: &str) -> Self {
        self.attributes.remove(attribute);
        self
    }

    /// The same under another key.
    pub fn keyed(mut self, key: Option<&[u8]>) -> Self {
        self.key = key.map(<[u8]>::to_vec);
        self
    }

    /// Its `id`.
    pub fn id(&self) -> String {
        self.attributes["id"].as_str().unwrap_or_default().to_owned()
    }

    /// The topic of its kind.
    pub fn topic<'a>(&self, topics: &'a Topics) -> &'a str {
        match self.kind {
            Kind::Return => &topics.returns,
            Kind::Refund => &topics.refunds,
            Kind::Shipment => &topics.shipments,
            Kind::Order => &topics.orders,
            Kind::Alias => &topics.aliases,
        }
    }

    /// The record that carries it.
    pub fn record(&self, envelope: Envelope) -> Outgoing {
        let record = |value: &Value, content_type: &str| {
            Outgoing::raw(self.key.as_deref(), Some(value.to_string().as_bytes())).header("content-type", content_type.as_bytes())
        };
        match envelope {
            Envelope::Binary => self.attributes.iter().fold(record(&self.data, "application/json"), |record, (name, value)| {
                record.header(&format!("ce_{name}"), value.as_str().unwrap_or_default().as_bytes())
            }),
            Envelope::Structured => record(&self.structured(), "application/cloudevents+json"),
            Envelope::ArrayOfOne => record(&Value::Array(vec![self.structured()]), "application/json"),
        }
    }

    /// The event as one JSON object.
    pub fn structured(&self) -> Value {
        let mut event = self.attributes.clone();
        event.insert("datacontenttype".to_owned(), "application/json".into());
        event.insert("data".to_owned(), self.data.clone());
        Value::Object(event)
    }
}

/// The id in the reference to the order, whatever its form; an order's alias row is keyed by the alias.
fn order_key(data: &Value) -> Option<Vec<u8>> {
    ["/order/id", "/order/alias/id", "/order/bwpId", "/alias/id"]
        .iter()
        .find_map(|pointer| data.pointer(pointer)?.as_str())
        .map(|id| id.as_bytes().to_vec())
}
