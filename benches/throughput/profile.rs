//! Where the processor time of a process goes, by perf where it is installed.

use crate::machine::{AROUND, on_core};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Symbols that take less than this share are left out.
const SMALLEST: &str = "1";

/// A recording under way. It ends with the process.
pub struct Recording {
    perf: Child,
    file: PathBuf,
}

impl Recording {
    /// Begins with a process; `None` where there is no perf.
    pub fn begin(pid: u32) -> Option<Self> {
        Command::new("perf").arg("--version").output().ok()?;
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench/perf.data");
        std::fs::create_dir_all(file.parent()?).ok()?;
        let mut command = on_core(AROUND, Path::new("perf"));
        command.args(["record", "-q", "-F", "499", "-p", &pid.to_string(), "-o"]).arg(&file);
        let perf = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        Some(Self { perf, file })
    }

    /// The lines of perf's report, once the process has ended.
    pub fn end(mut self) -> Vec<String> {
        drop(self.perf.wait());
        let mut command = Command::new("perf");
        command.args(["report", "--stdio", "--no-inline", "--percent-limit", SMALLEST, "--sort", "dso,symbol", "-i"]);
        let text = command.arg(&self.file).output().map(|it| String::from_utf8_lossy(&it.stdout).into_owned());
        let lines = text.unwrap_or_default();
        let lines = lines.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        lines.map(|line| line.trim().chars().take(150).collect()).collect()
    }
}
