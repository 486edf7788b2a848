//! What came of a lane's turn is written back, if the lease still stands.

use super::claim::Claimed;
use super::connect::in_time;
use super::finals::FinalRow;
use super::load::Head;
use super::write::{Written, write_lanes};
use super::{Ledger, LedgerError, Targets};
use crate::plan::turn::{Next, Turn};
use chrono::{DateTime, Utc};
use fail::fail_point;
use sqlx::Connection;
use std::collections::BTreeSet;
use std::time::Duration;

/// What becomes of a lane after its turn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Release {
    /// It is held for as long.
    Lease(Duration),
    /// It is due again at once.
    Now,
    /// It is due then.
    At(DateTime<Utc>),
    /// Nothing is due.
    Never,
}

impl Release {
    /// A lane that has something to do is held; another rests.
    pub fn of(next: &Next, lease: Duration) -> Release {
        match next {
            Next::Send(_) | Next::Read { .. } => Release::Lease(lease),
            Next::Rest { until: Some(at) } => Release::At(*at),
            Next::Rest { until: None } => Release::Never,
        }
    }
}

/// What came of a settle.
#[derive(Debug, Default)]
pub struct SettleReport {
    /// Events that are final.
    pub finals: Vec<FinalRow>,
    /// Lanes whose lease had gone to somebody else: nothing of them was written.
    pub stale: usize,
}

/// A lane after an answer: what its turn came to is to be written.
#[derive(Debug)]
pub struct Settlement {
    /// The lane.
    pub claimed: Claimed,
    /// Its turn after the answer.
    pub turn: Turn,
    /// What becomes of it.
    pub release: Release,
}

impl Ledger {
    /// The present by the clock that all replicas share.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn now(&self) -> Result<DateTime<Utc>, LedgerError> {
        in_time(async { Ok(sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&self.pool).await?) }).await
    }

    /// Writes what came of many lanes in one transaction. A lane whose lease has gone to somebody else is left alone and counted.
    ///
    /// # Errors
    /// Where Postgres is away: then nothing was written, and the same call may be made again.
    pub async fn settle(
        &self,
        settlements: &mut [Settlement],
        targets: &Targets,
        now: DateTime<Utc>,
    ) -> Result<SettleReport, LedgerError> {
        in_time(async {
            fail_point!("settle-begins");
            let mut connection = self.pool.acquire().await?;
            fail_point!("settle-connected");
            let mut transaction = connection.begin().await?;
            fail_point!("settle-begun");
            let ids: Vec<i64> = settlements.iter().map(|settlement| settlement.claimed.id).collect();
            let numbers: Vec<i64> = settlements.iter().map(|settlement| settlement.claimed.lease_no).collect();
            let standing: Vec<i64> = sqlx::query_scalar(
                "SELECT l.id FROM lane l JOIN unnest($1::bigint[], $2::bigint[]) AS k (id, lease_no)
                    ON l.id = k.id AND l.lease_no = k.lease_no
                 WHERE l.is_leased AND l.merged_into IS NULL
                 ORDER BY l.id FOR UPDATE OF l",
            )
            .bind(ids)
            .bind(numbers)
            .fetch_all(&mut *transaction)
            .await?;
            fail_point!("settle-locked");
            let standing: BTreeSet<i64> = standing.into_iter().collect();
            let mut report = SettleReport { stale: settlements.len() - standing.len(), ..SettleReport::default() };
            let mut writes = Vec::new();
            for settlement in settlements.iter_mut().filter(|settlement| standing.contains(&settlement.claimed.id)) {
                let Claimed { id, lease_no, target, lane, before, .. } = &mut settlement.claimed;
                let head = Head {
                    id: *id,
                    lease_no: *lease_no,
                    target: target.clone(),
                    bwp_id: lane.bwp_id.clone(),
                    memo: Default::default(),
                };
                // The names learned are taken from a copy: a settle that fails is tried again with all of them.
                let mut lane = lane.clone();
                writes.push(Written::of(&head, &mut lane, before, &settlement.turn, settlement.release, now)?);
            }
            (report.finals, _) = write_lanes(&mut transaction, writes, targets, now).await?;
            fail_point!("settle-written");
            transaction.commit().await?;
            fail_point!("settle-committed");
            Ok(report)
        })
        .await
    }
}
