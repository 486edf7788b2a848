//! A Postgres server that belongs to one test: to be killed, or to be measured without others beside it.

use crate::support::postgres::Database;
use std::path::PathBuf;
use std::process::Command;

/// A Postgres cluster that belongs to one test.
pub struct Cluster(PathBuf);

impl Cluster {
    pub fn start() -> Cluster {
        let name = format!("cluster-{}", uuid::Uuid::new_v4().simple());
        let cluster = Cluster(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name));
        cluster.script("start");
        cluster
    }

    pub fn script(&self, command: &str) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres");
        let done = Command::new(script).arg(command).arg(&self.0).output().unwrap();
        assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stderr));
    }

    pub fn url(&self) -> String {
        let env = std::fs::read_to_string(self.0.join("env")).unwrap();
        env.trim().split_once('=').unwrap().1.to_owned()
    }

    /// Its database, as tests take one. There is nothing to be dropped: it goes with the cluster.
    pub fn database(&self) -> Database {
        Database { url: self.url(), name: format!("none_{}", uuid::Uuid::new_v4().simple()) }
    }

    /// Ends the server as a power cut would, as far as the server can tell. Its children notice and end too.
    pub fn kill(&self) {
        let pid = std::fs::read_to_string(self.0.join("home/data/postmaster.pid")).unwrap();
        let pid = pid.lines().next().unwrap();
        assert!(Command::new("kill").args(["-KILL", pid]).status().unwrap().success());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres");
        drop(Command::new(script).arg("remove").arg(&self.0).output());
    }
}
