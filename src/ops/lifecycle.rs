//! Whether the process is alive and ready. It owns the pulses of the loops and the flags of readiness; nothing here asks
//! Kafka, Postgres or Buy with Prime, since a probe that fails with them would restart healthy processes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a loop may go without a tick unless it says otherwise.
pub const ALLOWANCE: Duration = Duration::from_secs(30);

/// What the loops report about themselves. Clones share it.
#[derive(Debug, Clone)]
pub struct Health(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    born: Instant,
    loops: Mutex<BTreeMap<&'static str, Arc<Beat>>>,
    schema_current: AtomicBool,
    ingest_ready: AtomicBool,
    stopping: AtomicBool,
}

#[derive(Debug)]
struct Beat {
    allowance: Duration,
    /// Milliseconds from the birth of [`Health`] to the last tick.
    last: AtomicU64,
    died: AtomicBool,
}

/// What is wrong with one loop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Ailment {
    /// It has not ticked for longer than it may.
    #[error("the loop `{name}` has not ticked for {} s", silence.as_secs())]
    Silent {
        /// Its name.
        name: &'static str,
        /// Since when.
        silence: Duration,
    },
    /// It ended although nobody stopped it.
    #[error("the loop `{name}` has ended")]
    Died {
        /// Its name.
        name: &'static str,
    },
}

/// Why no traffic is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// SIGTERM came.
    #[error("stopping")]
    Stopping,
    /// The database is not known to have the schema of this program.
    #[error("the schema of the database is not known to be current")]
    Schema,
    /// The consumer has neither joined its group nor begun to wait for its topics.
    #[error("the consumer group is not joined")]
    Group,
}

impl Default for Health {
    fn default() -> Self {
        Self(Arc::new(Inner {
            born: Instant::now(),
            loops: Mutex::default(),
            schema_current: AtomicBool::new(false),
            ingest_ready: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
        }))
    }
}

impl Health {
    /// Takes a loop under watch: it must tick at least every 30 s.
    pub fn register(&self, name: &'static str) -> Pulse {
        self.register_with(name, ALLOWANCE)
    }

    /// Takes a loop under watch that may be silent for another time.
    pub fn register_with(&self, name: &'static str, allowance: Duration) -> Pulse {
        let beat = Arc::new(Beat { allowance, last: AtomicU64::new(self.now()), died: AtomicBool::new(false) });
        self.loops().insert(name, Arc::clone(&beat));
        Pulse { name, beat, health: self.clone() }
    }

    /// Says that the schema is current. It stays said.
    pub fn schema_is_current(&self) {
        self.0.schema_current.store(true, Ordering::Release);
    }

    /// Says that the consumer joined its group or waits for its topics. It stays said.
    pub fn ingest_is_ready(&self) {
        self.0.ingest_ready.store(true, Ordering::Release);
    }

    /// Says that the process is ending: it is not ready any more, and loops may end.
    pub fn stop(&self) {
        self.0.stopping.store(true, Ordering::Release);
    }

    /// Whether the process is ending.
    pub fn is_stopping(&self) -> bool {
        self.0.stopping.load(Ordering::Acquire)
    }

    /// What is wrong with the loops; empty while all tick.
    pub fn ailments(&self) -> Vec<Ailment> {
        self.ailments_at(self.now())
    }

    /// Whether traffic is wanted.
    pub fn readiness(&self) -> Result<(), NotReady> {
        if self.is_stopping() {
            Err(NotReady::Stopping)
        } else if !self.0.schema_current.load(Ordering::Acquire) {
            Err(NotReady::Schema)
        } else if !self.0.ingest_ready.load(Ordering::Acquire) {
            Err(NotReady::Group)
        } else {
            Ok(())
        }
    }

    fn ailments_at(&self, now: u64) -> Vec<Ailment> {
        let judge = |(name, beat): (&&'static str, &Arc<Beat>)| {
            let silence = Duration::from_millis(now.saturating_sub(beat.last.load(Ordering::Acquire)));
            match () {
                () if beat.died.load(Ordering::Acquire) => Some(Ailment::Died { name }),
                () if silence > beat.allowance => Some(Ailment::Silent { name, silence }),
                () => None,
            }
        };
        self.loops().iter().filter_map(judge).collect()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn loops(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, Arc<Beat>>> {
        self.0.loops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sign of life of one loop. Dropped while the process is not stopping, it says that the loop died, be it by an error
/// or by a panic; [`Pulse::done`] is the way to end on purpose.
#[derive(Debug)]
pub struct Pulse {
    name: &'static str,
    beat: Arc<Beat>,
    health: Health,
}

impl Pulse {
    /// The loop goes round.
    pub fn tick(&self) {
        self.beat.last.store(self.health.now(), Ordering::Release);
    }

    /// The loop has ended as it should.
    pub fn done(self) {
        self.health.forget(self.name, &self.beat);
    }
}

impl Health {
    fn forget(&self, name: &'static str, beat: &Arc<Beat>) {
        let mut loops = self.loops();
        if loops.get(name).is_some_and(|current| Arc::ptr_eq(current, beat)) {
            loops.remove(name);
        }
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        if self.health.is_stopping() {
            self.health.forget(self.name, &self.beat);
        } else {
            self.beat.died.store(true, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_loop_is_named_until_it_ticks_again() {
        let health = Health::default();
        let ingest = health.register("ingest");
        let _tend = health.register_with("tend", Duration::from_secs(90));
        assert_eq!(health.ailments(), []);
        let later = health.now() + 31_000;
        let ailments = health.ailments_at(later);
        assert!(matches!(&ailments[..], [Ailment::Silent { name: "ingest", .. }]), "{ailments:?}");
        assert!(ailments[0].to_string().contains("the loop `ingest` has not ticked for 31 s"), "{}", ailments[0]);
        ingest.beat.last.store(later, Ordering::Release);
        assert_eq!(health.ailments_at(later), []);
        assert_eq!(health.ailments_at(later + 60_000).len(), 2);
    }

    #[test]
    fn a_loop_that_dies_is_named_and_one_that_ends_is_not() {
        let health = Health::default();
        health.register("publish").done();
        assert_eq!(health.ailments_at(health.now() + 1_000_000), []);
        drop(health.register("ingest"));
        assert_eq!(health.ailments(), [Ailment::Died { name: "ingest" }]);
        let _again = health.register("ingest");
        assert_eq!(health.ailments(), []);
        let dispatch = health.register("dispatch");
        health.stop();
        drop(dispatch);
        assert_eq!(health.ailments(), []);
    }

    #[test]
    fn ready_means_schema_and_group_until_the_end() {
        let health = Health::default();
        assert_eq!(health.readiness(), Err(NotReady::Schema));
        health.schema_is_current();
        assert_eq!(health.readiness(), Err(NotReady::Group));
        health.ingest_is_ready();
        assert_eq!(health.readiness(), Ok(()));
        health.stop();
        assert_eq!(health.readiness(), Err(NotReady::Stopping));
    }
}
