//! `dispatch.read_first`: what is read before its first mutation (contract, sections 3 and 5).

use crate::{Bench, alias, usd};
use bwp_sync::config::ReadFirst;
use bwp_sync::plan::Next;
use bwp_sync::plan::outcome::Status;
use bwp_sync::plan::step::Question;
use chrono::TimeDelta;
use serde_json::{Value, json};

fn refund(version: u64, payments: &[(&str, u32)]) -> Value {
    let total: u32 = payments.iter().map(|payment| payment.1).sum();
    let payments: Vec<Value> = payments
        .iter()
        .map(|(id, amount)| {
            json!({"id": id, "amount": usd(&format!("{amount}.00")), "method": {"type": "GIFT_CARD", "display": "Gift card"}})
        })
        .collect();
    json!({"refund": {"id": "RF-9"}, "state": "PARTIAL", "version": version, "total": usd(&format!("{total}.00")), "payments": payments})
}

/// The order with a refund that holds these payments.
fn holds(payments: &[(&str, u32)]) -> Value {
    let total: u32 = payments.iter().map(|payment| payment.1).sum();
    let payments: Vec<Value> = payments
        .iter()
        .map(|(id, amount)| {
            json!({"id": id, "amount": {"amount": amount, "currencyCode": "USD"},
                "paymentMethod": {"type": "GIFT_CARD", "displayString": "Gift card"}})
        })
        .collect();
    json!({"id": "322-A", "refunds": {"details": [{"id": "r1", "state": "PARTIAL", "aliases": [alias("EXTERNAL_REFUND_ID", "RF-9")],
        "refundTotal": {"totalAmount": {"amount": total, "currencyCode": "USD"}}, "paymentDetails": payments}]}})
}

fn paid(input: &Value) -> Vec<&str> {
    let payments = input["refunds"]["details"][0]["paymentDetails"].as_array();
    payments.into_iter().flatten().map(|payment| payment["id"].as_str().unwrap()).collect()
}

fn bench(read_first: ReadFirst) -> Bench {
    let mut bench = Bench::new();
    bench.rules.read_first = read_first;
    bench
}

#[test]
fn a_refund_is_read_once_before_its_first_mutation() {
    let mut bench = bench(ReadFirst::Refunds);
    let no = bench.event("refund", refund(1, &[("p-1", 5)]));
    assert!(matches!(&bench.reads(holds(&[("p-1", 5)]))[..], [Question::State(_)]));
    bench.rests();
    assert_eq!(bench.status(no), Some(Status::NothingToSend));
    bench.event("refund", refund(2, &[("p-1", 5), ("p-2", 3)]));
    assert_eq!(paid(&bench.sends()), ["p-2"], "it was read, and is known");
    bench.event("return", json!({"return": {"id": "RMA-1"}, "state": "CREATED", "lines": [crate::line("L-1", 1)]}));
    assert!(matches!(bench.turn(), Next::Send(_)), "returns are not read first");
}

#[test]
fn what_a_read_does_not_show_is_sent_after_it() {
    for read_first in [ReadFirst::Refunds, ReadFirst::All] {
        let mut bench = bench(read_first);
        bench.event("refund", refund(1, &[("p-1", 5)]));
        bench.reads(json!({"id": "322-A", "refunds": {"details": []}}));
        assert_eq!(paid(&bench.sends()), ["p-1"]);
    }
}

#[test]
fn all_things_are_read_where_all_is_said() {
    let mut bench = bench(ReadFirst::All);
    bench.event("return", json!({"return": {"id": "RMA-1"}, "state": "CREATED", "lines": [crate::line("L-1", 1)]}));
    assert!(matches!(&bench.reads(json!({"id": "322-A", "returns": {"details": []}}))[..], [Question::State(_)]));
    assert!(matches!(bench.turn(), Next::Send(_)));
}

/// The ledger was restored: it knows the refund as it was at the time of the backup.
#[test]
fn what_was_known_before_a_restore_is_read_again_once() {
    let mut bench = bench(ReadFirst::Refunds);
    bench.event("refund", refund(1, &[("p-1", 5)]));
    bench.reads(json!({"id": "322-A", "refunds": {"details": []}}));
    bench.sends();
    bench.rests();
    bench.pass(TimeDelta::minutes(60));
    bench.rules.doubted_at = Some(bench.now);
    bench.pass(TimeDelta::minutes(1));
    let no = bench.event("refund", refund(2, &[("p-1", 5), ("p-2", 3)]));
    assert!(matches!(&bench.reads(holds(&[("p-1", 5), ("p-2", 3)]))[..], [Question::State(_)]));
    bench.rests();
    assert_eq!(bench.status(no), Some(Status::NothingToSend));
    bench.event("refund", refund(3, &[("p-1", 5), ("p-2", 3), ("p-3", 1)]));
    assert_eq!(paid(&bench.sends()), ["p-3"], "it was read since, although under another name");
    // Where nothing is read first, the operator has said so.
    bench.rules.read_first = ReadFirst::Off;
    bench.rules.doubted_at = Some(bench.now);
    bench.event("refund", refund(4, &[("p-1", 5), ("p-2", 3), ("p-3", 1), ("p-4", 1)]));
    assert_eq!(paid(&bench.sends()), ["p-4"]);
}
