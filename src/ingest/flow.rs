//! Which partitions stand still.
//!
//! librdkafka throws away what it has fetched of a partition that is paused, rewinds one that is resumed without having been paused,
//! and remembers a pause over a rebalance. So each is paused and resumed exactly once, and resumed when it goes.

use super::group::Group;
use super::offsets::Slot;
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::collections::BTreeSet;

/// The partitions that are paused.
#[derive(Debug, Default)]
pub(super) struct Flow(BTreeSet<Slot>);

impl Flow {
    /// Pauses and resumes until exactly those owned partitions stand still for which `stands_still` says so.
    pub(super) fn follow(&mut self, consumer: &BaseConsumer<Group>, stands_still: impl Fn(Slot) -> bool) {
        let owned: Vec<Slot> = consumer.context().lock().offsets.owned().collect();
        let (still, moving): (Vec<Slot>, Vec<Slot>) = owned.into_iter().partition(|slot| stands_still(*slot));
        let pause: Vec<Slot> = still.into_iter().filter(|slot| !self.0.contains(slot)).collect();
        let resume: Vec<Slot> = moving.into_iter().filter(|slot| self.0.contains(slot)).collect();
        self.pause(consumer, pause);
        self.resume(consumer, resume);
    }

    /// These partitions have come or gone: none of them is paused any more.
    pub(super) fn forget(&mut self, consumer: &BaseConsumer<Group>, slots: &[Slot]) {
        self.resume(consumer, slots.iter().copied().filter(|slot| self.0.contains(slot)).collect());
    }

    fn pause(&mut self, consumer: &BaseConsumer<Group>, slots: Vec<Slot>) {
        if slots.is_empty() {
            return;
        }
        let list = consumer.context().list(slots.iter().map(|slot| (*slot, None)));
        match consumer.pause(&list) {
            Ok(()) => self.0.extend(slots),
            Err(error) => tracing::warn!("partitions could not be paused: {error}"),
        }
    }

    fn resume(&mut self, consumer: &BaseConsumer<Group>, slots: Vec<Slot>) {
        if slots.is_empty() {
            return;
        }
        let list = consumer.context().list(slots.iter().map(|slot| (*slot, None)));
        match consumer.resume(&list) {
            Ok(()) => self.0.retain(|slot| !slots.contains(slot)),
            Err(error) => tracing::warn!("partitions could not be resumed: {error}"),
        }
    }
}
