//! An event before it is a record, and the three envelopes.

use rdkafka::message::{Header, OwnedHeaders};
use serde_json::{Value, json};

/// The kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Return,
    Refund,
    Shipment,
    Order,
    Alias,
}

impl Kind {
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

    /// The topic that it goes to.
    pub fn topic(self) -> &'static str {
        match self {
            Self::Return => "oms.returns",
            Self::Refund => "oms.refunds",
            Self::Shipment => "oms.shipments",
            Self::Order => "oms.orders",
            Self::Alias => "oms.aliases",
        }
    }
}

/// How an event travels in a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelope {
    Binary,
    Structured,
    ArrayOfOne,
}

impl Envelope {
    pub const ALL: [Self; 3] = [Self::Binary, Self::Structured, Self::ArrayOfOne];

    /// For the eyes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Structured => "structured",
            Self::ArrayOfOne => "array of one",
        }
    }
}

/// One event of the day.
#[derive(Clone, Debug)]
pub struct Event {
    /// The CloudEvents `id`; all come from one source.
    pub id: String,
    pub kind: Kind,
    pub data: Value,
    /// What it says, for the story.
    pub brief: String,
    /// The order's number, which is the record key.
    pub order: u32,
}

/// A record's headers and value.
pub struct Body {
    pub headers: OwnedHeaders,
    pub value: Vec<u8>,
}

impl Event {
    /// The event in an envelope; the same event has the same `time` in each.
    pub fn body(&self, envelope: Envelope, time: &str) -> Body {
        let text = |headers: OwnedHeaders, key: &str, value: &str| headers.insert(Header { key, value: Some(value) });
        let structured = json!({
            "specversion": "1.0", "id": self.id, "source": "/demo/oms", "type": self.kind.event_type(), "time": time,
            "datacontenttype": "application/json", "data": self.data,
        });
        let (value, content_type) = match envelope {
            Envelope::Binary => (self.data.clone(), "application/json"),
            Envelope::Structured => (structured, "application/cloudevents+json"),
            Envelope::ArrayOfOne => (json!([structured]), "application/json"),
        };
        let mut headers = text(OwnedHeaders::new(), "content-type", content_type);
        if envelope == Envelope::Binary {
            for (name, value) in [
                ("ce_specversion", "1.0"),
                ("ce_id", &self.id),
                ("ce_source", "/demo/oms"),
                ("ce_type", self.kind.event_type()),
                ("ce_time", time),
            ] {
                headers = text(headers, name, value);
            }
        }
        Body { headers, value: value.to_string().into_bytes() }
    }
}
