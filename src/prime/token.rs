//! One bearer token per token endpoint and client id, shared by everybody who needs it.
//!
//! Owns when a token is asked for; how it is asked for is `grant.rs`. At most one request is
//! in flight, in a task of its own, so that a caller who gives up harms nobody. A token is renewed
//! early, behind the backs of its users. After a failure nobody asks again before a delay that
//! grows from 1 s to 60 s. Neither token nor secret is in any error or debug text.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use fail::fail_point;
use reqwest::header::HeaderValue;
use thiserror::Error;
use tokio::{sync::watch, time::Instant};

use super::grant::{self, Credentials, Denied, Granted};
use crate::ops::metrics;

const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// Why there is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenError {
    /// It was asked for just now, in vain.
    #[error("no token: {0}")]
    Failed(TokenFailure),
    /// It was asked for in vain a moment ago; nothing was sent this time.
    #[error("no token is asked for before {until}: {cause}")]
    BackingOff {
        /// When the next request is allowed.
        until: DateTime<Utc>,
        /// How the last one failed.
        cause: TokenFailure,
    },
}

/// How a token request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenFailure {
    /// The token endpoint answered with another status than success.
    #[error("the token endpoint refused with HTTP {status}")]
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// It was issued, and the API refuses every new one.
    #[error("the API refuses the tokens that the token endpoint issues")]
    Rejected,
    /// No connection, or no answer in time.
    #[error("the token endpoint cannot be reached")]
    Unreachable,
    /// An answer without a usable token.
    #[error("the token endpoint's answer holds no token")]
    Unreadable,
}

impl TokenError {
    /// How the request behind it failed.
    pub fn failure(&self) -> TokenFailure {
        match *self {
            Self::Failed(failure) | Self::BackingOff { cause: failure, .. } => failure,
        }
    }
}

/// A token, ready for its header; `Debug` does not show it.
#[derive(Debug, Clone)]
pub(super) struct Bearer {
    pub(super) header: HeaderValue,
    pub(super) generation: u64,
}

type Landed = Option<Result<Bearer, TokenFailure>>;
type Asking = Pin<Box<dyn Future<Output = Result<Granted, Denied>> + Send>>;

/// The token of one client id.
pub struct TokenCache {
    ask: Box<dyn Fn() -> Asking + Send + Sync>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    flight: Option<watch::Receiver<Landed>>,
    generation: u64,
    failures: u32,
    rejections: u32,
    closed: Option<Closed>,
}

struct Held {
    bearer: Bearer,
    since: Instant,
    renew_at: Instant,
    expires_at: Instant,
}

/// No request before `until`; `shown` is the same moment on the wall clock.
struct Closed {
    until: Instant,
    shown: DateTime<Utc>,
    cause: TokenFailure,
}

enum Look {
    Ready(Result<Bearer, TokenError>),
    Wait(watch::Receiver<Landed>),
}

impl TokenCache {
    /// A cache for these credentials. Targets with the same pair of token endpoint and client id
    /// must share one: take it from [`TokenCaches`].
    pub fn new(http: reqwest::Client, credentials: Credentials) -> Arc<Self> {
        let credentials = Arc::new(credentials);
        Self::asking(move || {
            let (http, credentials) = (http.clone(), Arc::clone(&credentials));
            Box::pin(async move { grant::ask(&http, &credentials).await })
        })
    }

    fn asking(ask: impl Fn() -> Asking + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { ask: Box::new(ask), state: Mutex::default() })
    }

    /// The cached token, or the one that is being asked for.
    pub(super) async fn get(self: &Arc<Self>) -> Result<Bearer, TokenError> {
        let mut flight = match self.look() {
            Look::Ready(result) => return result,
            Look::Wait(flight) => flight,
        };
        let landed = flight.wait_for(Option::is_some).await.ok().and_then(|landed| landed.clone());
        landed.unwrap_or(Err(TokenFailure::Unreachable)).map_err(TokenError::Failed)
    }

    /// Whether a token can be had, for `doctor`.
    pub async fn check(self: &Arc<Self>) -> Result<(), TokenError> {
        self.get().await.map(drop)
    }

    /// How old the token is that is used now.
    pub fn age(&self) -> Option<Duration> {
        self.lock().held.as_ref().map(|held| held.since.elapsed())
    }

    /// The API answered 401. Only the token that was refused is dropped: a fresh one stays. A
    /// second refusal in a row closes the way to the token endpoint for a while.
    pub(super) fn reject(&self, generation: u64) {
        let mut state = self.lock();
        if state.held.as_ref().is_some_and(|held| held.bearer.generation == generation) {
            state.held = None;
            metrics::TOKEN_REFRESHES.add(&["rejected"], 1);
            state.rejections = state.rejections.saturating_add(1);
            if let Some(earlier) = state.rejections.checked_sub(2) {
                state.close(delay(earlier), TokenFailure::Rejected);
            }
        }
    }

    /// The API took this token.
    pub(super) fn accept(&self, generation: u64) {
        let mut state = self.lock();
        if state.held.as_ref().is_some_and(|held| held.bearer.generation == generation) {
            state.rejections = 0;
        }
    }

    fn look(self: &Arc<Self>) -> Look {
        let mut state = self.lock();
        let now = Instant::now();
        // a flight whose task died without landing is none
        state.flight.take_if(|flight| flight.has_changed().is_err());
        let closed = state.closed.as_ref().filter(|closed| closed.until > now);
        let closed = closed.map(|closed| (closed.shown, closed.cause));
        let held = state.held.as_ref().filter(|held| held.expires_at > now);
        if let Some(held) = held {
            let bearer = held.bearer.clone();
            if held.renew_at <= now && state.flight.is_none() && closed.is_none() {
                self.launch(&mut state);
            }
            return Look::Ready(Ok(bearer));
        }
        match (&state.flight, closed) {
            (Some(flight), _) => Look::Wait(flight.clone()),
            (None, Some((until, cause))) => Look::Ready(Err(TokenError::BackingOff { until, cause })),
            (None, None) => Look::Wait(self.launch(&mut state)),
        }
    }

    fn launch(self: &Arc<Self>, state: &mut State) -> watch::Receiver<Landed> {
        let (land, flight) = watch::channel(None);
        state.flight = Some(flight.clone());
        let cache = Arc::clone(self);
        tokio::spawn(async move {
            let started = Instant::now();
            let result = (cache.ask)().await;
            metrics::TOKEN_REFRESHES.add(&[if result.is_ok() { "ok" } else { "error" }], 1);
            let landed = cache.lock().land(started, result);
            fail_point!("token-landed");
            land.send_replace(Some(landed));
        });
        flight
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn land(&mut self, started: Instant, result: Result<Granted, Denied>) -> Result<Bearer, TokenFailure> {
        self.flight = None;
        match result {
            Ok(granted) => {
                self.failures = 0;
                self.generation += 1;
                let bearer = Bearer { header: granted.header, generation: self.generation };
                let life = granted.life;
                self.held = Some(Held {
                    bearer: bearer.clone(),
                    since: started,
                    renew_at: started + life.mul_f64(0.8 + 0.1 * fastrand::f64()),
                    expires_at: started + life - (life / 20).min(Duration::from_secs(10)),
                });
                Ok(bearer)
            }
            Err(denied) => {
                let wait = delay(self.failures).max(denied.at_least);
                self.failures = self.failures.saturating_add(1);
                self.close(wait, denied.failure);
                Err(denied.failure)
            }
        }
    }

    fn close(&mut self, wait: Duration, cause: TokenFailure) {
        let wait = wait.min(Duration::from_secs(86_400 * 365));
        self.closed = Some(Closed { until: Instant::now() + wait, shown: Utc::now() + wait, cause });
    }
}

impl std::fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenCache").finish_non_exhaustive()
    }
}

/// 1 s, 2 s, 4 s ... 60 s, a little more by chance.
fn delay(earlier: u32) -> Duration {
    let plain = Duration::from_secs(1 << earlier.min(6));
    plain.mul_f64(1.0 + 0.25 * fastrand::f64()).min(LONGEST_DELAY)
}

/// The caches of all targets, one per pair of token endpoint and client id.
pub struct TokenCaches {
    http: reqwest::Client,
    known: HashMap<(String, String), Arc<TokenCache>>,
}

impl TokenCaches {
    /// None yet; all will use this HTTP client.
    pub fn new(http: reqwest::Client) -> Self {
        Self { http, known: HashMap::new() }
    }

    /// The cache for these credentials; the first secret that came for a pair is used.
    pub fn shared(&mut self, credentials: Credentials) -> Arc<TokenCache> {
        let pair = (credentials.token_endpoint.to_string(), credentials.client_id.clone());
        let new = || TokenCache::new(self.http.clone(), credentials);
        Arc::clone(self.known.entry(pair).or_insert_with(new))
    }
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
