//! Connections that the busiest steps keep: a pool asks the server whether a connection still lives when it gives one and when it takes
//! it back, which costs as much as two statements. Kept ones have their plans at hand, too.

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// For how long a connection is kept: then the pool sees whether it has become too old.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// A smaller pool has none to spare.
const LEAST_POOL: u32 = 2 * STEPS as u32;

const STEPS: usize = 4;

/// A step of the hot path: one of each at a time, as a rule.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Intake,
    Claim,
    Settle,
    Publish,
}

impl Step {
    /// Its label in metrics.
    pub(super) fn label(self) -> &'static str {
        match self {
            Step::Intake => "intake",
            Step::Claim => "claim",
            Step::Settle => "settle",
            Step::Publish => "publish",
        }
    }
}

#[derive(Debug)]
struct Kept {
    connection: PoolConnection<Postgres>,
    since: Instant,
}

/// Where connections lie between two steps.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    pool: PgPool,
    places: Arc<[Mutex<Option<Kept>>; STEPS]>,
}

/// A connection in use. Dropped, it goes back to the pool, which ends what was going on in it.
pub(super) struct InUse<'a> {
    kept: Kept,
    place: Option<&'a Mutex<Option<Kept>>>,
}

impl Shelf {
    pub(super) fn new(pool: PgPool) -> Shelf {
        Shelf { pool, places: Arc::default() }
    }

    pub(super) async fn connection(&self, step: Step) -> Result<InUse<'_>, sqlx::Error> {
        let has_room = self.pool.options().get_max_connections() >= LEAST_POOL;
        let place = self.places.get(step as usize).filter(|_| has_room);
        let kept = place.and_then(take).filter(|kept| kept.since.elapsed() < KEPT_FOR);
        let kept = match kept {
            Some(kept) => kept,
            None => Kept { connection: self.pool.acquire().await?, since: Instant::now() },
        };
        Ok(InUse { kept, place })
    }

    /// How many connections lie here: the pool takes them for busy.
    pub(super) fn len(&self) -> usize {
        self.places.iter().filter(|place| place.lock().unwrap_or_else(PoisonError::into_inner).is_some()).count()
    }

    /// Gives all to the pool.
    pub(super) fn clear(&self) {
        self.places.iter().for_each(|place| drop(take(place)));
    }
}

fn take(place: &Mutex<Option<Kept>>) -> Option<Kept> {
    place.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl InUse<'_> {
    /// Keeps the connection for the next such step: its transaction has ended well.
    pub(super) fn keep(self) {
        if let Some(place) = self.place {
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.kept);
        }
    }
}

impl Deref for InUse<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.kept.connection
    }
}

impl DerefMut for InUse<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.kept.connection
    }
}
