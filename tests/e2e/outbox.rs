//! Whose turn it is to publish, and how far: two replicas at one outbox.

use crate::hot::a_refund;
use crate::shop::Shop;
use crate::support::{PATIENCE, wait_until};
use bwp_simulator::Options;
use bwp_sync::ledger::LedgerOutbox;
use bwp_sync::publish::{Outbox, Outgoing, Published};
use sqlx::Executor;
use uuid::Uuid;

fn up_to(page: &[Outgoing], count: usize) -> Published {
    let letters = page[..count].iter().map(|outgoing| outgoing.cursor.seq).collect();
    Published { up_to: page[count - 1].cursor, letters }
}

#[tokio::test]
async fn what_was_published_long_ago_does_not_move_the_place_back() {
    let mut shop = Shop::open(Options::default(), &[]).await;
    shop.stop().await;
    for n in 0..2 {
        shop.take(&[a_refund("7", n).with("target", "nobody")]).await;
    }
    let pool = shop.database.pool().await;
    let letters = async || sqlx::query_scalar::<_, i64>("SELECT count(*) FROM dead_letter").fetch_one(&pool).await.unwrap();
    let hangs = "UPDATE cursor SET held_until = now() - interval '1 s'";
    let [slow, other] = [1, 2].map(|n| LedgerOutbox { ledger: shop.ledger.clone(), holder: Uuid::from_u128(n) });

    // Other tests' transactions hold them back for a while.
    let page = wait_until("both outcomes", PATIENCE, async || {
        let page = slow.next(10, None).await.unwrap();
        if page.len() == 2 { Ok(page) } else { Err(format!("{page:?}")) }
    })
    .await;
    assert!(page.iter().all(|outgoing| outgoing.dead.is_some()));
    assert_eq!(other.next(10, None).await.unwrap().len(), 0, "one at a time");
    pool.execute(hangs).await.unwrap();
    assert_eq!(other.next(10, None).await.unwrap().len(), 2);
    assert_eq!(letters().await, 2);
    assert_eq!(other.next(10, Some(&up_to(&page, 1))).await.unwrap().len(), 1);
    assert_eq!(letters().await, 1);
    assert_eq!(other.next(10, Some(&up_to(&page, 2))).await.unwrap().len(), 0);
    assert_eq!(letters().await, 0);

    pool.execute(hangs).await.unwrap();
    let earlier = up_to(&page, 1);
    // The first time it takes the outbox over again, the second time it holds it.
    for _ in 0..2 {
        assert_eq!(slow.next(10, Some(&earlier)).await.unwrap().len(), 0);
    }
}
