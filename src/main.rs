//! The command: see `bwp_sync::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    bwp_sync::cli::main()
}
