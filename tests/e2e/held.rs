//! Somebody else holds what the ledger needs: a call is given up in time, and made again it goes through.

use crate::shop::{Shop, order};
use crate::support::events::{Event, Kind};
use bwp_simulator::Options;
use bwp_sync::ledger::LedgerError;
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_lock_that_somebody_holds_costs_a_timeout_and_nothing_else() {
    let mut shop = Shop::open(Options::default(), &[]).await;
    shop.simulator.seed_order(order("322-ABC1-AAAAAA", "1001")).unwrap();
    let data = json!({"order": {"id": "1001"}, "refund": {"id": "RF-1"}, "version": 1, "state": "SUCCESS",
        "total": {"amount": "5.00", "currency": "USD"}});
    let event = Event::new(Kind::Refund, "f-1", data);
    let pool = shop.database.pool().await;
    let mut holder = pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE order_name IN ACCESS EXCLUSIVE MODE").execute(&mut *holder).await.unwrap();
    let began = Instant::now();
    let given_up = shop.ledger.intake(&[shop.incoming(&event)], &shop.targets()).await.unwrap_err();
    let took = began.elapsed();
    assert!(given_up.is_passing() && matches!(&given_up, LedgerError::Unavailable(text) if text.contains("55P03")), "{given_up}");
    assert!((Duration::from_secs(4)..Duration::from_secs(14)).contains(&took), "given up after {took:?}");
    holder.rollback().await.unwrap();
    // Nothing of it was taken: the identity is not there yet.
    let report = shop.take(&[event]).await;
    assert_eq!((report.new, report.duplicates), (1, 0));
    assert_eq!(shop.settled().await.finals, 1);
    shop.stop().await;
    shop.assert_clean().await;
}
