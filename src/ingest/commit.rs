//! Commits, one at a time, each with its answer awaited: so none can overtake another, and one that fails is asked for again.
//!
//! They have a thread of their own, since the answer may take long while polling goes on; between them it asks for the lag. (The
//! binding's asynchronous commit would never give its answer: rust-rdkafka issue 856.)

use super::group::Group;
use super::lag::Lag;
use super::offsets::Slot;
use super::status::Status;
use fail::fail_point;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a partition that is taken away waits for a commit that is under way.
const PATIENCE: Duration = Duration::from_millis(500);
const NAP: Duration = Duration::from_millis(2);
/// How often the lag is measured.
const LAG_EVERY: Duration = Duration::from_secs(5);

type Due = Vec<(Slot, i64)>;

/// The thread that commits. It ends with this.
pub(super) struct Committer {
    due: SyncSender<Due>,
    thread: JoinHandle<()>,
}

impl Committer {
    pub(super) fn start(consumer: &Arc<BaseConsumer<Group>>, topics: Arc<[String]>, status: Status) -> std::io::Result<Self> {
        let (due, asked) = sync_channel::<Due>(1);
        let consumer = Arc::clone(consumer);
        let work = move || {
            let mut next_lag = Instant::now() + LAG_EVERY;
            let mut lag = Lag::default();
            loop {
                match asked.recv_timeout(next_lag.saturating_duration_since(Instant::now())) {
                    Ok(due) => {
                        commit(&consumer, due);
                        consumer.context().lock().is_committing = false;
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                if Instant::now() >= next_lag {
                    lag.show(&consumer, &topics, &status);
                    next_lag = Instant::now() + LAG_EVERY;
                }
            }
        };
        Ok(Committer { due, thread: std::thread::Builder::new().name("commit".to_owned()).spawn(work)? })
    }

    /// Commits what is durable, unless a commit is under way. It does not wait.
    pub(super) fn commit_due(&self, group: &Group) {
        let mut shared = group.lock();
        if shared.is_committing {
            return;
        }
        let due = shared.offsets.ask();
        shared.is_committing = !due.is_empty() && self.due.try_send(due).is_ok();
    }

    /// Ends the thread, unless it waits for an answer that does not come.
    pub(super) fn end(self, group: &Group) {
        let Committer { due, thread } = self;
        drop(due);
        if group.lock().is_committing {
            tracing::warn!("Kafka does not answer the last commit; what it covers will be read again, and be duplicates");
        } else if thread.join().is_err() {
            tracing::error!("the thread that commits has died");
        }
    }
}

/// Commits what is durable of partitions that are about to go, so that their next owner does not read it again. Called by the thread
/// that polls, in the midst of a rebalance.
pub(super) fn commit_before_revoke(consumer: &BaseConsumer<Group>) {
    let group = consumer.context();
    if consumer.assignment_lost() || group.lock().is_closing {
        return;
    }
    let deadline = Instant::now() + PATIENCE;
    while group.lock().is_committing {
        if Instant::now() >= deadline {
            return;
        }
        std::thread::sleep(NAP);
    }
    fail_point!("revoke-commits");
    let due = group.lock().offsets.ask();
    commit(consumer, due);
    fail_point!("revoke-committed");
}

fn commit(consumer: &BaseConsumer<Group>, due: Due) {
    if due.is_empty() {
        return;
    }
    let group = consumer.context();
    let list = group.list(due.iter().map(|(slot, next)| (*slot, Some(*next))));
    fail_point!("offset-commits");
    let result = consumer.commit(&list, CommitMode::Sync);
    fail_point!("offset-committed");
    group.settle_commit(&due, result);
    fail_point!("offset-confirmed");
}
