//! Which events are new: their identities are remembered.

use super::codec::identity_hash;
use super::inbox::{Content, Incoming, Original, Place};
use super::naming::{Lanes, OrderKey, columns, types_of};
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
    /// Where the names lead by which its events name their orders, as far as they lead anywhere; nothing where that may have changed.
    pub lanes: Option<Lanes<'a>>,
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
    let Remembered { new, lanes, now } = remember(db, hashes, candidates.iter().map(|event| event.order).collect()).await?;
    fail_point!("intake-seen");
    let (mut fresh, mut old): (Vec<Fresh>, Vec<Fresh>) = candidates.into_iter().partition(|event| new.contains(&event.hash));
    retake(db, &mut fresh, &mut old, targets).await?;
    repeated.extend(old.into_iter().map(|old| (old.place, old.event, old.hash, old.original)));
    Ok(Sorted { fresh, repeated, lanes, now })
}

/// What was not known before, and what else a batch has to know.
struct Remembered<'a> {
    new: BTreeSet<Uuid>,
    lanes: Option<Lanes<'a>>,
    now: DateTime<Utc>,
}

/// The time; an identity that is new; the number of a name, and the lane that it leads to.
type RememberedRow = (DateTime<Utc>, Option<Uuid>, Option<i64>, Option<i64>);

/// Remembers identities, and looks up where names of orders lead, unless somebody else has remembered one of them: whoever waited for
/// that has seen the names as they were before. A dead event may outlive the memory of its identity: it is still the
/// same event.
async fn remember<'a>(
    db: &mut PgConnection,
    hashes: BTreeSet<Uuid>,
    orders: BTreeSet<OrderKey<'a>>,
) -> Result<Remembered<'a>, LedgerError> {
    let orders: Vec<OrderKey> = orders.into_iter().collect();
    let (targets, types, ids) = columns(orders.iter().copied());
    let rows: Vec<RememberedRow> = sqlx::query_as(
        "WITH new AS (
             INSERT INTO seen (hash) SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING RETURNING hash
         )
         SELECT now(), new.hash, NULL::bigint, NULL::bigint FROM (SELECT) AS always
         LEFT JOIN (new LEFT JOIN LATERAL (SELECT true AS is_dead FROM work w WHERE w.state = 3 AND w.hash = new.hash LIMIT 1) w
             ON true) ON w.is_dead IS NULL
         UNION ALL
         SELECT now(), NULL, k.at, n.lane
         FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS k (target, alias_type, id, at)
         CROSS JOIN LATERAL (SELECT lane FROM order_name n
             WHERE (n.target, n.alias_type, n.id) = (k.target, k.alias_type, k.id) LIMIT 1) n",
    )
    .bind(hashes.iter().copied().collect::<Vec<_>>())
    .bind(targets)
    .bind(types)
    .bind(ids)
    .fetch_all(db)
    .await?;
    let now = rows.first().map_or(DateTime::UNIX_EPOCH, |(now, ..)| *now);
    let key = |at: i64| usize::try_from(at - 1).ok().and_then(|at| orders.get(at)).copied();
    let lanes = rows.iter().filter_map(|(_, _, at, lane)| Some((key((*at)?)?, (*lane)?))).collect();
    let new: BTreeSet<Uuid> = rows.into_iter().filter_map(|(_, hash, ..)| hash).collect();
    Ok(Remembered { lanes: (new.len() == hashes.len()).then_some(lanes), new, now })
}
