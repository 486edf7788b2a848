//! The accounting identity: what was read against what became of it.

use super::codec::{kind_of, state};
use super::connect::in_time;
use super::{Ledger, LedgerError};
use crate::audit::Balance;
use crate::event::Kind;
use serde::Serialize;
use std::collections::BTreeMap;

/// The kind of what could not be read.
pub const UNREADABLE: &str = "unreadable";

/// The kind of a record without a value.
pub const TOMBSTONE: &str = "tombstone";

/// The kind of what was counted before totals were kept by kind.
const EARLIER: &str = "earlier";

/// The label of a kind's column; what could not be read has none.
pub fn kind_label(code: Option<i16>) -> &'static str {
    code.and_then(kind_of).map_or(UNREADABLE, |kind| kind.label())
}

/// Every kind that totals are kept by.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    Kind::ALL.into_iter().map(Kind::label).chain([UNREADABLE, TOMBSTONE, EARLIER])
}

/// Unsettled events of the whole ledger, by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Backlog {
    /// For a name.
    pub waiting: i64,
    /// Due when their lane's turn comes.
    pub queued: i64,
    /// For their next try, or for a read that tells what became of the last one.
    pub retrying: i64,
    /// In a mutation that is on its way.
    pub in_flight: i64,
}

impl Backlog {
    /// All of them.
    pub fn total(&self) -> i64 {
        self.waiting + self.queued + self.retrying + self.in_flight
    }

    fn of(&mut self, code: Option<i16>) -> &mut i64 {
        match code {
            Some(state::WAITING) => &mut self.waiting,
            Some(state::RETRYING) => &mut self.retrying,
            _ => &mut self.queued,
        }
    }
}

/// The identity's sides, read in one snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Records read.
    pub read: i64,
    /// Records without a value.
    pub tombstones: i64,
    /// Records that were there before.
    pub duplicates: i64,
    /// Present outcomes.
    pub finals: i64,
    /// The rest.
    pub backlog: Backlog,
    /// Lanes with something due, now or later.
    pub lanes: i64,
}

impl Totals {
    /// What does not add up. Zero, always.
    pub fn imbalance(&self) -> i64 {
        self.read - self.tombstones - self.duplicates - self.finals - self.backlog.total()
    }
}

/// The whole account, read in one snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Of all kinds together.
    pub totals: Totals,
    /// Of each kind.
    pub balances: Vec<Balance>,
    /// Whether some of the totals are still those of the version before, which kept them by topic: then the kinds do not add up
    /// before [`Ledger::sort_totals`] has been called.
    pub is_unsorted: bool,
}

impl Ledger {
    /// The totals of the whole ledger, the same on every replica.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn totals(&self) -> Result<Totals, LedgerError> {
        Ok(self.account().await?.totals)
    }

    /// The totals of the whole ledger, and those of each kind.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn account(&self) -> Result<Account, LedgerError> {
        in_time(async {
            // Live rows are counted from the primary key's index alone; what is in flight is little.
            let counts: Vec<Count> = sqlx::query_as(
                "SELECT 'total', what, kind, NULL::smallint, NULL::smallint, sum(total)::bigint FROM tally GROUP BY what, kind
                 UNION ALL
                 SELECT 'live', NULL, NULL, kind, state, count(*) FROM work WHERE state <> 3 GROUP BY kind, state
                 UNION ALL
                 SELECT 'flight', NULL, NULL, w.kind, w.state, count(*)
                 FROM lane l CROSS JOIN LATERAL unnest(l.flight) AS f (no) JOIN work w ON w.lane = l.id AND w.no = f.no
                 WHERE l.flight <> '{}' AND l.is_leased AND w.state <> 3 GROUP BY w.kind, w.state
                 UNION ALL
                 SELECT 'lanes', NULL, NULL, NULL, NULL, count(*) FROM lane WHERE next_at IS NOT NULL",
            )
            .fetch_all(&self.pool)
            .await?;
            Ok(account(counts))
        })
        .await
    }

    /// Gives the totals that the version before kept by topic to the kinds. Whoever counts waits for it.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn sort_totals(&self) -> Result<(), LedgerError> {
        in_time(async {
            sqlx::query("SELECT sort_tally()").execute(&self.pool).await?;
            Ok(())
        })
        .await
    }
}

/// What is counted, a total's name and kind, a row's kind and state, and how many there are.
type Count = (String, Option<String>, Option<String>, Option<i16>, Option<i16>, i64);

fn account(counts: Vec<Count>) -> Account {
    let mut account = Account::default();
    let mut balances: BTreeMap<String, Balance> = kinds().map(|kind| (kind.to_owned(), Balance::default())).collect();
    let totals = &mut account.totals;
    for (source, what, kind, code, state, count) in counts {
        let kind = kind.unwrap_or_else(|| kind_label(code).to_owned());
        account.is_unsorted |= !balances.contains_key(&kind);
        let balance = balances.entry(kind).or_default();
        match (source.as_str(), what.as_deref()) {
            ("total", Some("read")) => balance.read += count,
            ("total", Some("tombstone")) => balance.tombstones += count,
            ("total", Some("duplicate")) => balance.duplicates += count,
            ("total", Some("final")) => balance.finals += count,
            ("live", _) => {
                balance.live += count;
                *totals.backlog.of(state) += count;
            }
            ("flight", _) => {
                *totals.backlog.of(state) -= count;
                totals.backlog.in_flight += count;
            }
            ("lanes", _) => totals.lanes = count,
            _ => {}
        }
    }
    for (kind, balance) in balances {
        totals.read += balance.read;
        totals.tombstones += balance.tombstones;
        totals.duplicates += balance.duplicates;
        totals.finals += balance.finals;
        account.balances.push(Balance { kind, ..balance });
    }
    account
}
