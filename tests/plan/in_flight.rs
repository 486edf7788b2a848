//! What is in flight or unknown while other snapshots arrive (contract, sections 1 and 2 and guarantee 3), as one table.
//!
//! A refund of 1.00 by payment `a` is in flight. Something arrives. Then comes what became of the refund, and all that follows is
//! accepted: how each event ends, with the mutations that were sent for it, and what was sent after the first.

use crate::{Bench, alias, line, usd, with};
use bwp_sync::event::AliasKind;
use bwp_sync::plan::Next;
use bwp_sync::plan::lane::Live;
use bwp_sync::plan::outcome::{Class, Reason, Status};
use bwp_sync::plan::rank::EventNo;
use bwp_sync::prime::view::OrderView;
use chrono::TimeDelta;
use serde_json::{Value, json};

/// What became of what was in flight.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Accepted,
    Refused,
    /// No answer; a read shows it.
    LostDone,
    /// No answer; a read shows nothing of it.
    LostUndone,
    /// No answer; a read shows its payment, but not its state.
    LostPartly,
    /// Throttled.
    Postponed,
    /// No byte of it left.
    Withdrawn,
    /// BwP did not know the order by the name that the mutation gave it, and knows it now.
    NotFound,
}

/// What arrives meanwhile.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Meanwhile {
    Nothing,
    /// Newer, and with all that the first one has.
    Newer,
    /// Newer, without payments, with a reason: the first one's payment is still wanted.
    NewerWithoutItsPayment,
    /// Older, with a reason that the first one does not have.
    OlderWithAReason,
    /// Older, with nothing that the first one does not have.
    Older,
    /// Newer, and a state that BwP takes only where the first one was not applied.
    Rejected,
    /// The table learns BwP's id of the refund.
    ItsId,
}

fn refund(version: u64, state: &str, total: &str, payments: &[&str]) -> Value {
    let payment = |id: &&str| json!({"id": id, "amount": usd("1.00"), "method": {"type": "CARD", "display": "V"}});
    let data = json!({"refund": {"id": "RF-9"}, "version": version, "state": state, "total": usd(total)});
    match payments {
        [] => data,
        _ => with(data, json!({"payments": payments.iter().map(payment).collect::<Vec<_>>()})),
    }
}

fn arrives(bench: &mut Bench, meanwhile: Meanwhile) -> Option<EventNo> {
    let data = match meanwhile {
        Meanwhile::Nothing => return None,
        Meanwhile::ItsId => {
            bench.row(AliasKind::Refund, "EXTERNAL_REFUND_ID", "RF-9", Some("r1"));
            return None;
        }
        Meanwhile::Newer => refund(3, "SUCCESS", "2.00", &["a", "b"]),
        Meanwhile::NewerWithoutItsPayment => with(refund(3, "SUCCESS", "1.00", &[]), json!({"requestReason": "OTHERS"})),
        Meanwhile::OlderWithAReason => with(refund(1, "PENDING", "0.00", &[]), json!({"requestReason": "OTHERS"})),
        Meanwhile::Older => refund(1, "PENDING", "0.00", &[]),
        Meanwhile::Rejected => refund(3, "REJECTED", "1.00", &["a"]),
    };
    Some(bench.event("refund", data))
}

fn happens(bench: &mut Bench, fate: Fate) {
    let shown = |state: &str| {
        json!({"id": "r1", "state": state, "aliases": [alias("EXTERNAL_REFUND_ID", "RF-9")],
        "refundTotal": {"totalAmount": {"amount": 1.0, "currencyCode": "USD"}}, "paymentDetails": [{"id": "a"}]})
    };
    let order = |refunds: Value| json!({"id": "322-A", "refunds": {"details": refunds}});
    let lost = |bench: &mut Bench, refunds: Value| {
        bench.lost();
        assert_eq!(bench.rests(), Some(bench.now + TimeDelta::seconds(8)), "nothing goes before the read");
        bench.pass(TimeDelta::seconds(8));
        bench.reads(order(refunds));
    };
    let now = bench.now;
    match fate {
        Fate::Accepted => bench.lane.accepted(&OrderView::default(), now),
        Fate::Refused => bench.refused("Bad"),
        Fate::LostDone => lost(bench, json!([shown("PARTIAL")])),
        Fate::LostUndone => lost(bench, json!([])),
        Fate::LostPartly => lost(bench, json!([shown("PENDING")])),
        Fate::Postponed => {
            let said = bench.said(Reason::new(Class::Refused, "ThrottlingError", "slow"));
            bench.lane.postponed(&said, now, |_| now);
        }
        Fate::Withdrawn => bench.lane.withdraw(),
        Fate::NotFound => {
            bench.not_found();
            bench.reads(order(json!([])));
        }
    }
}

/// State, total, reason and payments of a refund's entry.
fn entry(input: &Value) -> String {
    let entry = &input["refunds"]["details"][0];
    let payments = entry["paymentDetails"].as_array().into_iter().flatten().map(|payment| payment["id"].as_str().unwrap());
    let mut words =
        vec![entry["state"].as_str().unwrap_or("-").to_owned(), entry["refundTotal"]["totalAmount"]["amount"].to_string()];
    words.extend(entry["refundRequestReason"].as_str().map(str::to_owned));
    words.extend(payments.map(str::to_owned));
    words.join(" ")
}

fn ends(bench: &Bench, no: EventNo) -> String {
    let status = bench.status(no).unwrap_or_else(|| panic!("{no} has not ended: {:?}", bench.standings));
    let code = if status == Status::Dead { format!(" {}", bench.code(no)) } else { String::new() };
    format!("{}{code} {}", status.as_str(), bench.attempts[&no])
}

fn story(fate: Fate, meanwhile: Meanwhile) -> [String; 3] {
    let mut bench = Bench::new();
    let first = bench.event("refund", refund(2, "PARTIAL", "1.00", &["a"]));
    bench.begin();
    let other = arrives(&mut bench, meanwhile);
    assert!(matches!(bench.turn(), Next::Rest { .. }), "nothing goes beside what is in flight");
    assert_eq!(bench.status(first), None, "what is in flight is not superseded");
    happens(&mut bench, fate);
    let sent = bench.play().iter().map(entry).collect::<Vec<_>>().join(", ");
    [ends(&bench, first), other.map_or_else(String::new, |no| ends(&bench, no)), sent]
}

#[test]
#[rustfmt::skip] // one case, one line
fn a_refund_in_flight_and_what_arrives_meanwhile() {
    use Fate::*;
    use Meanwhile::*;
    // How the first ends, how the other ends, what is sent after the first mutation.
    let cases = [
        (Nothing, Accepted, "DELIVERED 1", "", ""),
        (Nothing, Refused, "DEAD Bad 1", "", ""),
        (Nothing, LostDone, "CONFIRMED 1", "", ""),
        (Nothing, LostUndone, "DELIVERED 2", "", "PARTIAL 1.00 a"),
        (Nothing, LostPartly, "DELIVERED 2", "", "PARTIAL 1.00"),
        (Nothing, Postponed, "DELIVERED 2", "", "PARTIAL 1.00 a"),
        (Nothing, Withdrawn, "DELIVERED 1", "", "PARTIAL 1.00 a"),
        (Nothing, NotFound, "DELIVERED 2", "", "PARTIAL 1.00 a"),
        // Done, it ends as done, and only what is new follows. Not done, or to be tried again, it is superseded.
        (Newer, Accepted, "DELIVERED 1", "DELIVERED 1", "SUCCESS 2.00 b"),
        (Newer, Refused, "DEAD Bad 1", "DELIVERED 1", "SUCCESS 2.00 a b"),
        (Newer, LostDone, "CONFIRMED 1", "DELIVERED 1", "SUCCESS 2.00 b"),
        (Newer, LostUndone, "SUPERSEDED 1", "DELIVERED 1", "SUCCESS 2.00 a b"),
        (Newer, LostPartly, "SUPERSEDED 1", "DELIVERED 1", "SUCCESS 2.00 b"),
        (Newer, Postponed, "SUPERSEDED 1", "DELIVERED 1", "SUCCESS 2.00 a b"),
        (Newer, Withdrawn, "SUPERSEDED 0", "DELIVERED 1", "SUCCESS 2.00 a b"),
        (Newer, NotFound, "SUPERSEDED 1", "DELIVERED 1", "SUCCESS 2.00 a b"),
        // Its payment is still wanted, so it ends with what becomes of that; but of a refused one nothing is.
        (NewerWithoutItsPayment, Accepted, "DELIVERED 1", "DELIVERED 1", "SUCCESS 1.00 OTHERS"),
        (NewerWithoutItsPayment, Refused, "DEAD Bad 1", "DELIVERED 1", "SUCCESS 1.00 OTHERS"),
        (NewerWithoutItsPayment, LostDone, "CONFIRMED 1", "DELIVERED 1", "SUCCESS 1.00 OTHERS"),
        (NewerWithoutItsPayment, LostUndone, "DELIVERED 2", "DELIVERED 1", "SUCCESS 1.00 OTHERS a"),
        (NewerWithoutItsPayment, LostPartly, "CONFIRMED 1", "DELIVERED 1", "SUCCESS 1.00 OTHERS"),
        (NewerWithoutItsPayment, Postponed, "DELIVERED 2", "DELIVERED 1", "SUCCESS 1.00 OTHERS a"),
        (NewerWithoutItsPayment, Withdrawn, "DELIVERED 1", "DELIVERED 1", "SUCCESS 1.00 OTHERS a"),
        (NewerWithoutItsPayment, NotFound, "DELIVERED 2", "DELIVERED 1", "SUCCESS 1.00 OTHERS a"),
        // An older one lends what the first does not have, beside what the first says; where that was refused, it is the newest.
        (OlderWithAReason, Accepted, "DELIVERED 1", "DELIVERED 1", "PARTIAL 1.00 OTHERS"),
        (OlderWithAReason, Refused, "DEAD Bad 1", "DELIVERED 1", "PENDING 0.00 OTHERS"),
        (OlderWithAReason, LostDone, "CONFIRMED 1", "DELIVERED 1", "PARTIAL 1.00 OTHERS"),
        (OlderWithAReason, LostUndone, "DELIVERED 2", "DELIVERED 1", "PARTIAL 1.00 OTHERS a"),
        (OlderWithAReason, LostPartly, "DELIVERED 2", "DELIVERED 1", "PARTIAL 1.00 OTHERS"),
        (OlderWithAReason, Postponed, "DELIVERED 2", "DELIVERED 1", "PARTIAL 1.00 OTHERS a"),
        (OlderWithAReason, Withdrawn, "DELIVERED 1", "DELIVERED 1", "PARTIAL 1.00 OTHERS a"),
        (OlderWithAReason, NotFound, "DELIVERED 2", "DELIVERED 1", "PARTIAL 1.00 OTHERS a"),
        // One that has nothing of its own is superseded at once, whatever becomes of the first.
        (Older, Accepted, "DELIVERED 1", "SUPERSEDED 0", ""),
        (Older, Refused, "DEAD Bad 1", "SUPERSEDED 0", ""),
        (Older, LostDone, "CONFIRMED 1", "SUPERSEDED 0", ""),
        (Older, LostUndone, "DELIVERED 2", "SUPERSEDED 0", "PARTIAL 1.00 a"),
        (Older, LostPartly, "DELIVERED 2", "SUPERSEDED 0", "PARTIAL 1.00"),
        (Older, Postponed, "DELIVERED 2", "SUPERSEDED 0", "PARTIAL 1.00 a"),
        (Older, Withdrawn, "DELIVERED 1", "SUPERSEDED 0", "PARTIAL 1.00 a"),
        (Older, NotFound, "DELIVERED 2", "SUPERSEDED 0", "PARTIAL 1.00 a"),
        // What may follow depends on what the first came to.
        (Rejected, Accepted, "DELIVERED 1", "DEAD INVALID_TRANSITION 0", ""),
        (Rejected, Refused, "DEAD Bad 1", "DELIVERED 1", "REJECTED 1.00 a"),
        (Rejected, LostDone, "CONFIRMED 1", "DEAD INVALID_TRANSITION 0", ""),
        (Rejected, LostUndone, "SUPERSEDED 1", "DELIVERED 1", "REJECTED 1.00 a"),
        (Rejected, LostPartly, "SUPERSEDED 1", "DELIVERED 1", "REJECTED 1.00"),
        (Rejected, Postponed, "SUPERSEDED 1", "DELIVERED 1", "REJECTED 1.00 a"),
        (Rejected, Withdrawn, "SUPERSEDED 0", "DELIVERED 1", "REJECTED 1.00 a"),
        (Rejected, NotFound, "SUPERSEDED 1", "DELIVERED 1", "REJECTED 1.00 a"),
        // Another name of the same refund changes nothing.
        (ItsId, Accepted, "DELIVERED 1", "", ""),
        (ItsId, Refused, "DEAD Bad 1", "", ""),
        (ItsId, LostDone, "CONFIRMED 1", "", ""),
        (ItsId, LostUndone, "DELIVERED 2", "", "PARTIAL 1.00 a"),
        (ItsId, LostPartly, "DELIVERED 2", "", "PARTIAL 1.00"),
        (ItsId, Postponed, "DELIVERED 2", "", "PARTIAL 1.00 a"),
        (ItsId, Withdrawn, "DELIVERED 1", "", "PARTIAL 1.00 a"),
        (ItsId, NotFound, "DELIVERED 2", "", "PARTIAL 1.00 a"),
    ];
    for (meanwhile, fate, first, other, sent) in cases {
        assert_eq!(story(fate, meanwhile), [first, other, sent], "{meanwhile:?}, {fate:?}");
    }
}

/// What arrives is judged by what BwP holds once what is in flight is known, not by what it held before.
#[test]
fn what_arrives_meanwhile_is_judged_afterwards() {
    // What became of the second of two, how it ends, how a third ends that says the same as the first.
    for (fate, second_ends, third_ends) in [
        (Fate::Accepted, "DELIVERED 1", "DEAD INVALID_TRANSITION 0"),
        (Fate::Refused, "DEAD Bad 1", "NOTHING_TO_SEND 0"),
        (Fate::Postponed, "SUPERSEDED 1", "NOTHING_TO_SEND 0"),
        (Fate::Withdrawn, "SUPERSEDED 0", "NOTHING_TO_SEND 0"),
    ] {
        let mut bench = Bench::new();
        bench.event("refund", refund(1, "PARTIAL", "1.00", &["a"]));
        bench.sends();
        let second = bench.event("refund", refund(2, "SUCCESS", "2.00", &["a", "b"]));
        bench.begin();
        let third = bench.event("refund", refund(3, "PARTIAL", "1.00", &["a"]));
        bench.rests();
        assert_eq!((bench.status(second), bench.status(third)), (None, None), "{fate:?}");
        happens(&mut bench, fate);
        assert!(bench.play().is_empty(), "{fate:?}");
        assert_eq!((ends(&bench, second).as_str(), ends(&bench, third).as_str()), (second_ends, third_ends), "{fate:?}");
    }
}

/// Of a joined mutation, a refund and the creation of a return, a newer snapshot of the return arrives: it is completed.
#[test]
fn a_joined_mutation_in_flight_and_a_newer_snapshot_of_one_part() {
    let own = |kind: &str, id: &str| json!([alias(kind, id)]);
    let paid = || {
        json!([{"id": "r1", "state": "PARTIAL", "aliases": own("EXTERNAL_REFUND_ID", "RF-9"), "paymentDetails": [{"id": "a"}],
        "refundTotal": {"totalAmount": {"amount": 1.0, "currencyCode": "USD"}}}])
    };
    let created = || json!([{"id": "t1", "state": "CREATED", "aliases": own("EXTERNAL-RETURN-ID", "R")}]);
    let none = || json!([]);
    // What became of it, what a read shows; how refund, return and the newer return end; what is sent afterwards, by mutation.
    let cases = [
        ("accepted", None, ["DELIVERED 1", "DELIVERED 1", "DELIVERED 1"], "return COMPLETED"),
        (
            "refused",
            Some((none(), none())),
            ["DELIVERED 2", "DELIVERED 2", "DELIVERED 2"],
            "refund, return CREATED, return COMPLETED",
        ),
        ("refused", Some((paid(), none())), ["CONFIRMED 1", "DELIVERED 2", "DELIVERED 2"], "return CREATED, return COMPLETED"),
        (
            "lost",
            Some((none(), none())),
            ["DELIVERED 2", "DELIVERED 2", "DELIVERED 2"],
            "refund, return CREATED, return COMPLETED",
        ),
        ("lost", Some((paid(), none())), ["CONFIRMED 1", "DELIVERED 2", "DELIVERED 2"], "return CREATED, return COMPLETED"),
        ("lost", Some((none(), created())), ["DELIVERED 2", "CONFIRMED 1", "DELIVERED 1"], "refund, return COMPLETED"),
        ("lost", Some((paid(), created())), ["CONFIRMED 1", "CONFIRMED 1", "DELIVERED 1"], "return COMPLETED"),
        ("throttled", None, ["DELIVERED 2", "DELIVERED 2", "DELIVERED 2"], "refund & return CREATED, return COMPLETED"),
        ("withdrawn", None, ["DELIVERED 1", "DELIVERED 1", "DELIVERED 2"], "refund & return CREATED, return COMPLETED"),
    ];
    for (fate, shown, expected, sent) in cases {
        let mut bench = Bench::new();
        let first = bench.event("refund", refund(1, "PARTIAL", "1.00", &["a"]));
        let one = |state: &str, more: Value| with(json!({"return": {"id": "R"}, "state": state}), more);
        let second = bench.event("return", one("CREATED", json!({"lines": [line("L-1", 1)]})));
        assert_eq!(bench.begin().parts.len(), 2);
        let newer = bench.event("return", one("COMPLETED", json!({})));
        match fate {
            "accepted" => bench.lane.accepted(&OrderView::default(), bench.now),
            "refused" => bench.refused("Bad"),
            "lost" => bench.lost(),
            "throttled" => {
                let said = bench.said(Reason::new(Class::Refused, "ThrottlingError", "slow"));
                bench.lane.postponed(&said, bench.now, |_| bench.now);
            }
            _ => bench.lane.withdraw(),
        }
        if let Some((refunds, returns)) = &shown {
            bench.pass(TimeDelta::seconds(8));
            bench.reads(json!({"id": "322-A", "refunds": {"details": refunds}, "returns": {"details": returns}}));
        }
        let words = bench.play().iter().map(parts).collect::<Vec<_>>().join(", ");
        assert_eq!(
            ([first, second, newer].map(|no| ends(&bench, no)), words.as_str()),
            (expected.map(str::to_owned), sent),
            "{fate} {shown:?}"
        );
    }
}

fn parts(input: &Value) -> String {
    let mut parts = Vec::new();
    parts.extend(input["refunds"]["details"].as_array().map(|_| "refund".to_owned()));
    parts.extend(input["returns"]["details"].as_array().map(|list| format!("return {}", list[0]["state"].as_str().unwrap())));
    parts.join(" & ")
}

/// A dead event that an operator retries counts again, with the rank that it has.
#[test]
fn an_operator_retries_the_first() {
    enum Newer {
        None,
        Done,
        InFlight,
        DoneWithoutItsPayment,
    }
    // What there is beside it; how it ends this time; what is sent.
    let cases = [
        ("alone", Newer::None, "DELIVERED 1", "PARTIAL 1.00 a"),
        ("a newer one is done", Newer::Done, "SUPERSEDED 0", ""),
        ("a newer one is in flight", Newer::InFlight, "SUPERSEDED 0", ""),
        ("a newer one without its payment is done", Newer::DoneWithoutItsPayment, "DELIVERED 1", "SUCCESS 1.00 a"),
    ];
    for (what, newer, ends_as, sent) in cases {
        let mut bench = Bench::new();
        let first = bench.event("refund", refund(2, "PARTIAL", "1.00", &["a"]));
        let event = bench.lane.events[&first].event.clone();
        bench.begin();
        bench.refused("Bad");
        bench.rests();
        assert_eq!(bench.ended.remove(&first).map(|(status, _)| status), Some(Status::Dead));
        match newer {
            Newer::None => {}
            Newer::Done => drop((bench.event("refund", refund(3, "SUCCESS", "2.00", &["a", "b"])), bench.sends())),
            Newer::InFlight => drop((bench.event("refund", refund(3, "SUCCESS", "2.00", &["a", "b"])), bench.begin())),
            Newer::DoneWithoutItsPayment => drop((bench.event("refund", refund(3, "SUCCESS", "1.00", &[])), bench.sends())),
        }
        bench.lane.events.insert(first, Live::new(first, event, &bench.rules.alias_types));
        bench.turn();
        if matches!(newer, Newer::InFlight) {
            bench.lane.accepted(&OrderView::default(), bench.now);
        }
        let again = bench.play().iter().map(entry).collect::<Vec<_>>().join(", ");
        assert_eq!((ends(&bench, first).as_str(), again.as_str()), (ends_as, sent), "{what}");
    }
}
