//! A ledger of the size of a large shop, made in SQL: a million names, and a hundred thousand events that wait for one each.

use crate::support::postgres::Database;
use sqlx::{AssertSqlSafe, Executor};

/// Orders, each with two names of its own, three of its line items, and what is known of one thing.
pub const ORDERS: usize = 200_000;
/// The first so many orders have an event that waits for the name `LATE` of a line item.
pub const WAITING: usize = 100_000;

const STATEMENTS: [&str; 11] = [
    "INSERT INTO lane (target, bwp_id, next_at)
     SELECT 'default', 'B-' || n, CASE WHEN n <= $waiting THEN now() + interval '1 hour' + n * interval '1 ms' END
     FROM generate_series(1, $orders) n",
    "INSERT INTO order_name (target, alias_type, id, lane, bwp_id, origin, said_at)
     SELECT 'default', '', bwp_id, id, NULL, NULL::smallint, NULL::timestamptz FROM lane
     UNION ALL SELECT 'default', 'EXTERNAL_ID', substr(bwp_id, 3), id, bwp_id, 1, now() FROM lane",
    "INSERT INTO name (lane, kind, alias_type, id, bwp_id, origin, said_at)
     SELECT id, 1, 'EXTERNAL_ITEM_ID', 'L-' || n, 'line-' || n, 1, now() FROM lane, generate_series(1, 3) n",
    "INSERT INTO entity (lane, subject, doc)
     SELECT id, '{\"Refund\":{\"alias\":{\"type\":\"EXTERNAL_REFUND_ID\",\"id\":\"RF-1\"}}}',
        '{\"known\":{\"Refund\":{\"base\":{},\"held\":{}}}}' FROM lane WHERE id % 5 = 0",
    "INSERT INTO work (lane, no, hash, kind, state, topic, partition, \"offset\", value, waiting_since, waits_for)
     SELECT id, nextval('event_no'), md5(id::text)::uuid, 0, 1, 'oms.returns', 0, id,
        convert_to(format('{\"specversion\":\"1.0\",\"id\":\"w-%1$s\",\"source\":\"/oms\",\"type\":\"oms.return.v1\",'
            '\"time\":\"2026-01-05T10:00:00Z\",\"data\":{\"order\":{\"id\":\"%1$s\"},\"return\":{\"id\":\"RMA-%1$s\"},'
            '\"state\":\"CREATED\",\"lines\":[{\"line\":{\"alias\":{\"type\":\"SKU\",\"id\":\"LATE\"}},\"quantity\":1}]}}',
            substr(bwp_id, 3)), 'UTF8'),
        now(), '[{\"kind\":\"LINE_ITEM\",\"name\":{\"alias\":{\"type\":\"SKU\",\"id\":\"LATE\"}}}]'
     FROM lane WHERE next_at IS NOT NULL",
    "INSERT INTO work (lane, no, hash, kind, state, topic, partition, \"offset\", value, died, died_at)
     SELECT id, nextval('event_no'), md5('dead' || id)::uuid, 0, 3, 'oms.returns', 0, id, '', '{\"class\":\"invalid\"}', now()
     FROM lane WHERE id % 10 = 0",
    "INSERT INTO seen (hash) SELECT hash FROM work",
    "INSERT INTO alias_change (lane, kind, alias_type, alias_id, old_bwp_id, old_origin, old_said_at, new_bwp_id, new_origin)
     SELECT id, 1, 'EXTERNAL_ITEM_ID', 'L-1', 'line-0', 0, now(), 'line-1', 1 FROM lane WHERE id % 10 = 0",
    "INSERT INTO tally (what, kind, slot, total) VALUES ('read', 'return', 0, $waiting)",
    "INSERT INTO waking (lane, target, is_due) SELECT id, 'other', id % 1000 = 0 FROM lane WHERE id <= $waiting",
    "VACUUM ANALYZE",
];

/// Fills an empty ledger.
pub async fn fill(database: &Database) {
    let pool = database.pool().await;
    for statement in STATEMENTS {
        let statement = statement.replace("$orders", &ORDERS.to_string()).replace("$waiting", &WAITING.to_string());
        pool.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    pool.close().await;
}
