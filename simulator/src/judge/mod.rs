//! The judge: counts what must never happen, and where. It watches requests and answers of each order from outside and
//! changes nothing. An order is known to it by its BwP id, an unknown one by the name that was used.

pub(crate) mod checks;

use crate::state::{lock, now};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const SHARDS: usize = 64;
const FINDINGS_KEPT: usize = 1000;
/// Clocks of client and server are read at different moments.
const TOLERANCE: Duration = Duration::from_millis(3);

/// What must never happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Wrong {
    /// Two mutations of one order in flight at once.
    ConcurrentMutations,
    /// A request asks for a state that lies behind one that an earlier request brought about.
    StateWentBack,
    /// A request asks for a refund total below one that an earlier request brought about.
    TotalWentDown,
    /// A return exists twice: created again under an alias that it was created with, or with the same lines and no alias.
    ReturnCreatedTwice,
    /// A payment id was applied twice to a refund.
    PaymentAppliedTwice,
    /// A mutation of an order after an unclear answer, and no read of it between.
    BlindRepeat,
    /// A request before `Retry-After` was over.
    InsideRetryAfter,
    /// `updateOrderPackageInformation` in production.
    PackageMutationInProduction,
    /// More than one mutation in one HTTP request.
    SeveralMutationsInOneRequest,
}

/// One wrong thing.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What.
    pub kind: Wrong,
    /// Of which order.
    pub order: String,
    /// When.
    pub time: String,
    /// More.
    pub detail: String,
    /// Whom the `Retry-After` was told that was not kept to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
}

/// To whom an answer went.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// What it called itself in the header `x-client`.
    pub client: String,
    /// When.
    #[serde(skip)]
    pub at: Instant,
}

/// What the judge has seen.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Wrong things in all: must be 0.
    pub violations: u64,
    /// By kind.
    pub counts: BTreeMap<Wrong, u64>,
    /// The first thousand.
    pub findings: Vec<Finding>,
    /// By operation, `token` among them.
    pub requests: BTreeMap<String, u64>,
    /// Mutations accepted.
    pub accepted: u64,
    /// Mutations refused with a clear answer.
    pub refused: u64,
    /// Mutations whose answer was unclear or missing.
    pub unclear: u64,
    /// Most mutations in flight at once, of all orders together.
    pub max_in_flight: u64,
}

impl Report {
    /// How often a kind of wrong thing was found.
    pub fn count(&self, kind: Wrong) -> u64 {
        self.counts.get(&kind).copied().unwrap_or(0)
    }
}

/// How a mutation was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accepted,
    Refused,
    /// And in which way.
    Unclear(&'static str),
}

#[derive(Default)]
struct Watch {
    in_flight: u32,
    /// The last unclear answer: its place in the sequence, and its kind.
    unclear: Option<(u64, &'static str)>,
    not_before: Option<(Instant, Told)>,
}

/// See the module.
pub struct Judge {
    hasher: RandomState,
    shards: Vec<Mutex<HashMap<String, Watch>>>,
    sequence: AtomicU64,
    in_flight: AtomicU64,
    /// From when and until when nobody may call, and who was told.
    target: Mutex<Vec<(Instant, Instant, Told)>>,
    grace: Duration,
    report: Mutex<Report>,
}

impl Judge {
    pub(crate) fn new(grace: Duration) -> Self {
        Self {
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            sequence: AtomicU64::new(1),
            in_flight: AtomicU64::new(0),
            target: Mutex::default(),
            grace,
            report: Mutex::default(),
        }
    }

    /// What was seen so far.
    pub fn report(&self) -> Report {
        lock(&self.report).clone()
    }

    /// Forgets findings and statistics, but not what is in flight.
    pub fn forget(&self) {
        *lock(&self.report) = Report::default();
    }

    pub(crate) fn found(&self, kind: Wrong, order: &str, detail: impl Into<String>) {
        self.note(Finding { kind, order: order.to_owned(), time: now(), detail: detail.into(), told: None });
    }

    fn too_early(&self, order: &str, whose: &str, told: &Told) {
        let (kind, detail) = (Wrong::InsideRetryAfter, whose.to_owned());
        self.note(Finding { kind, order: order.to_owned(), time: now(), detail, told: Some(told.clone()) });
    }

    fn note(&self, finding: Finding) {
        let (kind, order) = (finding.kind, &finding.order);
        tracing::warn!(?kind, order, detail = %finding.detail, "must never happen");
        let mut report = lock(&self.report);
        report.violations += 1;
        *report.counts.entry(kind).or_default() += 1;
        if report.findings.len() < FINDINGS_KEPT {
            report.findings.push(finding);
        }
    }

    pub(crate) fn counted(&self, operation: &str) {
        let mut report = lock(&self.report);
        match report.requests.get_mut(operation) {
            Some(count) => *count += 1,
            None => {
                report.requests.insert(operation.to_owned(), 1);
            }
        }
    }

    /// A request of an order has arrived: may it, by what `Retry-After` said?
    fn arrived(&self, order: &str, watch: &mut Watch) {
        let here = Instant::now();
        if let Some((_, told)) = watch.not_before.as_ref().filter(|(until, _)| here + TOLERANCE < *until) {
            self.too_early(order, "of this order", told);
        }
        let mut windows = lock(&self.target);
        windows.retain(|(_, until, _)| here + TOLERANCE < *until);
        if let Some((.., told)) = windows.iter().find(|(from, ..)| *from < here) {
            self.too_early(order, "of the target", told);
        }
    }

    fn watch<T>(&self, order: &str, act: impl FnOnce(&mut Watch) -> T) -> T {
        let shard = self.hasher.hash_one(order) as usize % SHARDS;
        let mut shard = match self.shards.get(shard) {
            Some(shard) => lock(shard),
            None => return act(&mut Watch::default()),
        };
        match shard.get_mut(order) {
            Some(watch) => act(watch),
            None => act(shard.entry(order.to_owned()).or_default()),
        }
    }

    fn next(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::SeqCst)
    }

    /// A mutation was read from the wire.
    pub(crate) fn mutation(self: &Arc<Self>, order: &str) -> Flight {
        self.watch(order, |watch| {
            self.arrived(order, watch);
            watch.in_flight += 1;
            if watch.in_flight > 1 {
                let detail = format!("{} at once", watch.in_flight);
                self.found(Wrong::ConcurrentMutations, order, detail);
            }
            if let Some((_, what)) = watch.unclear.take() {
                let detail = format!("after {what}, without a read");
                self.found(Wrong::BlindRepeat, order, detail);
            }
        });
        let all = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        let mut report = lock(&self.report);
        report.max_in_flight = report.max_in_flight.max(all);
        Flight { judge: Arc::clone(self), order: order.to_owned(), ended: false }
    }

    /// A query was read from the wire.
    pub(crate) fn read(&self, order: &str) -> Reading {
        self.watch(order, |watch| self.arrived(order, watch));
        Reading { began: self.next() }
    }

    /// A query is about to be answered with the order as it is.
    pub(crate) fn read_ended(&self, order: &str, reading: &Reading) {
        self.watch(order, |watch| {
            watch.unclear.take_if(|(at, _)| *at < reading.began);
        });
    }

    /// An answer asked everybody to wait.
    pub(crate) fn hold(&self, order: &str, until: Instant, client: &str) {
        let told = Told { client: client.to_owned(), at: Instant::now() };
        self.watch(order, |watch| {
            if watch.not_before.as_ref().is_none_or(|(before, _)| *before < until) {
                watch.not_before = Some((until, told.clone()));
            }
        });
        let mut windows = lock(&self.target);
        windows.push((told.at + self.grace, until, told));
    }

    fn ended(&self, order: &str, verdict: Verdict) {
        let at = self.next();
        self.watch(order, |watch| {
            watch.in_flight = watch.in_flight.saturating_sub(1);
            if let Verdict::Unclear(what) = verdict {
                watch.unclear = Some((at, what));
            }
        });
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        let mut report = lock(&self.report);
        match verdict {
            Verdict::Accepted => report.accepted += 1,
            Verdict::Refused => report.refused += 1,
            Verdict::Unclear(_) => report.unclear += 1,
        }
    }
}

/// A query under way.
pub(crate) struct Reading {
    began: u64,
}

/// A mutation under way. Dropped before it ended, its answer never came: the client left, or the connection was reset.
pub(crate) struct Flight {
    judge: Arc<Judge>,
    order: String,
    ended: bool,
}

impl Flight {
    /// The answer is about to be written. (Ending here rather than after the last byte never accuses a client that has
    /// read its answer already.)
    pub fn end(mut self, verdict: Verdict) {
        self.ended = true;
        self.judge.ended(&self.order, verdict);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.ended {
            self.judge.ended(&self.order, Verdict::Unclear("a missing answer"));
        }
    }
}
