//! One call to BwP: token, request, answer, under one deadline.
//!
//! Owns the transport and tells what happened as an [`Exchange`]; what it means is judged by
//! [`crate::dispatch::verdict`]. One mutation per HTTP request, and none is repeated here: the
//! one exception is a 401, with which nothing was done, and which is repeated once with a new
//! token.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use fail::fail_point;
use reqwest::{
    StatusCode, Url,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use super::{
    answer::{self, Body},
    deadline::Deadline,
    documents::{Operation, READ_ORDER, ReadForm},
    exchange::{Exchange, NoAnswer, NotSent, RetryAfter},
    text,
    token::{Bearer, TokenCache, TokenError},
    transport::{self, Departure, GuardedBody, Limited},
};

const MOST_BYTES: usize = 4 * 1024 * 1024;
const TARGET_ID: HeaderName = HeaderName::from_static("x-api-target-id");
const API_VERSION: HeaderName = HeaderName::from_static("x-api-version");
/// Headers that HTTP or we need as they are.
const FIXED: [&str; 6] = ["accept", "connection", "content-length", "content-type", "host", "transfer-encoding"];
/// Where AWS and its like put the id that their support asks for.
const REQUEST_IDS: [&str; 4] = ["x-amzn-requestid", "x-amz-request-id", "x-request-id", "x-amz-cf-id"];

/// One target: where it is and what every request to it carries.
#[derive(Debug, Clone)]
pub struct TargetEndpoint {
    /// The address of the GraphQL endpoint.
    pub endpoint: Url,
    /// Where its tokens come from.
    pub token: Arc<TokenCache>,
    /// `x-api-target-id`.
    pub target_id: String,
    /// `x-api-version`.
    pub api_version: String,
    /// Extra request headers. A value that is exactly `{target_id}`, `{api_version}` or `{token}`
    /// means: send ours under this name, and no longer under its own. Anything else is sent as it
    /// stands. Values may be secret (`x-api-access-key`).
    pub headers: BTreeMap<String, SecretString>,
}

/// A header that cannot be sent. The value is never shown.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// The name is none.
    #[error("`{0}` is no name of an HTTP header; use letters, digits and hyphens")]
    Name(String),
    /// The value is none.
    #[error("the value of header `{0}` cannot be sent; use visible ASCII characters")]
    Value(String),
    /// It is ours.
    #[error("header `{0}` is set by the program itself; remove it")]
    Reserved(String),
}

/// Calls one target.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    endpoint: Url,
    token: Arc<TokenCache>,
    token_header: HeaderName,
    headers: HeaderMap,
    read_form: AtomicUsize,
}

impl Client {
    /// A client for one target over the shared HTTP client (see [`transport::http`]).
    ///
    /// # Errors
    /// Where a configured header cannot be sent.
    pub fn new(http: reqwest::Client, target: TargetEndpoint) -> Result<Self, HeaderError> {
        let mut token_header = AUTHORIZATION;
        let mut names = [TARGET_ID, API_VERSION];
        let mut headers = HeaderMap::new();
        for (key, secret) in &target.headers {
            let name = HeaderName::try_from(key).map_err(|_| HeaderError::Name(key.clone()))?;
            if FIXED.contains(&name.as_str()) {
                return Err(HeaderError::Reserved(key.clone()));
            }
            match secret.expose_secret() {
                "{token}" => token_header = name,
                "{target_id}" => names[0] = name,
                "{api_version}" => names[1] = name,
                literal => {
                    headers.insert(name, header_value(key, literal)?);
                }
            }
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        for (name, value) in names.into_iter().zip([&target.target_id, &target.api_version]) {
            let value = header_value(name.as_str(), value)?;
            if headers.insert(name.clone(), value).is_some() {
                return Err(HeaderError::Reserved(name.to_string()));
            }
        }
        if headers.contains_key(&token_header) {
            return Err(HeaderError::Reserved(token_header.to_string()));
        }
        Ok(Self { http, endpoint: target.endpoint, token: target.token, token_header, headers, read_form: AtomicUsize::new(0) })
    }

    /// Calls `operation` with variables that are JSON already; they go out byte for byte. All of
    /// it, also the wait for a token, ends by `deadline`.
    pub async fn call(&self, operation: Operation, variables: &str, deadline: impl Into<Deadline>) -> Exchange {
        let deadline = deadline.into();
        loop {
            let form = ReadForm(self.read_form.load(Ordering::Relaxed));
            let exchange = self.authorised(operation, form, variables, &deadline).await;
            if !self.next_form(operation, form, &exchange) {
                return exchange;
            }
        }
    }

    /// Whether a token can be had.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn check_token(&self) -> Result<(), TokenError> {
        self.token.check().await
    }

    /// How old the token is that is used now.
    pub fn token_age(&self) -> Option<std::time::Duration> {
        self.token.age()
    }

    /// Repeats a 401 once, where there is another token to try.
    async fn authorised(&self, operation: Operation, form: ReadForm, variables: &str, deadline: &Deadline) -> Exchange {
        let mut refused: Option<Exchange> = None;
        loop {
            let bearer = match deadline.bound(self.token.get()).await {
                Some(Ok(bearer)) => bearer,
                Some(Err(error)) => {
                    return refused.unwrap_or(Exchange::NotSent { why: NotSent::Token(error) });
                }
                None => {
                    let late = Exchange::NotSent { why: NotSent::DeadlineBeforeSend };
                    return refused.unwrap_or(late);
                }
            };
            fail_point!("attempt-authorised");
            let exchange = self.send(operation, form, variables, &bearer, deadline).await;
            match exchange {
                Exchange::Answered { status: 401, ref body, .. } if !shows_data(body) => {
                    self.token.reject(bearer.generation);
                    if refused.replace(exchange.clone()).is_some() {
                        return exchange;
                    }
                }
                Exchange::Answered { .. } => {
                    self.token.accept(bearer.generation);
                    return exchange;
                }
                _ => return exchange,
            }
        }
    }

    async fn send(
        &self,
        operation: Operation,
        form: ReadForm,
        variables: &str,
        bearer: &Bearer,
        deadline: &Deadline,
    ) -> Exchange {
        let (body, departure) = GuardedBody::new(operation.body(form, variables), deadline.clone());
        let request = self
            .http
            .post(self.endpoint.clone())
            .headers(self.headers.clone())
            .header(&self.token_header, bearer.header.clone())
            .body(reqwest::Body::wrap(body));
        let answer = async {
            let response = request.send().await.map_err(|error| failed(&error, &departure, deadline))?;
            fail_point!("attempt-heard");
            receive(operation, response).await.ok_or(Exchange::NoAnswer { why: NoAnswer::BrokenOff })
        };
        match deadline.bound(answer).await {
            Some(Ok(exchange) | Err(exchange)) => exchange,
            None if departure.left() => Exchange::NoAnswer { why: NoAnswer::Timeout },
            None => Exchange::NotSent { why: NotSent::DeadlineBeforeSend },
        }
    }

    /// Whether the read is to be tried in its next form, because BwP does not know a name in this
    /// one. It stays with the form that works.
    fn next_form(&self, operation: Operation, form: ReadForm, exchange: &Exchange) -> bool {
        let Exchange::Answered { body: Body::Errors { errors, data_present: false }, .. } = exchange else {
            return false;
        };
        let unknown_name = errors.iter().any(|error| {
            let words = ["orderLineItems", "orderLineItemAmounts", "packageInformationDetailsFor"];
            words.iter().any(|word| error.message.contains(word))
        });
        let next = form.0 + 1;
        let again = operation == Operation::ReadOrder && unknown_name && next < READ_ORDER.len();
        if again {
            self.read_form.fetch_max(next, Ordering::Relaxed);
        }
        again
    }
}

/// Whether an answer shows that something was done, whatever its status.
fn shows_data(body: &Body) -> bool {
    matches!(body, Body::Order(_) | Body::Errors { data_present: true, .. })
}

fn header_value(name: &str, value: &str) -> Result<HeaderValue, HeaderError> {
    let value = HeaderValue::from_str(value).map_err(|_| HeaderError::Value(name.to_owned()));
    value.map(|mut value| {
        value.set_sensitive(true);
        value
    })
}

/// An error before an answer began. Whether the body left decides, not the kind of the error.
fn failed(error: &reqwest::Error, departure: &Departure, deadline: &Deadline) -> Exchange {
    if departure.left() {
        let why = if error.is_timeout() { NoAnswer::Timeout } else { NoAnswer::Reset };
        return Exchange::NoAnswer { why };
    }
    let why = if deadline.is_over() { NotSent::DeadlineBeforeSend } else { NotSent::Connect };
    Exchange::NotSent { why }
}

/// Reads an answer that began; `None` where a successful one broke off. A failure that broke off
/// still says all by its status.
async fn receive(operation: Operation, response: reqwest::Response) -> Option<Exchange> {
    let status = response.status();
    let headers = response.headers().clone();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let body = match transport::read(response, MOST_BYTES).await {
        Limited::Whole(bytes) => answer::parse(operation, header("content-type"), &bytes),
        Limited::TooLong => Body::Unreadable { why: "the answer is longer than 4 MiB".to_owned() },
        Limited::BrokenOff if status.is_success() => return None,
        Limited::BrokenOff => Body::Unreadable { why: "the answer broke off".to_owned() },
    };
    let request_id = REQUEST_IDS.iter().find_map(|name| header(name));
    Some(Exchange::Answered {
        status: StatusCode::as_u16(&status),
        retry_after: RetryAfter::from_headers(&headers),
        body,
        request_id: request_id.map(|id| text::clip(id, 128)),
    })
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
