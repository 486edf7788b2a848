//! The HTTP client that all targets share, and two things it lacks: a body that knows whether it
//! left, and a bounded read.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use fail::fail_point;
use http_body::{Body, Frame, SizeHint};
use reqwest::{Response, redirect, retry};
use thiserror::Error;

use super::deadline::Deadline;

/// The HTTP client for everything that goes to BwP. It repeats nothing by itself: what is sent
/// twice is decided by the ledger alone. It follows no redirect, since that would repeat a
/// mutation or hand our token to somebody else. Proxies come from the environment.
///
/// # Errors
/// Where TLS cannot be set up, such as without any root certificate.
pub fn http() -> Result<reqwest::Client, reqwest::Error> {
    // an error says that a provider is installed already
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("bwp-sync/", env!("CARGO_PKG_VERSION")))
        .retry(retry::never())
        .redirect(redirect::Policy::none())
        .referer(false)
        .http1_only()
        .tcp_nodelay(true)
        .connect_timeout(Duration::from_secs(3))
        // below the 60 s after which AWS's balancers close: a request that meets a closing
        // connection is one of unknown outcome
        .pool_idle_timeout(Duration::from_secs(45))
        .build()
}

const WAITING: u8 = 0;
const LEFT: u8 = 1;
const WITHDRAWN: u8 = 2;

/// Says whether a request's body was handed to the connection. Either it was, or it never will be:
/// asking withdraws it.
#[derive(Debug, Clone, Default)]
pub(super) struct Departure(Arc<AtomicU8>);

impl Departure {
    /// True where bytes of the body may have left; false from now on means never.
    pub(super) fn left(&self) -> bool {
        self.decide(WITHDRAWN) == LEFT
    }

    fn decide(&self, wanted: u8) -> u8 {
        let decided = self.0.compare_exchange(WAITING, wanted, Ordering::AcqRel, Ordering::Acquire);
        decided.err().unwrap_or(wanted)
    }
}

/// A body that is given out only before its deadline, also where the process was stopped on the
/// way: a late request could meet an order that somebody else holds by then.
pub(super) struct GuardedBody {
    bytes: Option<Bytes>,
    departure: Departure,
    deadline: Deadline,
}

#[derive(Debug, Error)]
#[error("the request was withdrawn before its body was written")]
pub(super) struct Withdrawn;

impl GuardedBody {
    pub(super) fn new(bytes: Bytes, deadline: Deadline) -> (Self, Departure) {
        let departure = Departure::default();
        (Self { bytes: Some(bytes), departure: departure.clone(), deadline }, departure)
    }
}

impl Body for GuardedBody {
    type Data = Bytes;
    type Error = Withdrawn;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Withdrawn>>> {
        let Some(bytes) = self.bytes.take() else {
            return Poll::Ready(None);
        };
        fail_point!("attempt-writes");
        let wanted = if self.deadline.is_over() { WITHDRAWN } else { LEFT };
        Poll::Ready(Some(match self.departure.decide(wanted) {
            LEFT => Ok(Frame::data(bytes)),
            _ => Err(Withdrawn),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// A body as far as it may be read.
pub(super) enum Limited {
    Whole(Bytes),
    TooLong,
    BrokenOff,
}

/// Reads a body of at most `most` bytes.
pub(super) async fn read(mut response: Response, most: usize) -> Limited {
    let mut whole = BytesMut::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if whole.len() + chunk.len() > most => return Limited::TooLong,
            Ok(Some(chunk)) => whole.extend_from_slice(&chunk),
            Ok(None) => return Limited::Whole(whole.freeze()),
            Err(_) => return Limited::BrokenOff,
        }
    }
}
