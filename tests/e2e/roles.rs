//! The owner migrates; the daemon runs without the right to change the schema.

use crate::support::postgres::fresh_database;
use bwp_sync::ledger::retention::{Keep, Retention};
use bwp_sync::ledger::{Ledger, LedgerError};
use secrecy::SecretString;
use std::time::Duration;

const ROLES: &str = include_str!("../../deploy/sql/roles.sql");

/// Roles belong to the whole server: two tests that make them at once would be in each other's way.
static ROLES_ARE_MADE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What an installation does once, as a superuser.
pub async fn make_roles(pool: &sqlx::PgPool) {
    let _alone = ROLES_ARE_MADE.lock().await;
    sqlx::raw_sql(ROLES).execute(pool).await.unwrap();
}

/// The same database for somebody else, who acts as the role.
fn login(url: &str, user: &str, role: &str) -> SecretString {
    let (_, rest) = url.split_once('@').unwrap();
    SecretString::from(format!("postgres://{user}@{rest}?options=-c%20role%3D{role}"))
}

#[tokio::test]
async fn the_daemon_needs_no_right_to_change_the_schema() {
    let database = fresh_database().await;
    let pool = database.pool().await;
    make_roles(&pool).await;
    let (owner, runner) = (format!("owner_{}", database.name), format!("runner_{}", database.name));
    for (user, role) in [(&owner, "bwp_sync_owner"), (&runner, "bwp_sync_run")] {
        let sql = format!("CREATE ROLE {user} LOGIN IN ROLE {role}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&pool).await.unwrap();
    }
    let by_runner = Ledger::new(&login(&database.url, &runner, "bwp_sync_run"), 2).unwrap();
    let refused = by_runner.migrate().await.unwrap_err();
    assert!(matches!(&refused, LedgerError::Schema(text) if text.contains("bwp-sync migrate")), "{refused}");
    assert!(!by_runner.is_current().await.unwrap());

    let by_owner = Ledger::new(&login(&database.url, &owner, "bwp_sync_owner"), 2).unwrap();
    by_owner.migrate().await.unwrap();
    assert!(by_runner.is_current().await.unwrap());
    assert_eq!(by_runner.totals().await.unwrap().imbalance(), 0);
    let day = Duration::from_secs(86_400);
    Retention::new(by_runner.clone(), Keep { dedupe: day, history: day, known_state: day }).step().await.unwrap();
    let partitions: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_inherits WHERE inhparent = 'history'::regclass")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!(partitions > 1, "retention makes the days ahead with the owner's rights");
    let ddl = sqlx::query("CREATE TABLE t (i int)");
    assert!(ddl.execute(&by_runner_pool(&database.url, &runner).await).await.is_err());
    by_owner.close().await;
    by_runner.close().await;
}

async fn by_runner_pool(url: &str, runner: &str) -> sqlx::PgPool {
    use secrecy::ExposeSecret;
    sqlx::PgPool::connect(login(url, runner, "bwp_sync_run").expose_secret()).await.unwrap()
}
