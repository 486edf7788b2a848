//! When each mutation arrived and what it named, in the order of arrival: for measuring, so it is kept in the fast mode only.

use crate::state::lock;
use serde::Serialize;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

/// One mutation.
#[derive(Clone, Debug, Serialize)]
pub struct Arrival {
    /// Microseconds since 1970.
    pub micros: u64,
    /// The order's BwP id, or `?` and the name that was used.
    pub order: String,
    /// The first alias, or else the id, of each return and refund in it.
    pub things: Vec<String>,
    /// Whether it was answered as accepted.
    pub accepted: bool,
}

/// All of them so far.
#[derive(Default)]
pub(crate) struct Arrivals(Mutex<Vec<Arrival>>);

impl Arrivals {
    /// Notes one, and gives its place.
    pub fn note(&self, order: &str, things: Vec<String>) -> usize {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = u64::try_from(since.as_micros()).unwrap_or_default();
        let mut all = lock(&self.0);
        all.push(Arrival { micros, order: order.to_owned(), things, accepted: false });
        all.len() - 1
    }

    /// The one at this place was answered as accepted.
    pub fn accepted(&self, place: usize) {
        if let Some(arrival) = lock(&self.0).get_mut(place) {
            arrival.accepted = true;
        }
    }

    /// Gives them all away.
    pub fn take(&self) -> Vec<Arrival> {
        std::mem::take(&mut *lock(&self.0))
    }
}
