//! What the arrivals at the stand-in say: how fast, how old, and whether anything was doubled or out of order.

use crate::load::Planned;
use crate::standin::Arrival;
use std::collections::{HashMap, HashSet};

/// Ages count of events that were made so long after the first: before, groups are joined, and connections, plans and caches are made.
const WARM_UP: u64 = 2_000_000;

/// Everything that a run's arrivals tell.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// Accepted events a second between a tenth and nine tenths of them.
    pub middle_rate: f64,
    /// The same from the first to the last.
    pub whole_rate: f64,
    /// Milliseconds from the making of an event to its first arrival.
    pub age_p50_ms: Option<f64>,
    /// The same of one in a hundred.
    pub age_p99_ms: Option<f64>,
    /// Mutations that came, whatever was answered.
    pub mutations: usize,
    /// Events accepted, each counted once.
    pub events: usize,
    /// Accepted again.
    pub duplicates: usize,
    /// Arrived for the first time after a later one of their order.
    pub order_breaks: usize,
}

/// Looks at arrivals, in the order in which they came. `made` tells when the events were made; rates are without `hot`.
pub fn judge(arrivals: &[Arrival], made: &HashMap<Planned, u64>, hot: Option<usize>) -> Judged {
    let mut seen = HashSet::new();
    let mut accepted = HashSet::new();
    let mut latest: HashMap<usize, usize> = HashMap::new();
    let warm = made.values().min().map_or(0, |first| first + WARM_UP);
    let mut times = Vec::new();
    let mut ages = Vec::new();
    let mut judged = Judged { mutations: arrivals.len(), ..Judged::default() };
    for arrival in arrivals {
        for event in arrival.things.iter().filter_map(|thing| Planned::of(thing)) {
            if seen.insert(event) {
                let last = latest.entry(event.order).or_default();
                judged.order_breaks += usize::from(event.number < *last);
                *last = event.number.max(*last);
                ages.extend(
                    made.get(&event).filter(|made| **made >= warm).map(|made| arrival.micros.saturating_sub(*made) as f64 / 1e3),
                );
            }
            if arrival.accepted {
                if accepted.insert(event) {
                    times.extend(Some(arrival.micros).filter(|_| hot != Some(event.order)));
                } else {
                    judged.duplicates += 1;
                }
            }
        }
    }
    judged.events = accepted.len();
    judged.middle_rate = rate(&times, times.len() / 10, times.len() * 9 / 10);
    judged.whole_rate = rate(&times, 0, times.len());
    ages.sort_by(f64::total_cmp);
    judged.age_p50_ms = share(&ages, 0.5);
    judged.age_p99_ms = share(&ages, 0.99);
    judged
}

/// How many a second came from one place to another of a list of microseconds.
fn rate(times: &[u64], from: usize, to: usize) -> f64 {
    let (Some(first), Some(last)) = (times.get(from), times.get(to.saturating_sub(1))) else {
        return 0.0;
    };
    (to - from) as f64 / (last.saturating_sub(*first).max(1) as f64 / 1e6)
}

fn share(sorted: &[f64], share: f64) -> Option<f64> {
    sorted.get(((sorted.len().max(1) - 1) as f64 * share) as usize).copied()
}
