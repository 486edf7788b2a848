//! Lanes whose events have just arrived are taken up by the transaction that takes the events in, where this replica has room for
//! them at once: no claim asks for them, and no row says in between that they are due.

use super::LedgerError;
use super::claim::{Decide, Heads, Taking, Turns, heads_of};
use super::load::{Head, Loaded};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
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

/// The heads of lanes that are locked with it, and whether each can be taken up: nobody holds it, neither it nor its target rests, and it
/// was not written by a transaction that is younger than this one. The outcomes of that would be published after ours, which come later.
const LOCK: &str = "SELECT id, lease_no, target, bwp_id, memo::text, touches, is_leased, now(),
        NOT is_leased AND (parked_until IS NULL OR parked_until <= now())
            AND age(l.xmin) >= age(pg_current_xact_id()::xid)
            AND NOT EXISTS (SELECT FROM target t WHERE t.name = l.target AND t.not_before > now())
    FROM lane l WHERE id = ANY($1) AND merged_into IS NULL ORDER BY id FOR UPDATE OF l";

/// Lanes that were locked, with their heads.
#[derive(Default)]
pub(super) struct Locked(Vec<PgRow>);

impl Locked {
    /// Locks lanes in the order of their ids. Those that were merged away meanwhile are missing.
    pub(super) async fn lock(db: &mut PgConnection, lanes: &BTreeSet<i64>) -> Result<Locked, LedgerError> {
        let ids: Vec<i64> = lanes.iter().copied().collect();
        Ok(Locked(sqlx::query(LOCK).bind(ids).fetch_all(db).await?))
    }

    pub(super) fn ids(&self) -> Result<BTreeSet<i64>, LedgerError> {
        self.0.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Those of some lanes that can be taken up for a target, out of these: at most so many.
    fn take(&mut self, target: &str, lanes: &BTreeSet<i64>, most: usize) -> Result<Vec<PgRow>, LedgerError> {
        let mut taken = Vec::new();
        for row in std::mem::take(&mut self.0) {
            let (of, is_free): (&str, bool) = (row.try_get(2)?, row.try_get(8)?);
            let is_wanted = is_free && of == target && taken.len() < most && lanes.contains(&row.try_get(0)?);
            if is_wanted { taken.push(row) } else { self.0.push(row) }
        }
        Ok(taken)
    }
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
