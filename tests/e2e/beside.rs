//! More orders are worked on than are called: while what came of one's call is written, another is called, and never more than may be.

use crate::shop::{Shop, order};
use crate::support::events::{Event, Kind};
use crate::support::postgres::until_somebody_waits;
use crate::support::{PATIENCE, wait_until};
use bwp_simulator::{Answer, Options, Rule, When};
use serde_json::json;

const CALLS: usize = 4;

/// Two refunds of an order, a mutation each: the order goes on from one to the other.
fn refunds(of: usize) -> [Event; 2] {
    [0, 1].map(|n| {
        let data = json!({"order": {"id": format!("O-{of}")}, "refund": {"id": format!("RF-{n}")}, "state": "SUCCESS",
            "total": {"amount": "1.00", "currency": "USD"}});
        Event::new(Kind::Refund, &format!("f-{of}-{n}"), data)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_are_called_while_what_came_of_a_call_is_written() {
    let mut shop = Shop::open(Options::default(), &[&format!("dispatch.max_in_flight={CALLS}"), "dispatch.coalesce=off"]).await;
    let orders = 4 * CALLS;
    let seeds = (0..orders).map(|of| order(&format!("B-{of}"), &format!("O-{of}"))).collect();
    shop.simulator.seed_orders(seeds).unwrap();
    shop.simulator.faults().one(Rule {
        when: When { operation: Some("updateOrder".into()), ..When::default() },
        latency_ms: 300,
        answer: Answer::Normal,
        ..Rule::default()
    });
    let pool = shop.database.pool().await;
    // Of all that writes, settles alone write calls.
    let waits = "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            PERFORM pg_advisory_xact_lock_shared(7);
            RETURN NEW;
        END $$;
        CREATE TRIGGER wait BEFORE INSERT ON attempt FOR EACH ROW EXECUTE FUNCTION wait()";
    sqlx::raw_sql(waits).execute(&pool).await.unwrap();
    let mut holder = pool.begin().await.unwrap();
    sqlx::raw_sql("SELECT pg_advisory_xact_lock(7)").execute(&mut *holder).await.unwrap();
    shop.take(&refunds(0)).await;
    until_somebody_waits(&pool, "the settle").await;
    shop.take(&(1..orders).flat_map(refunds).collect::<Vec<_>>()).await;
    wait_until("as many calls as may be, beside the one that is written", PATIENCE, async || {
        let seen = shop.simulator.report().max_in_flight;
        if seen as usize >= CALLS { Ok(()) } else { Err(format!("{seen} at once")) }
    })
    .await;
    holder.commit().await.unwrap();
    shop.settled().await;
    shop.stop().await;
    let report = shop.assert_clean().await;
    assert_eq!((report.accepted as usize, report.max_in_flight as usize), (2 * orders, CALLS));
}
