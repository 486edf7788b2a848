//! What `doctor` asks of Postgres. It changes nothing.

use super::connect::{Applied, in_time};
use super::{Ledger, LedgerError};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Connection;
use sqlx::Row;

/// The server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bench {
    /// Its version, as it says it.
    pub version: String,
    /// The same as a number: 130004.
    pub version_number: i32,
    /// How far its clock is ahead of this machine's.
    pub clock_ahead: TimeDelta,
    /// Whether it cleans up by itself.
    pub autovacuum: bool,
    /// Connections that it allows.
    pub connections: i64,
    /// Connections that are left of them.
    pub connections_free: i64,
}

/// The schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// Migrations that were applied.
    pub applied: Vec<i64>,
    /// Migrations of this program that were not.
    pub pending: Vec<i64>,
    /// Migrations that this program does not know.
    pub unknown: Vec<i64>,
    /// Whether this role may apply them.
    pub may_migrate: bool,
}

/// What the role may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// Its name.
    pub role: String,
    /// What the daemon does and it may not.
    pub missing: Vec<String>,
    /// Whether it may change the schema.
    pub may_migrate: bool,
}

/// Whether the role may make tables here, and change those that are there.
const MAY_MIGRATE: &str = "
    SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AND NOT EXISTS (
        SELECT FROM pg_tables t WHERE t.schemaname = current_schema()
            AND t.tablename IN ('lane', 'work', 'history', '_sqlx_migrations') AND NOT pg_has_role(t.tableowner, 'USAGE'))";

/// What the daemon needs and the role lacks. What is not there yet lacks nothing.
const MISSING: &str = "
    SELECT lower(p) || ' ' || c.relname FROM pg_class c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        AND c.relname IN ('seen', 'lane', 'order_name', 'name', 'entity', 'work', 'history', 'dead_letter', 'quarantine', 'tally',
            'cursor', 'target', 'act', 'home', 'replica', 'paused_topic', 'alias_change', 'attempt', 'waking')
        AND NOT has_table_privilege(c.oid, p)
    UNION ALL SELECT 'use ' || c.relname FROM pg_class c
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'S' AND c.relname IN ('event_no', 'outcome_seq')
        AND NOT has_sequence_privilege(c.oid, 'USAGE')
    UNION ALL SELECT 'execute ' || f.proname FROM pg_proc f
    WHERE f.pronamespace = current_schema()::regnamespace AND f.proname IN ('keep_history', 'fit_history', 'sort_tally', 'whereabouts')
        AND NOT has_function_privilege(f.oid, 'EXECUTE')
    ORDER BY 1";

impl Ledger {
    /// The server: version, clock, connections, manners.
    ///
    /// # Errors
    /// Where it cannot be reached.
    pub async fn bench(&self) -> Result<Bench, LedgerError> {
        in_time(async {
            let mut connection = self.pool.acquire().await?;
            let asked = Utc::now();
            let now: DateTime<Utc> = sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&mut *connection).await?;
            let middle = asked + (Utc::now() - asked) / 2;
            let row = sqlx::query(
                "SELECT current_setting('server_version'), current_setting('server_version_num')::int,
                        current_setting('autovacuum')::boolean AND current_setting('track_counts')::boolean,
                        current_setting('max_connections')::bigint,
                        current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint
                            - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')",
            )
            .fetch_one(&mut *connection)
            .await?;
            Ok(Bench {
                version: row.try_get(0)?,
                version_number: row.try_get(1)?,
                clock_ahead: now - middle,
                autovacuum: row.try_get(2)?,
                connections: row.try_get(3)?,
                connections_free: row.try_get::<i64, _>(4)?.max(0),
            })
        })
        .await
    }

    /// How the schema stands against this program.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn schema(&self) -> Result<Schema, LedgerError> {
        in_time(async {
            let Applied { applied, known } = self.migrations().await?;
            let may_migrate: bool = sqlx::query_scalar(MAY_MIGRATE).fetch_one(&self.pool).await?;
            let pending = known.iter().filter(|version| !applied.contains(version)).copied().collect();
            let unknown = applied.iter().filter(|version| !known.contains(version)).copied().collect();
            Ok(Schema { applied, pending, unknown, may_migrate })
        })
        .await
    }

    /// What this role may do.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn rights(&self) -> Result<Rights, LedgerError> {
        in_time(async {
            let role: String = sqlx::query_scalar("SELECT current_user::text").fetch_one(&self.pool).await?;
            let missing: Vec<String> = sqlx::query_scalar(MISSING).fetch_all(&self.pool).await?;
            let may_migrate: bool = sqlx::query_scalar(MAY_MIGRATE).fetch_one(&self.pool).await?;
            Ok(Rights { role, missing, may_migrate })
        })
        .await
    }

    /// Whether one connection is one session: its settings are in force, its prepared statements stay, its server process too.
    /// Gives what is wrong.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn session_holds(&self) -> Result<Option<String>, LedgerError> {
        in_time(async {
            let mut connection = self.pool.acquire().await?;
            let (timeout, name): (String, String) =
                sqlx::query_as("SELECT current_setting('statement_timeout'), current_setting('application_name')")
                    .fetch_one(&mut *connection)
                    .await?;
            if (timeout.as_str(), name.as_str()) != ("30s", "bwp-sync") {
                return Ok(Some(format!("our session settings do not arrive (statement_timeout is {timeout})")));
            }
            let mut process = None;
            for _ in 0..8 {
                // The same words each time: the statement is prepared once.
                let asked = sqlx::query_scalar::<_, i32>("SELECT pg_backend_pid()").fetch_one(&mut *connection).await;
                match (asked, process) {
                    (Ok(now), Some(before)) if now != before => {
                        return Ok(Some("statements of one connection are run by different server processes".to_owned()));
                    }
                    (Ok(now), _) => process = Some(now),
                    (Err(sqlx::Error::Database(error)), _) if matches!(error.code().as_deref(), Some("26000" | "42P05")) => {
                        return Ok(Some(format!("prepared statements are lost between two uses: {}", error.message())));
                    }
                    (Err(error), _) => return Err(error.into()),
                }
            }
            connection.ping().await?;
            Ok(None)
        })
        .await
    }
}
