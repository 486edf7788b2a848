//! Which events are new: their identities are remembered.

use super::codec::identity_hash;
use super::heads::{Found, Locked, lock_heads};
use super::inbox::{Content, Incoming, Original, Place};
use super::naming::{Lanes, OrderKey, columns, types_of};
use super::retry::retake;
use super::{LedgerError, Targets};
use crate::event::{Data, Event};
use chrono::{DateTime, Utc};
use fail::fail_point;
use sqlx::{PgConnection, Row};
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
    /// Where the names lead by which its events name their orders; nothing where that may have changed.
    pub found: Option<Found<'a>>,
    pub now: DateTime<Utc>,
}

/// Parts a batch, and remembers what is new of it. Where all of its orders have lanes, these are locked at once.
pub(super) async fn sort_out<'a>(
    db: &mut PgConnection,
    batch: &'a [Incoming],
    targets: &'a Targets,
    with_memos: bool,
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
    let orders = candidates.iter().map(|event| event.order).collect();
    // Rows of the alias table may lead events elsewhere: locks are taken when that is known.
    let locking = Locking { is_wanted: candidates.iter().all(|event| !matches!(event.event.data, Data::Alias(_))), with_memos };
    let Remembered { new, found, now } = remember(db, hashes, orders, locking).await?;
    fail_point!("intake-seen");
    let (mut fresh, mut old): (Vec<Fresh>, Vec<Fresh>) = candidates.into_iter().partition(|event| new.contains(&event.hash));
    retake(db, &mut fresh, &mut old, targets).await?;
    repeated.extend(old.into_iter().map(|old| (old.place, old.event, old.hash, old.original)));
    Ok(Sorted { fresh, repeated, found, now })
}

/// What was not known before, and what else a batch has to know.
struct Remembered<'a> {
    new: BTreeSet<Uuid>,
    found: Option<Found<'a>>,
    now: DateTime<Utc>,
}

/// Whether lanes are locked, and what is read of them.
struct Locking {
    is_wanted: bool,
    with_memos: bool,
}

/// Rows of three kinds: identities that are new, and the time; lanes that names lead to; and, where all names lead somewhere, these lanes'
/// heads, locked after the identities.
const REMEMBER: &str = concat!(
    "WITH new AS (
         INSERT INTO seen (hash) SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING RETURNING hash
     ), named AS MATERIALIZED (
         SELECT k.at, n.lane
         FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS k (target, alias_type, id, at)
         CROSS JOIN LATERAL (SELECT lane FROM order_name n
             WHERE (n.target, n.alias_type, n.id) = (k.target, k.alias_type, k.id) LIMIT 1) n
     ), heads AS MATERIALIZED (",
    lock_heads!("ARRAY(SELECT lane FROM named)", "$5", "$6 AND (SELECT count(*) FROM named) = cardinality($2)"),
    ")
     SELECT NULL::bigint AS id, NULL::bigint, NULL::text, NULL::text, NULL::text, NULL::int, NULL::bool, now(), NULL::bool,
         new.hash, NULL::bigint
     FROM (SELECT) AS always
     LEFT JOIN (new LEFT JOIN LATERAL (SELECT true AS is_dead FROM work w WHERE w.state = 3 AND w.hash = new.hash LIMIT 1) w
         ON true) ON w.is_dead IS NULL
     UNION ALL
     SELECT lane, NULL, NULL, NULL, NULL, NULL, NULL, now(), NULL, NULL, at FROM named
     UNION ALL
     SELECT heads.*, NULL, NULL FROM heads"
);

/// Remembers identities, and looks up where names of orders lead, unless somebody else has remembered one of them: whoever waited for
/// that has seen the names as they were before. A dead event may outlive the memory of its identity: it is still the
/// same event.
async fn remember<'a>(
    db: &mut PgConnection,
    hashes: BTreeSet<Uuid>,
    orders: BTreeSet<OrderKey<'a>>,
    locking: Locking,
) -> Result<Remembered<'a>, LedgerError> {
    let orders: Vec<OrderKey> = orders.into_iter().collect();
    let (targets, types, ids) = columns(orders.iter().copied());
    let rows = sqlx::query(REMEMBER)
        .bind(hashes.iter().copied().collect::<Vec<_>>())
        .bind(targets)
        .bind(types)
        .bind(ids)
        .bind(locking.with_memos)
        .bind(locking.is_wanted)
        .fetch_all(db)
        .await?;
    let (mut now, mut new, mut lanes, mut heads) = (DateTime::UNIX_EPOCH, BTreeSet::new(), Lanes::new(), Vec::new());
    for row in rows {
        let (lane, hash, at): (Option<i64>, Option<Uuid>, Option<i64>) = (row.try_get(0)?, row.try_get(9)?, row.try_get(10)?);
        now = row.try_get(7)?;
        new.extend(hash);
        let key = at.and_then(|at| usize::try_from(at - 1).ok()).and_then(|at| orders.get(at));
        match (key, lane) {
            (Some(key), Some(lane)) => _ = lanes.insert(*key, lane),
            (None, Some(_)) => heads.push(row),
            (_, None) => {}
        }
    }
    let locked = (locking.is_wanted && lanes.len() == orders.len()).then(|| Locked::of(heads));
    Ok(Remembered { found: (new.len() == hashes.len()).then_some(Found { lanes, locked }), new, now })
}
