//! Whether Postgres is there, with the schema, the rights and the manners that are needed.

use super::{Check, in_time};
use crate::config::Settings;
use crate::ledger::checkup::{Bench, Rights, Schema};
use crate::ledger::{Ledger, LedgerError};
use std::time::Instant;

const NAME: &str = "postgres";
const REACH: &str = "see that database.url names the right host, port and database, and that the server is up";

/// xid8 and its snapshots came with it.
const OLDEST: i32 = 130_000;

/// Looks at Postgres.
pub(super) async fn examine(settings: &Settings) -> Vec<Check> {
    let ledger = match Ledger::new(&settings.database.url.current(), 4) {
        Ok(ledger) => ledger,
        Err(error) => return vec![Check::fail(NAME, error.to_string(), "correct database.url")],
    };
    let asked = Instant::now();
    let reached = match tokio::time::timeout(super::DEADLINE, ledger.bench()).await {
        Ok(reached) => reached,
        Err(_) => Err(LedgerError::Unavailable(format!("no answer within {} s", super::DEADLINE.as_secs()))),
    };
    let bench = match reached {
        Ok(bench) => bench,
        Err(error) => return vec![unreachable(&error)],
    };
    let mut checks = vec![version(&bench, asked.elapsed().as_millis())];
    let migrates = settings.database.migrate_on_start;
    let name = |what: &str| format!("{NAME} {what}");
    let (schema_name, rights_name, session_name) = (name("schema"), name("rights"), name("session"));
    let (schema, rights, session) = tokio::join!(
        in_time(&schema_name, REACH, async { answered(&schema_name, ledger.schema().await, |found| schema(&found, migrates)) }),
        in_time(&rights_name, REACH, async { answered(&rights_name, ledger.rights().await, |found| rights(&found, migrates)) }),
        in_time(&session_name, REACH, async { answered(&session_name, ledger.session_holds().await, session) }),
    );
    checks.extend([
        schema,
        rights,
        session,
        clock(&bench),
        connections(&bench, settings.database.max_connections),
        vacuum(&bench),
    ]);
    ledger.close().await;
    checks
}

fn answered<T>(name: &str, answer: Result<T, LedgerError>, judge: impl FnOnce(T) -> Check) -> Check {
    match answer {
        Ok(found) => judge(found),
        Err(error) => Check::fail(name, error.to_string(), REACH),
    }
}

fn unreachable(error: &LedgerError) -> Check {
    let text = error.to_string();
    let way_out = match error {
        _ if text.contains("(28") || text.contains("password") => {
            "correct the user and the password in database.url, or pg_hba.conf"
        }
        _ if text.contains("(3D000)") => "create the database, or correct its name in database.url",
        _ if text.contains("(53300)") => "raise max_connections of the server, or lower database.max_connections of the replicas",
        _ if text.contains("unsupported startup parameter") => {
            "a pooler refuses our session settings: connect to Postgres itself, or add `options` to its ignore_startup_parameters only with pool_mode = session"
        }
        _ => REACH,
    };
    Check::fail(NAME, text, way_out)
}

fn version(bench: &Bench, took: u128) -> Check {
    let text = format!("version {}, answers in {took} ms", bench.version);
    match bench.version_number {
        OLDEST.. => Check::ok(NAME, text),
        _ => Check::fail(NAME, text, "version 13 or newer is needed"),
    }
}

fn schema(found: &Schema, migrates: bool) -> Check {
    let name = format!("{NAME} schema");
    let newest = found.applied.iter().max().copied().unwrap_or(0);
    if !found.pending.is_empty() {
        let text = format!("{} migrations are pending (from {} on)", found.pending.len(), found.pending[0]);
        return match (migrates, found.may_migrate) {
            (true, true) => Check::warn(name, text, "the next `bwp-sync run` applies them, or run `bwp-sync migrate` now"),
            _ => Check::fail(name, text, "run `bwp-sync migrate` with the owner's login"),
        };
    }
    if !found.unknown.is_empty() {
        let text = format!("a newer program has changed it ({:?})", found.unknown);
        return match migrates {
            true => {
                Check::fail(name, text, "use the newer program, or set database.migrate_on_start = false while this one goes on")
            }
            false => Check::warn(name, text, "use the newer program"),
        };
    }
    Check::ok(name, format!("current (migration {newest})"))
}

fn rights(found: &Rights, migrates: bool) -> Check {
    let name = format!("{NAME} rights");
    let role = &found.role;
    if !found.missing.is_empty() {
        let text = format!("the role {role} may not: {}", found.missing.join(", "));
        return Check::fail(
            name,
            text,
            "grant what deploy/sql/roles.sql grants to bwp_sync_run, and make the role a member of it",
        );
    }
    match (migrates, found.may_migrate) {
        (true, false) => Check::warn(
            name,
            format!("the role {role} may do all that the daemon does, but may not migrate"),
            "set database.migrate_on_start = false, and run `bwp-sync migrate` as the owner at each upgrade",
        ),
        (_, true) => Check::ok(name, format!("the role {role} may do all that the daemon does, and migrate")),
        (false, false) => Check::ok(name, format!("the role {role} may do all that the daemon does, and may not migrate")),
    }
}

fn session(trouble: Option<String>) -> Check {
    let name = format!("{NAME} session");
    match trouble {
        None => Check::ok(name, "prepared statements and session settings hold: no transaction pooler is in the way"),
        Some(text) => Check::fail(name, text, "connect to Postgres itself, or through a pooler with pool_mode = session"),
    }
}

fn clock(bench: &Bench) -> Check {
    let name = format!("{NAME} clock");
    let apart = bench.clock_ahead.num_milliseconds().abs();
    let text = format!("{}.{:03} s apart from this machine's", apart / 1000, apart % 1000);
    let way_out = "let NTP set the clocks of both machines";
    match apart {
        0..=1_000 => Check::ok(name, text),
        1_001..=10_000 => Check::warn(name, text, way_out),
        _ => Check::fail(name, text, way_out),
    }
}

fn connections(bench: &Bench, wanted: u32) -> Check {
    let name = format!("{NAME} connections");
    let free = bench.connections_free;
    let text = format!("{free} of the server's {} are free; a replica holds up to {wanted}", bench.connections);
    match free >= i64::from(wanted) {
        true => Check::ok(name, text),
        false => Check::warn(name, text, "raise max_connections of the server, or lower database.max_connections"),
    }
}

fn vacuum(bench: &Bench) -> Check {
    let name = format!("{NAME} autovacuum");
    match bench.autovacuum {
        true => Check::ok(name, "on"),
        false => {
            Check::warn(name, "off: the ledger's tables will grow without bound", "set autovacuum = on and track_counts = on")
        }
    }
}
