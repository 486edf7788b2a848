//! Kafka and Postgres that belong to this run: Kafka on the core of what is around, Postgres on the core of what is measured, and with
//! Postgres's own defaults, above all its durability.

use crate::machine::{AROUND, MEASURED, on_core};
use crate::support::use_servers;
use sqlx::postgres::{PgPool, PgPoolOptions};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The two; gone when dropped.
pub struct Servers {
    folder: Folder,
    /// A connection to the database `postgres`, as its superuser.
    pub admin: PgPool,
    /// Whether Postgres counts statements.
    pub counts_statements: bool,
}

/// Where they keep what they have.
struct Folder(PathBuf);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn script(core: usize, kind: &str, arguments: &[&str]) {
    let done = on_core(core, &root().join("scripts").join(kind)).args(arguments).output().unwrap();
    assert!(done.status.success(), "{kind} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

fn variable(folder: &Path, kind: &str) -> (String, String) {
    let text = fs::read_to_string(folder.join(kind).join("env")).unwrap();
    let (name, value) = text.trim().split_once('=').unwrap();
    (name.to_owned(), value.to_owned())
}

impl Servers {
    pub async fn start() -> Self {
        let folder = Folder::new();
        let postgres = folder.of("postgres");
        script(AROUND, "kafka", &["start", &folder.of("kafka")]);
        script(MEASURED, "postgres", &["start", &postgres, "--durable"]);
        let own = [variable(&folder.0, "kafka"), variable(&folder.0, "postgres")];
        let url = own[1].1.clone();
        use_servers(own.into());
        let counts_statements = preload(&url).await;
        if counts_statements {
            script(MEASURED, "postgres", &["stop", &postgres]);
            script(MEASURED, "postgres", &["start", &postgres]);
        }
        let admin = connect(&url).await;
        if counts_statements {
            sqlx::query("CREATE EXTENSION pg_stat_statements").execute(&admin).await.unwrap();
        }
        Self { folder, admin, counts_statements }
    }

    /// The process that all of Postgres's others belong to.
    pub fn postmaster(&self) -> u32 {
        let text = fs::read_to_string(self.folder.0.join("postgres/home/data/postmaster.pid")).unwrap();
        text.lines().next().unwrap().parse().unwrap()
    }
}

async fn connect(url: &str) -> PgPool {
    PgPoolOptions::new().max_connections(1).connect(url).await.unwrap()
}

/// Asks for statements to be counted from the next start on; false where this Postgres cannot.
async fn preload(url: &str) -> bool {
    let pool = connect(url).await;
    let available = "SELECT count(*) > 0 FROM pg_available_extensions WHERE name = 'pg_stat_statements'";
    let available: bool = sqlx::query_scalar(available).fetch_one(&pool).await.unwrap();
    if available {
        sqlx::query("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'").execute(&pool).await.unwrap();
    }
    pool.close().await;
    available
}

impl Folder {
    fn new() -> Self {
        let folder = root().join("target/servers").join(std::process::id().to_string());
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn of(&self, kind: &str) -> String {
        self.0.join(kind).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        for kind in ["postgres", "kafka"] {
            drop(Command::new(root().join("scripts").join(kind)).args(["remove", &self.of(kind)]).output());
        }
        drop(fs::remove_dir_all(&self.0));
    }
}
