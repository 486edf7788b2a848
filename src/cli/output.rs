//! Standard output, in one of two forms.

use std::io::{ErrorKind, Write};

use super::Exit;

/// The form of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Output {
    /// For eyes.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// Writes to standard output. A reader that has gone away (`| head`) is fine; anything else that goes wrong is a no.
pub fn print(text: &str) -> Exit {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Exit::Fine,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Exit::Fine,
        Err(error) => {
            eprintln!("error: standard output: {error}");
            Exit::No
        }
    }
}
