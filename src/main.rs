//! The command: see `bwp_sync::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    let _points = crash_at_fail_points();
    bwp_sync::cli::main()
}

/// A fail point that panics ends the process at once, as a crash would: nothing is unwound, nothing is flushed.
#[cfg(feature = "failpoints")]
fn crash_at_fail_points() -> fail::FailScenario<'static> {
    std::panic::set_hook(Box::new(|_| std::process::abort()));
    fail::FailScenario::setup()
}
