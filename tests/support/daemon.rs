//! The built program as a process: started with settings from the environment, watched over its ops port, ended in every
//! way that a process can end. Its output goes to a file and is shown when the test fails.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use super::kafka::{Topics, brokers};
use super::ops::{Metrics, http};
use super::postgres::Database;
use super::{PATIENCE, unique, wait_until};

/// Where a target is, and who the daemon is there.
#[derive(Clone, Debug)]
pub struct Target {
    pub endpoint: String,
    pub token_endpoint: String,
    pub target_id: String,
    pub client_id: String,
    pub client_secret: String,
}

/// The settings of a daemon; each start makes one more replica of it.
#[derive(Clone, Debug)]
pub struct Builder {
    settings: BTreeMap<String, String>,
    fail_points: Option<String>,
    variables: BTreeMap<String, String>,
}

/// A running daemon. Dropping this kills it.
pub struct Daemon {
    child: Child,
    ops: String,
    log: PathBuf,
    http: reqwest::Client,
}

impl Builder {
    /// A daemon on this database and these topics, in a consumer group of its own.
    pub fn new(database: &Database, topics: &Topics) -> Self {
        let builder = Self { settings: BTreeMap::new(), fail_points: None, variables: BTreeMap::new() }
            .set("kafka.brokers", brokers())
            .set("kafka.group_id", format!("group-{}", unique()))
            .set("database.url", &database.url);
        topics.named().into_iter().fold(builder, |builder, (topic, name)| builder.set(&format!("kafka.topics.{topic}"), name))
    }

    /// The same with a setting, named as in the configuration file.
    pub fn set(mut self, key: &str, value: impl Into<String>) -> Self {
        self.settings.insert(key.to_owned(), value.into());
        self
    }

    /// The same with a variable of the environment that is none of our own.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The same, ending at a fail point: `claim-committed=2*off->panic`. For a program that is built with them.
    pub fn failing(mut self, points: String) -> Self {
        self.fail_points = Some(points);
        self
    }

    /// The same with a target.
    pub fn target(self, name: &str, target: &Target) -> Self {
        self.set(&format!("targets.{name}.endpoint"), &target.endpoint)
            .set(&format!("targets.{name}.token_endpoint"), &target.token_endpoint)
            .set(&format!("targets.{name}.target_id"), &target.target_id)
            .set(&format!("targets.{name}.client_id"), &target.client_id)
            .set(&format!("targets.{name}.client_secret"), &target.client_secret)
    }

    /// The consumer group, to ask Kafka where it stands.
    pub fn group(&self) -> &str {
        &self.settings["kafka.group_id"]
    }

    /// Starts one replica of `bwp-sync run`.
    pub fn start(&self) -> Daemon {
        self.start_program(Path::new(env!("CARGO_BIN_EXE_bwp-sync")), &["run"])
    }

    /// Runs another command of the program with the same settings, to its end.
    pub fn command(&self, arguments: &[&str]) -> Output {
        let mut command = self.prepare(Path::new(env!("CARGO_BIN_EXE_bwp-sync")), arguments);
        command.output().expect("run the program")
    }

    /// Runs a line of shell with the same settings in a directory, with the program on the path.
    pub fn shell(&self, line: &str, directory: &Path) -> Output {
        let program = Path::new(env!("CARGO_BIN_EXE_bwp-sync")).parent().expect("the program is in a directory");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = self.prepare(Path::new("sh"), &["-c", line]);
        command.current_dir(directory).env("PATH", format!("{}:{path}", program.display()));
        command.output().expect("run sh")
    }

    /// Starts any program in the daemon's place.
    pub fn start_program(&self, program: &Path, arguments: &[&str]) -> Daemon {
        let ops = self.settings.get("ops.listen").cloned().unwrap_or_else(free_address);
        let command = self.clone().set("ops.listen", &ops).prepare(program, arguments);
        Daemon::start(command, ops)
    }

    /// Only these settings: what the caller's shell has set for a daemon of its own does not count.
    fn prepare(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BWP_SYNC__")) {
            command.env_remove(name);
        }
        command.env_remove("FAILPOINTS").envs(self.fail_points.iter().map(|points| ("FAILPOINTS", points)));
        command.envs(&self.variables);
        for (key, value) in &self.settings {
            command.env(format!("BWP_SYNC__{}", key.to_uppercase().replace('.', "__")), value);
        }
        command
    }
}

impl Daemon {
    /// Starts a command that will show itself on this ops address.
    pub fn start(mut command: Command, ops: String) -> Daemon {
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("daemon-{}.log", unique()));
        let output = File::create(&log).expect("create the log file");
        command.stdin(Stdio::null()).stdout(output.try_clone().expect("the log file twice")).stderr(output);
        let child = command.spawn().expect("start the program");
        Daemon { child, ops, log, http: http() }
    }

    /// Waits until `/readyz` says so.
    pub async fn wait_ready(&mut self) {
        wait_until("the daemon is ready", PATIENCE, async || {
            if let Some(status) = self.exit_status() {
                panic!("the daemon ended ({status}) before it was ready");
            }
            match self.http.get(self.address("/readyz")).send().await {
                Ok(answer) if answer.status().is_success() => Ok(()),
                Ok(answer) => Err(format!("HTTP {}", answer.status())),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
    }

    /// A page of the ops port.
    pub async fn page(&self, path: &str) -> Result<String, reqwest::Error> {
        self.http.get(self.address(path)).send().await?.error_for_status()?.text().await
    }

    /// The metrics now.
    pub async fn metrics(&self) -> Metrics {
        Metrics::parse(&self.page("/metrics").await.expect("/metrics answers"))
    }

    /// `/state` now.
    pub async fn state(&self) -> serde_json::Value {
        serde_json::from_str(&self.page("/state").await.expect("/state answers")).expect("/state is JSON")
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.child.kill().expect("kill the daemon");
        self.child.wait().expect("reap the daemon");
    }

    /// Ends it as an orchestrator would, and waits for its end.
    pub async fn terminate(&mut self, deadline: Duration) -> ExitStatus {
        self.signal("TERM");
        wait_until("the daemon ends after SIGTERM", deadline, async || {
            self.exit_status().ok_or_else(|| "it still runs".to_owned())
        })
        .await
    }

    /// Sends a signal by name: `TERM`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let line = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &line]).status().expect("run sh");
        assert!(sent.success(), "{line}: {sent}");
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Bytes of memory that it holds now.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the process runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says so");
        1024 * line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kB")
    }

    /// How it ended; `None` while it runs.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("ask for the daemon's status")
    }

    /// All that it has written so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Where a page of the ops port is.
    pub fn address(&self, path: &str) -> String {
        format!("http://{}{path}", self.ops)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(100)..];
            eprintln!("--- the daemon's last lines, all in {}\n{}", self.log.display(), last.join("\n"));
        } else {
            let _ = std::fs::remove_file(&self.log);
        }
    }
}

/// A loopback address that nobody else takes: below the ports that the scripts choose, and that the system gives to connections.
pub fn free_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 10_000).unwrap_or_default();
    loop {
        let port = 10_000 + first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return format!("127.0.0.1:{port}");
        }
    }
}
