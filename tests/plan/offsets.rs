//! Offsets that are committed never go back, and never pass what is durable (contract, guarantee 4), for several partitions and any
//! interleaving of owning and losing them, of reports that come late, and of commits that fail.

use bwp_sync::ingest::offsets::{Offsets, Position, Slot};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone, Copy)]
enum Act {
    Assign(u8),
    Revoke(u8),
    /// Another replica reads on while the partition is not ours.
    Elsewhere(u8, u8),
    Read(u8, u8),
    /// The ledger has taken in a batch: reports come in any order, also long after.
    Durable(usize),
    Ask,
    /// Kafka answers a commit that was asked for, now or long ago, with yes or no.
    Answer(usize, bool),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let slot = 0_u8..3;
    let act = prop_oneof![
        2 => slot.clone().prop_map(Act::Assign),
        2 => slot.clone().prop_map(Act::Revoke),
        2 => (slot.clone(), 0_u8..4).prop_map(|(slot, count)| Act::Elsewhere(slot, count)),
        6 => (slot, 1_u8..5).prop_map(|(slot, count)| Act::Read(slot, count)),
        6 => (0_usize..100).prop_map(Act::Durable),
        4 => Just(Act::Ask),
        4 => (0_usize..100, any::<bool>()).prop_map(|(at, is_done)| Act::Answer(at, is_done)),
    ];
    prop::collection::vec(act, 0..300)
}

/// A partition, as Kafka and the ledger know it.
#[derive(Debug, Default)]
struct Truth {
    is_owned: bool,
    /// The next record that we read.
    next: i64,
    /// All below is durable, by whomever.
    durable: i64,
    /// What the group has committed.
    committed: i64,
    /// Grows with each time that it is assigned.
    times: u32,
    asked: i64,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_committed_never_goes_back_nor_past_what_is_durable(acts in acts()) {
        let mut offsets = Offsets::default();
        let mut truth: BTreeMap<u8, Truth> = (0..3).map(|slot| (slot, Truth::default())).collect();
        let slot_of = |slot: u8| Slot { topic: usize::from(slot % 2), partition: i32::from(slot) };
        let mut reports: Vec<(u8, Position)> = Vec::new();
        let mut commits: Vec<(u8, u32, i64)> = Vec::new();
        for act in acts {
            match act {
                Act::Assign(slot) => {
                    let known = truth.get_mut(&slot).unwrap();
                    if !known.is_owned {
                        offsets.assign(slot_of(slot));
                        (known.is_owned, known.next, known.asked) = (true, known.committed, known.committed);
                        known.times += 1;
                    }
                }
                Act::Revoke(slot) => {
                    offsets.revoke(slot_of(slot));
                    truth.get_mut(&slot).unwrap().is_owned = false;
                }
                Act::Elsewhere(slot, count) => {
                    let known = truth.get_mut(&slot).unwrap();
                    if !known.is_owned {
                        known.committed += i64::from(count);
                        known.durable = known.durable.max(known.committed);
                    }
                }
                Act::Read(slot, count) => {
                    let known = truth.get_mut(&slot).unwrap();
                    let position = offsets.read(slot_of(slot), known.next + i64::from(count) - 1);
                    prop_assert_eq!(position.is_some(), known.is_owned);
                    if let Some(position) = position {
                        known.next = position.next;
                        reports.push((slot, position));
                    }
                }
                Act::Durable(at) if !reports.is_empty() => {
                    let (slot, position) = reports.remove(at % reports.len());
                    offsets.durable(position);
                    let known = truth.get_mut(&slot).unwrap();
                    known.durable = known.durable.max(position.next);
                }
                Act::Ask => for (slot, next) in offsets.ask() {
                    let slot = u8::try_from(slot.partition).unwrap();
                    let known = truth.get_mut(&slot).unwrap();
                    prop_assert!(known.is_owned, "not ours");
                    prop_assert!(next <= known.durable && next <= known.next, "{next} of {known:?}");
                    // Where a commit's answer came late, it may be asked for once more.
                        prop_assert!(next >= known.committed, "{next} goes back behind {known:?}");
                    known.asked = next;
                    commits.push((slot, known.times, next));
                },
                Act::Answer(at, is_done) if !commits.is_empty() => {
                    let (slot, times, next) = commits.remove(at % commits.len());
                    let known = truth.get_mut(&slot).unwrap();
                    // Kafka takes no commit of a member that has lost the partition.
                    if is_done && known.is_owned && known.times == times {
                        prop_assert!(next >= known.committed || next < known.asked, "{next} after {known:?}");
                        known.committed = known.committed.max(next);
                        offsets.confirm(slot_of(slot), next);
                    } else if known.is_owned && known.times == times {
                        offsets.refuse(slot_of(slot));
                    }
                }
                _ => {}
            }
        }
        // In the end all that is durable and ours can be committed.
        for slot in 0..3 {
            offsets.refuse(slot_of(slot));
        }
        for (slot, next) in offsets.ask() {
            prop_assert_eq!(Some(next), offsets.durable_at(slot));
        }
    }
}
