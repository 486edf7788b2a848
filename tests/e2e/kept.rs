//! A year of traffic in a ledger, and what retention leaves of it.

use crate::shop::Shop;
use crate::sound::assert_sound;
use crate::support::events::{Event, Kind};
use crate::support::postgres::{Database, fresh_database};
use crate::support::{PATIENCE, wait_until};
use bwp_simulator::Options;
use bwp_sync::event::{Alias, AliasKind, AliasRow, Reference};
use bwp_sync::ledger::Ledger;
use bwp_sync::ledger::acts::By;
use bwp_sync::ledger::aliases::{Effect, Importing};
use bwp_sync::ledger::retention::{Keep, Retention};
use serde_json::json;
use sqlx::{AssertSqlSafe, Executor, PgPool};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const DAY: Duration = Duration::from_secs(86_400);

/// As it is by default: identities for 30 days, settled events for 90, what is known for 400.
const KEEP: Keep = Keep { dedupe: DAY.saturating_mul(30), history: DAY.saturating_mul(90), known_state: DAY.saturating_mul(400) };

/// Events of a day, each of an order of its own.
const EVENTS: i64 = 100;

/// The partitions that a daemon would have made, and what it would have written: all is published but nothing of the last day.
const YEAR: [&str; 11] = [
    "DO $$ DECLARE day date; kept text; BEGIN
        FOR day IN SELECT generate_series(current_date - $days + 1, current_date, '1 day')::date LOOP
            FOREACH kept IN ARRAY ARRAY['history', 'attempt'] LOOP
                EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                    kept || '_' || to_char(day, 'YYYYMMDD'), kept, day, day + 1);
            END LOOP;
            COMMIT;
        END LOOP; END $$",
    "CREATE TABLE event AS SELECT ($days - 1 - d) * $events + n AS i, current_date - d::int + interval '1 s' AS at
     FROM generate_series(0, $days - 1) d, generate_series(1, $events) n",
    "INSERT INTO lane (id, target, bwp_id, made_on, used_on) OVERRIDING SYSTEM VALUE
     SELECT i, 'default', 'B-' || i, at, at FROM event",
    "INSERT INTO order_name (target, alias_type, id, lane, bwp_id, origin, said_at)
     SELECT 'default', 'EXTERNAL_ID', i, i, 'B-' || i, 1, at FROM event",
    "INSERT INTO name (lane, kind, alias_type, id, bwp_id, origin, said_at)
     SELECT i, 1, 'EXTERNAL_ITEM_ID', 'L-1', 'line-1', 1, at FROM event",
    "INSERT INTO entity (lane, subject, doc, changed_at) SELECT i, 'r', '{}', at FROM event",
    "INSERT INTO seen (hash, day) SELECT md5('e' || i)::uuid, at FROM event",
    "INSERT INTO history (xid, settled_at, lane, no, kind, status, outcome)
     SELECT ((i - 1) / $events + 1)::text::xid8, at, i, i, 0, 0, json_build_object('id', i) FROM event ORDER BY at",
    "UPDATE cursor SET (xid, seq) = (SELECT xid, seq FROM history ORDER BY xid DESC, seq DESC LIMIT 1)",
    "INSERT INTO attempt (at, lane, operation, events, verdict, took_ms) SELECT at, i, 'createReturn', ARRAY[i], 'ok', 5 FROM event",
    "INSERT INTO tally (what, kind, slot, total) SELECT unnest(ARRAY['read', 'final']), 'return', 0, $days * $events",
];

/// One in ten of a day's events died, could not be read, or was a row that replaced another; somebody acted on each.
const TROUBLE: [&str; 4] = [
    "INSERT INTO work (lane, no, hash, kind, state, topic, partition, \"offset\", value, outcomes, died, died_at, received_at)
     SELECT i, i, md5('e' || i)::uuid, 0, 3, 'oms.returns', 0, i, '{}', 1, '{}', at, at FROM event WHERE i % 10 = 0",
    "INSERT INTO quarantine (topic, partition, \"offset\", value, reason, quarantined_at)
     SELECT 'oms.returns', 1, i, '', '{}', at FROM event WHERE i % 10 = 0",
    "INSERT INTO alias_change (changed_at, lane, kind, alias_type, alias_id, old_origin, old_said_at, new_origin)
     SELECT at, i, 1, 'EXTERNAL_ITEM_ID', 'L-1', 1, at, 1 FROM event WHERE i % 10 = 0",
    "INSERT INTO act (done_at, who, what, subject) SELECT at, 'ann', 'retry', json_build_object('lanes', ARRAY[i])
     FROM event WHERE i % 10 = 0",
];

async fn run(pool: &PgPool, days: i64, statements: &[&str]) {
    for statement in statements {
        let sql = statement.replace("$days", &days.to_string()).replace("$events", &EVENTS.to_string());
        pool.execute(AssertSqlSafe(sql.clone())).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

struct Year {
    ledger: Ledger,
    pool: PgPool,
    database: Database,
}

impl Year {
    async fn of(days: i64) -> Year {
        let database = fresh_database().await;
        let ledger = Ledger::new(&database.url.clone().into(), 2).unwrap();
        ledger.migrate().await.unwrap();
        let pool = database.pool().await;
        run(&pool, days, &YEAR).await;
        Year { ledger, pool, database }
    }

    /// What the daemon does, until there is nothing left to forget. Gives how many steps it took.
    async fn forget(&self, keep: &Keep) -> usize {
        let (mut steps, mut retention) = (0, Retention::new(self.ledger.clone(), *keep));
        while retention.step().await.unwrap().is_more {
            steps += 1;
            assert!(steps < 1000, "retention does not come to an end");
        }
        steps
    }

    /// Partitions with rows in them.
    async fn days(&self, of: &str) -> i64 {
        let sql = format!("SELECT count(DISTINCT tableoid) FROM {of} WHERE tableoid <> '{of}_default'::regclass");
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&self.pool).await.unwrap()
    }

    async fn rows(&self, of: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(format!("SELECT count(*) FROM {of}"))).fetch_one(&self.pool).await.unwrap()
    }
}

#[tokio::test]
async fn of_a_year_the_kept_days_are_left() {
    const DAYS: i64 = 450;
    let year = Year::of(DAYS).await;
    run(&year.pool, DAYS, &TROUBLE).await;
    let began = Instant::now();
    let steps = year.forget(&KEEP).await;
    println!("{steps} steps in {:?}", began.elapsed());
    // The day on which it is 90 days ago is partly younger than that: whole days are kept.
    assert_eq!((year.days("history").await, year.days("attempt").await), (91, 91));
    let one_in_ten = EVENTS / 10;
    let left = [
        ("seen", 31 * EVENTS),
        ("history", 91 * EVENTS),
        ("attempt", 91 * EVENTS),
        ("work", 90 * one_in_ten),
        ("quarantine", 90 * one_in_ten),
        ("alias_change", 90 * one_in_ten),
        ("act", 400 * one_in_ten),
        ("entity", 400 * EVENTS),
        ("lane", 431 * EVENTS),
        ("order_name", 431 * EVENTS),
        ("name", 431 * EVENTS),
    ];
    let mut found = BTreeMap::new();
    for (table, _) in left {
        found.insert(table, year.rows(table).await);
    }
    assert_eq!(found, BTreeMap::from(left));
    assert_eq!(year.ledger.totals().await.unwrap().imbalance(), 0, "totals are not lowered");
    assert_sound(&year.ledger).await;
}

/// Whole days are dropped, in steps: no row of theirs is deleted, and a ledger whose retention is made much shorter gets there.
#[tokio::test]
async fn days_go_as_tables_and_some_at_a_time() {
    let year = Year::of(365).await;
    let guard = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'a row was deleted'; END $$;
        CREATE TRIGGER refuse BEFORE DELETE ON history FOR EACH ROW EXECUTE FUNCTION refuse();
        CREATE TRIGGER refuse BEFORE DELETE ON attempt FOR EACH ROW EXECUTE FUNCTION refuse()";
    sqlx::raw_sql(guard).execute(&year.pool).await.unwrap();
    let mut left = vec![year.days("history").await];
    let short = Keep { history: DAY, ..KEEP };
    let mut retention = Retention::new(year.ledger.clone(), short);
    while retention.step().await.unwrap().is_more {
        left.push(year.days("history").await);
    }
    assert_eq!((left[0], *left.last().unwrap()), (365, 2));
    let most = left.windows(2).map(|pair| pair[0] - pair[1]).max();
    assert_eq!(most, Some(10), "some days at a time: each takes locks of which a server has only so many");
    let ahead: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_inherits WHERE inhparent = 'history'::regclass")
        .fetch_one(&year.pool)
        .await
        .unwrap();
    assert_eq!(ahead, 2 + 7 + 1, "two days with rows, a week ahead, and the default");
}

#[tokio::test]
async fn what_nobody_was_told_of_is_kept() {
    let year = Year::of(110).await;
    // The publisher got no further than a day of a hundred days ago.
    let cursor = "UPDATE cursor SET (xid, seq) = (SELECT xid, seq FROM history
        WHERE settled_at < current_date - 99 ORDER BY xid DESC, seq DESC LIMIT 1)";
    run(&year.pool, 110, &[cursor]).await;
    year.forget(&KEEP).await;
    assert_eq!((year.days("history").await, year.days("attempt").await), (100, 91));
    run(&year.pool, 110, &["UPDATE cursor SET (xid, seq) = (SELECT xid, seq FROM history ORDER BY xid DESC, seq DESC LIMIT 1)"])
        .await;
    year.forget(&KEEP).await;
    assert_eq!(year.days("history").await, 91);
}

/// An order whose lane is old is kept as long as anything needs it. Each of the first lanes has something else.
#[tokio::test]
async fn an_old_order_is_kept_while_anything_needs_it() {
    let year = Year::of(450).await;
    let needs = [
        "UPDATE lane SET next_at = now() WHERE id = 1",
        "UPDATE lane SET is_leased = true WHERE id = 2",
        "UPDATE lane SET parked_until = now() WHERE id = 3",
        "INSERT INTO work (lane, no, hash, kind, topic, partition, \"offset\", value) VALUES (4, 4, md5('w')::uuid, 0, 'oms.returns', 0, 4, '{}')",
        "INSERT INTO waking (lane, target, is_due) VALUES (5, 'default', false)",
        "UPDATE entity SET changed_at = now() - interval '399 days' WHERE lane = 6",
        "UPDATE lane SET used_on = current_date - 430 WHERE id = 7",
        "UPDATE lane SET merged_into = 7 WHERE id = 8",
        // It goes after the one that it became.
        "UPDATE lane SET merged_into = 9 WHERE id = 10",
    ];
    run(&year.pool, 450, &needs).await;
    let mut holder = year.pool.begin().await.unwrap();
    holder.execute("SELECT id FROM lane WHERE id = 11 FOR UPDATE").await.unwrap();
    year.forget(&KEEP).await;
    let kept = async || -> Vec<i64> {
        let sql = "SELECT l.id FROM lane l JOIN order_name o ON o.lane = l.id JOIN name n ON n.lane = l.id WHERE l.id <= 1900 ORDER BY 1";
        sqlx::query_scalar(sql).fetch_all(&year.pool).await.unwrap()
    };
    assert_eq!(kept().await, [1, 2, 3, 4, 5, 6, 7, 8, 11], "the last has been locked by somebody");
    holder.rollback().await.unwrap();
    let done = [
        "UPDATE lane SET next_at = NULL, is_leased = false, parked_until = NULL",
        "DELETE FROM work",
        "DELETE FROM waking",
        "DELETE FROM entity WHERE lane = 6",
        "UPDATE lane SET used_on = current_date - 431 WHERE id = 7",
    ];
    run(&year.pool, 450, &done).await;
    year.forget(&KEEP).await;
    assert_eq!(kept().await, [8], "the one that it became has just gone");
    year.forget(&KEEP).await;
    assert_eq!(kept().await, [0; 0]);
}

/// Orders are forgotten in the moment in which something comes for them: it is as if they had been forgotten before, or not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_is_forgotten_while_something_comes_for_it_is_made_anew() {
    const ORDERS: usize = 600;
    const ROUNDS: usize = 12;
    let mut shop = Shop::open(Options::default(), &[]).await;
    shop.stop().await;
    let pool = shop.database.pool().await;
    let mut forgotten = 0;
    // Nobody takes anything up: each event stays where it was put.
    for round in 0..ROUNDS {
        pool.execute("UPDATE lane SET made_on = current_date - 431, used_on = current_date - 431").await.unwrap();
        pool.execute("DELETE FROM entity").await.unwrap();
        let mut retention = Retention::new(shop.ledger.clone(), KEEP);
        let came: Vec<Event> = (0..ORDERS).map(|n| came(n, round)).collect();
        let intake = async {
            for batch in came.chunks(20) {
                shop.take(batch).await;
            }
        };
        let ((), gone) = tokio::join!(intake, retention.step());
        forgotten += gone.unwrap().gone;
        let whole = "SELECT count(DISTINCT n.id) FROM order_name n JOIN lane l ON l.id = n.lane
            WHERE EXISTS (SELECT 1 FROM work w WHERE w.lane = l.id AND l.next_at <= now())
               OR EXISTS (SELECT 1 FROM name a WHERE a.lane = l.id AND a.id = $1)";
        let whole: i64 = sqlx::query_scalar(whole).bind(format!("N-{round}")).fetch_one(&pool).await.unwrap();
        assert_eq!(whole, ORDERS as i64, "orders that have what came for them, in round {round}");
        pool.execute("DELETE FROM work").await.unwrap();
        pool.execute("UPDATE lane SET next_at = NULL").await.unwrap();
    }
    println!("{forgotten} of {} were forgotten", (ROUNDS - 1) * ORDERS);
    assert!(forgotten > 0);
}

/// An import of what is known, and a row of the topic that changes nothing, keep an order and its names.
#[tokio::test]
async fn what_is_said_again_is_a_use() {
    let shop = Shop::open(Options::default(), &[]).await;
    let pool = shop.database.pool().await;
    let mut retention = Retention::new(shop.ledger.clone(), KEEP);
    let alias = Alias { alias_type: "SKU".into(), id: "N-0".into() };
    let order = Some(Reference::Id("1".into()));
    let row = AliasRow { kind: AliasKind::LineItem, alias, bwp_id: Some("line-1".into()), version: None, order };
    assert_eq!(shop.take(&[came(1, 0)]).await.new, 1);
    for said_by_import in [true, false] {
        pool.execute("UPDATE lane SET made_on = current_date - 431, used_on = current_date - 431").await.unwrap();
        if said_by_import {
            let by = Some(By { who: "test".into(), reason: None });
            let types = shop.targets()["default"].clone();
            let importing = Importing { target: "default".into(), types, by, from: "test".into() };
            let mut import = shop.ledger.import(importing).await.unwrap();
            assert_ne!(import.take(std::slice::from_ref(&row)).await.unwrap(), [Effect::New]);
        } else {
            assert_eq!(shop.take(&[came(1, 0).with("id", "again")]).await.new, 1);
        }
        assert_eq!(retention.step().await.unwrap().gone, 0, "said by an import: {said_by_import}");
    }
    pool.execute("UPDATE lane SET made_on = current_date - 431, used_on = current_date - 431").await.unwrap();
    assert_eq!(retention.step().await.unwrap().gone, 1);
}

/// For every other order an event that is due, for the others a name.
fn came(order: usize, round: usize) -> Event {
    let (id, of) = (format!("{round}-{order}"), json!({"id": order.to_string()}));
    let (kind, data) = match order % 2 {
        0 => (
            Kind::Return,
            json!({"order": of, "return": {"id": format!("R-{round}")}, "state": "CREATED",
                "lines": [{"line": {"id": "L-1"}, "quantity": 1}]}),
        ),
        _ => {
            let alias = json!({"type": "SKU", "id": format!("N-{round}")});
            (Kind::Alias, json!({"kind": "LINE_ITEM", "alias": alias, "bwpId": "line-1", "order": of}))
        }
    };
    Event::new(kind, &id, data)
}

/// Places of rows that went are used again. What is old is found all the same without a walk through what is not.
#[tokio::test]
async fn old_rows_are_found_though_places_are_used_again() {
    let year = Year::of(1).await;
    let keep = Keep { dedupe: DAY * 3, ..KEEP };
    let day = "INSERT INTO seen (hash, day) SELECT gen_random_uuid(), current_date FROM generate_series(1, 6000)";
    for _ in 0..8 {
        run(&year.pool, 1, &["UPDATE seen SET day = day - 1", day]).await;
        year.forget(&keep).await;
        run(&year.pool, 1, &["VACUUM seen"]).await;
    }
    assert_eq!(year.rows("seen").await, 4 * 6000);
    let all: i64 = sqlx::query_scalar("SELECT pg_relation_size('seen') / 8192").fetch_one(&year.pool).await.unwrap();
    year.pool.close().await;
    year.ledger.close().await;
    let before = pages(&year.database).await;
    let ledger = Ledger::new(&year.database.url.clone().into(), 2).unwrap();
    Retention::new(ledger.clone(), keep).step().await.unwrap();
    ledger.close().await;
    let touched = pages(&year.database).await - before;
    assert!(touched < all / 10, "{touched} pages of {all}");
}

/// Pages of `seen` that were ever looked at, once all others' sessions have ended: then they have handed in their counts.
async fn pages(database: &Database) -> i64 {
    let pool = database.pool().await;
    wait_until("all sessions to end", PATIENCE, async || {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let others: i64 = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
        if others == 0 { Ok(()) } else { Err(format!("{others} sessions")) }
    })
    .await;
    let sql = "SELECT (heap_blks_read + heap_blks_hit)::bigint FROM pg_statio_user_tables WHERE relname = 'seen'";
    let pages = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
    pool.close().await;
    pages
}
