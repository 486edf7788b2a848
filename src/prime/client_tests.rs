#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{sync::Mutex, time::Duration};
use tokio::time::Instant;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{super::token::TokenFailure, *};
use crate::prime::{Credentials, token::TokenError};

const ORDER: &str = r#"{"data":{"updateOrder":{"order":{"id":"322-ABC1-AAAAAA"}}}}"#;

/// What the server does with one request to the API.
#[derive(Clone)]
enum Act {
    /// Raw bytes after the status line and the length; then the connection stays open.
    Answer(&'static str, String),
    /// Headers promise more than comes.
    BreakOff(&'static str),
    /// Reads it and closes.
    Close,
    /// Reads it and says nothing.
    Silence,
}

/// An HTTP server with one script per path (the last line stands for ever).
struct Server {
    address: std::net::SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

async fn server(api: Vec<Act>, token: Vec<Act>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        let scripts = Arc::new((api, token));
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket, Arc::clone(&scripts), Arc::clone(&log)));
        }
    });
    Server { address, seen }
}

async fn serve(mut socket: TcpStream, scripts: Arc<(Vec<Act>, Vec<Act>)>, log: Arc<Mutex<Vec<String>>>) {
    while let Some(request) = request(&mut socket).await {
        let act = {
            let mut log = log.lock().unwrap();
            let path = request.split_whitespace().nth(1).unwrap().to_owned();
            let script = if path == "/token" { &scripts.1 } else { &scripts.0 };
            let number = log.iter().filter(|seen| seen.contains(&format!("POST {path} "))).count();
            log.push(request);
            script[number.min(script.len() - 1)].clone()
        };
        match act {
            Act::Answer(head, body) => {
                let length = body.len();
                let answer = format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n{body}");
                if socket.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
            Act::BreakOff(head) => {
                let answer = format!("HTTP/1.1 {head}\r\ncontent-length: 500\r\n\r\n{{\"data\":");
                let _ = socket.write_all(answer.as_bytes()).await;
                return;
            }
            Act::Close => return,
            Act::Silence => std::future::pending().await,
        }
    }
}

async fn request(socket: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return Some(text);
            }
        }
        if socket.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
}

fn ok(body: &str) -> Act {
    Act::Answer("200 OK\r\ncontent-type: application/json", body.to_owned())
}

fn status(head: &'static str) -> Act {
    Act::Answer(head, String::new())
}

fn tokens() -> Vec<Act> {
    let token = |n| ok(&format!(r#"{{"access_token":"tok-{n}","expires_in":900}}"#));
    (0..9).map(token).collect()
}

impl Server {
    fn seen(&self, path: &str) -> Vec<String> {
        let wanted = format!("POST {path} ");
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|seen| seen.starts_with(&wanted)).cloned().collect()
    }

    fn client_with(&self, headers: &[(&str, &str)]) -> Result<Client, HeaderError> {
        let http = crate::prime::http().unwrap();
        let credentials = Credentials {
            token_endpoint: format!("http://{}/token", self.address).parse().unwrap(),
            client_id: "client 1".to_owned(),
            secret: Arc::new(|| "s3cret&".into()),
        };
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).into());
        let target = TargetEndpoint {
            endpoint: format!("http://{}/graphql", self.address).parse().unwrap(),
            token: TokenCache::new(http.clone(), credentials),
            target_id: "bp-1".to_owned(),
            api_version: "2024-11-01".to_owned(),
            headers: headers.iter().map(pair).collect(),
        };
        Client::new(http, target)
    }

    async fn call(&self, operation: Operation, within: u64) -> Exchange {
        let deadline = Instant::now() + Duration::from_millis(within);
        let client = self.client_with(&[]).unwrap();
        client.call(operation, r#"{"amount":38.790}"#, deadline).await
    }
}

async fn update(api: Act) -> Exchange {
    server(vec![api], tokens()).await.call(Operation::UpdateOrder, 5_000).await
}

#[tokio::test]
async fn a_call_carries_what_bwp_wants() {
    let server = server(vec![ok(ORDER)], tokens()).await;
    let exchange = server.call(Operation::UpdateOrder, 5_000).await;
    assert!(matches!(&exchange, Exchange::Answered { status: 200, body: Body::Order(_), .. }));
    let request = &server.seen("/graphql")[0];
    for line in [
        "authorization: Bearer tok-0",
        "x-api-target-id: bp-1",
        "x-api-version: 2024-11-01",
        "content-type: application/json",
        "accept: application/json",
    ] {
        assert!(request.contains(&format!("{line}\r\n")), "{line} in {request}");
    }
    assert!(request.ends_with(r#""operationName":"updateOrder","variables":{"amount":38.790}}"#));
    let form = "grant_type=client_credentials&client_id=client+1&client_secret=s3cret%26";
    assert!(server.seen("/token")[0].ends_with(form));
}

#[tokio::test]
async fn headers_can_be_added_and_ours_renamed() {
    let server = server(vec![ok(ORDER)], tokens()).await;
    let headers = [("X-Omni-TargetId", "{target_id}"), ("x-api-access-key", "k3y")];
    let client = server.client_with(&headers).unwrap();
    assert!(!format!("{client:?}").contains("k3y"));
    client.call(Operation::UpdateOrder, "{}", Instant::now() + Duration::from_secs(5)).await;
    let request = &server.seen("/graphql")[0];
    assert!(request.contains("x-omni-targetid: bp-1\r\n"));
    assert!(request.contains("x-api-access-key: k3y\r\n"));
    assert!(!request.contains("x-api-target-id"));

    let refused = |headers: &[(&str, &str)]| server.client_with(headers).unwrap_err().to_string();
    assert!(refused(&[("bad name", "x")]).contains("bad name"));
    assert!(refused(&[("x-key", "k3y\n")]).contains("x-key"));
    assert!(!refused(&[("x-key", "k3y\n")]).contains("k3y"));
    for reserved in ["authorization", "x-api-version", "Content-Type"] {
        assert!(refused(&[(reserved, "x")]).contains("set by the program"), "{reserved}");
    }
}

#[tokio::test]
async fn what_was_read_and_not_answered_may_have_been_applied() {
    assert_eq!(update(Act::Close).await, Exchange::NoAnswer { why: NoAnswer::Reset });
    let broken = update(Act::BreakOff("200 OK")).await;
    assert_eq!(broken, Exchange::NoAnswer { why: NoAnswer::BrokenOff });
    let server = server(vec![Act::Silence], tokens()).await;
    let silent = server.call(Operation::UpdateOrder, 300).await;
    assert_eq!(silent, Exchange::NoAnswer { why: NoAnswer::Timeout });
    assert_eq!(server.seen("/graphql").len(), 1, "nothing is repeated");
}

#[tokio::test]
async fn without_a_connection_nothing_left() {
    let server = server(vec![ok(ORDER)], tokens()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = listener.local_addr().unwrap();
    drop(listener);
    let mut client = server.client_with(&[]).unwrap();
    client.endpoint = format!("http://{gone}/graphql").parse().unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    let refused = client.call(Operation::UpdateOrder, "{}", deadline).await;
    assert_eq!(refused, Exchange::NotSent { why: NotSent::Connect });
    // plain text where TLS is spoken
    client.endpoint = format!("https://{}/graphql", server.address).parse().unwrap();
    let handshake = client.call(Operation::UpdateOrder, "{}", deadline).await;
    assert_eq!(handshake, Exchange::NotSent { why: NotSent::Connect });
}

#[tokio::test]
async fn a_deadline_before_the_body_is_written_means_not_sent() {
    let slow = server(vec![ok(ORDER)], vec![Act::Silence]).await;
    let late = Exchange::NotSent { why: NotSent::DeadlineBeforeSend };
    assert_eq!(slow.call(Operation::UpdateOrder, 100).await, late);
    assert!(slow.seen("/graphql").is_empty());
    // with a token at hand, and the deadline passed, as after a stop of the process
    let server = server(vec![ok(ORDER)], tokens()).await;
    let client = server.client_with(&[]).unwrap();
    let bearer = client.token.get().await.unwrap();
    let past = Instant::now();
    let sent = client.send(Operation::UpdateOrder, ReadForm(0), "{}", &bearer, &past.into()).await;
    assert_eq!(sent, late);
}

#[test]
fn a_body_leaves_before_its_deadline_and_only_if_it_was_not_withdrawn() {
    use http_body::Body as _;
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let later = Instant::now() + Duration::from_secs(60);
    for (deadline, withdrawn, leaves) in [(later, false, true), (later, true, false), (Instant::now(), false, false)] {
        let (mut body, departure) = GuardedBody::new("{}".into(), deadline.into());
        assert!(!withdrawn || !departure.left());
        let frame = std::pin::Pin::new(&mut body).poll_frame(&mut context);
        assert_eq!(matches!(frame, std::task::Poll::Ready(Some(Ok(_)))), leaves);
        assert_eq!(departure.left(), leaves);
    }
}

#[tokio::test]
async fn failures_keep_their_status_and_their_wish() {
    let busy = Act::Answer("503 Busy\r\nretry-after: 7\r\nx-amzn-requestid: r-1\r\ncontent-type: text/html", "<p>".to_owned());
    let Exchange::Answered { status: 503, retry_after, body, request_id } = update(busy).await else { panic!("no answer") };
    assert_eq!(retry_after, Some(RetryAfter::Seconds(7)));
    assert_eq!(request_id.as_deref(), Some("r-1"));
    assert!(matches!(body, Body::Unreadable { why } if why.contains("text/html")));

    let broken = update(Act::BreakOff("429 Slow")).await;
    assert!(matches!(broken, Exchange::Answered { status: 429, .. }));
    let moved = update(status("307 Moved\r\nlocation: http://127.0.0.1:1/")).await;
    assert!(matches!(moved, Exchange::Answered { status: 307, .. }));
    let huge = update(ok(&" ".repeat(MOST_BYTES + 1))).await;
    let why = "the answer is longer than 4 MiB".to_owned();
    assert!(matches!(huge, Exchange::Answered { body, .. } if body == Body::Unreadable { why }));
}

#[tokio::test]
async fn a_401_is_repeated_once_with_a_new_token() {
    let unauthorised = || status("401 Unauthorized");
    let server = server(vec![unauthorised(), ok(ORDER), unauthorised()], tokens()).await;
    let client = server.client_with(&[]).unwrap();
    let deadline = || Instant::now() + Duration::from_secs(5);
    let first = client.call(Operation::UpdateOrder, "{}", deadline()).await;
    assert!(matches!(first, Exchange::Answered { status: 200, .. }));
    assert!(server.seen("/graphql")[1].contains("authorization: Bearer tok-1"));
    assert_eq!(server.seen("/token").len(), 2);

    let second = client.call(Operation::UpdateOrder, "{}", deadline()).await;
    assert!(matches!(second, Exchange::Answered { status: 401, .. }));
    assert_eq!(server.seen("/graphql").len(), 4, "once and no more");
    let third = client.call(Operation::UpdateOrder, "{}", deadline()).await;
    let cause = TokenFailure::Rejected;
    assert!(matches!(
        third,
        Exchange::NotSent { why: NotSent::Token(TokenError::BackingOff { cause: found, .. }) } if found == cause
    ));
    assert_eq!(server.seen("/token").len(), 3, "and no storm on the token endpoint");
}

#[tokio::test]
async fn a_refused_token_request_tells_its_kind_and_no_secret() {
    for (act, failure) in [
        (status("400 Bad"), TokenFailure::Refused { status: 400 }),
        (status("302 Found\r\nlocation: /"), TokenFailure::Refused { status: 302 }),
        (ok("<html>"), TokenFailure::Unreadable),
        (Act::Close, TokenFailure::Unreachable),
    ] {
        let server = server(vec![ok(ORDER)], vec![act]).await;
        let exchange = server.call(Operation::UpdateOrder, 5_000).await;
        let error = TokenError::Failed(failure);
        assert_eq!(exchange, Exchange::NotSent { why: NotSent::Token(error) });
        assert!(!format!("{exchange:?} {error}").contains("s3cret"));
    }
}

#[tokio::test]
async fn the_read_finds_the_form_that_bwp_knows_and_stays_with_it() {
    let unknown = r#"{"errors":[{"message":"Field 'orderLineItems' in type 'X' is undefined"}]}"#;
    let found = r#"{"data":{"order":{"id":"x"}}}"#;
    let server = server(vec![ok(unknown), ok(found)], tokens()).await;
    let client = server.client_with(&[]).unwrap();
    for _ in 0..2 {
        let deadline = Instant::now() + Duration::from_secs(5);
        let exchange = client.call(Operation::ReadOrder, "{}", deadline).await;
        assert!(matches!(exchange, Exchange::Answered { body: Body::Order(_), .. }));
    }
    let forms: Vec<bool> = server
        .seen("/graphql")
        .iter()
        .map(|request| request.contains("packageInformationDetailsFor { orderLineItemAmounts"))
        .collect();
    assert_eq!(forms, [false, true, true]);
    // all forms refused: the answer is told, and it ends
    let hopeless = self::server(vec![ok(unknown)], tokens()).await;
    let exchange = hopeless.call(Operation::ReadOrder, 5_000).await;
    assert!(matches!(exchange, Exchange::Answered { body: Body::Errors { .. }, .. }));
    assert_eq!(hopeless.seen("/graphql").len(), READ_ORDER.len());
}
