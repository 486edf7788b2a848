//! Which offsets may be committed: those of records that are durable, of partitions that are owned, and never back.
//!
//! Pure. A partition gets a new epoch each time it is assigned or its log begins anew; what is reported of an older epoch counts
//! for nothing, since another replica may have come further meanwhile.

use std::collections::BTreeMap;

/// A partition of one of the topics that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// The topic's place in the list of topics.
    pub topic: usize,
    /// The partition.
    pub partition: i32,
}

/// How far a partition has been read, to be reported once that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The partition.
    pub slot: Slot,
    /// The offset of the record that follows.
    pub next: i64,
    epoch: u64,
}

#[derive(Debug)]
struct Mark {
    epoch: u64,
    /// Up to here all is durable.
    durable: Option<i64>,
    /// Up to here a commit was asked for.
    asked: Option<i64>,
    /// Up to here Kafka has confirmed it.
    committed: Option<i64>,
    /// When the last record that was read was written, in milliseconds since 1970.
    written_at: Option<i64>,
}

/// The partitions that are owned, and how far each has come.
#[derive(Debug, Default)]
pub struct Offsets {
    epochs: u64,
    owned: BTreeMap<Slot, Mark>,
}

impl Offsets {
    /// The partition is ours from now on, or its log begins anew: nothing that was reported before counts.
    pub fn assign(&mut self, slot: Slot) {
        self.epochs += 1;
        self.owned.insert(slot, Mark { epoch: self.epochs, durable: None, asked: None, committed: None, written_at: None });
    }

    /// The partition is not ours any more.
    pub fn revoke(&mut self, slot: Slot) {
        self.owned.remove(&slot);
    }

    /// The log of an owned partition begins anew, below where it was: offsets follow it.
    pub fn start_over(&mut self, slot: Slot) {
        if self.owned.contains_key(&slot) {
            self.assign(slot);
        }
    }

    /// The partitions that are owned.
    pub fn owned(&self) -> impl Iterator<Item = Slot> + '_ {
        self.owned.keys().copied()
    }

    /// A record was read. None where its partition is not ours.
    pub fn read(&self, slot: Slot, offset: i64) -> Option<Position> {
        self.owned.get(&slot).map(|mark| Position { slot, next: offset + 1, epoch: mark.epoch })
    }

    /// The record that was read was written at this moment.
    pub fn written(&mut self, slot: Slot, millis: i64) {
        if let Some(mark) = self.owned.get_mut(&slot) {
            mark.written_at = Some(millis);
        }
    }

    /// When the last record was written that was read since the partition is ours.
    pub fn written_at(&self, slot: Slot) -> Option<i64> {
        self.owned.get(&slot).and_then(|mark| mark.written_at)
    }

    /// All up to here is durable.
    pub fn durable(&mut self, position: Position) {
        if let Some(mark) = self.owned.get_mut(&position.slot).filter(|mark| mark.epoch == position.epoch) {
            mark.durable = mark.durable.max(Some(position.next));
        }
    }

    /// What is to be committed, as asked for from now on.
    pub fn ask(&mut self) -> Vec<(Slot, i64)> {
        let mut due = Vec::new();
        for (slot, mark) in &mut self.owned {
            if let Some(next) = mark.durable.filter(|_| mark.durable > mark.asked) {
                mark.asked = Some(next);
                due.push((*slot, next));
            }
        }
        due
    }

    /// Kafka has committed this.
    pub fn confirm(&mut self, slot: Slot, next: i64) {
        if let Some(mark) = self.owned.get_mut(&slot).filter(|mark| mark.asked >= Some(next)) {
            mark.committed = mark.committed.max(Some(next));
        }
    }

    /// Kafka has not committed what was last asked for: it is due again.
    pub fn refuse(&mut self, slot: Slot) {
        if let Some(mark) = self.owned.get_mut(&slot) {
            mark.asked = mark.committed;
        }
    }

    /// Up to where the partition is known to be durable since it is ours.
    pub fn durable_at(&self, slot: Slot) -> Option<i64> {
        self.owned.get(&slot).and_then(|mark| mark.durable)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const SLOT: Slot = Slot { topic: 0, partition: 3 };

    #[test]
    fn nothing_is_due_before_it_is_durable_and_nothing_twice() {
        let mut offsets = Offsets::default();
        assert_eq!(offsets.read(SLOT, 4), None);
        offsets.assign(SLOT);
        let position = offsets.read(SLOT, 4).unwrap();
        assert_eq!(offsets.ask(), []);
        offsets.durable(position);
        assert_eq!(offsets.ask(), [(SLOT, 5)]);
        assert_eq!(offsets.ask(), []);
        offsets.refuse(SLOT);
        assert_eq!(offsets.ask(), [(SLOT, 5)]);
        offsets.confirm(SLOT, 5);
        offsets.refuse(SLOT);
        assert_eq!(offsets.ask(), []);
    }

    #[test]
    fn a_batch_from_before_a_rebalance_commits_nothing_after_it() {
        let mut offsets = Offsets::default();
        offsets.assign(SLOT);
        let stale = offsets.read(SLOT, 99).unwrap();
        offsets.revoke(SLOT);
        offsets.durable(stale);
        assert_eq!(offsets.ask(), []);
        offsets.assign(SLOT);
        offsets.durable(stale);
        assert_eq!(offsets.ask(), []);
    }

    #[test]
    fn a_log_that_begins_anew_is_followed() {
        let mut offsets = Offsets::default();
        offsets.assign(SLOT);
        let stale = offsets.read(SLOT, 99).unwrap();
        offsets.durable(stale);
        assert_eq!(offsets.ask(), [(SLOT, 100)]);
        offsets.start_over(SLOT);
        let position = offsets.read(SLOT, 0).unwrap();
        offsets.durable(position);
        offsets.durable(stale);
        assert_eq!(offsets.ask(), [(SLOT, 1)]);
    }

    #[derive(Debug, Clone)]
    enum Act {
        Assign,
        Revoke,
        Read,
        Durable(usize),
        Ask,
        Refuse,
        Confirm,
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = prop_oneof![
            1 => Just(Act::Assign),
            1 => Just(Act::Revoke),
            6 => Just(Act::Read),
            6 => (0..20usize).prop_map(Act::Durable),
            4 => Just(Act::Ask),
            1 => Just(Act::Refuse),
            2 => Just(Act::Confirm),
        ];
        prop::collection::vec(act, 0..200)
    }

    proptest! {
        /// Whatever comes in whatever order (late reports of earlier ownership, commits that fail, another replica that went on
        /// meanwhile), the group's offset never goes back, and never passes what is durable.
        #[test]
        fn committed_offsets_never_go_back(acts in acts()) {
            let mut offsets = Offsets::default();
            let (mut group, mut next, mut durable, mut last_asked) = (0, 0, 0, None);
            let (mut is_owned, mut in_flight) = (false, Vec::new());
            for act in acts {
                match act {
                    // While it was not ours, another replica read on and committed.
                    Act::Assign if !is_owned => { offsets.assign(SLOT); is_owned = true; group += 2; durable = group; next = group; }
                    Act::Revoke if is_owned => { offsets.revoke(SLOT); is_owned = false; last_asked = None; }
                    Act::Read if is_owned => { in_flight.push(offsets.read(SLOT, next).unwrap()); next += 1; }
                    Act::Durable(at) if !in_flight.is_empty() => {
                        let position = in_flight.remove(at % in_flight.len());
                        offsets.durable(position);
                        durable = durable.max(position.next);
                    }
                    Act::Ask => for (_, asked) in offsets.ask() {
                        prop_assert!(is_owned);
                        prop_assert!(asked >= group && asked <= durable && asked <= next, "{asked} after {group}");
                        last_asked = Some(asked);
                    },
                    Act::Confirm => if let Some(asked) = last_asked { offsets.confirm(SLOT, asked); group = group.max(asked); },
                    Act::Refuse => offsets.refuse(SLOT),
                    _ => {}
                }
            }
        }
    }
}
