//! What is answered: API errors in either attested shape, and whole HTTP answers. Decides nothing.

use crate::options::{ErrorData, ErrorShape};
use bytes::Bytes;
use http_body_util::Full;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use serde_json_bytes::{Value, json};
use std::borrow::Cow;

/// A refusal in the words of the troubleshooting tables.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{kind} {code:?}: {message}")]
pub struct ApiError {
    /// The error type, such as `ValidationError`.
    pub kind: Cow<'static, str>,
    /// The error code, such as `InvalidRefundId`.
    pub code: Option<Cow<'static, str>>,
    /// For people.
    pub message: String,
}

impl ApiError {
    pub(crate) fn new(kind: impl Into<Cow<'static, str>>, code: Option<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { kind: kind.into(), code, message: message.into() }
    }

    pub(crate) fn validation(code: &'static str, message: impl Into<String>) -> Self {
        Self::new("ValidationError", Some(code.into()), message)
    }

    pub(crate) fn not_found() -> Self {
        Self::new("ResourceNotFoundError", None, "there is no such order")
    }

    /// The entry of `errors`.
    pub(crate) fn entry(&self, path: &str, shape: ErrorShape) -> Value {
        let code = self.code.as_deref();
        match shape {
            ErrorShape::Classification => json!({
                "message": self.message,
                "path": [path],
                "extensions": {"classification": {
                    "type": self.kind.as_ref(), "errorCode": code, "code": code
                }},
            }),
            ErrorShape::Gateway => json!({
                "path": [path],
                "data": null,
                "errorType": self.kind.as_ref(),
                "errorInfo": code,
                "locations": [{"line": 1, "column": 1, "sourceName": null}],
                "message": self.message,
            }),
        }
    }
}

/// `data` where a field was refused.
pub(crate) fn refused_data(field: &str, data: ErrorData) -> Value {
    match data {
        ErrorData::Null => Value::Null,
        ErrorData::NullField => json!({ field: null }),
    }
}

/// An HTTP answer.
pub type Response = hyper::Response<Full<Bytes>>;

/// A page as a proxy or load balancer would write it.
const PAGE: &str = "<!DOCTYPE html><html><head><title>Service unavailable</title></head>\
                    <body><h1>We are sorry</h1></body></html>";

pub(crate) fn json_answer(status: StatusCode, body: &impl serde::Serialize) -> Response {
    let body = serde_json::to_vec(body).unwrap_or_default();
    with_type(status, "application/json", body)
}

/// JSON that is written already.
pub(crate) fn json_text(body: Vec<u8>) -> Response {
    with_type(StatusCode::OK, "application/json", body)
}

pub(crate) fn html_answer(status: StatusCode) -> Response {
    with_type(status, "text/html", PAGE)
}

pub(crate) fn empty_answer(status: StatusCode) -> Response {
    with_type(status, "text/plain", "")
}

/// A refusal below GraphQL: not HTTP 200, but an `errors` array all the same.
pub(crate) fn refusal(status: StatusCode, message: &str) -> Response {
    json_answer(status, &json!({"errors": [{"message": message}]}))
}

pub(crate) fn retry_after(response: &mut Response, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(RETRY_AFTER, value);
    }
}

fn with_type(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
