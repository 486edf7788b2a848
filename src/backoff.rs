//! The pauses of the loops that wait for Kafka or Postgres to come back.
//!
//! The one place that knows the `backoff` crate: it is unmaintained (RUSTSEC-2025-0012), and can be replaced here alone.

use ::backoff::ExponentialBackoff;
use ::backoff::backoff::Backoff;
use std::time::Duration;

/// The longest pause, before jitter.
const LONGEST: Duration = Duration::from_secs(10);

/// Pauses from about 200 ms to about 10 s, each jittered by half, without an end.
pub fn reconnect() -> ExponentialBackoff {
    let initial = Duration::from_millis(200);
    ExponentialBackoff {
        current_interval: initial,
        initial_interval: initial,
        multiplier: 2.0,
        randomization_factor: 0.5,
        max_interval: LONGEST,
        max_elapsed_time: None,
        ..ExponentialBackoff::default()
    }
}

/// The next pause.
pub fn pause(backoff: &mut ExponentialBackoff) -> Duration {
    backoff.next_backoff().unwrap_or(LONGEST)
}

/// What was away is back: the next pause is short again.
pub fn reset(backoff: &mut ExponentialBackoff) {
    backoff.reset();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_never_end() {
        let mut backoff = reconnect();
        let pauses: Vec<Duration> = (0..50).map(|_| pause(&mut backoff)).collect();
        assert!(pauses[0] <= Duration::from_millis(301), "{pauses:?}");
        assert!(pauses[49] >= Duration::from_secs(5), "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= LONGEST * 3 / 2 + Duration::from_millis(1)), "{pauses:?}");
        reset(&mut backoff);
        assert!(pause(&mut backoff) <= Duration::from_millis(301));
    }
}
