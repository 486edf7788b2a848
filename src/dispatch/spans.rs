//! What a call and an outcome look like as spans, after OpenTelemetry's conventions for HTTP, GraphQL, messaging and CloudEvents. The
//! producer's trace is linked, not continued: an event may wait for days, and one call may be about many events.

use super::verdict::{Judgement, Verdict};
use crate::ledger::Claimed;
use crate::ledger::finals::FinalRow;
use crate::ops::traces;
use crate::plan::Next;
use crate::plan::outcome::Status;
use crate::prime::documents::Operation;
use crate::prime::exchange::Exchange;
use opentelemetry::KeyValue;
use opentelemetry::trace::{Link, SpanBuilder, SpanKind};
use std::time::{Duration, SystemTime};

/// An event from its intake to its outcome.
pub fn settled(row: &FinalRow) {
    if !traces::is_on() {
        return;
    }
    let mut attributes = vec![
        KeyValue::new("messaging.system", "kafka"),
        KeyValue::new("messaging.operation.type", "process"),
        KeyValue::new("messaging.operation.name", "settle"),
        KeyValue::new("messaging.destination.name", row.place.topic.clone()),
        KeyValue::new("messaging.destination.partition.id", row.place.partition.to_string()),
        KeyValue::new("messaging.kafka.offset", row.place.offset),
        KeyValue::new("cloudevents.event_source", row.identity.source.clone()),
        KeyValue::new("cloudevents.event_id", row.identity.id.clone()),
        KeyValue::new("cloudevents.event_type", row.kind.type_name()),
        KeyValue::new("bwp_sync.order", row.order.clone()),
        KeyValue::new("bwp_sync.outcome", row.status.as_str()),
        KeyValue::new("bwp_sync.attempts", i64::from(row.attempts)),
    ];
    let code = row.reason.as_ref().map(|reason| reason.code.clone());
    attributes.extend(code.clone().map(|code| KeyValue::new("bwp_sync.code", code)));
    let span = SpanBuilder::from_name(format!("settle {}", row.place.topic))
        .with_kind(SpanKind::Consumer)
        .with_start_time(row.received_at)
        .with_links(links(row.traceparent.as_deref()))
        .with_attributes(attributes);
    traces::export(span, row.settled_at.into(), code.filter(|_| row.status == Status::Dead));
}

/// A call to Buy with Prime, linked to what the events in it came from.
pub fn called(target: &str, claimed: &Claimed, operation: Operation, exchange: &Exchange, judgement: &Judgement, took: Duration) {
    if !traces::is_on() {
        return;
    }
    let kind = if operation.writes() { "mutation" } else { "query" };
    let mut attributes = vec![
        KeyValue::new("http.request.method", "POST"),
        KeyValue::new("graphql.operation.type", kind),
        KeyValue::new("graphql.operation.name", operation.name()),
        KeyValue::new("bwp_sync.target", target.to_owned()),
        KeyValue::new("bwp_sync.verdict", judgement.verdict.name()),
    ];
    if let Exchange::Answered { status, request_id, .. } = exchange {
        attributes.push(KeyValue::new("http.response.status_code", i64::from(*status)));
        attributes.extend(request_id.clone().map(|id| KeyValue::new("bwp_sync.request_id", id)));
    }
    let error = (judgement.verdict != Verdict::Delivered).then(|| judgement.code.clone());
    attributes.extend(error.clone().map(|code| KeyValue::new("error.type", code)));
    let now = SystemTime::now();
    let span = SpanBuilder::from_name(format!("POST {}", operation.name()))
        .with_kind(SpanKind::Client)
        .with_start_time(now.checked_sub(took).unwrap_or(now))
        .with_links(links(traceparents(claimed)))
        .with_attributes(attributes);
    traces::export(span, now, error);
}

fn traceparents(claimed: &Claimed) -> Vec<&str> {
    let Next::Send(draft) = &claimed.next else { return Vec::new() };
    let events = draft.events().into_iter().filter_map(|no| claimed.lane.events.get(&no));
    events.filter_map(|live| live.event.envelope.traceparent.as_deref()).collect()
}

fn links<'a>(traceparents: impl IntoIterator<Item = &'a str>) -> Vec<Link> {
    traceparents.into_iter().filter_map(traces::link).collect()
}
