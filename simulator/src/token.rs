//! `POST /token`: OAuth 2.0 client credentials for a short-lived bearer token.

use crate::App;
use crate::answer::{Response, json_answer, refusal, retry_after};
use crate::server::{Reset, after_fault};
use crate::state::{lock, new_id};
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap};
use serde_json_bytes::json;
use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::Instant;

/// The tokens that were given out, and when each client asked.
#[derive(Default)]
pub(crate) struct Tokens {
    valid: Mutex<HashMap<String, Instant>>,
    asked: Mutex<HashMap<String, VecDeque<Instant>>>,
}

impl Tokens {
    /// Whether the bearer token is known and has time left.
    pub fn accepts(&self, headers: &HeaderMap) -> bool {
        let header = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok());
        let Some(token) = header.and_then(|it| it.strip_prefix("Bearer ")) else {
            return false;
        };
        lock(&self.valid).get(token).is_some_and(|end| Instant::now() < *end)
    }

    /// All tokens given out so far are worth nothing from now on.
    pub fn expire_all(&self) {
        lock(&self.valid).clear();
    }
}

pub(crate) async fn serve(app: &App, headers: &HeaderMap, body: &[u8]) -> Result<Response, Reset> {
    app.judge.counted("token");
    if let Some(rule) = app.faults.pick("token", &|_| false)
        && let Some(answer) = after_fault(app, &rule).await?
    {
        return Ok(answer);
    }
    Ok(grant(app, headers, body))
}

fn grant(app: &App, headers: &HeaderMap, body: &[u8]) -> Response {
    let kind = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    if !kind.is_some_and(|it| it.starts_with("application/x-www-form-urlencoded")) {
        return refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, "a form is expected");
    }
    let form = form(body);
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    if field("grant_type") != "client_credentials" {
        let body = json!({"error": "unsupported_grant_type"});
        return json_answer(StatusCode::BAD_REQUEST, &body);
    }
    let options = &app.options;
    if too_often(app, field("client_id")) {
        let body = json!({"error": "too_many_requests"});
        let mut response = json_answer(StatusCode::TOO_MANY_REQUESTS, &body);
        retry_after(&mut response, &options.token_window.as_secs().to_string());
        return response;
    }
    if field("client_id") != options.client_id || field("client_secret") != options.client_secret {
        return json_answer(StatusCode::UNAUTHORIZED, &json!({"error": "invalid_client"}));
    }
    let (token, now) = (format!("{}{}", options.token_prefix, new_id()), Instant::now());
    let mut valid = lock(&app.tokens.valid);
    valid.retain(|_, end| now < *end);
    valid.insert(token.clone(), now + options.token_lifetime);
    let seconds = options.token_lifetime.as_secs();
    json_answer(StatusCode::OK, &json!({"access_token": token, "expires_in": seconds, "token_type": "bearer"}))
}

fn too_often(app: &App, client: &str) -> bool {
    let now = Instant::now();
    let mut asked = lock(&app.tokens.asked);
    let times = asked.entry(client.to_owned()).or_default();
    while times.front().is_some_and(|it| now - *it > app.options.token_window) {
        times.pop_front();
    }
    times.push_back(now);
    times.len() > app.options.token_limit
}

fn form(body: &[u8]) -> HashMap<String, String> {
    let text = String::from_utf8_lossy(body);
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(&value.replace('+', " "))))
        .collect()
}

/// Undoes percent-encoding; what is not encoded well stays as it is.
pub(crate) fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                at += 3;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}
