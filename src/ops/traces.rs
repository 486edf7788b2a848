//! Spans for whoever collects traces, over OTLP (HTTP, protobuf). Off unless the environment says where to, by the names that
//! OpenTelemetry gives them: `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`.
//!
//! Owns the export; what is in a span is said by whoever makes one. A collector that is away costs spans, and nothing else.

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry::trace::{Link, Span, SpanBuilder, SpanContext, SpanId, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

/// How long one export may take.
const EXPORT: Duration = Duration::from_secs(10);
/// How long the last spans may take at the end.
const FAREWELL: Duration = Duration::from_secs(2);
/// The most of an answer that is read.
const MOST_BYTES: usize = 1024 * 1024;

static EXPORTING: OnceLock<(SdkTracerProvider, SdkTracer)> = OnceLock::new();

/// Begins to export where the environment says so; to be called within the runtime that is to do it.
///
/// # Errors
/// A sentence, where what the environment says cannot be used.
pub fn start(http: &reqwest::Client) -> Result<(), String> {
    if !is_wanted(|name| std::env::var(name).ok()) {
        return Ok(());
    }
    let client = Carrier { http: http.clone(), runtime: tokio::runtime::Handle::current(), is_failing: AtomicBool::new(false) };
    let exporter = SpanExporter::builder().with_http().with_http_client(client).with_protocol(Protocol::HttpBinary).build();
    // The library's words may quote the address, and an address may hold a secret.
    let exporter = exporter.map_err(|_| "the address or the headers in OTEL_EXPORTER_OTLP_* cannot be used".to_owned())?;
    let resource = Resource::builder().with_attribute(opentelemetry::KeyValue::new("service.version", crate::VERSION));
    let named = std::env::var_os("OTEL_SERVICE_NAME").is_some();
    let resource = if named { resource } else { resource.with_service_name("bwp-sync") };
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build()).build();
    let tracer = provider.tracer("bwp-sync");
    let _ = EXPORTING.set((provider, tracer));
    Ok(())
}

/// Sends what is left, for a moment.
pub async fn stop() {
    if let Some((provider, _)) = EXPORTING.get() {
        let ended = tokio::task::spawn_blocking(|| provider.shutdown_with_timeout(FAREWELL)).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!("the last spans could not be exported");
        }
    }
}

/// Whether spans are exported: else there is no need to make any.
pub fn is_on() -> bool {
    EXPORTING.get().is_some()
}

/// Hands over a span that is over: it went wrong where `error` says how.
pub fn export(span: SpanBuilder, ended: SystemTime, error: Option<String>) {
    let Some((_, tracer)) = EXPORTING.get() else { return };
    let mut span = tracer.build(span);
    if let Some(error) = error {
        span.set_status(Status::error(error));
    }
    span.end_with_timestamp(ended);
}

/// A link to the span of a W3C `traceparent`; none where it is none.
pub fn link(traceparent: &str) -> Option<Link> {
    context(traceparent).map(Link::with_context)
}

/// The trace of a W3C `traceparent`, as logs show it; none where it is none.
pub fn trace_id(traceparent: &str) -> Option<String> {
    context(traceparent).map(|context| context.trace_id().to_string())
}

/// <https://www.w3.org/TR/trace-context/#traceparent-header>
fn context(traceparent: &str) -> Option<SpanContext> {
    let parts: Vec<&str> = traceparent.split('-').collect();
    let [version, trace, span, flags, ..] = parts[..] else { return None };
    let is_hex = |text: &str, length| text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !(is_hex(version, 2) && version != "ff" && is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2)) {
        return None;
    }
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::default());
    context.is_valid().then_some(context)
}

fn is_wanted(variable: impl Fn(&str) -> Option<String>) -> bool {
    let is = |name, value: &str| variable(name).is_some_and(|said| said.eq_ignore_ascii_case(value));
    let is_set = |name| variable(name).is_some_and(|value| !value.trim().is_empty());
    let is_addressed = is_set("OTEL_EXPORTER_OTLP_ENDPOINT") || is_set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    is_addressed && !is("OTEL_SDK_DISABLED", "true") && !is("OTEL_TRACES_EXPORTER", "none")
}

/// The exporter has a thread of its own; requests are made by the program's runtime.
#[derive(Debug)]
struct Carrier {
    http: reqwest::Client,
    runtime: tokio::runtime::Handle,
    is_failing: AtomicBool,
}

#[async_trait]
impl HttpClient for Carrier {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sending = self.runtime.spawn(send(self.http.clone(), request)).await;
        let answer = sending.ok().flatten();
        let fails = answer.as_ref().is_none_or(|answer| !answer.status().is_success());
        if fails != self.is_failing.swap(fails, Ordering::Relaxed) {
            let status = answer.as_ref().map(|answer| answer.status().as_u16());
            match fails {
                true => tracing::warn!(status, "the collector of traces does not take them; spans are lost until it does"),
                false => tracing::info!("the collector of traces takes them again"),
            }
        }
        answer.ok_or_else(|| "the collector does not answer".into())
    }
}

async fn send(http: reqwest::Client, request: Request<Bytes>) -> Option<Response<Bytes>> {
    let (head, body) = request.into_parts();
    let asked = http.request(head.method, head.uri.to_string()).headers(head.headers).timeout(EXPORT).body(body);
    let mut answer = asked.send().await.ok()?;
    let status = answer.status();
    let mut read = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        read.extend_from_slice(&chunk);
        if read.len() > MOST_BYTES {
            return None;
        }
    }
    let mut response = Response::new(read.into());
    *response.status_mut() = status;
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_linked_where_it_is_one() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(trace_id(&format!("00-{id}-00f067aa0ba902b7-01")).as_deref(), Some(id));
        for none in [
            "",
            "00",
            "jane@example.com",
            &format!("00-{id}-00f067aa0ba902b7"),
            &format!("ff-{id}-00f067aa0ba902b7-01"),
            &format!("00-{id}-0000000000000000-01"),
            &format!("00-{}-00f067aa0ba902b7-01", id.to_uppercase()),
            &format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
        ] {
            assert_eq!(trace_id(none), None, "{none}");
        }
    }

    #[test]
    fn traces_are_exported_where_the_environment_says_where_to() {
        let wanted = |set: &[(&str, &str)]| {
            is_wanted(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
        };
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        assert!(wanted(&[endpoint]) && wanted(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:4318/v1/traces")]));
        assert!(!wanted(&[]) && !wanted(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]));
        assert!(!wanted(&[endpoint, ("OTEL_SDK_DISABLED", "TRUE")]) && !wanted(&[endpoint, ("OTEL_TRACES_EXPORTER", "none")]));
    }
}
