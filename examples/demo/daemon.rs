//! The daemon: the built program as a process, configured by its environment only, watched over its ops port.

use crate::Problem;
use crate::broker::Broker;
use bwp_simulator::Simulator;
use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const READY_WITHIN: Duration = Duration::from_secs(30);
const GONE_WITHIN: Duration = Duration::from_secs(15);

/// The running daemon; killed when dropped.
pub struct Daemon {
    child: Child,
    ops: String,
    log: PathBuf,
    http: reqwest::Client,
}

impl Daemon {
    /// Starts `bwp-sync run` beside this program.
    pub fn start(broker: &Broker, simulator: &Simulator) -> Result<Self, Problem> {
        let program = std::env::current_exe()?.with_file_name("../bwp-sync").canonicalize()?;
        let folder = PathBuf::from(variable("BWP_DEMO_FOLDER")?);
        let log = folder.join("daemon.log");
        let output = File::create(&log)?;
        let ops = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let mut command = Command::new(program);
        // A group of its own: Ctrl-C in the terminal is ours, and we end the daemon in the right order.
        command.arg("run").stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
        for (name, _) in std::env::vars_os().filter(|(name, _)| is_of_another_daemon(&name.to_string_lossy())) {
            command.env_remove(name);
        }
        for (key, value) in settings(broker, simulator, &ops)? {
            command.env(format!("BWP_SYNC__{}", key.to_uppercase().replace('.', "__")), value);
        }
        let child = command.spawn()?;
        std::fs::write(folder.join("daemon.pid"), child.id().to_string())?;
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
        Ok(Self { child, ops, log, http })
    }

    /// Waits until it reads from the broker.
    pub async fn ready(&mut self) -> Result<(), Problem> {
        let began = Instant::now();
        while self.page("/readyz").await.is_err() {
            self.alive()?;
            if began.elapsed() > READY_WITHIN {
                return Err(format!("expected the daemon to be ready within {READY_WITHIN:?}; its log: {}", self.log()).into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// An error where it has ended, with its last words.
    pub fn alive(&mut self) -> Result<(), Problem> {
        let Some(status) = self.child.try_wait()? else { return Ok(()) };
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(5)..].join("\n");
        Err(format!("the daemon ended ({status}), expected it to run; the last lines of {}:\n{last}", self.log()).into())
    }

    /// A page of the ops port.
    pub async fn page(&self, path: &str) -> Result<String, reqwest::Error> {
        self.http.get(self.address(path)).send().await?.error_for_status()?.text().await
    }

    /// The sum over all series of a metric.
    pub fn metric(page: &str, name: &str) -> Option<f64> {
        let series = page.lines().filter_map(|line| line.strip_prefix(name)).filter(|rest| rest.starts_with([' ', '{']));
        let mut values = series.filter_map(|rest| rest.rsplit_once(' ')?.1.parse::<f64>().ok()).peekable();
        values.peek()?;
        Some(values.sum())
    }

    /// Where a page of the ops port is.
    pub fn address(&self, path: &str) -> String {
        format!("http://{}{path}", self.ops)
    }

    /// Where its log is.
    pub fn log(&self) -> std::path::Display<'_> {
        self.log.display()
    }

    /// Ends it as an orchestrator would. Says what is wrong with its end.
    pub async fn terminate(&mut self) -> Option<String> {
        let line = format!("kill -TERM {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &line]).status();
        let began = Instant::now();
        while began.elapsed() < GONE_WITHIN {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return None,
                Ok(Some(status)) => return Some(format!("the daemon ended with {status} after SIGTERM, expected exit code 0")),
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        Some(format!("the daemon still runs {GONE_WITHIN:?} after SIGTERM ({sent:?}), expected exit code 0"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn is_of_another_daemon(name: &str) -> bool {
    name.starts_with("BWP_SYNC__") || name == "RUST_LOG"
}

fn variable(name: &str) -> Result<String, Problem> {
    std::env::var(name).map_err(|_| format!("{name} is not set: start this program by `make demo`").into())
}

/// The key of each setting as in the configuration file. Times are short, so that a day is.
fn settings(broker: &Broker, simulator: &Simulator, ops: &str) -> Result<Vec<(&'static str, String)>, Problem> {
    let own = simulator.options();
    let text = str::to_owned;
    Ok(vec![
        ("kafka.brokers", broker.address()),
        ("database.url", variable("BWP_DEMO_DATABASE_URL")?),
        ("ops.listen", text(ops)),
        ("log.format", text("pretty")),
        ("targets.default.endpoint", simulator.endpoint()),
        ("targets.default.token_endpoint", simulator.token_endpoint()),
        ("targets.default.target_id", own.target_id.clone()),
        ("targets.default.client_id", own.client_id.clone()),
        ("targets.default.client_secret", own.client_secret.clone()),
        ("targets.default.environment", text("sandbox")),
        ("dispatch.request_timeout", text("1s")),
        ("dispatch.lease", text("5s")),
        ("waiting.sandbox_interval", text("500ms")),
        ("waiting.read_interval", text("1s")),
        ("retry.initial", text("200ms")),
        ("retry.max", text("2s")),
    ])
}
