//! An order that cannot be worked on rests, and stops no other.

use crate::shop::{Shop, order};
use crate::support::events::{Event, Kind};
use crate::support::{PATIENCE, wait_until};
use bwp_simulator::Options;
use bwp_sync::ledger::attempts::AttemptRow;
use bwp_sync::ledger::claim::Claims;
use bwp_sync::ledger::parking::MOST_TOUCHES;
use bwp_sync::ledger::settle::{Hold, Release, Settlement};
use bwp_sync::ledger::{ClaimRequest, Claimed, Ledger};
use bwp_sync::plan::{Lane, Next};
use bwp_sync::prime::view::OrderView;
use chrono::TimeDelta;
use serde_json::json;
use std::time::Duration;

fn a_refund(order: &str) -> Event {
    let data = json!({"order": {"id": order}, "refund": {"id": "RF-1"}, "state": "SUCCESS",
        "total": {"amount": "5.00", "currency": "USD"}});
    Event::new(Kind::Refund, order, data)
}

/// Two orders with something due, and nobody who works on them.
async fn idle_shop() -> Shop {
    let mut shop = Shop::open(Options::default(), &[]).await;
    shop.stop().await;
    for name in ["1001", "1002"] {
        shop.simulator.seed_order(order(&format!("B-{name}"), name)).unwrap();
    }
    shop.take(&[a_refund("1001"), a_refund("1002")]).await;
    shop
}

async fn run(shop: &Shop, statement: &'static str) {
    sqlx::query(statement).execute(&shop.database.pool().await).await.unwrap();
}

async fn resting(shop: &Shop) -> i64 {
    let statement = "SELECT count(*) FROM lane WHERE parked_until > now()";
    sqlx::query_scalar(statement).fetch_one(&shop.database.pool().await).await.unwrap()
}

async fn ended(shop: &Shop, id: &str) {
    wait_until("the order to be settled", PATIENCE, async || {
        if shop.outcomes().await.contains_key(id) { Ok(()) } else { Err("no outcome".to_owned()) }
    })
    .await;
}

/// Claims as the dispatcher does, for a lease of a moment; `bad` is an order whose planning breaks.
async fn claim(shop: &Shop, ledger: &Ledger, bad: Option<&str>) -> Claims {
    let target = &bwp_sync::dispatch::target::targets(&shop.settings).unwrap()["default"];
    let request = ClaimRequest { target: "default".into(), limit: 10, lease: Duration::from_millis(1) };
    let decide = |lane: &mut Lane, now| {
        let is_bad = |live: &bwp_sync::plan::lane::Live| Some(live.event.data.order().id()) == bad;
        assert!(!lane.unsettled().any(is_bad), "planning breaks on purpose");
        let turn = lane.turn(&target.rules(), now);
        if let Next::Send(draft) = &turn.next {
            lane.begin(draft, now + TimeDelta::milliseconds(1));
        }
        turn
    };
    ledger.claim(&request, &shop.targets(), decide).await.unwrap()
}

#[tokio::test]
async fn rows_that_cannot_be_read_stop_their_own_order_only() {
    for broken in [
        "UPDATE lane SET memo = '{\"intents\": 5}' WHERE id = (SELECT min(id) FROM lane)",
        "INSERT INTO entity (lane, subject, doc) SELECT min(id), '\"Order\"', '5' FROM lane",
    ] {
        let mut shop = idle_shop().await;
        run(&shop, broken).await;
        shop.start();
        ended(&shop, "1002").await;
        wait_until("the other to rest", PATIENCE, async || if resting(&shop).await == 1 { Ok(()) } else { Err(String::new()) })
            .await;
        assert!(!shop.outcomes().await.contains_key("1001"));
        // Repaired, it goes on.
        run(&shop, "DELETE FROM entity WHERE doc::text = '5'").await;
        run(&shop, "UPDATE lane SET memo = NULL, parked_until = NULL, next_at = now() WHERE parked_until IS NOT NULL").await;
        ended(&shop, "1001").await;
        shop.assert_clean().await;
    }
}

#[tokio::test]
async fn planning_that_breaks_stops_its_own_order_only() {
    let mut shop = idle_shop().await;
    let claims = claim(&shop, &shop.ledger, Some("1001")).await;
    assert_eq!((claims.lanes.len(), claims.parked), (1, 1));
    assert_eq!(resting(&shop).await, 1);
    run(&shop, "UPDATE lane SET parked_until = NULL, next_at = now() WHERE parked_until IS NOT NULL").await;
    shop.start();
    shop.settled().await;
    for id in ["1001", "1002"] {
        assert_eq!(shop.outcome(id).await.0, "DELIVERED");
    }
    shop.assert_clean().await;
}

/// The one that cannot be leased is the first in line.
#[tokio::test]
async fn a_lease_that_the_server_refuses_stops_its_own_order_only() {
    let mut shop = idle_shop().await;
    run(&shop, "UPDATE lane SET next_at = next_at - interval '1 minute' WHERE id = (SELECT min(id) FROM lane)").await;
    let refused = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.id = (SELECT min(id) FROM lane) THEN RAISE EXCEPTION 'refused'; END IF; RETURN NEW;
        END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON lane FOR EACH ROW WHEN (NEW.is_leased) EXECUTE FUNCTION refuse()";
    sqlx::raw_sql(refused).execute(&shop.database.pool().await).await.unwrap();
    shop.start();
    wait_until("the other to end", PATIENCE, async || if shop.outcomes().await.len() == 1 { Ok(()) } else { Err(String::new()) })
        .await;
    assert_eq!(resting(&shop).await, 1);
    run(&shop, "DROP TRIGGER refuse ON lane").await;
    run(&shop, "UPDATE lane SET parked_until = NULL, next_at = now() WHERE parked_until IS NOT NULL").await;
    shop.settled().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn an_order_that_keeps_killing_its_holders_rests() {
    let mut shop = idle_shop().await;
    for lease in 1..=MOST_TOUCHES {
        let held = wait_until("both leases to end", PATIENCE, async || {
            let claims = claim(&shop, &shop.ledger, None).await;
            if claims.lanes.len() == 2 { Ok(claims) } else { Err(format!("{} lanes", claims.lanes.len())) }
        })
        .await;
        // The holder is gone without a word.
        drop(held);
        assert_eq!(resting(&shop).await, 0, "after {lease} leases");
    }
    wait_until("both to rest", PATIENCE, async || {
        claim(&shop, &shop.ledger, None).await;
        if resting(&shop).await == 2 { Ok(()) } else { Err(String::new()) }
    })
    .await;
    // What arrives meanwhile does not wake it.
    shop.take(&[Event::new(Kind::Order, "o-1", json!({"order": {"id": "1001"}, "executionState": "STARTED"}))]).await;
    assert_eq!(claim(&shop, &shop.ledger, None).await.looked_at, 0);
    // Its time comes: it is read first, sent, settled, and no longer remembered for what it did.
    run(&shop, "UPDATE lane SET parked_until = now(), next_at = now()").await;
    shop.start();
    shop.settled().await;
    assert_eq!(shop.outcome("1001").await.0, "DELIVERED");
    let touched: i64 = sqlx::query_scalar("SELECT count(*) FROM lane WHERE touches > 0 OR parked_until IS NOT NULL")
        .fetch_one(&shop.database.pool().await)
        .await
        .unwrap();
    assert_eq!(touched, 0);
    shop.assert_clean().await;
}

const HOLD: Hold = Hold { lease: Duration::from_secs(30), request_timeout: TimeDelta::seconds(8) };

/// What a holder writes whose mutations were accepted.
fn accepted(shop: &Shop, claims: Claims, may_go_on: bool) -> Vec<Settlement> {
    let accepted = |mut claimed: Claimed| {
        claimed.lane.accepted(&OrderView::default(), claimed.at);
        let target = &bwp_sync::dispatch::target::targets(&shop.settings).unwrap()["default"];
        let turn = claimed.lane.turn(&target.rules(), claimed.at);
        assert_eq!(turn.settled.len(), 1);
        let attempt = AttemptRow {
            at: claimed.at,
            operation: "updateOrder".into(),
            events: Vec::new(),
            request: None,
            verdict: "delivered".into(),
            http: Some(200),
            code: None,
            message: None,
            request_id: None,
            took_ms: 1,
        };
        Settlement { claimed, turn, release: Release::Never, may_go_on, attempt }
    };
    claims.lanes.into_iter().map(accepted).collect()
}

/// A replica may come to write a turn of a lease that has gone together with one of the lease that stands.
#[tokio::test]
async fn a_lease_that_has_gone_is_left_alone_beside_the_one_that_stands() {
    let shop = idle_shop().await;
    let gone = claim(&shop, &shop.ledger, None).await;
    let stands = wait_until("both leases to end", PATIENCE, async || {
        let claims = claim(&shop, &shop.ledger, None).await;
        if claims.lanes.len() == 2 { Ok(claims) } else { Err(format!("{} lanes", claims.lanes.len())) }
    })
    .await;
    let mut both = accepted(&shop, gone, true);
    both.extend(accepted(&shop, stands, false));
    let report = shop.ledger.settle(&mut both, &shop.targets(), HOLD).await.unwrap();
    assert_eq!((report.stale, report.finals.len(), report.go_on.len()), (2, 2, 0));
    let leased = "SELECT count(*) FROM lane WHERE is_leased OR flight <> '{}'";
    let leased: i64 = sqlx::query_scalar(leased).fetch_one(&shop.database.pool().await).await.unwrap();
    assert_eq!(leased, 0);
    assert_eq!(shop.ledger.totals().await.unwrap().imbalance(), 0);
}

#[tokio::test]
async fn a_holder_whose_lease_has_gone_changes_nothing() {
    let mut shop = idle_shop().await;
    let late = claim(&shop, &shop.ledger, None).await;
    assert_eq!(late.lanes.len(), 2);
    let present = wait_until("both leases to end", PATIENCE, async || {
        let claims = claim(&shop, &shop.ledger, None).await;
        if claims.lanes.len() == 2 { Ok(claims) } else { Err(format!("{} lanes", claims.lanes.len())) }
    })
    .await;
    let rows = async || -> Vec<(i64, i64, bool, Option<String>)> {
        let statement = "SELECT id, lease_no, is_leased, memo::text FROM lane ORDER BY id";
        sqlx::query_as(statement).fetch_all(&shop.database.pool().await).await.unwrap()
    };
    let before = rows().await;
    // The late one has had its answer.
    let report = shop.ledger.settle(&mut accepted(&shop, late, false), &shop.targets(), HOLD).await.unwrap();
    assert_eq!((report.stale, report.finals.len()), (2, 0));
    assert_eq!(rows().await, before);
    // Whoever holds them now reads first, so it has no mutation to settle; its own write counts.
    assert!(present.lanes.iter().all(|claimed| matches!(claimed.next, Next::Read { .. } | Next::Rest { .. })), "{present:?}");
    shop.start();
    shop.settled().await;
    for id in ["1001", "1002"] {
        assert_eq!(shop.outcome(id).await.0, "DELIVERED");
    }
    shop.assert_clean().await;
}

#[tokio::test]
async fn a_verdict_of_the_configuration_stands_in_place_of_the_tables() {
    let shop = Shop::open(Options::default(), &["verdicts.InvalidReturnQuantity=not_yet"]).await;
    shop.simulator.seed_order(order("B-1001", "1001")).unwrap();
    let too_many = json!({"order": {"id": "1001"}, "return": {"id": "RMA-9"}, "state": "CREATED",
        "lines": [{"line": {"id": "L-1"}, "quantity": 99}]});
    shop.take(&[Event::new(Kind::Return, "r-9", too_many)]).await;
    wait_until("it to be tried again instead of dying", PATIENCE, async || {
        let totals = shop.ledger.totals().await.unwrap();
        if totals.backlog.retrying == 1 { Ok(()) } else { Err(format!("{totals:?}")) }
    })
    .await;
    shop.assert_clean().await;
}
