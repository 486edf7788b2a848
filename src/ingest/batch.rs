//! Records gathered until they are worth a transaction: enough of them, enough bytes, or the batch before is long enough ago.
//!
//! Pure, but for what the caller says the time is.

use super::offsets::{Position, Slot};
use crate::ledger::Incoming;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// What one transaction may hold, and how soon one that is not full may follow another.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Records, at most.
    pub records: usize,
    /// Bytes, at most; a record that is larger goes alone.
    pub bytes: usize,
    /// A batch that is not full goes no sooner after the one before. What comes alone does not wait at all.
    pub wait: Duration,
}

/// The records of one transaction, and how far they reach.
#[derive(Debug)]
pub struct Batch {
    /// The records, in the order they were read in.
    pub records: Vec<Incoming>,
    /// One position for each partition: the furthest.
    pub positions: Vec<Position>,
}

#[derive(Debug)]
struct Entry {
    record: Incoming,
    position: Position,
    bytes: usize,
}

/// The records that are read and not handed over yet.
#[derive(Debug)]
pub struct Gathering {
    limits: Limits,
    entries: VecDeque<Entry>,
    bytes: usize,
    /// When a batch was taken last.
    taken_at: Option<Instant>,
}

impl Gathering {
    /// Nothing yet.
    pub fn new(limits: Limits) -> Self {
        Gathering { limits, entries: VecDeque::new(), bytes: 0, taken_at: None }
    }

    /// One more record.
    pub fn push(&mut self, record: Incoming, position: Position, bytes: usize) {
        self.bytes += bytes;
        self.entries.push_back(Entry { record, position, bytes });
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether another record could not be in the next batch.
    pub fn is_full(&self) -> bool {
        self.entries.len() >= self.limits.records || self.bytes >= self.limits.bytes
    }

    /// How long the next batch may still wait for more records: nothing where it is full. None where there is no record.
    pub fn ready_in(&self, now: Instant) -> Option<Duration> {
        if self.is_empty() {
            return None;
        }
        let since = self.taken_at.map_or(Duration::MAX, |at| now.saturating_duration_since(at));
        Some(if self.is_full() { Duration::ZERO } else { self.limits.wait.saturating_sub(since) })
    }

    /// The next batch; what does not fit into it stays.
    pub fn take(&mut self, now: Instant) -> Batch {
        self.taken_at = Some(now);
        let (mut records, mut positions, mut bytes) = (Vec::new(), BTreeMap::<Slot, Position>::new(), 0);
        while let Some(entry) = self.entries.pop_front() {
            let is_beyond = records.len() >= self.limits.records || bytes + entry.bytes > self.limits.bytes;
            if is_beyond && !records.is_empty() {
                self.entries.push_front(entry);
                break;
            }
            bytes += entry.bytes;
            positions.insert(entry.position.slot, entry.position);
            records.push(entry.record);
        }
        self.bytes -= bytes;
        Batch { records, positions: positions.into_values().collect() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::offsets::Offsets;
    use super::*;
    use crate::ledger::{Content, Place};
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { records: 3, bytes: 100, wait: Duration::from_millis(5) };

    struct Source {
        offsets: Offsets,
        gathering: Gathering,
        next: [i64; 2],
    }

    impl Source {
        fn new() -> Self {
            let mut offsets = Offsets::default();
            (0..2).for_each(|partition| offsets.assign(Slot { topic: 0, partition }));
            Source { offsets, gathering: Gathering::new(LIMITS), next: [0; 2] }
        }

        fn push(&mut self, partition: i32, bytes: usize) {
            let next = &mut self.next[usize::try_from(partition).unwrap()];
            let place = Place { topic: "t".to_owned(), partition, offset: *next };
            let position = self.offsets.read(Slot { topic: 0, partition }, *next).unwrap();
            *next += 1;
            self.gathering.push(Incoming { place, content: Content::Tombstone }, position, bytes);
        }
    }

    #[test]
    fn a_batch_is_ready_by_count_bytes_or_time() {
        let start = Instant::now();
        for (sizes, after_ms, expected) in [
            (vec![], 99, None),
            (vec![1], 0, Some(5)),
            (vec![1, 1], 4, Some(1)),
            (vec![1, 1], 9, Some(0)),
            (vec![1, 1, 1], 0, Some(0)),
            (vec![99], 0, Some(5)),
            (vec![100], 0, Some(0)),
            (vec![60, 60], 0, Some(0)),
        ] {
            let mut source = Source::new();
            sizes.iter().for_each(|bytes| source.push(0, *bytes));
            let at_first = source.gathering.ready_in(start);
            assert_eq!(at_first, expected.map(|_| Duration::ZERO), "{sizes:?}: none was before it");
            source.gathering.taken_at = Some(start);
            let ready_in = source.gathering.ready_in(start + Duration::from_millis(after_ms));
            assert_eq!(ready_in, expected.map(Duration::from_millis), "{sizes:?} {after_ms}");
        }
    }

    #[test]
    fn a_batch_reaches_as_far_as_its_records_do() {
        let mut source = Source::new();
        [0, 1, 0, 1].iter().for_each(|partition| source.push(*partition, 1));
        let batch = source.gathering.take(Instant::now());
        let reached: Vec<_> = batch.positions.iter().map(|position| (position.slot.partition, position.next)).collect();
        assert_eq!(reached, [(0, 2), (1, 1)]);
        assert_eq!(source.gathering.take(Instant::now()).records.len(), 1);
        assert!(source.gathering.is_empty());
    }

    proptest! {
        #[test]
        fn batches_keep_the_limits_the_order_and_every_record(sizes in prop::collection::vec(0..150usize, 0..60)) {
            let mut source = Source::new();
            sizes.iter().for_each(|bytes| source.push(0, *bytes));
            let mut seen = 0;
            while !source.gathering.is_empty() {
                let records = source.gathering.take(Instant::now()).records;
                let bytes: usize = sizes[seen..seen + records.len()].iter().sum();
                prop_assert!(!records.is_empty() && records.len() <= LIMITS.records);
                prop_assert!(bytes <= LIMITS.bytes || records.len() == 1);
                for record in records {
                    prop_assert_eq!(record.place.offset, i64::try_from(seen).unwrap());
                    seen += 1;
                }
            }
            prop_assert_eq!(seen, sizes.len());
            prop_assert_eq!(source.gathering.ready_in(Instant::now()), None);
        }
    }
}
