//! `map`, as a producer's own tests use it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod command;
mod examples;
mod orders;

use bwp_sync::config::{Coalesce, Environment};
use bwp_sync::event::AliasRow;
use bwp_sync::map::{Book, Settings, Target, Targets};
use bwp_sync::plan::subject::AliasTypes;
use serde_json::Value;

/// Plays events through the real `map` code; its lines as JSON.
fn play(environment: Environment, coalesce: Coalesce, rows: Vec<AliasRow>, events: &[Value]) -> Vec<Value> {
    let target = Target { environment, alias_types: AliasTypes::default() };
    let mut book = Book::new(Settings { coalesce, targets: Targets::Any(target) }, rows);
    events.iter().for_each(|event| book.take(event.to_string().as_bytes()));
    book.finish().iter().map(|line| serde_json::to_value(line).unwrap()).collect()
}
