//! What has just arrived is taken up by its intake where there is room, and by a claim where that cannot be.

use crate::hot;
use crate::service::Service;
use crate::shop::Shop;
use crate::support::daemon::Daemon;
use crate::support::events::Event;
use crate::support::postgres::until_somebody_waits;
use crate::support::{PATIENCE, wait_until};
use bwp_simulator::{Options, OrderSeed};
use bwp_sync::ledger::handover::HandOver;
use bwp_sync::plan::Lane;

const ORDERS: usize = 20;

fn a_refund(order: usize, n: usize) -> Event {
    hot::a_refund(&format!("O-{order}"), n)
}

async fn open() -> (Service, Daemon) {
    let service = Service::open(3, Options::default()).await;
    let seeds = (0..ORDERS).map(|n| OrderSeed::new(format!("B-{n}")).alias("EXTERNAL_ID", &format!("O-{n}")));
    service.simulator.seed_orders(seeds.collect()).unwrap();
    let mut daemon = service.builder.clone().start();
    daemon.wait_ready().await;
    (service, daemon)
}

async fn turns(daemon: &Daemon, by: &str) -> f64 {
    daemon.metrics().await.get("bwp_sync_turns_total", &[("by", by)]).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_nobody_holds_is_taken_up_by_the_intake_of_its_event() {
    let (service, mut daemon) = open().await;
    for n in 0..ORDERS {
        crate::merchant::publish(&service.topics, &[&a_refund(n, 0)]).await;
        service.drained(n + 1, PATIENCE).await;
    }
    service.assert_clean().await;
    let (taken_up, claimed) = (turns(&daemon, "intake").await, turns(&daemon, "claim").await);
    assert_eq!(taken_up + claimed, ORDERS as f64, "one turn for each mutation");
    // Where an intake is slow, its orders are left to claims.
    assert!(taken_up > 0.0, "{taken_up} turns by intakes, {claimed} by claims");
    assert_eq!(daemon.terminate(PATIENCE).await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_cannot_be_handed_over_is_taken_in_without_it() {
    let (service, mut daemon) = open().await;
    let pool = service.pool().await;
    // Refuses a lease in the transaction that takes an event of the order in; sequences do not roll back.
    let refused = "CREATE SEQUENCE refusals;
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF EXISTS (SELECT FROM work WHERE lane = NEW.id AND xmin = pg_current_xact_id()::xid) THEN
                RAISE EXCEPTION 'refused: %', nextval('refusals');
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER refuse BEFORE UPDATE ON lane FOR EACH ROW WHEN (NEW.is_leased) EXECUTE FUNCTION refuse()";
    sqlx::raw_sql(refused).execute(&pool).await.unwrap();
    let mut sent = 0;
    wait_until("an intake that hands over", PATIENCE, async || {
        crate::merchant::publish(&service.topics, &[&a_refund(sent % ORDERS, sent)]).await;
        sent += 1;
        service.drained(sent, PATIENCE).await;
        let refusals: i64 = sqlx::query_scalar("SELECT count(*) FROM refusals WHERE is_called").fetch_one(&pool).await.unwrap();
        if refusals > 0 { Ok(()) } else { Err(format!("{sent} events, all left to claims")) }
    })
    .await;
    service.assert_clean().await;
    assert_eq!((turns(&daemon, "intake").await, turns(&daemon, "claim").await), (0.0, sent as f64));
    assert_eq!(daemon.terminate(PATIENCE).await.code(), Some(0));
}

/// Takes an event in with room for its order; how many orders it took up.
pub async fn taken_up(shop: &Shop, event: &Event) -> usize {
    let rules = shop.dispatcher().targets["default"].rules();
    let decide = Box::new(move |lane: &mut Lane, now| lane.turn(&rules, now));
    let mut hand_over = [HandOver { target: "default".to_owned(), room: 8, decide }];
    let (batch, lease) = ([shop.incoming(event)], shop.settings.dispatch.lease);
    let taken = shop.ledger.intake_and_take_up(&batch, &shop.targets(), lease, &mut hand_over).await;
    taken.unwrap().1.lanes.len()
}

/// Outcomes are published in the order of transactions: what a younger one has written of an order comes after ours, and an event that
/// came later must not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_a_younger_transaction_has_written_is_left_to_a_claim() {
    let mut shop = Shop::open(Options::default(), &[]).await;
    shop.stop().await;
    let mut sent = 0;
    wait_until("an intake that is quick enough to hand over", PATIENCE, async || {
        sent += 1;
        if taken_up(&shop, &a_refund(0, sent)).await == 1 { Ok(()) } else { Err(format!("{sent} intakes")) }
    })
    .await;
    let pool = shop.database.pool().await;
    let waits = "UPDATE lane SET is_leased = false;
        CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            PERFORM pg_current_xact_id(), pg_advisory_xact_lock_shared(7);
            RETURN NEW;
        END $$;
        CREATE TRIGGER wait BEFORE INSERT ON seen FOR EACH ROW EXECUTE FUNCTION wait()";
    sqlx::raw_sql(waits).execute(&pool).await.unwrap();
    let mut holder = pool.begin().await.unwrap();
    sqlx::raw_sql("SELECT pg_advisory_xact_lock(7)").execute(&mut *holder).await.unwrap();
    let younger = async {
        until_somebody_waits(&pool, "the intake").await;
        sqlx::raw_sql("UPDATE lane SET touches = 0").execute(&pool).await.unwrap();
        holder.commit().await.unwrap();
    };
    let more = a_refund(0, 0);
    let (taken_up, ()) = tokio::join!(taken_up(&shop, &more), younger);
    assert_eq!(taken_up, 0);
    let is_due: bool = sqlx::query_scalar("SELECT next_at <= now() FROM lane").fetch_one(&pool).await.unwrap();
    assert!(is_due);
}
