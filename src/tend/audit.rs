//! The live audit: a bounded part of the ledger after another is held against its invariants.

use super::{LastAudit, sleep};
use crate::audit::{Facts, Invariant, Violation, violations};
use crate::dispatch::lock;
use crate::ledger::audit::Front;
use crate::ledger::{Ledger, LedgerError};
use crate::ops::lifecycle::Health;
use crate::ops::metrics;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How often a part is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The most that one look adds to the time that a lane was seen waiting: who was stopped for long has seen nothing meanwhile.
const STEP: Duration = Duration::from_secs(5);

/// Lanes that are looked at again and again because something was wrong with them.
const SUSPECTS: usize = 1_000;

/// What the audit last saw, for `/state`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AuditView {
    /// What is wrong now; the first of it.
    pub violations: Vec<Violation>,
    /// Lanes that were looked at since the start, each as often as it was.
    pub lanes: u64,
    /// How often all of the ledger has been looked at.
    pub rounds: u64,
}

/// Walks through the ledger.
#[derive(Debug)]
pub struct Auditor {
    ledger: Ledger,
    targets: Vec<String>,
    grace: Duration,
    after: i64,
    suspects: BTreeSet<i64>,
    fronts: BTreeMap<String, (Front, Duration)>,
    looked: Option<Instant>,
}

/// What one look came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// What is wrong: new, or still.
    pub violations: Vec<Violation>,
    /// Lanes that were looked at.
    pub lanes: usize,
    /// Whether the walk has come to its end; the next look begins anew.
    pub is_round_done: bool,
}

impl Auditor {
    /// An auditor of the whole ledger. A lane of these targets may stay due for `grace` although it could be taken up.
    pub fn new(ledger: Ledger, targets: Vec<String>, grace: Duration) -> Auditor {
        Auditor { ledger, targets, grace, after: 0, suspects: BTreeSet::new(), fronts: BTreeMap::new(), looked: None }
    }

    /// Looks at the next part, and again at whatever was wrong.
    ///
    /// # Errors
    /// Where Postgres is away: what was seen of waiting lanes is forgotten.
    pub async fn look(&mut self) -> Result<Look, LedgerError> {
        let suspects: Vec<i64> = self.suspects.iter().copied().collect();
        let page = match self.ledger.audit_page(self.after, &self.targets, &suspects).await {
            Ok(page) => page,
            Err(error) => {
                (self.fronts, self.looked) = Default::default();
                return Err(error);
            }
        };
        self.wait_with(page.fronts);
        self.after = page.up_to.unwrap_or(0);
        let mut facts = Facts { lanes: page.lanes, events: page.events, grace: millis(self.grace), ..Facts::default() };
        for lane in &mut facts.lanes {
            let front = self.fronts.values().find(|(front, _)| front.lane == lane.id);
            lane.overdue = front.map_or(0, |(_, waited)| millis(*waited));
        }
        let violations = violations(&facts);
        self.suspects = violations.iter().flat_map(|violation| violation.lanes.iter().copied()).take(SUSPECTS).collect();
        Ok(Look { violations, lanes: facts.lanes.len(), is_round_done: page.up_to.is_none() })
    }

    /// Looks at the whole ledger once. Gives what is wrong at the end of it.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn round(&mut self) -> Result<Vec<Violation>, LedgerError> {
        self.after = 0;
        loop {
            let look = self.look().await?;
            if look.is_round_done {
                return Ok(look.violations);
            }
        }
    }

    /// Counts for how long the same lanes have been first in line.
    fn wait_with(&mut self, fronts: BTreeMap<String, Front>) {
        let step = self.looked.map_or(Duration::ZERO, |looked| looked.elapsed().min(STEP));
        self.looked = Some(Instant::now());
        let waited = |target: &String, front: &Front| match self.fronts.get(target) {
            Some((before, waited)) if before == front => *waited + step,
            _ => Duration::ZERO,
        };
        self.fronts = fronts.into_iter().map(|(target, front)| (target.clone(), (front, waited(&target, &front)))).collect();
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Audits the ledger until told to stop.
pub async fn audit(mut auditor: Auditor, last: LastAudit, health: Health, stop: CancellationToken) {
    let pulse = health.register_with("audit", Duration::from_secs(60));
    let mut known: BTreeSet<Violation> = BTreeSet::new();
    let mut pause = LOOK;
    while sleep(pause, &stop).await {
        pulse.tick();
        let began = Instant::now();
        let look = auditor.look().await;
        pause = LOOK;
        match look {
            Ok(look) => {
                // Like the totals: at most a fiftieth of the time.
                pause = LOOK.max(began.elapsed() * 50).min(Duration::from_secs(30));
                let now: BTreeSet<Violation> = look.violations.iter().cloned().collect();
                now.difference(&known).for_each(report);
                known = now;
                for invariant in Invariant::ALL.into_iter().filter(|invariant| *invariant != Invariant::Balance) {
                    let count = known.iter().filter(|violation| violation.invariant == invariant).count();
                    metrics::INVARIANT_VIOLATIONS.set(&[invariant.name()], count as f64);
                }
                let mut view = lock(&last);
                view.lanes += look.lanes as u64;
                view.rounds += u64::from(look.is_round_done);
                view.violations = look.violations.into_iter().take(SHOWN).collect();
            }
            Err(error) => tracing::warn!(%error, "the ledger cannot be audited now"),
        }
    }
    pulse.done();
}

/// Violations that `/state` shows.
const SHOWN: usize = 20;

/// Says what is wrong, in lanes and event numbers: no names of orders.
pub(super) fn report(violation: &Violation) {
    let Violation { invariant, lanes, events, says } = violation;
    tracing::error!(invariant = invariant.name(), ?lanes, ?events, "the ledger is not as it must be: {says}");
}
