//! The log: to standard error, as JSON or for eyes. `RUST_LOG` wins over `log.level`.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::TryInitError;

use crate::config::{Log, LogFormat};

/// Begins to log. A second call in one process is an error.
pub fn init(log: &Log) -> Result<(), TryInitError> {
    use tracing_subscriber::util::SubscriberInitExt;
    let wish = std::env::var("RUST_LOG").ok();
    let (filter, complaint) = filter(&log.level, wish.as_deref());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match log.format {
        LogFormat::Json => builder.json().flatten_event(true).with_span_list(false).finish().try_init()?,
        LogFormat::Pretty => {
            let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            builder.with_ansi(colour).finish().try_init()?;
        }
    }
    if let Some(complaint) = complaint {
        tracing::warn!("{complaint}");
    }
    Ok(())
}

/// What is logged, and what is wrong with the wish for it.
fn filter(level: &str, wish: Option<&str>) -> (EnvFilter, Option<String>) {
    match wish.filter(|wish| !wish.trim().is_empty()).map(|wish| (wish, EnvFilter::try_new(wish))) {
        None => (EnvFilter::new(level), None),
        Some((_, Ok(filter))) => (filter, None),
        Some((wish, Err(error))) => {
            let complaint = format!("RUST_LOG is {wish:?}, which is not understood ({error}); log.level is used");
            (EnvFilter::new(level), Some(complaint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rust_log_wins_unless_it_is_empty_or_wrong() {
        assert_eq!(filter("info", None).0.to_string(), "info");
        assert_eq!(filter("info", Some(" ")).0.to_string(), "info");
        assert_eq!(filter("info", Some("debug")).0.to_string(), "debug");
        let (filter, complaint) = filter("warn", Some("a=b=c"));
        assert_eq!(filter.to_string(), "warn");
        assert!(complaint.is_some_and(|text| text.starts_with("RUST_LOG is \"a=b=c\"")));
    }
}
