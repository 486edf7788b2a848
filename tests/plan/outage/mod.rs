//! An hour's outage at a virtual clock (contract, guarantees 5 and 6): no event pays for it, nobody storms the target meanwhile or
//! afterwards, and all that has piled up is done at the pace that the target allows.

mod fleet;
mod prime;

use crate::rules::rules as usual;
use bwp_sync::dispatch::gate::GateRules;
use bwp_sync::plan::Rules;
use bwp_sync::plan::outcome::Status;
use chrono::TimeDelta;
use fleet::{ANSWER, Fleet, LONGEST_WAIT};
use prime::{Fault, Outage, Prime};
use serde_json::json;
use std::time::Duration;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const LANES: usize = 1000;
const FROM: i64 = 5 * MINUTE;
const TO: i64 = FROM + 60 * MINUTE;
const IN_FLIGHT: usize = 32;
const PROBE_INTERVAL: i64 = 5 * SECOND;

/// Both budgets are shorter than the outage: whoever is charged for it dies.
fn rules() -> Rules {
    Rules {
        read_interval: TimeDelta::minutes(2),
        give_up_after: TimeDelta::minutes(20),
        retry_budget: TimeDelta::minutes(10),
        ..usual()
    }
}

fn gate_rules() -> GateRules {
    let probe_interval = Duration::from_millis(PROBE_INTERVAL.unsigned_abs());
    GateRules { failures: 5, probe_interval, rate: None, burst: 10, max_in_flight: IN_FLIGHT }
}

/// Failed once before the outage: its time is counted from there.
fn is_throttled(lane: usize) -> bool {
    lane % 10 == 1
}

/// Every lane gets one or two events: some just before the outage, some that wait or failed by then, most while it lasts.
fn fill(fleet: &mut Fleet) -> usize {
    let mut count = 0;
    let payment =
        |id: &str| json!({"id": id, "amount": {"amount": "1.00", "currency": "USD"}, "method": {"type": "CARD", "display": "V"}});
    let refund = |total: &str, payments: &[&str]| {
        let payments: Vec<_> = payments.iter().map(|id| payment(id)).collect();
        json!({"refund": {"id": "RF"}, "state": "PARTIAL", "total": {"amount": total, "currency": "USD"}, "payments": payments})
    };
    let one_return =
        |line: &str| json!({"return": {"id": "R"}, "state": "CREATED", "lines": [{"line": {"id": line}, "quantity": 1}]});
    for lane in 0..LANES {
        let at = match lane % 10 {
            // In flight when it begins.
            0 => FROM - 1500 + (lane as i64 * 7) % 1500,
            1 => FROM - MINUTE,
            _ => FROM + (lane as i64 * 1789) % (TO - FROM),
        };
        let mut arrive = |after: i64, kind, data| {
            count += 1;
            fleet.arrive(at + after, lane, kind, data);
        };
        match lane % 7 {
            0 => arrive(0, "refund", refund("1.00", &["a"])),
            1 => arrive(0, "return", one_return("L-1")),
            2 => arrive(0, "order", json!({"executionState": "STARTED", "aliases": [{"type": "D", "id": "1"}]})),
            3 => {
                arrive(0, "refund", refund("1.00", &["a"]));
                arrive(0, "return", one_return("L-1"));
            }
            // Its package is known, its alias is new.
            4 => arrive(0, "shipment", json!({"shipment": {"id": "SH"}, "package": {"bwpId": "pk-1"}, "state": "IN_TRANSIT"})),
            // Waits for a line item that becomes known meanwhile.
            5 => arrive(0, "return", one_return("L-9")),
            _ => {
                arrive(0, "refund", refund("1.00", &["a"]));
                arrive((TO - SECOND - at).min(20 * MINUTE), "refund", refund("2.00", &["a", "b"]));
            }
        }
        if is_throttled(lane) {
            fleet.prime.throttled.push(lane);
        }
    }
    count
}

/// The most calls of one replica that began within an interval, once every breaker had the time to see its failures in a row.
fn most_within(fleet: &Fleet, replica: usize, interval: i64) -> usize {
    let settled = FROM + 5 * rules().request_timeout.num_milliseconds();
    let begun = fleet.calls.iter().filter(|call| call.replica == replica && (settled..TO).contains(&call.at)).map(|call| call.at);
    let begun: Vec<i64> = begun.collect();
    begun.iter().map(|from| begun.iter().filter(|at| (*from..from + interval).contains(at)).count()).max().unwrap_or(0)
}

/// How long it takes until a replica may notice that the target is back: its next probe, or its next token request.
fn notice(fault: Fault) -> i64 {
    match fault {
        Fault::Refused | Fault::Unavailable => PROBE_INTERVAL,
        Fault::Silent => rules().request_timeout.num_milliseconds() + PROBE_INTERVAL,
        Fault::Token(_) => MINUTE + PROBE_INTERVAL,
    }
}

fn play(fault: Fault) {
    fastrand::seed(7);
    let mut fleet = Fleet::new(rules(), gate_rules(), Prime::new(Outage { fault, from: FROM, to: TO }));
    let count = fill(&mut fleet);
    fleet.run(TO + 30 * MINUTE);

    let dead: Vec<_> = fleet.ended.values().filter(|end| end.status == Status::Dead).map(|end| &end.said).collect();
    assert!(dead.is_empty(), "{fault:?}: {} of {count} died: {}", dead.len(), dead[0]);
    assert!(fleet.is_drained() && fleet.ended.len() == count, "{fault:?}: {} of {count} ended", fleet.ended.len());
    let doubles: u32 = fleet.prime.orders.values().map(prime::Order::doubles).sum();
    assert_eq!(doubles, 0, "{fault:?}: done twice");
    let probes: Vec<usize> = (0..2).map(|replica| most_within(&fleet, replica, PROBE_INTERVAL)).collect();
    assert_eq!(probes, [1, 1], "{fault:?}: at most one probe an interval and replica");
    for replica in 0..2 {
        let begun: Vec<i64> =
            fleet.calls.iter().filter(|call| call.replica == replica && call.at >= TO).map(|call| call.at).collect();
        let first = begun.iter().filter(|at| **at < begun[0] + ANSWER).count();
        assert_eq!(first, 1, "{fault:?}: no storm before an answer shows that it is back");
    }
    for ((lane, no), end) in &fleet.ended {
        // Only what left may count: one mutation into the outage, one before it that was throttled.
        let into_it = u32::from(matches!(fault, Fault::Unavailable | Fault::Silent));
        let most = 1 + into_it + u32::from(is_throttled(*lane));
        assert!(end.attempts <= most, "{fault:?}: event {no} of lane {lane} was sent {} times", end.attempts);
    }
    drains(fault, &fleet);
}

/// All but a hundredth of what is left when it is back is done at the limit: the time until that is noticed, the time in which the
/// limit grows again from one call by one in each round trip, and twice what the calls take where the limit is always used. The rest
/// was read in vain by probes, and waits for its own next read.
fn drains(fault: Fault, fleet: &Fleet) {
    let mut ends: Vec<i64> = fleet.ended.values().map(|end| end.at - TO).filter(|after| *after >= 0).collect();
    ends.sort_unstable();
    let calls = fleet.calls.iter().filter(|call| call.at >= TO).count();
    let at_the_limit = calls as i64 * ANSWER / (2 * IN_FLIGHT as i64);
    let recovery = IN_FLIGHT as i64 * ANSWER;
    let (most, last) = (ends[ends.len() * 99 / 100], ends[ends.len() - 1]);
    let bound = notice(fault) + recovery + 2 * at_the_limit;
    println!(
        "{fault:?}: {calls} calls for {} events; 99 in 100 done after {most} ms of {bound}, the last after {last} ms",
        ends.len()
    );
    assert!(most <= bound, "{fault:?}: {most} ms, more than {bound}");
    assert!(last <= bound + LONGEST_WAIT * 5 / 4, "{fault:?}: the last after {last} ms");
}

#[test]
fn nobody_pays_for_an_hour_without_a_connection() {
    play(Fault::Refused);
}

#[test]
fn nobody_pays_for_an_hour_of_errors() {
    play(Fault::Unavailable);
}

#[test]
fn nobody_pays_for_an_hour_of_silence() {
    play(Fault::Silent);
}

#[test]
fn nobody_pays_for_an_hour_without_credentials() {
    play(Fault::Token(400));
}

#[test]
fn nobody_pays_for_an_hour_without_a_token_endpoint() {
    play(Fault::Token(500));
}
