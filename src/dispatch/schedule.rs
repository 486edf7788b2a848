//! When to try again: exponential, never early, never beyond the longest wait.

use chrono::{DateTime, TimeDelta, Utc};
use std::time::Duration;

/// How retries are spaced: `retry.initial` and `retry.max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// After the first failure.
    pub initial: Duration,
    /// At the most, before jitter.
    pub max: Duration,
}

impl Schedule {
    /// The wait after so many failures in a row. Jitter goes upward only, by at most a quarter: `jitter` is from 0 to 1.
    pub fn wait(&self, failures: u32, jitter: f64) -> Duration {
        let doubled = self.initial.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1).min(31)).unwrap_or(u32::MAX));
        doubled.min(self.max).mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 4.0)
    }

    /// When to try again.
    pub fn due(&self, failures: u32, now: DateTime<Utc>, jitter: f64) -> DateTime<Utc> {
        now + TimeDelta::from_std(self.wait(failures, jitter)).unwrap_or(TimeDelta::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule = Schedule { initial: Duration::from_secs(1), max: Duration::from_secs(300) };

    #[test]
    fn waits_double_up_to_the_longest_and_never_come_early() {
        let waits: Vec<u64> = [0, 1, 2, 3, 9, 10, 33, u32::MAX].map(|failures| SCHEDULE.wait(failures, 0.0).as_secs()).into();
        assert_eq!(waits, [1, 1, 2, 4, 256, 300, 300, 300]);
        for failures in 0..40 {
            let (least, most) = (SCHEDULE.wait(failures, 0.0), SCHEDULE.wait(failures, 1.0));
            assert!(least <= most && most <= least.mul_f64(1.2501), "{failures}: {least:?} {most:?}");
        }
    }
}
