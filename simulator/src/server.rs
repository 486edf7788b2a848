//! The listener: connections, routes, and the one thing that needs the socket itself: resetting it.

use crate::answer::{Response, empty_answer, html_answer, refusal, retry_after};
use crate::faults::{Answer, Body, Rule};
use crate::{App, admin, graphql, token};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const LARGEST_BODY: usize = 16 << 20;

/// The connection is to be cut without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the fault script resets this connection")]
pub(crate) struct Reset;

/// Accepts until the other end of `stop` is dropped or says so.
pub(crate) async fn listen(listener: TcpListener, app: Arc<App>, mut stop: watch::Receiver<bool>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        if let Ok((stream, _)) = accepted {
            let (app, mut stop) = (Arc::clone(&app), stop.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = connection(stream, app) => {}
                    _ = stop.changed() => {}
                }
            });
        }
    }
}

async fn connection(stream: TcpStream, app: Arc<App>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let app = Arc::clone(&app);
        Box::pin(async move { route(&app, request).await })
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = poll_fn(|cx| connection.poll_without_shutdown(cx)).await {
        // Only an error of the service asks for a reset; others mean that the client is gone.
        if error.is_user() {
            let socket = connection.into_parts().io.into_inner();
            let _ = socket.set_zero_linger();
        }
    }
}

async fn route(app: &Arc<App>, request: Request<Incoming>) -> Result<Response, Reset> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, LARGEST_BODY).collect().await else {
        return Ok(refusal(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"));
    };
    let body: Bytes = body.to_bytes();
    match (&head.method, head.uri.path()) {
        (&Method::POST, "/graphql") => graphql::serve(app, &head.headers, body).await,
        (&Method::POST, "/token") => token::serve(app, &head.headers, &body).await,
        (method, path) if path.starts_with("/admin/") => Ok(admin::serve(app, method, path, head.uri.query(), &body)),
        _ => Ok(refusal(StatusCode::NOT_FOUND, "there is nothing here")),
    }
}

/// The part of a rule that has nothing to do with GraphQL: `None` where the answer is still to be found.
pub(crate) async fn after_fault(app: &App, rule: &Rule) -> Result<Option<Response>, Reset> {
    if rule.latency_ms > 0 {
        tokio::time::sleep(Duration::from_millis(rule.latency_ms)).await;
    }
    let mut answer = plain_answer(app, &rule.answer).await?;
    if let (Some(response), Some(wait)) = (&mut answer, rule.answer.retry_after()) {
        retry_after(response, &wait.header().0);
    }
    Ok(answer)
}

/// Answers that look the same whatever was asked.
pub(crate) async fn plain_answer(app: &App, answer: &Answer) -> Result<Option<Response>, Reset> {
    let response = match answer {
        Answer::TooManyRequests { .. } => refusal(StatusCode::TOO_MANY_REQUESTS, "too many requests"),
        Answer::Status { status, body, .. } => {
            let status = StatusCode::from_u16(*status);
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            match body {
                Body::Json => refusal(status, "the fault script says so"),
                Body::Html => html_answer(status),
                Body::Empty => empty_answer(status),
            }
        }
        Answer::Html => html_answer(StatusCode::OK),
        Answer::Unauthorized => refusal(StatusCode::UNAUTHORIZED, "the token has expired"),
        Answer::Reset => return Err(Reset),
        Answer::Never => {
            tokio::time::sleep(app.options.gateway_limit).await;
            return Err(Reset);
        }
        Answer::Normal | Answer::Errors { .. } | Answer::NullData | Answer::Beside { .. } => {
            return Ok(None);
        }
    };
    Ok(Some(response))
}
