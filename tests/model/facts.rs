//! A state as the audit sees the ledger.

use crate::world::{Ledger, Phase, Stands, World};
use bwp_sync::audit::{Balance, EventFacts, Facts, LaneFacts};

/// The facts of one state. An attempt takes one unit of time, a lease two.
pub fn facts(world: &World) -> Facts {
    let Ledger { work, history, tally, .. } = &world.ledger;
    let rows = || work.iter().enumerate().filter_map(|(no, row)| Some((no as i64, row.as_ref()?)));
    let events = rows().map(|(no, row)| EventFacts {
        no,
        lane: row.lane.into(),
        identity: row.event.into(),
        is_dead: row.is_dead,
        outcomes: row.outcomes.into(),
        recorded: history.iter().filter(|outcome| outcome.event == Some(row.event)).count() as i64,
    });
    let balance = Balance {
        kind: "event".into(),
        read: tally.read.into(),
        tombstones: 0,
        duplicates: tally.duplicates.into(),
        finals: tally.finals.into(),
        live: rows().filter(|(_, row)| !row.is_dead).count() as i64,
    };
    Facts { balances: vec![balance], lanes: lanes(world), events: events.collect(), grace: 0 }
}

fn lanes(world: &World) -> Vec<LaneFacts> {
    let mut lanes = Vec::new();
    for (id, lane) in world.ledger.lanes.iter().enumerate() {
        let mut open = Vec::new();
        let mut flight = Vec::new();
        let mut flight_ends = None;
        for intent in lane.intents.iter().flatten() {
            let Some(attempt) = world.attempt(intent.attempt) else { continue };
            open.push(i64::from(attempt.no));
            if intent.stands == Stands::InFlight {
                flight.push(i64::from(attempt.no));
                flight_ends = Some(i64::from(attempt.phase == Phase::Fresh));
            }
        }
        let lease_end = i64::from(!lane.is_lease_over) * 2;
        let next_at = match lane.due {
            _ if lane.is_leased => Some(lease_end),
            crate::world::Due::Never => None,
            crate::world::Due::Now | crate::world::Due::WhenTold => Some(0),
        };
        lanes.push(LaneFacts {
            id: id as i64,
            is_leased: lane.is_leased,
            lease_no: lane.lease_no.into(),
            next_at,
            overdue: 0,
            flight,
            flight_ends,
            open,
            merged_into: lane.merged_into.map(i64::from),
        });
    }
    lanes
}
