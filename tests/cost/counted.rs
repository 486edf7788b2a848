//! Instructions of this program, as valgrind counts them.

use std::process::Command;

/// All instructions of one run of an ignored test of this program.
pub fn instructions(test: &str, walks: u32) -> u64 {
    let program = std::env::current_exe().unwrap();
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--ignored", "--exact", test, "--test-threads", "1"])
        .env("WALKS", walks.to_string())
        .output()
        .unwrap_or_else(|error| panic!("valgrind cannot be run ({error}); `scripts/install test` installs it"));
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}");
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    collected.unwrap_or_else(|| panic!("valgrind tells no number: {said}")).1.trim().parse().unwrap()
}
