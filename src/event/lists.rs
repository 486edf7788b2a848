//! What lists must not be: empty where that says nothing, or naming one thing twice.

use super::fault::{FaultCode, Read};
use super::reader::Value;
use std::collections::HashSet;
use std::hash::Hash;

/// The list has entries.
pub(super) fn filled<T>(value: Value<'_>, entries: &[T]) -> Read<()> {
    match entries.is_empty() {
        false => Ok(()),
        true => {
            let message = format!("{} is empty; fill it, or leave it out where it is unchanged", value.label());
            Err(value.wrong(FaultCode::EmptyList, message))
        }
    }
}

/// No two entries are named the same. Names are compared as they are given: what an id and an alias both stand for is not known
/// here.
pub(super) fn distinct<T, K: Eq + Hash>(value: Value<'_>, entries: &[T], key: impl Fn(&T) -> &K) -> Read<()> {
    let mut seen = HashSet::with_capacity(entries.len());
    match entries.iter().position(|entry| !seen.insert(key(entry))) {
        None => Ok(()),
        Some(index) => {
            let message = format!("entry {index} of {} names the same thing as an earlier one; join them", value.label());
            Err(value.wrong(FaultCode::RepeatedEntry, message))
        }
    }
}
