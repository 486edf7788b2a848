//! A database per test, gone when its guard goes.

use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, Executor};

/// An empty database. Dropping this drops it, whoever is still connected.
pub struct Database {
    /// Where it is, as `database.url` wants it.
    pub url: String,
    /// What it is called.
    pub name: String,
}

/// Creates an empty database on the server named by `BWP_TEST_POSTGRES_URL`.
pub async fn fresh_database() -> Database {
    let server = super::server("BWP_TEST_POSTGRES_URL");
    let name = format!("test_{}", super::unique());
    execute(&server, format!("CREATE DATABASE {name}")).await.expect("create a database");
    Database { url: beside(&server, &name), name }
}

impl Database {
    /// A few connections, for a test that looks into the tables.
    pub async fn pool(&self) -> PgPool {
        PgPoolOptions::new().max_connections(4).connect(&self.url).await.expect("connect to the test's database")
    }
}

/// Waits until a session of the database waits for a lock.
pub async fn until_somebody_waits(pool: &PgPool, who: &str) {
    super::wait_until(&format!("{who} to wait"), super::PATIENCE, async || {
        let sql = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN
            (SELECT pid FROM pg_stat_activity WHERE datname = current_database())";
        let waiting: i64 = sqlx::query_scalar(sql).fetch_one(pool).await.unwrap();
        if waiting > 0 { Ok(()) } else { Err("nobody waits".to_owned()) }
    })
    .await;
}

impl Drop for Database {
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let server = super::server("BWP_TEST_POSTGRES_URL");
        // The test's own runtime cannot be waited on from here.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(execute(&server, statement)).ok()
        });
        if !matches!(dropped.join(), Ok(Some(()))) {
            eprintln!("the database {} could not be dropped", self.name);
        }
    }
}

/// The same server, another database.
fn beside(server: &str, name: &str) -> String {
    let (address, _) = server.rsplit_once('/').expect("BWP_TEST_POSTGRES_URL ends with /DATABASE");
    format!("{address}/{name}")
}

async fn execute(server: &str, statement: String) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(server).await?;
    connection.execute(AssertSqlSafe(statement)).await?;
    connection.close().await
}
