//! The outcome of an event as the world sees it: `bwp.outcome.v1`, one CloudEvent in structured mode.
//!
//! Pure: it turns what was settled into text, and knows neither Kafka nor Postgres. A repetition is identical, since the text is
//! made once and kept.

use crate::event::{AliasKind, Data, Event, Fault, Identity, Reference};
use crate::ledger::Place;
use crate::moment::in_millis;
use crate::plan::outcome::{Reason, Status};
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::borrow::Cow;

/// What is said of an event that is final.
#[derive(Debug, Clone, PartialEq)]
pub struct Final<'a> {
    /// How it ended.
    pub status: Status,
    /// Why.
    pub reason: Option<&'a Reason>,
    /// Mutations sent for it.
    pub attempts: u32,
    /// Buy with Prime's id of its order, where known.
    pub order_bwp_id: Option<&'a str>,
    /// Buy with Prime's id of the thing, where known.
    pub entity_bwp_id: Option<&'a str>,
    /// When.
    pub settled_at: DateTime<Utc>,
    /// The count of the event's outcomes, from 1.
    pub number: i32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    specversion: &'static str,
    id: String,
    source: &'static str,
    r#type: &'static str,
    time: String,
    datacontenttype: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    data: Outcome<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome<'a> {
    event: EventRef<'a>,
    target: Option<&'a str>,
    order: Option<OrderRef<'a>>,
    entity: Option<EntityRef<'a>>,
    status: Status,
    reason: Option<&'a Reason>,
    attempts: u32,
    event_time: Option<String>,
    settled_at: String,
}

#[derive(Serialize)]
struct EventRef<'a> {
    source: Option<&'a str>,
    id: Option<&'a str>,
    r#type: Option<&'a str>,
    topic: &'a str,
    partition: i32,
    offset: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OrderRef<'a> {
    id: Option<&'a str>,
    bwp_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EntityRef<'a> {
    kind: AliasKind,
    id: Option<&'a str>,
    bwp_id: Option<&'a str>,
}

/// The `id` of an event's outcome: `<source>#<id>#<n>`, with `%` and `#` inside percent-encoded.
pub fn outcome_id(identity: &Identity, number: i32) -> String {
    fn encode(text: &str) -> Cow<'_, str> {
        match text.contains(['%', '#']) {
            true => Cow::Owned(text.replace('%', "%25").replace('#', "%23")),
            false => Cow::Borrowed(text),
        }
    }
    format!("{}#{}#{number}", encode(&identity.source), encode(&identity.id))
}

/// The `id` of the outcome of a record that could not be read: `<topic>/<partition>/<offset>`.
pub fn place_id(place: &Place) -> String {
    format!("{}/{}/{}", place.topic, place.partition, place.offset)
}

/// The thing that an event is about, as its outcome names it.
pub fn entity(event: &Event) -> (AliasKind, Option<Reference>) {
    match &event.data {
        Data::Return(snapshot) => {
            let derived = || Reference::Id(event.envelope.identity.derived_alias_id());
            (AliasKind::Return, Some(snapshot.reference.clone().unwrap_or_else(derived)))
        }
        Data::Refund(snapshot) => (AliasKind::Refund, Some(snapshot.refund.clone())),
        Data::Shipment(snapshot) => (AliasKind::Package, Some(snapshot.shipment.clone())),
        Data::Order(snapshot) => (AliasKind::Order, Some(snapshot.order.clone())),
        Data::Alias(row) => (row.kind, Some(Reference::Alias(row.alias.clone()))),
    }
}

/// The outcome of an event.
pub fn of_event(event: &Event, place: &Place, ending: &Final) -> String {
    let envelope = &event.envelope;
    let order = event.data.order();
    let (kind, reference) = entity(event);
    write(
        outcome_id(&envelope.identity, ending.number),
        envelope.traceparent.as_deref(),
        Outcome {
            event: EventRef {
                source: Some(&envelope.identity.source),
                id: Some(&envelope.identity.id),
                r#type: Some(envelope.kind.type_name()),
                topic: &place.topic,
                partition: place.partition,
                offset: place.offset,
            },
            target: Some(&envelope.target),
            order: Some(OrderRef { id: own_id(&order), bwp_id: bwp_id(&order).or(ending.order_bwp_id) }),
            entity: Some(EntityRef {
                kind,
                id: reference.as_ref().and_then(own_id),
                bwp_id: reference.as_ref().and_then(bwp_id).or(ending.entity_bwp_id),
            }),
            status: ending.status,
            reason: ending.reason,
            attempts: ending.attempts,
            event_time: Some(in_millis(envelope.time)),
            settled_at: in_millis(ending.settled_at),
        },
    )
}

/// The outcome of a record that could not be read: what of it could is shown, the rest is null.
pub fn of_fault(fault: &Fault, place: &Place, reason: &Reason, settled_at: DateTime<Utc>) -> String {
    let partial = &fault.envelope;
    let order = partial.order.as_ref();
    let entity = partial.entity.as_ref();
    write(
        place_id(place),
        None,
        Outcome {
            event: EventRef {
                source: partial.source.as_deref(),
                id: partial.id.as_deref(),
                r#type: partial.event_type.as_deref(),
                topic: &place.topic,
                partition: place.partition,
                offset: place.offset,
            },
            target: partial.target.as_deref(),
            order: order.map(|order| OrderRef { id: own_id(order), bwp_id: bwp_id(order) }),
            entity: partial.entity_kind.map(|kind| EntityRef {
                kind,
                id: entity.and_then(own_id),
                bwp_id: entity.and_then(bwp_id),
            }),
            status: Status::Quarantined,
            reason: Some(reason),
            attempts: 0,
            event_time: partial.time.map(in_millis),
            settled_at: in_millis(settled_at),
        },
    )
}

fn write(id: String, traceparent: Option<&str>, data: Outcome) -> String {
    let envelope = Envelope {
        specversion: "1.0",
        id,
        source: "/bwp-sync",
        r#type: "bwp.outcome.v1",
        time: data.settled_at.clone(),
        datacontenttype: "application/json",
        traceparent,
        data,
    };
    crate::text::json(&envelope, 768)
}

fn own_id(reference: &Reference) -> Option<&str> {
    match reference {
        Reference::Id(id) => Some(id),
        Reference::Alias(alias) => Some(&alias.id),
        Reference::BwpId(_) => None,
    }
}

fn bwp_id(reference: &Reference) -> Option<&str> {
    match reference {
        Reference::BwpId(id) => Some(id),
        Reference::Id(_) | Reference::Alias(_) => None,
    }
}
