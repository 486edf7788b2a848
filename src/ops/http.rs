//! The ops port: `/livez`, `/readyz`, `/metrics`, `/state`. It owns the listener and its limits; every answer comes from
//! memory, so that the port answers when nothing else does.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::lifecycle::Health;
use super::state::StateBoard;

/// Connections at once; more wait in the listener's queue.
const CONNECTIONS: usize = 64;
/// How long a client may take over its request's head, or be idle.
const HEAD: Duration = Duration::from_secs(10);
/// How long a connection may live at all, so that slow readers cannot hold the port for ever.
const CONNECTION: Duration = Duration::from_secs(600);
/// How often the recorder is tidied up, so that it does not grow while nobody asks for metrics.
const UPKEEP: Duration = Duration::from_secs(5);

/// What the port shows.
#[derive(Debug, Clone)]
pub struct Ops {
    /// Life and readiness.
    pub health: Health,
    /// The members of `/state`.
    pub board: StateBoard,
    /// The recorder of the metrics.
    pub metrics: PrometheusHandle,
}

/// The port, bound, so that an address in use stops the start.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    router: Router,
    metrics: PrometheusHandle,
}

impl Server {
    /// Binds the address.
    pub async fn bind(listen: SocketAddr, ops: Ops) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let metrics = ops.metrics.clone();
        Ok(Self { listener, router: router(ops), metrics })
    }

    /// The address in use, which tells the port where 0 was asked for.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until told to stop. Nothing else ends it: an error of one connection is that connection's own.
    pub async fn run(self, stop: CancellationToken) {
        let slots = Arc::new(Semaphore::new(CONNECTIONS));
        let mut upkeep = tokio::time::interval(UPKEEP);
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                _ = upkeep.tick() => { self.metrics.run_upkeep(); continue }
                accepted = accept(&self.listener, &slots) => accepted,
            };
            match accepted {
                Ok((stream, slot)) => {
                    let serving = serve(stream, self.router.clone(), stop.clone());
                    tokio::spawn(async move {
                        serving.await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    // Out of file handles, most likely: give others the time to return some.
                    tracing::warn!(%error, "the ops port could not take a connection");
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
            }
        }
    }
}

async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, slot))
}

async fn serve(stream: TcpStream, router: Router, stop: CancellationToken) {
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(Duration::from_secs(1), connection).await;
            return;
        }
        () = tokio::time::sleep(CONNECTION) => return,
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection to the ops port ended");
    }
}

fn router(ops: Ops) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/state", get(state))
        .with_state(ops)
}

async fn livez(State(ops): State<Ops>) -> Response {
    let ailments = ops.health.ailments();
    if ailments.is_empty() {
        return plain(StatusCode::OK, "ok\n".to_owned());
    }
    plain(StatusCode::SERVICE_UNAVAILABLE, ailments.iter().map(|ailment| format!("{ailment}\n")).collect())
}

async fn readyz(State(ops): State<Ops>) -> Response {
    match ops.health.readiness() {
        Ok(()) => plain(StatusCode::OK, "ok\n".to_owned()),
        Err(reason) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

async fn metrics(State(ops): State<Ops>) -> Response {
    super::metrics::process().collect();
    ops.metrics.run_upkeep();
    answer(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", ops.metrics.render())
}

async fn state(State(ops): State<Ops>) -> Response {
    answer(StatusCode::OK, "application/json", format!("{}\n", ops.board.state()))
}

fn plain(status: StatusCode, text: String) -> Response {
    answer(status, "text/plain; charset=utf-8", text)
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let headers = HeaderMap::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ]);
    (status, headers, body).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::ops::metrics as ours;

    struct Port {
        address: SocketAddr,
        ops: Ops,
        stop: CancellationToken,
        running: tokio::task::JoinHandle<()>,
    }

    async fn open() -> Port {
        let recorder = ours::recorder().unwrap();
        let ops = Ops { health: Health::default(), board: StateBoard::default(), metrics: recorder.handle() };
        ::metrics::with_local_recorder(&recorder, ours::describe);
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), ops.clone()).await.unwrap();
        let address = server.local_addr().unwrap();
        let stop = CancellationToken::new();
        let running = tokio::spawn(server.run(stop.clone()));
        Port { address, ops, stop, running }
    }

    impl Port {
        async fn ask(&self, head: &str) -> String {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            let request = format!("{head} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            let read = stream.read_to_string(&mut answer);
            tokio::time::timeout(Duration::from_secs(10), read).await.unwrap().unwrap();
            answer
        }
    }

    #[tokio::test]
    async fn probes_follow_health() {
        let port = open().await;
        assert!(port.ask("GET /livez").await.starts_with("HTTP/1.1 200"));
        let answer = port.ask("GET /readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.ends_with("current\n"), "{answer}");
        port.ops.health.schema_is_current();
        port.ops.health.ingest_is_ready();
        assert!(port.ask("GET /readyz").await.starts_with("HTTP/1.1 200"));
        drop(port.ops.health.register("ingest"));
        let answer = port.ask("GET /livez").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("the loop `ingest` has ended"), "{answer}");
        port.ops.health.stop();
        assert!(port.ask("GET /readyz").await.starts_with("HTTP/1.1 503"));
    }

    #[tokio::test]
    async fn metrics_and_state_are_shown() {
        let port = open().await;
        let answer = port.ask("GET /metrics").await;
        assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
        assert!(answer.contains("\nbwp_sync_build_info{version="), "{answer}");
        port.ops.board.show("lag", || serde_json::json!({ "oms.returns": 4 }));
        let answer = port.ask("GET /state").await;
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let state: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(state["lag"]["oms.returns"], 4);
        assert!(port.ask("GET /").await.starts_with("HTTP/1.1 404"));
        assert!(port.ask("POST /state").await.starts_with("HTTP/1.1 405"));
    }

    #[tokio::test]
    async fn it_ends_when_told_to_even_with_an_idle_client() {
        let port = open().await;
        let mut idle = TcpStream::connect(port.address).await.unwrap();
        idle.write_all(b"GET /livez HTTP/1.1\r\n").await.unwrap();
        assert!(port.ask("GET /livez").await.starts_with("HTTP/1.1 200"));
        port.stop.cancel();
        tokio::time::timeout(Duration::from_secs(5), port.running).await.unwrap().unwrap();
    }
}
