//! What end-to-end tests stand on: a database of their own, topics of their own, the built daemon, and waiting for a
//! condition. Nothing here knows what the daemon should do; that is the tests' part.
//!
//! Every test makes its own [`postgres::fresh_database`] and [`kafka::Topics`], so that tests run side by side.

// A harness is a box of tools: not each is in use at any time.
#![allow(dead_code)]

pub mod daemon;
pub mod events;
pub mod kafka;
pub mod ops;
pub mod postgres;

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Long enough for a machine that is five times slower than usual, short enough to see that something hangs: a green run waits for
/// none of it.
pub const PATIENCE: Duration = Duration::from_secs(120);

const INTERVAL: Duration = Duration::from_millis(25);

/// Asks again and again until the probe gives `Ok`; an `Err` says what was seen instead.
///
/// # Panics
/// With `what` and the last thing seen, when the deadline passes first.
pub async fn wait_until<T>(what: &str, deadline: Duration, mut probe: impl AsyncFnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    let mut seen = "nothing: the first look did not end".to_owned();
    while began.elapsed() < deadline {
        match tokio::time::timeout(deadline.saturating_sub(began.elapsed()), probe()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(now)) => seen = now,
            Err(_) => break,
        }
        tokio::time::sleep(INTERVAL).await;
    }
    panic!("not within {deadline:?}: {what}; last seen: {seen}");
}

/// Servers of this process's own, by the variables that would name the shared ones.
static OWN: OnceLock<BTreeMap<String, String>> = OnceLock::new();

/// From here on, everything here uses these servers and not the shared ones.
///
/// # Panics
/// The second time.
pub fn use_servers(own: BTreeMap<String, String>) {
    OWN.set(own).expect("a process uses one set of servers");
}

/// The address of a server that the scripts started.
fn server(variable: &str) -> String {
    if let Some(own) = OWN.get().and_then(|own| own.get(variable)) {
        return own.clone();
    }
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run the tests through `make test`, or `scripts/with-servers cargo test --features failpoints --test e2e`")
    })
}

/// Short, and unlike any other: for databases, topics and groups.
fn unique() -> String {
    uuid::Uuid::new_v4().simple().to_string()[..12].to_owned()
}
