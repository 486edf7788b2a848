//! What Postgres itself has counted of one database.

use crate::servers::Servers;
use crate::support::postgres::Database;
use serde::Serialize;
use sqlx::postgres::PgPoolOptions;

/// Counts at one moment; what was used between two is their difference.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    pub row_versions: i64,
    pub wal_bytes: i64,
    /// `None` where nobody counts them.
    pub statements: Option<i64>,
    pub commits: i64,
}

/// A statement, in all its calls.
#[derive(Clone, Debug, Serialize, sqlx::FromRow)]
pub struct Statement {
    pub milliseconds: f64,
    pub calls: i64,
    pub rows: i64,
    pub wal_bytes: i64,
    pub text: String,
}

/// Sessions hand in their counts at their end at the latest: asked before a daemon starts, and after it has ended.
pub async fn counted(servers: &Servers, database: &Database) -> Counted {
    let pool = PgPoolOptions::new().max_connections(1).connect(&database.url).await.unwrap();
    let rows = "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint FROM pg_stat_user_tables";
    let row_versions = sqlx::query_scalar(rows).fetch_one(&pool).await.unwrap();
    pool.close().await;
    let statements = "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE datname = $1";
    let statements = match servers.counts_statements {
        true => Some(sqlx::query_scalar(statements).bind(&database.name).fetch_one(&servers.admin).await.unwrap()),
        false => None,
    };
    let rest = "SELECT xact_commit, pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint FROM pg_stat_database WHERE datname = $1";
    let (commits, wal_bytes) = sqlx::query_as(rest).bind(&database.name).fetch_one(&servers.admin).await.unwrap();
    Counted { row_versions, wal_bytes, statements, commits }
}

/// The statements that took longest in all; none where nobody counts them.
pub async fn longest(servers: &Servers, database: &Database, count: i64) -> Vec<Statement> {
    if !servers.counts_statements {
        return Vec::new();
    }
    let statement =
        "SELECT total_exec_time AS milliseconds, calls, rows, wal_bytes::bigint, regexp_replace(query, '\\s+', ' ', 'g') AS text
        FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE datname = $1 ORDER BY total_exec_time DESC LIMIT $2";
    sqlx::query_as(statement).bind(&database.name).bind(count).fetch_all(&servers.admin).await.unwrap()
}
