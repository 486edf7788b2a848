//! What operators have stopped, as this replica last learned it.

use crate::dispatch::lock;
use crate::ledger::pause::{Pausable, Pause};
use crate::ledger::{Ledger, LedgerError};
use std::sync::{Arc, Mutex};

/// What stands still because operators wanted it. Clones share it. What was learned stays while Postgres is away.
#[derive(Debug, Clone, Default)]
pub struct Pauses(Arc<Mutex<Vec<Pause>>>);

impl Pauses {
    /// Asks the ledger again, and says what is new. To be called before the first record is read.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn learn(&self, ledger: &Ledger) -> Result<(), LedgerError> {
        let now = ledger.pauses().await?;
        let before = std::mem::replace(&mut *lock(&self.0), now.clone());
        for Pause { what, name, since, who, reason } in now.iter().filter(|pause| !before.contains(pause)) {
            tracing::warn!(what = what.name(), name, %since, who, reason, "paused by an operator");
        }
        let is_gone = |pause: &&Pause| !now.iter().any(|other| (other.what, &other.name) == (pause.what, &pause.name));
        for Pause { what, name, .. } in before.iter().filter(is_gone) {
            tracing::warn!(what = what.name(), name, "resumed by an operator");
        }
        Ok(())
    }

    /// Whether nothing is to be read of a topic.
    pub fn is_topic_paused(&self, topic: &str) -> bool {
        lock(&self.0).iter().any(|pause| pause.what == Pausable::Topic && pause.name == topic)
    }

    /// All of it, for `/state`.
    pub fn now(&self) -> Vec<Pause> {
        lock(&self.0).clone()
    }
}
