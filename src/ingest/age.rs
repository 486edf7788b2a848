//! For how long records have been there that are not read yet. Pure.
//!
//! A record's own timestamp cannot be had before it is read. But the end of each log is asked for every few seconds, so it is known
//! when the log first reached beyond what is read.

use super::offsets::Slot;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Ends that are remembered of one log; beyond that, each two become one.
const MOST: usize = 512;

/// The ends of logs as they were seen.
#[derive(Debug, Default)]
pub(super) struct Ages(BTreeMap<Slot, Log>);

#[derive(Debug, Default)]
struct Log {
    /// When the log was first seen to end there, oldest first.
    ends: VecDeque<(Instant, i64)>,
    /// Ends that are closer together than this are remembered as one.
    step: Duration,
    /// Whether all of it was read at some time: then the first of `ends` tells when the oldest unread record came.
    was_read: bool,
}

impl Ages {
    /// The age of the oldest unread record: it is read up to `at`, and the log ends at `end`. Where records were there before they
    /// were watched, the age of the last one that was read (`read_age`) tells: what follows it is hardly younger.
    pub(super) fn observe(&mut self, slot: Slot, (at, end): (i64, i64), read_age: Option<Duration>, now: Instant) -> Duration {
        let log = self.0.entry(slot).or_default();
        if log.ends.back().is_some_and(|(_, last)| *last > end) {
            // It begins anew.
            *log = Log::default();
        }
        match log.ends.back_mut() {
            Some((since, last)) if now.saturating_duration_since(*since) < log.step => *last = end,
            Some((_, last)) if *last == end => {}
            _ => log.ends.push_back((now, end)),
        }
        while log.ends.front().is_some_and(|(_, end)| *end <= at) {
            log.ends.pop_front();
            log.was_read = true;
        }
        if log.ends.is_empty() {
            log.step = Duration::ZERO;
        }
        log.thin_out();
        let Some((since, _)) = log.ends.front() else { return Duration::ZERO };
        let seen = now.saturating_duration_since(*since);
        if log.was_read { seen } else { seen.max(read_age.unwrap_or_default()) }
    }

    /// Forgets all logs but these.
    pub(super) fn retain(&mut self, owned: impl Fn(&Slot) -> bool) {
        self.0.retain(|slot, _| owned(slot));
    }
}

impl Log {
    /// Of each two neighbours the earlier moment and the later end stay: ages are rather too high than too low.
    fn thin_out(&mut self) {
        if self.ends.len() > MOST {
            let pairs: Vec<(Instant, i64)> = self.ends.drain(..).collect();
            let (first, last) = (pairs[0].0, pairs[pairs.len() - 1].0);
            self.step = last.saturating_duration_since(first) / (MOST as u32 / 2);
            self.ends = pairs.chunks(2).map(|pair| (pair[0].0, pair[pair.len() - 1].1)).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: Slot = Slot { topic: 0, partition: 0 };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_oldest_unread_record_is_as_old_as_the_first_end_beyond_it() {
        let (mut ages, start) = (Ages::default(), Instant::now());
        // Second, read up to, end, age.
        for (second, at, end, age) in [
            (0, 10, 10, 0),
            (5, 10, 20, 0),
            (10, 10, 30, 5),
            (15, 19, 30, 10),
            (20, 20, 30, 10),
            (25, 30, 30, 0),
            (30, 30, 30, 0),
            (3600, 30, 31, 0),
            (3605, 30, 31, 5),
        ] {
            let seen = ages.observe(SLOT, (at, end), Some(seconds(99)), start + seconds(second));
            assert_eq!(seen, seconds(age), "at second {second}");
        }
    }

    #[test]
    fn what_was_there_before_is_as_old_as_what_was_read_last() {
        let (mut ages, start) = (Ages::default(), Instant::now());
        assert_eq!(ages.observe(SLOT, (0, 100), None, start), Duration::ZERO);
        assert_eq!(ages.observe(SLOT, (0, 100), None, start + seconds(5)), seconds(5));
        assert_eq!(ages.observe(SLOT, (50, 110), Some(seconds(7200)), start + seconds(10)), seconds(7200));
        // What came while it was watched is younger.
        assert_eq!(ages.observe(SLOT, (105, 110), Some(seconds(7200)), start + seconds(15)), seconds(5));
    }

    #[test]
    fn a_log_that_begins_anew_and_one_that_is_gone_are_forgotten() {
        let (mut ages, start) = (Ages::default(), Instant::now());
        ages.observe(SLOT, (0, 100), None, start);
        assert_eq!(ages.observe(SLOT, (0, 7), None, start + seconds(60)), Duration::ZERO);
        ages.retain(|_| false);
        assert_eq!(ages.observe(SLOT, (0, 7), None, start + seconds(120)), Duration::ZERO);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_never_too_young() {
        let (mut ages, start) = (Ages::default(), Instant::now());
        ages.observe(SLOT, (0, 0), None, start);
        for second in 1..=5_000_u64 {
            ages.observe(SLOT, (0, second.cast_signed()), None, start + seconds(second));
        }
        assert!(ages.0[&SLOT].ends.len() <= MOST);
        let age = ages.observe(SLOT, (2_500, 5_000), None, start + seconds(5_000));
        assert!(age >= seconds(2_499) && age < seconds(2_600), "{age:?}");
    }
}
