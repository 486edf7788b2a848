//! Lanes whose events have just arrived are taken up by the transaction that takes the events in, where this replica has room for
//! them at once: no claim asks for them, and no row says in between that they are due.

use super::LedgerError;
use super::claim::{Decide, Heads, Taking, Turns, heads_of};
use super::heads::Locked;
use super::load::{Head, Loaded};
use sqlx::PgConnection;
use std::collections::BTreeSet;
use std::time::Duration;

/// Calls have what is left of their time: where locks have taken longer than this, a claim gives them all of it.
const PROMPT: Duration = Duration::from_millis(250);

/// The lanes of one target that intake may take up.
pub struct HandOver<'a> {
    /// The target.
    pub target: String,
    /// For how many lanes there is room.
    pub room: usize,
    /// Takes a lane's turn.
    pub decide: Box<Decide<'a>>,
}

/// The lanes of a hand-over that can be taken up.
pub(super) struct Chosen<'a, 'b> {
    hand_over: &'a mut HandOver<'b>,
    heads: Heads,
}

impl<'b> HandOver<'b> {
    /// Chooses among some lanes those that can be taken up, as many as there is room for.
    pub(super) fn choose<'a>(
        &'a mut self,
        locked: &mut Locked,
        lanes: &BTreeSet<i64>,
        taking: &Taking<'_>,
    ) -> Result<Option<Chosen<'a, 'b>>, LedgerError> {
        if taking.began.elapsed() > PROMPT {
            return Ok(None);
        }
        let heads = heads_of(&locked.take(&self.target, lanes, self.room)?)?;
        Ok(heads.map(|heads| Chosen { hand_over: self, heads }))
    }
}

impl Chosen<'_, '_> {
    /// The heads of lanes that are to be loaded.
    pub(super) fn due(&self) -> &[Head] {
        &self.heads.due
    }

    /// The lanes that nobody has to be woken for any more.
    pub(super) fn lanes(&self) -> impl Iterator<Item = i64> {
        self.heads.due.iter().map(|head| head.id).chain(self.heads.parked.iter().map(|parked| parked.id))
    }

    /// Takes the lanes' turns. Gives what is to be written of it.
    pub(super) async fn take_up(
        self,
        db: &mut PgConnection,
        loaded: Vec<Loaded>,
        taking: &Taking<'_>,
    ) -> Result<Turns, LedgerError> {
        taking.turns(db, self.heads, loaded, &mut *self.hand_over.decide).await
    }
}
