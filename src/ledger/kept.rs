//! Connections that the busiest steps keep: a pool asks the server whether a connection still lives when it gives one and when it takes
//! it back, which costs as much as two statements. Kept ones have their plans at hand, too.

use sqlx::pool::PoolConnection;
use sqlx::{Executor, PgConnection, PgPool, Postgres};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For how long a connection is kept. When it is wanted after that, its plans are forgotten, which tables may have outgrown, and the pool
/// sees whether it has become too old.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// A connection that does not answer for so long has died.
const SOON: Duration = Duration::from_secs(1);

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
    /// Its label in metrics, where it is measured how long it waits.
    pub(super) fn label(self) -> Option<&'static str> {
        match self {
            Step::Intake => Some("intake"),
            Step::Claim => Some("claim"),
            Step::Settle => Some("settle"),
            Step::Publish => None,
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
    places: Arc<Places>,
}

#[derive(Debug, Default)]
struct Places([Mutex<Option<Kept>>; STEPS]);

impl Drop for Places {
    /// Closes them as they are: the pool would need a runtime to take them back, and whoever ends last may have none.
    fn drop(&mut self) {
        self.0.iter().filter_map(|place| lock(place).take()).for_each(|kept| drop(kept.connection.detach()));
    }
}

/// A connection in use. Dropped, it goes back to the pool, which ends what was going on in it.
pub(super) struct InUse<'a> {
    kept: Kept,
    pool: &'a PgPool,
    place: Option<&'a Mutex<Option<Kept>>>,
}

impl Shelf {
    pub(super) fn new(pool: PgPool) -> Shelf {
        Shelf { pool, places: Arc::default() }
    }

    pub(super) async fn connection(&self, step: Step) -> Result<InUse<'_>, sqlx::Error> {
        let has_room = self.pool.options().get_max_connections() >= LEAST_POOL;
        let place = self.places.0.get(step as usize).filter(|_| has_room);
        let kept = match place.and_then(|place| lock(place).take()) {
            Some(kept) if kept.since.elapsed() < KEPT_FOR => kept,
            kept => {
                if let Some(kept) = kept {
                    forget_plans(kept.connection).await;
                }
                Kept { connection: self.pool.acquire().await?, since: Instant::now() }
            }
        };
        Ok(InUse { kept, pool: &self.pool, place })
    }

    /// How many connections lie here: the pool takes them for busy.
    pub(super) fn len(&self) -> usize {
        self.places.0.iter().filter(|place| lock(place).is_some()).count()
    }

    /// Gives all to the pool, for good where it is closed.
    pub(super) fn clear(&self) {
        self.places.0.iter().for_each(|place| drop(lock(place).take()));
    }
}

/// Gives a connection back to the pool without its plans. One that has died while nobody used it is gone unseen.
async fn forget_plans(mut connection: PoolConnection<Postgres>) {
    let forgotten = tokio::time::timeout(SOON, connection.execute("DISCARD PLANS")).await;
    if !matches!(forgotten, Ok(Ok(_))) {
        connection.close_on_drop();
    }
}

fn lock(place: &Mutex<Option<Kept>>) -> MutexGuard<'_, Option<Kept>> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

impl InUse<'_> {
    /// Keeps the connection for the next such step: its transaction has ended well.
    pub(super) fn keep(self) {
        let Some(mut place) = self.place.map(lock) else { return };
        // Asked while the place is locked: whoever closes the pool clears the shelf after it.
        if !self.pool.is_closed() {
            *place = Some(self.kept);
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
