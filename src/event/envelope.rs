//! The CloudEvents 1.0 envelope.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What identifies an event for ever: a second arrival with the same pair is a duplicate.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identity {
    /// The CloudEvents `source`.
    pub source: String,
    /// The CloudEvents `id`, unique within its source.
    pub id: String,
}

/// The context attributes that the daemon uses.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope {
    /// `source` and `id`.
    pub identity: Identity,
    /// The `type`, which alone decides what the event is.
    pub kind: Kind,
    /// When the producer says it happened.
    pub time: DateTime<Utc>,
    /// The `subject`, where given.
    pub subject: Option<String>,
    /// The W3C trace context, where given.
    pub traceparent: Option<String>,
    /// The name of the Buy with Prime target; `default` where the event names none.
    pub target: String,
}

/// The kinds of events, by their CloudEvents `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `oms.return.v1`
    Return,
    /// `oms.refund.v1`
    Refund,
    /// `oms.shipment.v1`
    Shipment,
    /// `oms.order.v1`
    Order,
    /// `oms.alias.v1`
    Alias,
}

impl Kind {
    /// Every kind, in the order of the contract's table of topics.
    pub const ALL: [Kind; 5] = [Kind::Return, Kind::Refund, Kind::Shipment, Kind::Order, Kind::Alias];

    /// The CloudEvents `type` of this kind.
    pub const fn type_name(self) -> &'static str {
        match self {
            Kind::Return => "oms.return.v1",
            Kind::Refund => "oms.refund.v1",
            Kind::Shipment => "oms.shipment.v1",
            Kind::Order => "oms.order.v1",
            Kind::Alias => "oms.alias.v1",
        }
    }

    /// The kind of a CloudEvents `type`; none where it is not one of ours.
    pub fn of_type(name: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.type_name() == name)
    }

    /// The short name in metrics and tables: `return`, `refund`, `shipment`, `order`, `alias`.
    pub const fn label(self) -> &'static str {
        match self {
            Kind::Return => "return",
            Kind::Refund => "refund",
            Kind::Shipment => "shipment",
            Kind::Order => "order",
            Kind::Alias => "alias",
        }
    }
}
