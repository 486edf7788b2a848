//! The command as a process, with an environment of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod check;

use std::path::PathBuf;
use std::process::{Command, Output};

/// The command with these arguments and nothing in its environment.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bwp-sync"));
    command.args(arguments).env_clear();
    command
}

/// How a run ended.
struct Run {
    code: i32,
    out: String,
    err: String,
}

fn run(command: &mut Command) -> Run {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
}

/// A file in cargo's own place for tests.
fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{}-{name}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn help_and_version_are_fine_and_wrong_usage_is_2() {
    let version = run(&mut command(&["--version"]));
    assert_eq!((version.code, version.out.starts_with("bwp-sync 0.")), (0, true), "{}", version.out);
    let help = run(&mut command(&["--help"]));
    assert_eq!((help.code, help.out.contains("check")), (0, true), "{}", help.out);
    for wrong in [&[][..], &["chek"], &["check", "--output", "xml"], &["check", "more"]] {
        let run = run(&mut command(wrong));
        assert_eq!((run.code, run.out.is_empty()), (2, true), "{wrong:?}");
    }
}

#[test]
fn shells_are_told_how_to_complete_it() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&mut command(&["completion", shell]));
        assert_eq!((script.code, script.out.contains("bwp-sync") && script.out.contains("doctor")), (0, true), "{}", script.out);
    }
    assert_eq!(run(&mut command(&["completion", "tcsh"])).code, 2);
}

#[test]
fn what_is_to_be_paused_is_said_in_one_way_only() {
    for words in ["", "a b c", "--target a --topic b", "a --target b"] {
        let arguments: Vec<&str> = ["pause"].into_iter().chain(words.split_whitespace()).collect();
        let run = run(&mut command(&arguments));
        // Without words only the address of the database is missing.
        assert_eq!((run.code, run.err.contains("database.url is not set")), (2, words.is_empty()), "{words}: {}", run.err);
    }
}
