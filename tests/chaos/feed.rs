//! What the merchant writes to Kafka meanwhile: half of the orders come at the beginning, so that there is always work to be hit,
//! the others over the whole time; each with its events a little apart, now and then in the wrong order, and names that come late.

use crate::merchant::{Purchase, publish};
use crate::support::events::Event;
use crate::support::kafka::Topics;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long the beginning is.
const AT_ONCE: Duration = Duration::from_secs(1);
/// Of so many orders, the events of one come in the wrong order.
const TANGLED: usize = 10;
/// How far the events of an order are apart, and how late its late names are, in milliseconds.
const APART: std::ops::Range<u64> = 0..2_000;
const LATE: std::ops::Range<u64> = 0..5_000;

/// Events by the moment at which they are written.
pub struct Feed<'a>(Vec<(Duration, &'a Event)>);

impl<'a> Feed<'a> {
    pub fn new(seed: u64, purchases: &'a [Purchase], length: Duration) -> Feed<'a> {
        let mut dice = fastrand::Rng::with_seed(seed);
        let mut all = Vec::new();
        for purchase in purchases {
            let window = if dice.bool() { AT_ONCE } else { length };
            let mut at = Duration::from_millis(dice.u64(0..=window.as_millis() as u64));
            let mut events: Vec<&Event> = purchase.events.iter().collect();
            if dice.usize(..TANGLED) == 0 {
                events.reverse();
            }
            for event in events {
                all.push((at, event));
                at += Duration::from_millis(dice.u64(APART));
            }
            all.extend(purchase.late.iter().map(|event| (at + Duration::from_millis(dice.u64(LATE)), event)));
        }
        all.sort_by_key(|(at, _)| *at);
        Feed(all)
    }

    /// How many different events there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Writes them, each in its time; what is left when the storm is over goes at once.
    pub async fn flow(&self, topics: &Topics, over: &AtomicBool) {
        let began = Instant::now();
        let mut left = &self.0[..];
        while !left.is_empty() {
            let present = began.elapsed();
            let due = if over.load(Ordering::Relaxed) { left.len() } else { left.partition_point(|(at, _)| *at <= present) };
            let (now, later) = left.split_at(due);
            if !now.is_empty() {
                publish(topics, &now.iter().map(|(_, event)| *event).collect::<Vec<_>>()).await;
            }
            left = later;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
