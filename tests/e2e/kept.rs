//! A year of traffic in a ledger, and what retention leaves of it.

use crate::sound::assert_sound;
use crate::support::postgres::{Database, fresh_database};
use bwp_sync::ledger::Ledger;
use bwp_sync::ledger::retention::Keep;
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
    "CREATE TABLE event AS SELECT d * $events + n AS i, current_date - d::int + interval '1 s' AS at
     FROM generate_series(0, $days - 1) d, generate_series(1, $events) n",
    "INSERT INTO lane (id, target, bwp_id) OVERRIDING SYSTEM VALUE SELECT i, 'default', 'B-' || i FROM event",
    "INSERT INTO order_name (target, alias_type, id, lane, bwp_id, origin, said_at)
     SELECT 'default', 'EXTERNAL_ID', i, i, 'B-' || i, 1, at FROM event",
    "INSERT INTO name (lane, kind, alias_type, id, bwp_id, origin, said_at)
     SELECT i, 1, 'EXTERNAL_ITEM_ID', 'L-1', 'line-1', 1, at FROM event",
    "INSERT INTO entity (lane, subject, doc, changed_at) SELECT i, 'r', '{}', at FROM event",
    "INSERT INTO seen (hash, day) SELECT md5('e' || i)::uuid, at FROM event",
    "INSERT INTO history (xid, settled_at, lane, no, kind, status, outcome)
     SELECT ($days - (i - 1) / $events)::text::xid8, at, i, i, 0, 0, json_build_object('id', i) FROM event ORDER BY at",
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
    _database: Database,
}

impl Year {
    async fn of(days: i64) -> Year {
        let database = fresh_database().await;
        let ledger = Ledger::new(&database.url.clone().into(), 2).unwrap();
        ledger.migrate().await.unwrap();
        let pool = database.pool().await;
        run(&pool, days, &YEAR).await;
        Year { ledger, pool, _database: database }
    }

    /// What the daemon does, until there is nothing left to forget. Gives how many steps it took.
    async fn forget(&self, keep: &Keep) -> usize {
        let mut steps = 0;
        while self.ledger.forget_old(keep).await.unwrap() > 0 {
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
    const DAYS: i64 = 420;
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
        ("lane", DAYS * EVENTS),
        ("order_name", DAYS * EVENTS),
        ("name", DAYS * EVENTS),
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
    while year.ledger.forget_old(&short).await.unwrap() > 0 {
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
