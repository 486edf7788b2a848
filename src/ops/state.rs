//! What `/state` shows: one JSON object, a member for each part of the program. It owns the list of members; each part
//! gives its own, from memory, without waiting for anything.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Map, Value, json};

/// The members that are always there, `null` until their part of the program gives them.
pub const MEMBERS: [&str; 7] = ["backlog", "lanes", "breaker", "paused", "limits", "lag", "audit"];

type Reader = Arc<dyn Fn() -> Value + Send + Sync>;

/// The parts' views of themselves. Clones share them.
#[derive(Clone, Default)]
pub struct StateBoard(Arc<RwLock<BTreeMap<&'static str, Reader>>>);

impl StateBoard {
    /// Shows what `read` returns as the member of this name. It is called at each request, so it must be quick.
    pub fn show(&self, member: &'static str, read: impl Fn() -> Value + Send + Sync + 'static) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(member, Arc::new(read));
    }

    /// The whole object as it is now.
    pub fn state(&self) -> Value {
        let readers = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut state: Map<String, Value> = MEMBERS.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
        state.insert("versions".to_owned(), json!({ "program": crate::VERSION, "commit": crate::COMMIT }));
        for (member, read) in readers {
            match (state.get_mut(member), read()) {
                // Parts may add versions (of the schema, of librdkafka) beside the program's own.
                (Some(Value::Object(known)), Value::Object(more)) => known.extend(more),
                (_, value) => drop(state.insert(member.to_owned(), value)),
            }
        }
        Value::Object(state)
    }
}

impl std::fmt::Debug for StateBoard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StateBoard")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_there_before_their_parts() {
        let board = StateBoard::default();
        assert_eq!(board.state()["backlog"], Value::Null);
        board.show("backlog", || json!({ "waiting": 2 }));
        board.show("versions", || json!({ "schema": 3 }));
        let state = board.state();
        assert_eq!(state["backlog"], json!({ "waiting": 2 }));
        assert_eq!(state["versions"]["schema"], 3);
        assert_eq!(state["versions"]["program"], crate::VERSION);
        assert!(MEMBERS.iter().all(|member| state.get(member).is_some()));
    }
}
