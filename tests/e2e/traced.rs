//! Traces: a span for each outcome and each call, linked to the trace of the event's producer.

use crate::collector::{Collector, said};
use crate::merchant;
use crate::service::Service;
use crate::support::PATIENCE;
use crate::support::events::{Envelope, Event};
use bwp_simulator::Options;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

async fn publish(service: &Service, n: usize) -> Vec<Event> {
    let purchase = merchant::purchase(n);
    service.simulator.seed_orders(vec![purchase.seed]).unwrap();
    let traceparent = format!("00-{TRACE_ID}-00f067aa0ba902b7-01");
    let events: Vec<Event> = purchase.events.into_iter().map(|event| event.with("traceparent", &traceparent)).collect();
    for event in &events {
        service.topics.publish(event, Envelope::Binary).await;
    }
    events
}

/// It is the root of a trace of its own, and linked to the producer's.
fn assert_linked(span: &Span) {
    let trace = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert!(span.parent_span_id.is_empty() && trace(&span.trace_id) != TRACE_ID, "{span:#?}");
    assert!(!span.links.is_empty() && span.links.iter().all(|link| trace(&link.trace_id) == TRACE_ID), "{span:#?}");
    assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_outcome_and_each_call_is_a_span_linked_to_its_producers_trace() {
    let (service, collector) = (Service::open(1, Options::default()).await, Collector::start().await);
    let mut daemon = service.builder.clone().env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.address).start();
    daemon.wait_ready().await;
    let mut events = publish(&service, 0).await;
    events.extend(publish(&service, 4).await);
    service.drained(events.len(), PATIENCE).await;
    // At its end it sends what is left.
    assert_eq!(daemon.terminate(PATIENCE).await.code(), Some(0));

    let spans = collector.spans();
    for event in &events {
        let own = spans.iter().filter(|span| said(&span.attributes, "cloudevents.event_id") == event.id());
        let [span] = own.collect::<Vec<_>>()[..] else { panic!("not one span for {}: {}", event.id(), collector.text()) };
        assert_linked(span);
        assert_eq!(span.kind(), SpanKind::Consumer);
        let topic = event.topic(&service.topics);
        assert_eq!(span.name, format!("settle {topic}"));
        for (name, value) in [
            ("messaging.system", "kafka"),
            ("messaging.destination.name", topic),
            ("messaging.destination.partition.id", "0"),
            ("cloudevents.event_type", event.kind.event_type()),
        ] {
            assert_eq!(said(&span.attributes, name), value, "{span:#?}");
        }
        let outcome = said(&span.attributes, "bwp_sync.outcome");
        assert!(["DELIVERED", "SUPERSEDED", "CONFIRMED"].contains(&outcome.as_str()), "{span:#?}");
    }
    let sent: Vec<_> = spans.iter().filter(|span| span.name == "POST updateOrder").collect();
    assert!(sent.len() >= 2, "{}", collector.text());
    for span in sent {
        assert_linked(span);
        assert_eq!(span.kind(), SpanKind::Client);
        let attributes = ["http.request.method", "http.response.status_code", "graphql.operation.type", "bwp_sync.verdict"];
        assert_eq!(attributes.map(|name| said(&span.attributes, name)), ["POST", "200", "mutation", "delivered"]);
    }
    assert!(collector.text().contains("\"bwp-sync\""), "{}", collector.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_costs_spans_and_nothing_else() {
    let service = Service::open(1, Options::default()).await;
    let builder =
        service.builder.clone().env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1").env("OTEL_BSP_SCHEDULE_DELAY", "50");
    let mut daemon = builder.start();
    daemon.wait_ready().await;
    let events = publish(&service, 0).await;
    service.drained(events.len(), PATIENCE).await;
    assert_eq!(daemon.terminate(PATIENCE).await.code(), Some(0));
    assert_eq!(daemon.log().matches("the collector of traces does not take them").count(), 1, "{}", daemon.log());
}
