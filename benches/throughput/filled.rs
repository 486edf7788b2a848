//! A ledger in which much was settled before: what one run left in it, many times over, under other names.

use crate::support::postgres::Database;
use sqlx::{AssertSqlSafe, Executor};

/// Lanes and events of a copy are so far behind those of the one before.
const APART: &str = "1000000000::bigint";

const STATEMENTS: [&str; 11] = [
    "INSERT INTO lane (id, target, bwp_id, lease_no, memo) OVERRIDING SYSTEM VALUE
     SELECT id + k * $apart, target, bwp_id || '-' || k, lease_no, memo FROM lane, generate_series(1, $copies) k",
    "INSERT INTO order_name (target, alias_type, id, lane, bwp_id, origin, version, said_at)
     SELECT target, alias_type, id || '-' || k, lane + k * $apart, bwp_id || '-' || k, origin, version, said_at
     FROM order_name, generate_series(1, $copies) k",
    "INSERT INTO name (lane, kind, alias_type, id, bwp_id, origin, version, said_at)
     SELECT lane + k * $apart, kind, alias_type, id, bwp_id, origin, version, said_at FROM name, generate_series(1, $copies) k",
    "INSERT INTO entity (lane, subject, doc, changed_at)
     SELECT lane + k * $apart, subject, doc, changed_at FROM entity, generate_series(1, $copies) k",
    "INSERT INTO seen (hash, day) SELECT md5(hash::text || k)::uuid, day FROM seen, generate_series(1, $copies) k",
    "INSERT INTO history (settled_at, lane, no, kind, status, class, code, record_key, outcome)
     SELECT settled_at, lane + k * $apart, no + k * $apart, kind, status, class, code, record_key, replace(outcome, 'ev-', 'ev-' || k || '-')
     FROM history, generate_series(1, $copies) k",
    "INSERT INTO attempt (at, lane, operation, events, request, verdict, http, code, message, request_id, took_ms)
     SELECT at, lane + k * $apart, operation, ARRAY(SELECT no + k * $apart FROM unnest(events) no), request, verdict, http, code, message,
        request_id, took_ms
     FROM attempt, generate_series(1, $copies) k",
    "UPDATE tally SET total = total * ($copies + 1)",
    // They were published long ago.
    "UPDATE cursor SET xid = pg_current_xact_id(), seq = (SELECT max(seq) FROM history) WHERE name = 'outcomes'",
    "VACUUM ANALYZE",
    "CHECKPOINT",
];

/// Adds so many rows to the alias table, five of each order.
pub async fn add_names(database: &Database, count: usize) {
    let pool = database.pool().await;
    let statements = [
        "INSERT INTO lane (target) SELECT 'default' FROM generate_series(1, $orders)",
        "INSERT INTO order_name (target, alias_type, id, lane, bwp_id, origin, said_at)
         SELECT 'default', 'EXTERNAL_ID', 'other-' || id, id, 'bwp-' || id, 1, now() FROM lane",
        "INSERT INTO name (lane, kind, alias_type, id, bwp_id, origin, said_at)
         SELECT id, 1, 'EXTERNAL_ITEM_ID', 'sku-' || k, 'line-' || id || '-' || k, 1, now() FROM lane, generate_series(1, 4) k",
        "VACUUM ANALYZE",
        "CHECKPOINT",
    ];
    for statement in statements {
        let statement = statement.replace("$orders", &(count / 5).to_string());
        pool.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    pool.close().await;
}

/// Adds so many copies of all that is settled.
pub async fn multiply(database: &Database, copies: usize) {
    let pool = database.pool().await;
    for statement in STATEMENTS {
        let statement = statement.replace("$copies", &copies.to_string()).replace("$apart", APART);
        pool.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    pool.close().await;
}
