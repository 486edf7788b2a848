//! Each filter of `events list`, on events that wait, that died, that were delivered and that could not be read.

use crate::operators::{a_refund, a_return, bwp_sync, open, refused, rule, until};
use crate::shop::Shop;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Records by their offsets.
const WAITS: i64 = 0;
const DIED: i64 = 1;
const DELIVERED: i64 = 2;
const UNREADABLE: i64 = 3;

async fn list(shop: &Shop, filter: &[&str]) -> Vec<Value> {
    let all = [&["events", "list", "--output", "json"], filter].concat();
    bwp_sync(shop, &all).await.json().as_array().unwrap().clone()
}

async fn assert_lists(shop: &Shop, filter: &[&str], offsets: &[i64]) {
    let found: BTreeSet<i64> = list(shop, filter).await.iter().map(|event| event["offset"].as_i64().unwrap()).collect();
    assert_eq!(found, offsets.iter().copied().collect(), "{filter:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_filter_finds_what_waits_what_died_and_what_is_settled() {
    let shop = open(&[]).await;
    shop.simulator.faults().one(rule("1002", refused()));
    let mut unreadable = a_refund("1003", "bad");
    unreadable.data["state"] = json!("NO_STATE");
    shop.take(&[a_return("1001", "L-8"), a_refund("1002", "dead"), a_refund("1003", "fine"), unreadable]).await;
    for status in ["WAITING", "DEAD", "DELIVERED", "QUARANTINED"] {
        until(&shop, status, 1).await;
    }
    shop.settled().await;
    let all = list(&shop, &[]).await;
    assert_eq!(all.len(), 4, "{all:#?}");
    let reason = |offset: i64, member: &str| {
        let event = all.iter().find(|event| event["offset"] == offset).unwrap();
        event["reason"][member].as_str().unwrap().to_owned()
    };
    let (class, code) = (reason(UNREADABLE, "class"), reason(UNREADABLE, "code"));
    for (filter, offsets) in [
        (vec!["--order", "1001"], vec![WAITS]),
        (vec!["--order", "EXTERNAL_ID:1002"], vec![DIED]),
        (vec!["--order", "B-1003"], vec![DELIVERED, UNREADABLE]),
        (vec!["--target", "default"], vec![WAITS, DIED, DELIVERED, UNREADABLE]),
        (vec!["--target", "elsewhere"], vec![]),
        (vec!["--kind", "return"], vec![WAITS]),
        (vec!["--kind", "refund"], vec![DIED, DELIVERED, UNREADABLE]),
        (vec!["--status", "waiting"], vec![WAITS]),
        (vec!["--status", "DEAD", "--status", "DELIVERED"], vec![DIED, DELIVERED]),
        (vec!["--status", "QUARANTINED"], vec![UNREADABLE]),
        (vec!["--class", "refused"], vec![DIED]),
        (vec!["--class", &class], vec![UNREADABLE]),
        (vec!["--code", "InvalidInput"], vec![DIED]),
        (vec!["--code", &code], vec![UNREADABLE]),
        (vec!["--source", "/oms", "--id", "r-1001-L-8"], vec![WAITS]),
        (vec!["--source", "/oms", "--id", "f-dead"], vec![DIED]),
        (vec!["--source", "/oms", "--id", "f-fine"], vec![DELIVERED]),
        (vec!["--source", "/oms", "--id", "f-bad"], vec![UNREADABLE]),
        (vec!["--source", "/other", "--id", "f-fine"], vec![]),
        (vec!["--order", "1003", "--kind", "refund", "--status", "DELIVERED", "--since", "1h"], vec![DELIVERED]),
        (vec!["--until", "1h"], vec![]),
    ] {
        assert_lists(&shop, &filter, &offsets).await;
    }
    // The newest comes first: what is since then or later stands before it, what is since then or earlier after it.
    for (at, event) in all.iter().enumerate() {
        let offsets = |events: &[Value]| events.iter().map(|event| event["offset"].as_i64().unwrap()).collect::<Vec<_>>();
        let same = |other: &&Value| other["since"] == event["since"];
        let (first, last) =
            (at - all[..at].iter().rev().take_while(same).count(), at + all[at..].iter().take_while(same).count());
        let since = event["since"].as_str().unwrap();
        assert_lists(&shop, &["--since", since], &offsets(&all[..last])).await;
        assert_lists(&shop, &["--until", since], &offsets(&all[first..])).await;
    }
}
