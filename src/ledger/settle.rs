//! What came of a lane's turn is written back, if the lease still stands.

use super::attempts::AttemptRow;
use super::claim::{Claimed, LeaseKey};
use super::connect::in_time;
use super::finals::FinalRow;
use super::kept::Step;
use super::load::Head;
use super::write::{Beside, Written, write_lanes};
use super::{Ledger, LedgerError, Targets};
use crate::config::SETTLING_MARGIN;
use crate::plan::lane::Memo;
use crate::plan::turn::{Next, Turn};
use chrono::{DateTime, TimeDelta, Utc};
use fail::fail_point;
use sqlx::{Connection, PgConnection, Row};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// What becomes of a lane after its turn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Release {
    /// It is held for as long.
    Lease(Duration),
    /// It is held on: for as long again, unless `least` is still left of its lease.
    Hold {
        /// For how long it is held anew.
        lease: Duration,
        /// What is enough for its next turn.
        least: Duration,
    },
    /// It is due again at once.
    Now,
    /// It is due then.
    At(DateTime<Utc>),
    /// Nothing is due.
    Never,
}

impl Release {
    /// Seconds for which it is leased.
    pub(super) fn lease(self) -> Option<f64> {
        match self {
            Release::Lease(lease) | Release::Hold { lease, .. } => Some(lease.as_secs_f64()),
            Release::Now | Release::At(_) | Release::Never => None,
        }
    }

    /// Seconds that are enough, where it is leased already.
    pub(super) fn enough(self) -> Option<f64> {
        match self {
            Release::Hold { least, .. } => Some(least.as_secs_f64()),
            Release::Lease(_) | Release::Now | Release::At(_) | Release::Never => None,
        }
    }

    /// When it is due: at once is long ago.
    pub(super) fn due(self) -> Option<DateTime<Utc>> {
        match self {
            Release::At(at) => Some(at),
            Release::Now => Some(DateTime::UNIX_EPOCH),
            Release::Lease(_) | Release::Hold { .. } | Release::Never => None,
        }
    }

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
    /// The leases of lanes that are held on, with their next turn taken.
    pub go_on: BTreeSet<LeaseKey>,
}

/// A lane after an answer: what its turn came to is to be written.
#[derive(Debug)]
pub struct Settlement {
    /// The lane.
    pub claimed: Claimed,
    /// Its turn after the answer.
    pub turn: Turn,
    /// What becomes of it, unless it goes on.
    pub release: Release,
    /// Whether its holder may take its next turn at once, without a claim.
    pub may_go_on: bool,
    /// The call that it comes from: it was made, whoever holds the lane by now.
    pub attempt: AttemptRow,
}

/// For how long a lane that goes on is held, and how long its next call may take.
#[derive(Debug, Clone, Copy)]
pub struct Hold {
    /// `dispatch.lease`
    pub lease: Duration,
    /// `dispatch.request_timeout`
    pub request_timeout: TimeDelta,
}

impl Hold {
    /// What is left of the lease is enough while a turn has the time of its call, for settling it, and half of what there is beside.
    fn release(self) -> Release {
        let turn = self.request_timeout.to_std().unwrap_or_default() + SETTLING_MARGIN;
        Release::Hold { lease: self.lease, least: turn + self.lease.saturating_sub(turn) / 2 }
    }
}

impl Ledger {
    /// Writes what came of many lanes in one transaction. A lane whose lease has gone to somebody else is left alone and counted.
    /// One that may go on, and that nothing has arrived for, is leased again in the same write, with its next intent in it.
    ///
    /// # Errors
    /// Where Postgres is away: then nothing was written, and the same call may be made again.
    pub async fn settle(
        &self,
        settlements: &mut [Settlement],
        targets: &Targets,
        hold: Hold,
    ) -> Result<SettleReport, LedgerError> {
        in_time(async {
            let began = Instant::now();
            fail_point!("settle-begins");
            let mut connection = self.connection(Step::Settle).await?;
            fail_point!("settle-connected");
            let mut transaction = connection.begin().await?;
            fail_point!("settle-begun");
            let standing = standing(&mut transaction, settlements).await?;
            fail_point!("settle-locked");
            let mut report = SettleReport { stale: settlements.len() - standing.lanes.len(), ..SettleReport::default() };
            let mut writes = Vec::with_capacity(standing.lanes.len());
            let mut onward = BTreeMap::new();
            for settlement in settlements.iter_mut() {
                let lease = settlement.claimed.lease();
                let Some(is_dirty) = standing.lanes.get(&lease) else { continue };
                let goes_on = settlement.may_go_on && !is_dirty;
                let (written, memo) = settlement.written(goes_on.then_some(hold), standing.now)?;
                if goes_on {
                    onward.insert(lease, memo);
                }
                writes.push(written);
            }
            let calls = settlements.iter().map(|one| (one.claimed.id, &one.attempt)).collect();
            let beside = Beside { calls, ..Beside::default() };
            let (finals, tied) = write_lanes(&mut transaction, &writes, beside, targets, standing.now).await?;
            report.finals = finals;
            fail_point!("settle-written");
            transaction.commit().await?;
            fail_point!("settle-committed");
            connection.keep();
            onward.retain(|(id, _), _| !tied.contains(id));
            let written: BTreeMap<i64, &Written> = writes.iter().map(|written| (written.id, written)).collect();
            for Settlement { claimed, turn, .. } in settlements {
                let (Some(memo), Some(written)) = (onward.remove(&claimed.lease()), written.get(&claimed.id)) else { continue };
                claimed.before.follow(&mut claimed.lane, written);
                claimed.lane.memo = memo;
                claimed.lease_no += 1;
                claimed.next = std::mem::replace(&mut turn.next, Next::Rest { until: None });
                (claimed.at, claimed.began) = (standing.now, began);
                report.go_on.insert(claimed.lease());
            }
            Ok(report)
        })
        .await
    }
}

impl Settlement {
    /// What is to be written, and the lane's memo once it has been; the lane itself stays as it is, since the write may fail and be
    /// made again.
    fn written(&mut self, goes_on: Option<Hold>, now: DateTime<Utc>) -> Result<(Written, Memo), LedgerError> {
        let Claimed { id, lease_no, target, lane, before, .. } = &mut self.claimed;
        let head = Head {
            id: *id,
            lease_no: *lease_no,
            target: target.clone(),
            bwp_id: lane.bwp_id.clone(),
            memo: Memo::default(),
            touches: 0,
        };
        let kept = lane.memo.clone();
        let release = match goes_on {
            None => self.release,
            Some(hold) => {
                if let Next::Send(draft) = &self.turn.next {
                    lane.begin(draft, now + hold.request_timeout);
                }
                hold.release()
            }
        };
        let written = Written::of(&head, lane, before, &self.turn, release, now);
        let memo = std::mem::replace(&mut lane.memo, kept);
        Ok((written?.settled(), memo))
    }
}

/// The lanes of a settle whose leases still stand, locked, and whether something has arrived for them since.
struct Standing {
    lanes: BTreeMap<LeaseKey, bool>,
    now: DateTime<Utc>,
}

async fn standing(db: &mut PgConnection, settlements: &[Settlement]) -> Result<Standing, LedgerError> {
    let rows = sqlx::query(
        "SELECT l.id, l.lease_no, l.is_dirty, now() FROM lane l JOIN unnest($1::bigint[], $2::bigint[]) AS k (id, lease_no)
            ON l.id = k.id AND l.lease_no = k.lease_no
         WHERE l.is_leased AND l.merged_into IS NULL
         ORDER BY l.id FOR UPDATE OF l",
    )
    .bind(settlements.iter().map(|settlement| settlement.claimed.id).collect::<Vec<_>>())
    .bind(settlements.iter().map(|settlement| settlement.claimed.lease_no).collect::<Vec<_>>())
    .fetch_all(db)
    .await?;
    let mut standing = Standing { lanes: BTreeMap::new(), now: DateTime::UNIX_EPOCH };
    for row in &rows {
        standing.lanes.insert((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?);
        standing.now = row.try_get(3)?;
    }
    Ok(standing)
}
