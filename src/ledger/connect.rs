//! The pool, and the schema that it must find.

use super::kept::{InUse, Shelf, Step};
use crate::ops::metrics;
use secrecy::{ExposeSecret, SecretString};
use sqlx::Connection;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use std::str::FromStr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// The forward-only migrations, compiled in. A newer program may have been here: its own work beside these, so that a rollback starts.
static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrations = sqlx::migrate!("./migrations");
    migrations.set_ignore_missing(true);
    migrations
});

/// How long a statement may wait for a lock, and run, before it is given up and tried again; and how statements are planned.
const SESSION: [(&str, &str); 6] = [
    ("lock_timeout", "5s"),
    ("statement_timeout", "30s"),
    ("idle_in_transaction_session_timeout", "30s"),
    ("application_name", "bwp-sync"),
    // Statements take milliseconds; a compiler for one of them takes a second.
    ("jit", "off"),
    // A plan that is made while a table is small is kept as it grows: it must not be a walk through all of it.
    ("enable_seqscan", "off"),
];

/// The same few statements again and again, mostly for a row or two: a plan for their values would take longer to make than to run.
/// What operators ask has filters that may be absent, which one plan for all values cannot leave out.
const SERVING: [(&str, &str); 1] = [("plan_cache_mode", "force_generic_plan")];

/// The ledger. Cheap to clone: all clones share one pool.
#[derive(Debug, Clone)]
pub struct Ledger {
    pub(super) pool: PgPool,
    shelf: Shelf,
}

/// Versions of migrations.
pub(super) struct Applied {
    pub(super) applied: Vec<i64>,
    pub(super) known: Vec<i64>,
}

/// Why the ledger could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Postgres is away, or gave a statement up: the same call may go through later.
    #[error("Postgres cannot do it now: {0}")]
    Unavailable(String),
    /// The address cannot be used.
    #[error("database.url cannot be used: {0}")]
    BadUrl(String),
    /// The schema is not the one that this program needs.
    #[error("{0}")]
    Schema(String),
    /// What is stored cannot be read: nothing is guessed.
    #[error("the ledger holds something unreadable: {0}")]
    Unreadable(String),
    /// A statement is wrong.
    #[error("the ledger refused a statement: {0}")]
    Refused(String),
}

impl LedgerError {
    /// Whether trying again later can help.
    pub fn is_passing(&self) -> bool {
        matches!(self, LedgerError::Unavailable(_))
    }
}

impl From<sqlx::Error> for LedgerError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default().into_owned();
                // Connection trouble, rollbacks (deadlock, serialisation), resources, shutdown, and timeouts of ours.
                let passing = ["08", "40", "53", "57", "58"].iter().any(|class| code.starts_with(class))
                    || code == "55P03"
                    || code == "25P03";
                let text = format!("{} ({code})", database.message());
                if passing { LedgerError::Unavailable(text) } else { LedgerError::Refused(text) }
            }
            sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => LedgerError::Unreadable(error.to_string()),
            sqlx::Error::ColumnNotFound(_) | sqlx::Error::TypeNotFound { .. } => LedgerError::Refused(error.to_string()),
            _ => LedgerError::Unavailable(error.to_string()),
        }
    }
}

impl From<serde_json::Error> for LedgerError {
    fn from(error: serde_json::Error) -> Self {
        LedgerError::Unreadable(error.to_string())
    }
}

/// How long one call of the ledger may take: below what the watch over the loops allows, above what the server allows a lock.
const DEADLINE: Duration = Duration::from_secs(15);

/// Gives a call up whose answer does not come: a server that hangs is away, too.
pub(super) async fn in_time<T>(call: impl Future<Output = Result<T, LedgerError>>) -> Result<T, LedgerError> {
    match tokio::time::timeout(DEADLINE, call).await {
        Ok(result) => result,
        Err(_) => Err(LedgerError::Unavailable(format!("no answer within {} s", DEADLINE.as_secs()))),
    }
}

impl Ledger {
    /// Makes the pool of somebody who asks for many things, each now and then. Connects when it is first used, so that Postgres may
    /// still be on its way.
    ///
    /// # Errors
    /// Where the address is none.
    pub fn new(url: &SecretString, max_connections: u32) -> Result<Ledger, LedgerError> {
        Ledger::connecting(url, max_connections, &[])
    }

    /// The pool of the daemon: each of its connections plans a statement once.
    ///
    /// # Errors
    /// Where the address is none.
    pub fn serving(url: &SecretString, max_connections: u32) -> Result<Ledger, LedgerError> {
        Ledger::connecting(url, max_connections, &SERVING)
    }

    fn connecting(url: &SecretString, max_connections: u32, more: &[(&str, &str)]) -> Result<Ledger, LedgerError> {
        let mut options = PgConnectOptions::from_str(url.expose_secret()).map_err(|error| match error {
            // The text of the address may hold a password, and some errors quote it.
            sqlx::Error::Configuration(_) => {
                LedgerError::BadUrl("it is not of the form postgres://user@host:port/database".into())
            }
            _ => LedgerError::BadUrl("it cannot be read".into()),
        })?;
        options = options.options(SESSION).options(more.iter().copied());
        let pool = PgPoolOptions::new()
            .max_connections(max_connections)
            .min_connections(0)
            .acquire_timeout(Duration::from_secs(5))
            .idle_timeout(Duration::from_secs(300))
            .connect_lazy_with(options);
        Ok(Ledger { shelf: Shelf::new(pool.clone()), pool })
    }

    /// A connection for a step of the hot path.
    pub(super) async fn connection(&self, step: Step) -> Result<InUse<'_>, sqlx::Error> {
        let began = Instant::now();
        let connection = self.shelf.connection(step).await;
        if let Some(step) = step.label() {
            metrics::CONNECTION_WAIT.observe(&[step], began.elapsed());
        }
        connection
    }

    /// Applies pending migrations, one program at a time.
    ///
    /// # Errors
    /// Where Postgres is away, or the role may not change the schema.
    pub async fn migrate(&self) -> Result<(), LedgerError> {
        // A connection of its own: the lock against other programs goes with it, whatever happens.
        let options = self.pool.connect_options().as_ref().clone().options([("statement_timeout", "0")]);
        let mut connection = PgConnection::connect_with(&options).await?;
        let migrated = MIGRATIONS.run(&mut connection).await;
        drop(connection.close().await);
        migrated.map_err(|error| match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => schema_error(error),
            other => LedgerError::Schema(format!("the schema does not fit this program: {other}")),
        })
    }

    /// Whether every migration that this program knows has been applied.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn is_current(&self) -> Result<bool, LedgerError> {
        let Applied { applied, known } = self.migrations().await?;
        Ok(known.iter().all(|version| applied.contains(version)))
    }

    /// The migrations that were applied, and those that this program knows.
    pub(super) async fn migrations(&self) -> Result<Applied, LedgerError> {
        let known = MIGRATIONS.iter().map(|migration| migration.version).collect();
        let table: Option<String> =
            sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations')::text").fetch_one(&self.pool).await?;
        if table.is_none() {
            return Ok(Applied { applied: Vec::new(), known });
        }
        let sql = "SELECT version FROM _sqlx_migrations WHERE success ORDER BY version";
        Ok(Applied { applied: sqlx::query_scalar(sql).fetch_all(&self.pool).await?, known })
    }

    /// Connections of the pool that are busy, and that are idle.
    pub fn connections(&self) -> (usize, usize) {
        let idle = self.pool.num_idle() + self.shelf.len();
        ((self.pool.size() as usize).saturating_sub(idle), idle)
    }

    /// Gives all connections back.
    pub async fn close(&self) {
        let closing = self.pool.close();
        self.shelf.clear();
        closing.await;
    }
}

fn schema_error(error: sqlx::Error) -> LedgerError {
    match LedgerError::from(error) {
        LedgerError::Refused(text) if text.contains("42501") => LedgerError::Schema(format!(
            "there are pending migrations and this role may not apply them ({text}); run `bwp-sync migrate` as the owner"
        )),
        other => other,
    }
}
