//! Which events are new: their identities are remembered.

use super::codec::identity_hash;
use super::inbox::{Content, Incoming, Original, Place};
use super::naming::{OrderKey, types_of};
use super::retry::retake;
use super::{LedgerError, Targets};
use crate::event::{Data, Event};
use chrono::{DateTime, Utc};
use fail::fail_point;
use sqlx::PgConnection;
use std::collections::BTreeSet;
use uuid::Uuid;

/// An event that was not there before.
pub(super) struct Fresh<'a> {
    pub place: &'a Place,
    pub event: &'a Event,
    pub original: &'a Original,
    pub hash: Uuid,
    pub order: OrderKey<'a>,
    /// The count of the outcome that it would have at once.
    pub number: i32,
    /// The kind of the dead event that it takes the place of.
    pub retaken: Option<i16>,
}

impl Fresh<'_> {
    /// Whether it waits for its lane's turn: a row of the alias table does not, nor does what is for nobody.
    pub fn has_turn(&self, targets: &Targets) -> bool {
        targets.contains_key(&self.event.envelope.target) && !matches!(self.event.data, Data::Alias(_))
    }
}

/// An event that was there before.
pub(super) type Repeated<'a> = (&'a Place, &'a Event, Uuid, &'a Original);

/// A batch, parted into new events and those that were there before, within it or ever.
pub(super) struct Sorted<'a> {
    pub fresh: Vec<Fresh<'a>>,
    pub repeated: Vec<Repeated<'a>>,
    pub now: DateTime<Utc>,
}

/// Parts a batch, and remembers what is new of it.
pub(super) async fn sort_out<'a>(
    db: &mut PgConnection,
    batch: &'a [Incoming],
    targets: &'a Targets,
) -> Result<Sorted<'a>, LedgerError> {
    let mut candidates: Vec<Fresh> = Vec::new();
    let mut hashes: BTreeSet<Uuid> = BTreeSet::new();
    let mut repeated = Vec::new();
    for incoming in batch {
        let Content::Event { event, original } = &incoming.content else { continue };
        let hash = identity_hash(&event.envelope.identity);
        if !hashes.insert(hash) {
            repeated.push((&incoming.place, &**event, hash, original));
            continue;
        }
        let order = OrderKey::of(event, types_of(targets, &event.envelope.target));
        candidates.push(Fresh { place: &incoming.place, event, original, hash, order, number: 1, retaken: None });
    }
    let (new, now) = remember(db, hashes).await?;
    fail_point!("intake-seen");
    let (mut fresh, mut old): (Vec<Fresh>, Vec<Fresh>) = candidates.into_iter().partition(|event| new.contains(&event.hash));
    retake(db, &mut fresh, &mut old, targets).await?;
    repeated.extend(old.into_iter().map(|old| (old.place, old.event, old.hash, old.original)));
    Ok(Sorted { fresh, repeated, now })
}

/// Remembers identities. Gives those that were not known, and the time. A dead event may outlive the memory of its identity: it is
/// still the same event.
async fn remember(db: &mut PgConnection, hashes: BTreeSet<Uuid>) -> Result<(BTreeSet<Uuid>, DateTime<Utc>), LedgerError> {
    let rows: Vec<(DateTime<Utc>, Option<Uuid>)> = sqlx::query_as(
        "WITH new AS (
             INSERT INTO seen (hash) SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING RETURNING hash
         )
         SELECT now(), new.hash FROM (SELECT) AS always
         LEFT JOIN (new LEFT JOIN LATERAL (SELECT true AS is_dead FROM work w WHERE w.state = 3 AND w.hash = new.hash LIMIT 1) w
             ON true) ON w.is_dead IS NULL",
    )
    .bind(hashes.into_iter().collect::<Vec<_>>())
    .fetch_all(db)
    .await?;
    let now = rows.first().map_or(DateTime::UNIX_EPOCH, |(now, _)| *now);
    Ok((rows.into_iter().filter_map(|(_, hash)| hash).collect(), now))
}
