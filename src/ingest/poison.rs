//! When a topic is so full of unreadable records that it is stopped rather than quarantined whole.
//!
//! Pure. The share is of the last 1000 records; records that were not read yet count as sound, so that a few bad records at the
//! start stop nothing, and the answer does not depend on how long the program has been running.

use std::collections::VecDeque;

/// Over how many records the share is taken.
pub const WINDOW: usize = 1000;

/// The last records of one topic.
#[derive(Debug)]
pub struct Poison {
    /// The most unreadable records that are put up with.
    most: usize,
    window: VecDeque<bool>,
    unreadable: usize,
}

impl Poison {
    /// A share of 0.5 puts up with 500 unreadable records in a window; one of 1 never stops a topic.
    pub fn new(share: f64) -> Self {
        // A float from 0 to 1 becomes a count from 0 to 1000.
        let most = (share.clamp(0.0, 1.0) * WINDOW as f64).floor() as usize;
        Poison { most, window: VecDeque::with_capacity(WINDOW), unreadable: 0 }
    }

    /// The next record; true where it is one unreadable record too many.
    pub fn observe(&mut self, is_unreadable: bool) -> bool {
        if self.window.len() == WINDOW && self.window.pop_front() == Some(true) {
            self.unreadable -= 1;
        }
        self.window.push_back(is_unreadable);
        self.unreadable += usize::from(is_unreadable);
        is_unreadable && self.unreadable > self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of the first record that is one too many, counted from 1.
    fn stops_at(share: f64, records: impl IntoIterator<Item = bool>) -> Option<usize> {
        let mut poison = Poison::new(share);
        records.into_iter().position(|is_unreadable| poison.observe(is_unreadable)).map(|at| at + 1)
    }

    #[test]
    fn the_share_is_of_the_last_thousand() {
        let bad = |count| std::iter::repeat_n(true, count);
        let good = |count| std::iter::repeat_n(false, count);
        let half = (0..10_000).map(|n| n % 2 == 0);
        for (share, expected, records) in [
            (0.5, None, bad(500).collect::<Vec<_>>()),
            (0.5, Some(501), bad(501).collect()),
            (0.5, None, half.clone().collect()),
            (0.5, Some(10_002), half.clone().chain(bad(2)).collect()),
            (0.5, None, bad(500).chain(good(1000)).chain(bad(500)).collect()),
            // The oldest bad ones leave the window as the new ones come.
            (0.5, None, bad(500).chain(good(500)).chain(bad(500)).collect()),
            (0.5, Some(5501), good(5000).chain(bad(600)).collect()),
            (1.0, None, bad(5000).collect()),
            (0.0, Some(8), good(7).chain(bad(1)).collect()),
            (0.05, Some(51), bad(60).collect()),
        ] {
            assert_eq!(stops_at(share, records), expected, "{share} {expected:?}");
        }
    }
}
