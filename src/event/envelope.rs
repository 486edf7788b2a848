//! The CloudEvents 1.0 envelope.

use super::fault::{FaultCode, PartialEnvelope, Read, clip};
use super::reader::{self, Object, Value};
use super::timestamp;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// The attributes that are looked at; all others are ignored.
pub(super) const ATTRIBUTES: [&str; 9] =
    ["specversion", "id", "source", "type", "time", "subject", "traceparent", "target", "data_base64"];

/// The target of an event that names none.
pub const DEFAULT_TARGET: &str = "default";

/// The longest `source`, in characters: a URI reference, and part of the outcomes' ids.
const LONGEST_SOURCE: usize = 1024;

/// What identifies an event for ever: a second arrival with the same pair is a duplicate.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identity {
    /// The CloudEvents `source`.
    pub source: String,
    /// The CloudEvents `id`, unique within its source.
    pub id: String,
}

impl Identity {
    /// The alias id that a return takes which its event does not name: `evt-` and the first 32 hex digits of SHA-256 over
    /// `source`, a line feed and `id`. Repeating the event gives the same one.
    pub fn derived_alias_id(&self) -> String {
        let digest = Sha256::new().chain_update(&self.source).chain_update("\n").chain_update(&self.id).finalize();
        let mut alias = String::from("evt-");
        for byte in &digest[..16] {
            let _ = write!(alias, "{byte:02x}");
        }
        alias
    }
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

impl Envelope {
    pub(super) fn read(object: Object<'_>) -> Read<Envelope> {
        if object.get("data_base64").is_some() {
            let message = "`data_base64` is not read; an event's data is JSON in `data`";
            return Err(object.wrong_member("data_base64", FaultCode::BinaryData, message));
        }
        object.required("specversion", read_specversion)?;
        Ok(Envelope {
            identity: Identity { id: object.required("id", reader::id)?, source: object.required("source", read_source)? },
            kind: object.required("type", read_kind)?,
            time: object.required("time", timestamp::read)?,
            target: object.optional("target", reader::id)?.unwrap_or_else(|| DEFAULT_TARGET.to_owned()),
            subject: object.optional("subject", read_note)?.flatten(),
            traceparent: object.optional("traceparent", read_note)?.flatten(),
        })
    }

    /// The attributes that are sound by themselves.
    pub(super) fn read_partial(object: Object<'_>) -> PartialEnvelope {
        let target = object.optional("target", reader::id);
        PartialEnvelope {
            source: object.optional("source", read_source).ok().flatten(),
            id: object.optional("id", reader::id).ok().flatten(),
            event_type: object.optional("type", reader::id).ok().flatten(),
            time: object.optional("time", timestamp::read).ok().flatten(),
            target: target.ok().map(|target| target.unwrap_or_else(|| DEFAULT_TARGET.to_owned())),
            ..PartialEnvelope::default()
        }
    }
}

fn read_specversion(value: Value<'_>) -> Read<()> {
    match value.text()? {
        "1.0" => Ok(()),
        other => {
            let message = format!("`specversion` is {}; events are CloudEvents \"1.0\"", clip(other));
            Err(value.wrong(FaultCode::BadValue, message))
        }
    }
}

fn read_kind(value: Value<'_>) -> Read<Kind> {
    let name = value.text()?;
    Kind::of_type(name).ok_or_else(|| {
        let known = Kind::ALL.map(Kind::type_name).join(", ");
        value.wrong(FaultCode::UnknownType, format!("`type` is {}; it must be one of {known}", clip(name)))
    })
}

fn read_source(value: Value<'_>) -> Read<String> {
    let source = value.text()?;
    let length = source.chars().count();
    if (1..=LONGEST_SOURCE).contains(&length) && !source.chars().any(char::is_control) {
        return Ok(source.to_owned());
    }
    let message = format!("`source` is {}; it must be 1 to {LONGEST_SOURCE} characters without control characters", clip(source));
    Err(value.wrong(FaultCode::BadId, message))
}

/// An attribute that only accompanies the event: an empty one is as good as none.
fn read_note(value: Value<'_>) -> Read<Option<String>> {
    let text = value.text()?;
    match text.chars().any(char::is_control) {
        false => Ok((!text.is_empty()).then(|| text.to_owned())),
        true => {
            let message = format!("{} has a control character, which CloudEvents attributes must not", value.label());
            Err(value.wrong(FaultCode::BadValue, message))
        }
    }
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
