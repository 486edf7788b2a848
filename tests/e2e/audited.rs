//! The audit on a real ledger: it finds what was broken on purpose, and nothing in a ledger that works; totals of the version before.

use crate::service::Service;
use crate::shop::{Shop, order};
use crate::sound::{assert_sound, wrong};
use crate::support::events::{Envelope, Event, Kind};
use crate::support::postgres::{Database, fresh_database, until_somebody_waits};
use crate::support::{PATIENCE, wait_until};
use bwp_simulator::Options;
use bwp_sync::audit::Invariant;
use bwp_sync::ledger::Ledger;
use bwp_sync::tend::audit::Auditor;
use serde_json::json;
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, PgPool};
use std::path::Path;
use std::time::Duration;

fn refund(id: &str, order: &str) -> Event {
    let data = json!({"order": {"id": order}, "refund": {"id": format!("RF-{id}")}, "version": 1, "state": "SUCCESS",
        "total": {"amount": "5.00", "currency": "USD"}});
    Event::new(Kind::Refund, id, data)
}

async fn run(pool: &PgPool, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Makes the lanes and events of the breaks known to SQL: `one` and `two` are lanes with a queued event each, `dead` has a dead one.
const NAMES: &str = "
    CREATE VIEW l AS SELECT n.id AS name, l.id, (SELECT min(no) FROM work WHERE lane = l.id) AS no
        FROM order_name n JOIN lane l ON l.id = n.lane;
    CREATE FUNCTION lane(n text) RETURNS bigint STABLE LANGUAGE sql AS 'SELECT id FROM l WHERE name = n';
    CREATE FUNCTION event(n text) RETURNS bigint STABLE LANGUAGE sql AS 'SELECT no FROM l WHERE name = n';
    CREATE TABLE old_lane AS SELECT * FROM lane;
    CREATE TABLE old_work AS SELECT * FROM work;
    CREATE TABLE old_history AS SELECT * FROM history;
    CREATE TABLE old_tally AS SELECT * FROM tally;";

const RESTORE: &str = "
    DELETE FROM lane; INSERT INTO lane OVERRIDING SYSTEM VALUE SELECT * FROM old_lane;
    DELETE FROM work; INSERT INTO work SELECT * FROM old_work;
    DELETE FROM history; INSERT INTO history SELECT * FROM old_history;
    DELETE FROM tally; INSERT INTO tally SELECT * FROM old_tally;";

/// Each break, and what it is to be reported as.
const BREAKS: [(&str, Invariant); 14] = [
    ("UPDATE lane SET flight = ARRAY[event('two')], is_leased = true WHERE id = lane('one')", Invariant::OneLease),
    (
        "UPDATE lane SET memo = jsonb_build_object('intents', jsonb_build_array(jsonb_build_object('parts',
            jsonb_build_array(jsonb_build_object('events', jsonb_build_array(event('two')))))))
         WHERE id IN (lane('one'), lane('two'))",
        Invariant::OneLease,
    ),
    ("UPDATE lane SET flight = ARRAY[event('dead')] WHERE id = lane('dead')", Invariant::OneLease),
    (
        "INSERT INTO history (settled_at, lane, no, kind, status, outcome) SELECT now(), lane('one'), event('one'), 1, 0, '{}'",
        Invariant::OneState,
    ),
    (
        "INSERT INTO history (settled_at, lane, no, kind, status, outcome) SELECT now(), lane('dead'), event('dead'), 1, 4, '{}'",
        Invariant::OneState,
    ),
    ("UPDATE work SET outcomes = 0 WHERE no = event('dead')", Invariant::OneState),
    ("UPDATE work SET no = event('two') WHERE no = event('one')", Invariant::OneState),
    ("UPDATE work SET hash = (SELECT hash FROM work WHERE no = event('two')) WHERE no = event('one')", Invariant::OneState),
    (
        "UPDATE lane SET is_leased = true, next_at = now() + interval '10 s', flight = ARRAY[event('one')],
            memo = jsonb_build_object('intents', jsonb_build_array(jsonb_build_object('stands', 'InFlight',
                'ended_at', now() + interval '11 s', 'parts',
                jsonb_build_array(jsonb_build_object('events', jsonb_build_array(event('one')))))))
         WHERE id = lane('one')",
        Invariant::InTime,
    ),
    ("UPDATE lane SET next_at = NULL WHERE id = lane('one')", Invariant::Awake),
    ("UPDATE work SET lane = 4711 WHERE no = event('one')", Invariant::Awake),
    ("UPDATE lane SET merged_into = lane('two') WHERE id = lane('one')", Invariant::MergedEmpty),
    ("DELETE FROM work WHERE no = event('one')", Invariant::Balance),
    ("UPDATE tally SET kind = 'return' WHERE what = 'final' AND kind = 'refund'", Invariant::Balance),
];

#[tokio::test]
async fn what_is_broken_is_found() {
    let mut shop = Shop::open(Options::default(), &[]).await;
    shop.stop().await;
    shop.take(&[refund("f-1", "one"), refund("f-2", "two"), refund("f-3", "dead").with("target", "emea")]).await;
    assert_sound(&shop.ledger).await;
    let pool = shop.database.pool().await;
    run(&pool, NAMES).await;
    for (sql, invariant) in BREAKS {
        run(&pool, sql).await;
        let found = wrong(&shop.ledger).await;
        assert!(!found.is_empty() && found.iter().all(|one| one.invariant == invariant), "{invariant:?} {sql}: {found:#?}");
        run(&pool, RESTORE).await;
        assert_sound(&shop.ledger).await;
    }
}

#[tokio::test]
async fn a_lane_that_nobody_takes_up_is_found_and_one_that_may_not_be_is_not() {
    let mut shop = Shop::open(Options::default(), &[]).await;
    shop.stop().await;
    shop.take(&[refund("f-1", "one")]).await;
    let targets = || vec!["default".to_owned()];
    let mut auditor = Auditor::new(shop.ledger.clone(), targets(), Duration::from_millis(200));
    let found = wait_until("the lane to be overdue", PATIENCE, async || {
        let look = auditor.look().await.unwrap();
        look.violations.first().cloned().ok_or_else(|| format!("{look:?}"))
    })
    .await;
    assert_eq!((found.invariant, found.lanes.len()), (Invariant::InTime, 1), "{found:?}");
    // Nobody may call the target: nobody is late.
    for (close, open) in [
        ("UPDATE target SET open_since = now()", "UPDATE target SET open_since = NULL"),
        ("UPDATE target SET not_before = now() + interval '1 h'", "UPDATE target SET not_before = NULL"),
    ] {
        let pool = shop.database.pool().await;
        run(&pool, "INSERT INTO target (name) VALUES ('default') ON CONFLICT DO NOTHING").await;
        run(&pool, close).await;
        assert_eq!(auditor.look().await.unwrap().violations, [], "{close}");
        run(&pool, open).await;
        assert_eq!(auditor.look().await.unwrap().violations, [], "counted from now on: {open}");
    }
    // A lane that moves is not late, however often it is first in line.
    shop.simulator.seed_order(order("322-ABC1-AAAAAA", "one")).unwrap();
    shop.start();
    shop.settled().await;
    assert_eq!(auditor.look().await.unwrap().violations, []);
    shop.stop().await;
    shop.assert_clean().await;
}

#[tokio::test]
async fn the_daemon_shows_what_is_wrong_until_it_is_right() {
    let service = Service::open(1, Options::default()).await;
    let mut daemon = service.builder.start();
    daemon.wait_ready().await;
    // Nobody knows the order: the event waits.
    service.topics.publish(&refund("f-1", "one"), Envelope::Binary).await;
    service.totals("the event to wait", PATIENCE, |totals| totals.backlog.waiting == 1).await;
    let shows = async |awake: f64, balance: f64| {
        wait_until(&format!("{awake} asleep and {balance} out of balance"), PATIENCE, async || {
            let metrics = daemon.metrics().await;
            let of = |name: &str| metrics.get("bwp_sync_invariant_violations", &[("invariant", name)]);
            let kind = metrics.get("bwp_sync_imbalance_by_kind", &[("kind", "refund")]);
            let others = ["one_lease", "one_state", "in_time", "merged_empty"].map(|name| of(name) == Some(0.0));
            let seen = (of("awake"), of("balance"), kind.map(f64::abs), others);
            if seen == (Some(awake), Some(balance), Some(balance), [true; 4]) { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await;
    };
    shows(0.0, 0.0).await;
    let pool = service.pool().await;
    run(&pool, "CREATE TABLE due AS SELECT id, next_at FROM lane; UPDATE lane SET next_at = NULL").await;
    run(&pool, "UPDATE tally SET total = total + 1 WHERE what = 'read' AND kind = 'refund'").await;
    shows(1.0, 1.0).await;
    let lane: i64 = sqlx::query_scalar("SELECT lane FROM work").fetch_one(&pool).await.unwrap();
    let state = daemon.state().await;
    let [violation] = &state["audit"]["violations"].as_array().unwrap()[..] else { panic!("{state:#}") };
    assert_eq!((&violation["invariant"], &violation["lanes"]), (&json!("awake"), &json!([lane])));
    let log = daemon.log();
    assert!(log.contains("awake") && log.contains("its events are forgotten") && log.contains("refund: 2 read"), "{log}");
    run(&pool, "UPDATE lane l SET next_at = d.next_at FROM due d WHERE d.id = l.id").await;
    run(&pool, "UPDATE tally SET total = total - 1 WHERE what = 'read' AND kind = 'refund'").await;
    shows(0.0, 0.0).await;
    assert_eq!(daemon.terminate(PATIENCE).await.code(), Some(0));
    service.assert_clean().await;
}

/// What the version before wrote: what is read, tombstones and duplicates by topic, retries as duplicates of their own.
const USED: &str = "
    INSERT INTO lane (target, next_at) VALUES ('default', now()), ('default', NULL);
    INSERT INTO work (lane, no, hash, kind, state, topic, partition, \"offset\", value, outcomes, died)
    SELECT 1, n, gen_random_uuid(), n % 4, n % 3, 'oms.all', 0, n, '{}'::bytea, 0, NULL::jsonb FROM generate_series(1, 30) AS n
    UNION ALL SELECT 2, n, gen_random_uuid(), 1, 3, 'oms.all', 0, n, '{}', 1, '{}' FROM generate_series(31, 35) AS n;
    INSERT INTO tally (what, kind, slot, total) VALUES
        ('read', 'oms.all', 0, 60), ('read', 'oms.all', 7, 40), ('read', 'oms.refunds', 3, 11), ('read', 'oms.aliases', 3, 9),
        ('tombstone', 'oms.all', 1, 6), ('tombstone', 'oms.aliases', 1, 1),
        ('duplicate', 'oms.refunds', 2, 12), ('duplicate', 'retry', 2, 2),
        ('final', 'return', 4, 21), ('final', 'refund', 4, 38), ('final', 'refund', 5, -2), ('final', 'alias', 5, 8),
        ('final', 'unreadable', 6, 4);";

/// A database as it was after that migration.
async fn migrated_to(last: i64) -> (Database, PgPool) {
    let database = fresh_database().await;
    let pool = database.pool().await;
    let all = Migrator::new(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations"))).await.unwrap();
    let first = all.iter().filter(|migration| migration.version <= last).cloned().collect();
    Migrator::with_migrations(first).run(&pool).await.unwrap();
    (database, pool)
}

/// Documents were `jsonb` before: what was there is still there, and the version before goes on writing in its own words.
#[tokio::test]
async fn documents_are_kept_and_written_by_the_version_before() {
    let (database, pool) = migrated_to(10).await;
    let there = "INSERT INTO lane (target, memo) VALUES ('default', '{\"intents\": [{\"parts\": [{\"events\": [7, 8]}]}]}');
        INSERT INTO entity (lane, subject, doc) VALUES (1, 'kept', '{\"pace\": {\"attempts\": 1}}'), (1, 'idle', '{}')";
    run(&pool, there).await;
    Ledger::new(&database.url.clone().into(), 2).unwrap().migrate().await.unwrap();
    let written = "INSERT INTO entity (lane, subject, doc) SELECT 1, k.s, k.d::jsonb FROM (VALUES ('new', '{}'), ('kept', '{}')) AS k (s, d)
        ON CONFLICT (lane, subject) DO NOTHING; UPDATE lane SET memo = memo::text::jsonb";
    run(&pool, written).await;
    let asked = "SELECT (SELECT string_agg(subject || ' ' || doc, ', ' ORDER BY subject) FROM entity WHERE lane = 1),
        (SELECT memo #>> '{intents,0,parts,0,events}' FROM lane)";
    let (documents, events): (String, String) = sqlx::query_as(asked).fetch_one(&pool).await.unwrap();
    assert_eq!(documents, r#"idle {}, kept {"pace": {"attempts": 1}}, new {}"#);
    assert_eq!(events, "[7, 8]");
}

/// Whoever works on a lane comes to its things after it. A migration that took the two tables the other way round would end in a deadlock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_waits_for_who_is_at_work() {
    let (database, pool) = migrated_to(10).await;
    run(&pool, "INSERT INTO lane (target) VALUES ('default')").await;
    let mut worker = pool.begin().await.unwrap();
    sqlx::raw_sql("SELECT FROM lane FOR UPDATE").execute(&mut *worker).await.unwrap();
    let ledger = Ledger::new(&database.url.clone().into(), 2).unwrap();
    let work = async {
        until_somebody_waits(&pool, "the migration").await;
        sqlx::raw_sql("SELECT doc FROM entity").execute(&mut *worker).await.unwrap();
        worker.commit().await.unwrap();
    };
    let (migrated, ()) = tokio::join!(ledger.migrate(), work);
    migrated.unwrap();
}

#[tokio::test]
async fn totals_of_the_version_before_are_taken_over_kind_by_kind() {
    let (database, pool) = migrated_to(1).await;
    run(&pool, USED).await;
    let ledger = Ledger::new(&database.url.clone().into(), 2).unwrap();
    let before = ledger.account().await.unwrap();
    assert!(before.is_unsorted && before.totals.imbalance() == 0, "{before:#?}");

    ledger.migrate().await.unwrap();
    let account = ledger.account().await.unwrap();
    assert_eq!((account.totals, account.is_unsorted), (before.totals, false));
    assert_sound(&ledger).await;
    let of = |kind: &str| account.balances.iter().find(|balance| balance.kind == kind).unwrap().clone();
    assert_eq!((of("refund").read, of("refund").finals, of("refund").live), (44, 36, 8));
    assert_eq!((of("tombstone").read, of("tombstone").tombstones), (7, 7));
    assert_eq!((of("earlier").read, of("earlier").duplicates), (14, 14));

    // A replica of the version before goes on beside this one.
    let old = "INSERT INTO tally (what, kind, slot, total) VALUES ('read', 'oms.all', 0, 5), ('duplicate', 'oms.all', 0, 2),
                   ('final', 'return', 0, 3)";
    run(&pool, old).await;
    let mixed = ledger.account().await.unwrap();
    assert!(mixed.is_unsorted && mixed.totals.imbalance() == 0, "{mixed:#?}");
    ledger.sort_totals().await.unwrap();
    let sorted = ledger.account().await.unwrap();
    assert_eq!((sorted.totals, sorted.is_unsorted), (mixed.totals, false));
    assert_sound(&ledger).await;
    // What does not add up is not made to.
    run(&pool, "INSERT INTO tally (what, kind, slot, total) VALUES ('read', 'oms.all', 0, 1)").await;
    ledger.sort_totals().await.unwrap();
    assert_eq!(ledger.totals().await.unwrap().imbalance(), 1);
    let found = wrong(&ledger).await;
    assert!(matches!(&found[..], [one] if one.invariant == Invariant::Balance && one.says.starts_with("earlier")), "{found:#?}");
}
