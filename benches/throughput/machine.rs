//! The machine: who runs on which core, and what a process has used, as Linux tells.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Kafka, the stand-in, and this benchmark itself.
pub const AROUND: usize = 0;
/// What is measured, and its Postgres.
pub const MEASURED: usize = 1;

/// A program that stays on one core, with all that it starts.
pub fn on_core(core: usize, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(program);
    command
}

/// Puts this process, with all its threads, on a core.
pub fn stay_on_core(core: usize) {
    let line = format!("taskset -a -c -p {core} {} >/dev/null", std::process::id());
    assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success(), "{line}: two cores and util-linux are needed");
}

/// Fields of `/proc/PID/stat` after the name, counted as in proc(5) from 3.
struct Stat(Vec<String>);

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, fields) = text.rsplit_once(')')?;
        Some(Self(fields.split_whitespace().map(str::to_owned).collect()))
    }

    fn field(&self, number: usize) -> u64 {
        self.0[number - 3].parse().unwrap_or_default()
    }

    fn parent(&self) -> u64 {
        self.field(4)
    }

    fn own(&self) -> u64 {
        self.field(14) + self.field(15)
    }

    /// Of children that have ended.
    fn children(&self) -> u64 {
        self.field(16) + self.field(17)
    }
}

fn seconds(ticks: u64) -> f64 {
    // USER_HZ is 100 wherever Linux runs Postgres and Kafka.
    ticks as f64 / 100.0
}

/// Seconds of processor time that a process has used.
pub fn cpu(pid: u32) -> f64 {
    seconds(Stat::of(pid).map_or(0, |stat| stat.own()))
}

/// The same of a process and its children, living and ended.
pub fn cpu_of_family(pid: u32) -> f64 {
    let Some(stat) = Stat::of(pid) else { return 0.0 };
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let living = pids.filter_map(Stat::of).filter(|child| child.parent() == u64::from(pid)).map(|child| child.own());
    seconds(stat.own() + stat.children() + living.sum::<u64>())
}

/// The most memory that a process has held, in MiB.
pub fn peak_memory(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or(f64::NAN) / 1024.0
}

/// The processor's name, and how many cores there are.
pub fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(": ").nth(1));
    let cores = text.lines().filter(|line| line.starts_with("processor")).count();
    format!("{}, {cores} cores", name.unwrap_or("unknown"))
}

/// What a program prints first.
pub fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|it| String::from_utf8_lossy(&[it.stdout, it.stderr].concat()).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}
