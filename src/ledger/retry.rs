//! A dead letter that is put back on its topic with the id of its outcome is a retry of the stored event.

use super::codec::state;
use super::inbox::{Original, Place};
use super::load::Record;
use super::naming::{OrderKey, types_of};
use super::seen::{Fresh, Repeated};
use super::{LedgerError, Targets};
use crate::event::{Data, Event, Identity};
use crate::outcome;
use fail::fail_point;
use sqlx::PgConnection;
use std::collections::BTreeSet;
use uuid::Uuid;

/// The header that makes a dead letter, put back on its topic, a retry.
const OUTCOME_ID: &str = "x-bwp-sync-outcome-id";

/// A dead event that an operator retries, and that has to find its lane anew.
pub(super) struct Anew {
    pub event: Event,
    pub record: Record,
    pub hash: Uuid,
    pub kind: i16,
    /// The count of its next outcome.
    pub number: i32,
}

impl Anew {
    pub fn fresh<'a>(&'a self, targets: &'a Targets) -> Fresh<'a> {
        let Anew { event, record, hash, number, .. } = self;
        let order = OrderKey::of(event, types_of(targets, &event.envelope.target));
        Fresh { place: &record.row.place, event, original: &record.original, hash: *hash, order, number: *number, retaken: None }
    }
}

/// Events that have no turn in a lane are taken in anew when their letter is put back: rows of the alias table, and events whose target
/// is still unknown, which die again.
pub(super) async fn retake<'a>(
    db: &mut PgConnection,
    fresh: &mut Vec<Fresh<'a>>,
    old: &mut Vec<Fresh<'a>>,
    targets: &Targets,
) -> Result<(), LedgerError> {
    let mut at = 0;
    while let Some(event) = old.get(at) {
        let envelope = &event.event.envelope;
        let has_turn = !matches!(event.event.data, Data::Alias(_)) && targets.contains_key(&envelope.target);
        let Some(number) = retried_number(&envelope.identity, event.original).filter(|_| !has_turn) else {
            at += 1;
            continue;
        };
        let gone: Option<i16> =
            // That they are dead stands in the text: a plan for all states could not use the index of the dead.
            sqlx::query_scalar("DELETE FROM work WHERE hash = $1 AND state = 3 AND outcomes = $2 RETURNING kind")
                .bind(event.hash)
                .bind(number)
                .fetch_optional(&mut *db)
                .await?;
        if gone.is_none() {
            at += 1;
            continue;
        }
        fail_point!("retry-retaken");
        let mut event = old.remove(at);
        (event.number, event.retaken) = (number + 1, gone);
        fresh.push(event);
    }
    Ok(())
}

/// The number of the outcome that a dead letter brings back in its header.
fn retried_number(identity: &Identity, original: &Original) -> Option<i32> {
    let header = original.headers.iter().rev().find(|(name, _)| name == OUTCOME_ID).and_then(|(_, value)| value.as_deref());
    let id = std::str::from_utf8(header?).ok()?;
    id.rsplit_once('#')?.1.parse::<i32>().ok().filter(|number| outcome::outcome_id(identity, *number) == id)
}

/// Retries dead events whose letter came back with the id of their present outcome. Gives the places of those letters.
pub(super) async fn revive(db: &mut PgConnection, repeated: &[Repeated<'_>]) -> Result<BTreeSet<Place>, LedgerError> {
    let mut revived = BTreeSet::new();
    for (place, event, hash, original) in repeated {
        let Some(number) = retried_number(&event.envelope.identity, original) else { continue };
        let lane: Option<(i64, i16)> = sqlx::query_as(
            "UPDATE work SET state = $1, progress = NULL, died = NULL, waiting_since = NULL, waits_for = NULL
             WHERE hash = $2 AND state = 3 AND outcomes = $3 RETURNING lane, kind",
        )
        .bind(state::QUEUED)
        .bind(hash)
        .bind(number)
        .fetch_optional(&mut *db)
        .await?;
        let Some((lane, kind)) = lane else { continue };
        fail_point!("retry-revived");
        super::finals::reopen(db, lane, kind).await?;
        fail_point!("retry-reopened");
        revived.insert((*place).clone());
    }
    Ok(revived)
}
