//! The accounting identity, as metrics and for `/state`.

use super::audit::report;
use super::{LastTotals, sleep};
use crate::audit::{Facts, Invariant, Violation};
use crate::dispatch::lock;
use crate::event::AliasKind;
use crate::ledger::aliases::Waiting;
use crate::ledger::totals::Account;
use crate::ledger::{Ledger, Targets, Totals};
use crate::ops::lifecycle::Health;
use crate::ops::metrics;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How often the totals are read.
const WATCH: Duration = Duration::from_secs(1);

/// Shows the totals of the whole ledger until told to stop.
pub async fn watch(ledger: Ledger, targets: Arc<Targets>, last: LastTotals, health: Health, stop: CancellationToken) {
    let pulse = health.register_with("watch", Duration::from_secs(60));
    let mut pause = WATCH;
    let mut known = BTreeSet::new();
    while sleep(pause, &stop).await {
        pulse.tick();
        let began = Instant::now();
        let account = ledger.account().await;
        if let Ok(Account { is_unsorted: true, .. }) = &account
            && let Err(error) = ledger.sort_totals().await
        {
            tracing::warn!(%error, "totals of the version before cannot be sorted by kind");
        }
        match ledger.waiting().await {
            Ok(waiting) => show_waiting(&waiting),
            Err(error) => tracing::warn!(%error, "what is waited for cannot be read"),
        }
        for target in targets.keys() {
            match ledger.waking(target).await {
                Ok(waking) => metrics::WAKING_ORDERS.set(&[target], waking as f64),
                Err(error) => tracing::debug!(%error, "those that wait for their turn cannot be counted"),
            }
        }
        // A large backlog takes long to count: it is counted more rarely, for at most a fiftieth of the time.
        pause = WATCH.max(began.elapsed() * 50).min(Duration::from_secs(30));
        match ledger.oldest().await {
            Ok(oldest) => {
                let ages = [
                    ("waiting", oldest.waiting),
                    ("queued", oldest.queued),
                    ("retrying", oldest.retrying),
                    ("unpublished", oldest.unpublished),
                ];
                ages.into_iter().for_each(|(state, age)| metrics::BACKLOG_OLDEST.set(&[state], age));
            }
            Err(error) => tracing::debug!(%error, "the age of the backlog cannot be read"),
        }
        match account {
            Ok(account) => {
                show(&account.totals);
                if !account.is_unsorted {
                    known = show_kinds(&account, &known);
                }
                *lock(&last) = Some(account.totals);
            }
            Err(error) => {
                tracing::warn!(%error, "the totals cannot be read");
                // It was not the counting that took long: look again soon.
                pause = WATCH;
            }
        }
    }
    pulse.done();
}

fn show(totals: &Totals) {
    let backlog = totals.backlog;
    for (state, count) in [
        ("waiting", backlog.waiting),
        ("queued", backlog.queued),
        ("retrying", backlog.retrying),
        ("in_flight", backlog.in_flight),
    ] {
        metrics::BACKLOG.set(&[state], count as f64);
    }
    metrics::IMBALANCE.set(&[], totals.imbalance() as f64);
    if totals.imbalance() != 0 {
        tracing::error!(imbalance = totals.imbalance(), ?totals, "the accounting identity does not hold");
    }
}

fn show_waiting(waiting: &Waiting) {
    for kind in AliasKind::WORDS {
        metrics::WAITING.set(&[kind], waiting.kinds.get(*kind).copied().unwrap_or_default() as f64);
    }
    metrics::WAITING_OLDEST.set(&[], waiting.oldest.as_secs_f64());
    metrics::ALIAS_CHANGES.reach(&[], waiting.changes);
}

/// Shows what does not add up in each kind, and says what is new of it.
fn show_kinds(account: &Account, known: &BTreeSet<Violation>) -> BTreeSet<Violation> {
    for balance in &account.balances {
        metrics::IMBALANCE_BY_KIND.set(&[&balance.kind], balance.imbalance() as f64);
    }
    let facts = Facts { balances: account.balances.clone(), ..Facts::default() };
    let now: BTreeSet<Violation> = Invariant::Balance.violations(&facts).into_iter().collect();
    now.difference(known).for_each(report);
    metrics::INVARIANT_VIOLATIONS.set(&[Invariant::Balance.name()], now.len() as f64);
    now
}
