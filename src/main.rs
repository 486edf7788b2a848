//! The command: see `bwp_sync::cli`.

use std::process::ExitCode;
use tikv_jemallocator::Jemalloc;

/// A third of the processor's time went into the C library's allocator; with this one, a fifth less is used for an event, and no more
/// memory (docs/performance.md).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    let _points = crash_at_fail_points();
    bwp_sync::cli::main()
}

/// A fail point that panics ends the process at once, as a crash would: nothing is unwound, nothing is flushed. Other panics are
/// what they always are.
#[cfg(feature = "failpoints")]
fn crash_at_fail_points() -> fail::FailScenario<'static> {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str().is_some_and(|text| text.starts_with("failpoint ")) {
            eprintln!("{panic}");
            std::process::abort();
        }
        usual(panic);
    }));
    fail::FailScenario::setup()
}
