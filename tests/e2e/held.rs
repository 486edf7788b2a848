//! Somebody else holds what the ledger needs: a call is given up in time, and made again it goes through.

use crate::merchant::{publish, purchase};
use crate::service::Service;
use crate::shop::{Shop, order};
use crate::support::events::{Event, Kind};
use crate::support::kafka::ends;
use crate::support::postgres::until_somebody_waits;
use crate::support::{PATIENCE, wait_until};
use bwp_simulator::Options;
use bwp_sync::ledger::LedgerError;
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_lock_that_somebody_holds_costs_a_timeout_and_nothing_else() {
    let (shop, event) = shop_and_event().await;
    let pool = shop.database.pool().await;
    let mut holder = pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE order_name IN ACCESS EXCLUSIVE MODE").execute(&mut *holder).await.unwrap();
    let began = Instant::now();
    let given_up = shop.ledger.intake(&[shop.incoming(&event)], &shop.targets()).await.unwrap_err();
    let took = began.elapsed();
    assert!(given_up.is_passing() && matches!(&given_up, LedgerError::Unavailable(text) if text.contains("55P03")), "{given_up}");
    assert!((Duration::from_secs(4)..Duration::from_secs(14)).contains(&took), "given up after {took:?}");
    holder.rollback().await.unwrap();
    assert_taken_once(shop, event).await;
}

/// Intake sees the lane as it was before it waited for its row: due already, so that nothing is to be done. It was claimed meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_comes_while_its_lane_is_claimed_marks_it() {
    let (mut shop, event) = shop_and_event().await;
    shop.stop().await;
    shop.take(std::slice::from_ref(&event)).await;
    let pool = shop.database.pool().await;
    let mut claim = pool.begin().await.unwrap();
    let leased = "UPDATE lane SET is_leased = true, lease_no = lease_no + 1, next_at = now() + interval '1 minute' RETURNING 1";
    sqlx::raw_sql(leased).execute(&mut *claim).await.unwrap();
    let more = Event::new(Kind::Refund, "f-2", event.data.clone());
    let taken = async { shop.ledger.intake(&[shop.incoming(&more)], &shop.targets()).await.unwrap() };
    let claimed = async {
        until_somebody_waits(&pool, "the intake").await;
        claim.commit().await.unwrap();
    };
    let (report, ()) = tokio::join!(taken, claimed);
    assert_eq!(report.new, 1);
    let (is_dirty, is_later): (bool, bool) =
        sqlx::query_as("SELECT is_dirty, next_at > now() FROM lane").fetch_one(&pool).await.unwrap();
    assert!(is_dirty && is_later, "dirty {is_dirty}, leased {is_later}");
}

#[tokio::test]
async fn a_statement_that_hangs_is_ended_here_and_at_the_server() {
    let (shop, event) = shop_and_event().await;
    let pool = shop.database.pool().await;
    let hanging = "CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(300); RETURN NEW; END $$;
        CREATE TRIGGER hang BEFORE INSERT ON seen FOR EACH ROW EXECUTE FUNCTION hang()";
    sqlx::raw_sql(hanging).execute(&pool).await.unwrap();
    let began = Instant::now();
    let given_up = shop.ledger.intake(&[shop.incoming(&event)], &shop.targets()).await.unwrap_err();
    assert!(given_up.is_passing() && began.elapsed() < Duration::from_secs(25), "{given_up} after {:?}", began.elapsed());
    // Whoever hangs goes on at the server, with its locks, until the statement's own time is over.
    wait_until("the server to end the statement", Duration::from_secs(60), async || {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
        let hanging: i64 = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
        if hanging == 0 { Ok(()) } else { Err(format!("{hanging} hang for {:?}", began.elapsed())) }
    })
    .await;
    sqlx::raw_sql("DROP TRIGGER hang ON seen").execute(&pool).await.unwrap();
    assert_taken_once(shop, event).await;
}

/// Numbers of outcomes commit out of order: whoever has a transaction open, be it somebody else's, holds back what comes after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outcomes_that_a_transaction_holds_back_are_shown_by_their_age() {
    let service = Service::open(1, Options::default()).await;
    let purchase = purchase(0);
    service.simulator.seed_order(purchase.seed.clone()).unwrap();
    let mut daemon = service.builder.start();
    daemon.wait_ready().await;
    let mut holder = service.pool().await.begin().await.unwrap();
    sqlx::raw_sql("SELECT pg_current_xact_id()").execute(&mut *holder).await.unwrap();
    let count = publish(&service.topics, &purchase.events.iter().collect::<Vec<_>>()).await as usize;
    service.drained(count, PATIENCE).await;
    let age = async |wanted: fn(f64) -> bool| {
        wait_until("the age of what is unpublished", PATIENCE, async || {
            let age = daemon.metrics().await.get("bwp_sync_backlog_oldest_seconds", &[("state", "unpublished")]);
            if age.is_some_and(wanted) { Ok(()) } else { Err(format!("{age:?}")) }
        })
        .await;
    };
    age(|age| age > 1.0).await;
    assert_eq!(ends(&service.topics.outcomes).await.values().sum::<i64>(), 0);
    holder.rollback().await.unwrap();
    service.outcomes(count).await;
    age(|age| age == 0.0).await;
    assert_eq!(daemon.terminate(Duration::from_secs(15)).await.code(), Some(0));
}

async fn shop_and_event() -> (Shop, Event) {
    let shop = Shop::open(Options::default(), &[]).await;
    shop.simulator.seed_order(order("322-ABC1-AAAAAA", "1001")).unwrap();
    let data = json!({"order": {"id": "1001"}, "refund": {"id": "RF-1"}, "version": 1, "state": "SUCCESS",
        "total": {"amount": "5.00", "currency": "USD"}});
    (shop, Event::new(Kind::Refund, "f-1", data))
}

/// Nothing of the batch that was given up was taken: the identity was not there yet.
async fn assert_taken_once(mut shop: Shop, event: Event) {
    let report = shop.take(&[event]).await;
    assert_eq!((report.new, report.duplicates), (1, 0));
    assert_eq!(shop.settled().await.finals, 1);
    shop.stop().await;
    shop.assert_clean().await;
}
