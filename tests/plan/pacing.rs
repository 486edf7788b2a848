//! When things are tried again and how many calls may begin, whatever happens in whatever order (contract, guarantee 5).

use crate::{Bench, usd};
use bwp_sync::dispatch::apply::{Moment, apply};
use bwp_sync::dispatch::gate::{Gate, GateRules, Sign, Stage};
use bwp_sync::dispatch::schedule::Schedule;
use bwp_sync::dispatch::verdict::{Overrides, Verdict, judge};
use bwp_sync::plan::Next;
use bwp_sync::plan::lane::Memo;
use bwp_sync::prime::answer::{Body, GraphError};
use bwp_sync::prime::documents::Operation;
use bwp_sync::prime::exchange::{Exchange, NoAnswer, RetryAfter};
use bwp_sync::prime::view::OrderView;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Up to a hundred years, the longest that can be configured.
fn durations() -> impl Strategy<Value = Duration> {
    prop_oneof![(1_u64..1_000_000).prop_map(Duration::from_millis), (1_u64..3_155_760_000).prop_map(Duration::from_secs)]
}

fn error(error_type: &str) -> Body {
    let error = GraphError { error_type: Some(error_type.to_owned()), ..GraphError::default() };
    Body::Errors { errors: vec![error], data_present: false }
}

/// Something that was answered, with any `Retry-After`.
fn answers() -> impl Strategy<Value = (u16, Body)> {
    prop_oneof![
        Just((200, Body::Order(Box::<OrderView>::default()))),
        Just((200, error("ThrottlingError"))),
        Just((200, error("ValidationError"))),
        Just((200, error("ConflictException"))),
        Just((200, error("ResourceNotFoundError"))),
        Just((429, error("ThrottlingError"))),
        Just((200, Body::NullOrder)),
        Just((401, error("Unauthorized"))),
        (400_u16..600).prop_map(|status| (status, Body::Unreadable { why: "html".to_owned() })),
    ]
}

#[derive(Debug, Clone, Copy)]
enum Wish {
    Nothing,
    Seconds(u64),
    Date(i64),
}

fn wishes() -> impl Strategy<Value = Wish> {
    prop_oneof![
        Just(Wish::Nothing),
        (0_u64..100_000).prop_map(Wish::Seconds),
        Just(Wish::Seconds(u64::MAX)),
        (-10_000_i64..100_000).prop_map(Wish::Date),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn waits_never_shrink_and_jitter_only_adds(initial in durations(), max in durations(), failures in 0_u32.., jitter in -1.0_f64..2.0) {
        let schedule = Schedule { initial, max };
        let (least, next) = (schedule.wait(failures, 0.0), schedule.wait(failures.saturating_add(1), 0.0));
        prop_assert!(least <= next, "{least:?} then {next:?}");
        prop_assert!(least <= max && least >= initial.min(max), "{least:?}");
        let wait = schedule.wait(failures, jitter);
        prop_assert!(wait >= least && wait <= max.mul_f64(1.25) && wait <= least.mul_f64(1.2500001), "{wait:?} of {least:?}");
        let now = "2025-03-02T00:00:00Z".parse::<DateTime<Utc>>().unwrap();
        prop_assert!(schedule.due(failures, now, jitter) - now >= TimeDelta::from_std(least).unwrap());
    }

    /// One order, answered in any way any number of times: nothing of it goes before the last `Retry-After`, nor a thing that failed
    /// before its own time.
    #[test]
    fn nothing_goes_before_the_floor(answers in prop::collection::vec((answers(), wishes(), any::<bool>(), 0.0_f64..1.0), 1..8)) {
        let mut bench = Bench::new();
        bench.event("refund", json!({"refund": {"id": "A"}, "state": "PARTIAL", "total": usd("1.00")}));
        bench.event("return", json!({"return": {"id": "R"}, "state": "CANCELLED"}));
        let schedule = Schedule { initial: Duration::from_secs(1), max: Duration::from_secs(300) };
        for ((status, body), wish, is_lost, jitter) in answers {
            let next = bench.turn();
            let operation = match &next {
                Next::Send(draft) => {
                    bench.lane.begin(draft, bench.now);
                    Operation::UpdateOrder
                }
                Next::Read { .. } => Operation::ReadOrder,
                Next::Rest { until: Some(until) } if *until < bench.now + TimeDelta::days(3650) => {
                    bench.now = *until;
                    continue;
                }
                Next::Rest { .. } => break,
            };
            let retry_after = match wish {
                Wish::Nothing => None,
                Wish::Seconds(seconds) => Some(RetryAfter::Seconds(seconds)),
                Wish::Date(seconds) => Some(RetryAfter::At(bench.now + TimeDelta::seconds(seconds))),
            };
            let exchange = if is_lost { Exchange::NoAnswer { why: NoAnswer::Timeout } } else { Exchange::Answered { status, retry_after, body, request_id: None } };
            let judgement = judge(operation, &exchange, &Overrides::new());
            let moment = Moment { rules: &bench.rules, schedule, began: bench.now, now: bench.now, jitter };
            let before: BTreeMap<_, u32> = bench.lane.things.iter().map(|(subject, thing)| (subject.clone(), thing.pace.attempts)).collect();
            apply(&mut bench.lane, &next, &exchange, &judgement, &moment);
            let floor = retry_after.filter(|_| !is_lost).map_or(bench.now, |after| after.until(bench.now));
            for (subject, thing) in &bench.lane.things {
                let pace = &thing.pace;
                if pace.attempts > before.get(subject).copied().unwrap_or(0) {
                    let usual = TimeDelta::from_std(schedule.wait(pace.attempts, 0.0)).unwrap();
                    let least = if judgement.verdict == Verdict::NotYet { bench.rules.sandbox_interval } else { usual };
                    prop_assert!(pace.due >= Some((bench.now + least).max(floor)) && pace.first_failure <= Some(bench.now), "{pace:?}");
                }
            }
            // The lane as the ledger keeps it.
            let kept: Memo = serde_json::from_str(&serde_json::to_string(&bench.lane.memo).unwrap()).unwrap();
            prop_assert_eq!(&kept, &bench.lane.memo);
            bench.event("order", json!({"totalPrice": usd(&format!("{}.00", bench.taken))}));
            match bench.turn() {
                Next::Rest { until } => prop_assert!(until.is_none_or(|until| until >= floor), "{until:?} before {floor}"),
                _ => prop_assert!(floor <= bench.now, "something goes before {floor}"),
            }
        }
    }
}

/// What may happen to a gate.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// So many orders are taken up, as far as there is room.
    Admit(u8),
    /// So many calls begin, as far as they may.
    Begin(u8),
    /// A call ends, and its order may go on.
    End(i64, Sign),
    /// An order that rests waits for its next call.
    Resume,
    Leave(Stage),
    Pass(u16),
    Hold(u16),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let sign = prop_oneof![
        4 => Just(Sign::Up),
        3 => Just(Sign::Failing),
        2 => Just(Sign::Late),
        2 => Just(Sign::Throttled),
        1 => Just(Sign::Closed),
    ];
    let stage = prop_oneof![Just(Stage::Waiting), Just(Stage::InFlight), Just(Stage::Resting)];
    let act = prop_oneof![
        4 => (1_u8..20).prop_map(Act::Admit),
        4 => (1_u8..20).prop_map(Act::Begin),
        6 => (0_i64..4, sign).prop_map(|(order, sign)| Act::End(order, sign)),
        4 => Just(Act::Resume),
        1 => stage.prop_map(Act::Leave),
        4 => (0_u16..3000).prop_map(Act::Pass),
        1 => (0_u16..4000).prop_map(Act::Hold),
    ];
    prop::collection::vec(act, 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_gate_keeps_its_limits_whatever_happens(acts in acts(), most in 1_usize..40, rate in prop::option::of(1.0_f64..50.0), burst in 0_u32..20) {
        let mut now = Instant::now();
        let start = now;
        let interval = Duration::from_secs(5);
        let mut gate = Gate::new(GateRules { failures: 3, probe_interval: interval, rate, burst, max_in_flight: most }, now);
        let (mut waiting, mut in_flight, mut resting) = (0_usize, 0_usize, 0_usize);
        let (mut taken_up, mut held) = (0_usize, now);
        // Since when it is open, and the probe that was made last in that time.
        let mut probe: Option<Instant> = None;
        for act in acts {
            match act {
                Act::Admit(count) => for _ in 0..count {
                    let room = gate.room(now);
                    let busy = waiting + in_flight;
                    prop_assert!(room + busy <= most.max(busy), "{room} beside {busy} of {most}");
                    prop_assert!(room == 0 || now >= held, "held until later");
                    if room == 0 { break }
                    prop_assert!(busy < gate.limit().max(1), "{busy} at a limit of {}", gate.limit());
                    if gate.limit() < most {
                        prop_assert!(busy + resting < gate.limit().max(1), "{busy} and {resting} that rest at a limit of {}", gate.limit());
                    }
                    if gate.is_open() {
                        prop_assert!(room == 1 && busy + resting == 0, "one probe at a time");
                    }
                    gate.admit();
                    waiting += 1;
                    taken_up += 1;
                },
                Act::Begin(count) => for _ in 0..count.min(waiting as u8) {
                    let may = gate.begin(now);
                    if !may {
                        prop_assert!(gate.is_open() || now < held, "held back for no reason");
                        gate.leave(Stage::Waiting);
                        waiting -= 1;
                        continue;
                    }
                    prop_assert!(now >= held, "held until later");
                    if gate.is_open() {
                        prop_assert!(in_flight == 0, "one probe at a time");
                        prop_assert!(probe.is_none_or(|last| now >= last + interval), "one probe an interval");
                        probe = Some(now);
                    }
                    (waiting, in_flight) = (waiting - 1, in_flight + 1);
                },
                Act::End(order, sign) if in_flight > 0 => {
                    let was_open = gate.is_open();
                    gate.end(order, sign, now);
                    in_flight -= 1;
                    prop_assert!(gate.is_open() || !matches!(sign, Sign::Closed), "nobody can call it");
                    if gate.is_open() && !was_open {
                        prop_assert_eq!(gate.room(now), 0);
                        prop_assert_eq!(gate.room(now + interval - Duration::from_millis(1)), 0, "not before the interval is over");
                        probe = Some(now);
                    }
                    let (was_open, is_wide) = (gate.is_open(), gate.limit() == most);
                    let is_full = waiting + in_flight + resting >= gate.limit();
                    if gate.rest(now) {
                        prop_assert!(now >= held && (!was_open || !is_full) && (is_wide || !is_full), "it may not go on");
                        resting += 1;
                        taken_up += 1;
                    }
                }
                Act::Resume if resting > 0 => {
                    gate.resume();
                    (resting, waiting) = (resting - 1, waiting + 1);
                }
                Act::Leave(stage) => {
                    let count = match stage {
                        Stage::Waiting => &mut waiting,
                        Stage::InFlight => &mut in_flight,
                        Stage::Resting => &mut resting,
                    };
                    if *count > 0 {
                        gate.leave(stage);
                        *count -= 1;
                        // A probe that never left is no probe.
                        probe = if stage == Stage::InFlight { None } else { probe };
                    }
                }
                Act::Pass(milliseconds) => now += Duration::from_millis(milliseconds.into()),
                Act::Hold(milliseconds) => {
                    let until = now + Duration::from_millis(milliseconds.into());
                    gate.hold(until);
                    held = held.max(until);
                }
                _ => {}
            }
            prop_assert_eq!((gate.in_flight(), gate.busy()), (in_flight, in_flight + waiting));
            prop_assert!((1..=most).contains(&gate.limit()), "a limit of {}", gate.limit());
            if let Some(rate) = rate {
                let most = f64::from(burst.max(1)) + rate * now.duration_since(start).as_secs_f64() + 1e-6;
                prop_assert!(taken_up as f64 <= most, "{taken_up} calls, not more than {most}");
            }
        }
        // Whatever happened: once it is answered with sense, it is open to all again.
        for _ in 0..in_flight {
            gate.end(0, Sign::Up, now);
        }
        for _ in 0..waiting {
            gate.leave(Stage::Waiting);
        }
        for _ in 0..resting {
            gate.leave(Stage::Resting);
        }
        now = held.max(now) + interval * 2;
        prop_assert!(gate.room(now) >= 1);
        gate.admit();
        prop_assert!(gate.begin(now));
        gate.end(0, Sign::Up, now);
        prop_assert!(!gate.is_open());
    }
}
