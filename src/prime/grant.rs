//! One token request: OAuth 2.0 client credentials, as BwP takes them.
//!
//! Owns the request and the reading of its answer. When to ask is [`super::token`]'s business.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use fail::fail_point;
use reqwest::{Url, header::HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::{
    exchange::RetryAfter,
    token::TokenFailure,
    transport::{self, Limited},
};

/// How long one token request may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A token's answer is a few hundred bytes.
const MOST_BYTES: usize = 64 * 1024;
/// BwP documents 15 minutes; used where the answer does not say.
const USUAL_LIFE: u64 = 900;
const LONGEST_LIFE: u64 = 86_400;

/// Where the secret comes from at this moment: a file may have changed since the last request.
pub type SecretSource = Arc<dyn Fn() -> SecretString + Send + Sync>;

/// Who asks, and where.
#[derive(Clone)]
pub struct Credentials {
    /// The address of the token endpoint.
    pub token_endpoint: Url,
    /// The client id.
    pub client_id: String,
    /// The client secret, read for every request.
    pub secret: SecretSource,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("token_endpoint", &self.token_endpoint.as_str())
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// A token as its header's value, marked so that it is never shown.
pub(super) struct Granted {
    pub(super) header: HeaderValue,
    pub(super) life: Duration,
}

/// No token, and how long the endpoint wants to be left alone.
#[derive(Debug)]
pub(super) struct Denied {
    pub(super) failure: TokenFailure,
    pub(super) at_least: Duration,
}

impl From<TokenFailure> for Denied {
    fn from(failure: TokenFailure) -> Self {
        Self { failure, at_least: Duration::ZERO }
    }
}

pub(super) async fn ask(http: &reqwest::Client, who: &Credentials) -> Result<Granted, Denied> {
    let secret = (who.secret)();
    let form = [("grant_type", "client_credentials"), ("client_id", &who.client_id), ("client_secret", secret.expose_secret())];
    let request = http.post(who.token_endpoint.clone()).timeout(TIMEOUT).form(&form);
    fail_point!("token-asks");
    let response = request.send().await.map_err(|_| TokenFailure::Unreachable)?;
    fail_point!("token-heard");
    let status = response.status();
    if !status.is_success() {
        let now = Utc::now();
        let floor = RetryAfter::from_headers(response.headers()).map(|wish| wish.until(now) - now);
        return Err(Denied {
            failure: TokenFailure::Refused { status: status.as_u16() },
            at_least: floor.and_then(|floor| floor.to_std().ok()).unwrap_or_default(),
        });
    }
    match transport::read(response, MOST_BYTES).await {
        Limited::Whole(bytes) => read(&bytes).ok_or(TokenFailure::Unreadable.into()),
        Limited::TooLong => Err(TokenFailure::Unreadable.into()),
        Limited::BrokenOff => Err(TokenFailure::Unreachable.into()),
    }
}

fn read(bytes: &[u8]) -> Option<Granted> {
    let answer: Value = serde_json::from_slice(bytes).ok()?;
    let token = answer["access_token"].as_str().filter(|token| !token.is_empty())?;
    let mut header = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
    header.set_sensitive(true);
    let life = match &answer["expires_in"] {
        Value::Number(number) => number.as_f64().map(|seconds| seconds as u64),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let life = life.unwrap_or(USUAL_LIFE).clamp(1, LONGEST_LIFE);
    Some(Granted { header, life: Duration::from_secs(life) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_token_is_read_and_never_shown() {
        let life = |json: &str| read(json.as_bytes()).map(|granted| granted.life.as_secs());
        assert_eq!(life(r#"{"access_token":"t","expires_in":900,"scope":"x"}"#), Some(900));
        assert_eq!(life(r#"{"access_token":"t","expires_in":"60"}"#), Some(60));
        assert_eq!(life(r#"{"access_token":"t"}"#), Some(USUAL_LIFE));
        assert_eq!(life(r#"{"access_token":"t","expires_in":0}"#), Some(1));
        assert_eq!(life(r#"{"access_token":"t","expires_in":1e30}"#), Some(LONGEST_LIFE));
        for none in ["", "<html>", "{}", r#"{"access_token":""}"#, r#"{"access_token":"a\nb"}"#] {
            assert!(read(none.as_bytes()).is_none(), "{none}");
        }
        let granted = read(br#"{"access_token":"t0ps3cret"}"#).unwrap();
        assert_eq!(granted.header.to_str().unwrap(), "Bearer t0ps3cret");
        assert!(!format!("{:?}", granted.header).contains("t0ps3cret"));
    }
}
