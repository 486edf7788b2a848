//! Kafka and Postgres of the test's own: killed, stopped, and started again with their data on the same ports.

use crate::support::{PATIENCE, wait_until};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tokio::net::TcpStream;

/// A server that a script in `scripts/` makes and removes.
pub struct Server {
    script: &'static str,
    home: PathBuf,
    /// Where its process id stands, in the first line.
    pid: &'static str,
}

impl Server {
    pub fn postgres(parent: &Path) -> Server {
        Server { script: "postgres", home: parent.join("postgres"), pid: "home/data/postmaster.pid" }
    }

    pub fn kafka(parent: &Path) -> Server {
        Server { script: "kafka", home: parent.join("kafka"), pid: "pid" }
    }

    /// Starts it, or starts it again. What was killed may need a moment until all of it is gone, and seem to run until then.
    pub async fn start(&self) {
        wait_until(&format!("{} to start", self.script), PATIENCE, async || {
            let done = self.run("start").await;
            if !done.status.success() {
                return Err(String::from_utf8_lossy(&done.stderr).into_owned());
            }
            let port = self.port();
            TcpStream::connect(("127.0.0.1", port)).await.map(drop).map_err(|error| format!("port {port}: {error}"))
        })
        .await;
    }

    /// Ends it in order.
    pub async fn stop(&self) {
        let done = self.run("stop").await;
        assert!(done.status.success(), "{}: {}", self.script, String::from_utf8_lossy(&done.stderr));
    }

    /// Ends it as a power cut would, as far as the server can tell. Postgres's children notice and end too.
    pub fn kill(&self) {
        let pid = std::fs::read_to_string(self.home.join(self.pid)).unwrap();
        let pid = pid.lines().next().unwrap();
        assert!(Command::new("kill").args(["-KILL", pid]).status().unwrap().success());
    }

    /// The variable that tells tests where it is, and its value.
    pub fn variable(&self) -> (String, String) {
        let env = std::fs::read_to_string(self.home.join("env")).unwrap();
        let (name, value) = env.trim().split_once('=').unwrap();
        (name.to_owned(), value.to_owned())
    }

    fn port(&self) -> u16 {
        let (_, address) = self.variable();
        let port = address.trim_end_matches("/postgres").rsplit_once(':').unwrap().1;
        port.parse().unwrap()
    }

    async fn run(&self, command: &'static str) -> Output {
        let mut script = self.command(command);
        tokio::task::spawn_blocking(move || script.output().unwrap()).await.unwrap()
    }

    fn command(&self, command: &str) -> Command {
        let mut script = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts").join(self.script));
        script.arg(command).arg(&self.home);
        script
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() && self.script == "postgres" {
            eprintln!("--- Postgres:\n{}", std::fs::read_to_string(self.home.join("home/log")).unwrap_or_default());
        }
        drop(self.command("remove").output());
        // Empty once the last of them is gone.
        self.home.parent().map(std::fs::remove_dir);
    }
}
