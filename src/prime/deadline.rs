//! Until when a call may go on.

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Until when a call may go on: a moment, or until it is cut short because the process has to end.
#[derive(Debug, Clone)]
pub struct Deadline {
    at: Instant,
    cut: CancellationToken,
}

impl Deadline {
    /// A moment that `cut` brings forward.
    pub fn new(at: Instant, cut: CancellationToken) -> Self {
        Self { at, cut }
    }

    /// Whether it is over.
    pub(super) fn is_over(&self) -> bool {
        self.cut.is_cancelled() || Instant::now() >= self.at
    }

    /// What the work comes to; `None` where it was not done in time.
    pub(crate) async fn bound<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.cut.cancelled() => None,
            () = sleep_until(self.at) => None,
        }
    }
}

impl From<Instant> for Deadline {
    fn from(at: Instant) -> Self {
        Self::new(at, CancellationToken::new())
    }
}
