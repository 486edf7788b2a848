//! `check`: the configuration alone.

use super::{Exit, Global, Output, print};
use crate::config::{ConfigErrors, Purpose, entries, table};

/// Loads the configuration as `run` would, and prints it.
pub(super) fn run(global: &Global) -> Result<Exit, ConfigErrors> {
    let entries = entries(&global.settings(Purpose::Run)?);
    Ok(match global.output {
        Output::Table => print(&table(&entries)),
        Output::Json => print(&format!("{:#}\n", serde_json::json!(entries))),
    })
}
