//! Due lanes are leased: chosen by lane and not by event, so that a lane's backlog does not make it dearer.

use super::connect::in_time;
use super::finals::FinalRow;
use super::load::{Before, Head, load};
use super::settle::Release;
use super::write::{Written, write_lanes};
use super::{Ledger, LedgerError, Targets};
use crate::plan::lane::Lane;
use crate::plan::turn::{Next, Turn};
use chrono::{DateTime, Utc};
use fail::fail_point;
use sqlx::{Connection, Row};
use std::time::{Duration, Instant};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// The target that may be called now.
    pub target: String,
    /// At most so many lanes.
    pub limit: usize,
    /// For how long.
    pub lease: Duration,
}

/// A lane that is held until the lease ends.
#[derive(Debug)]
pub struct Claimed {
    /// Its id.
    pub id: i64,
    /// The number that every later write must bring.
    pub lease_no: i64,
    /// Its target.
    pub target: String,
    /// Its value, with what was decided already in it.
    pub lane: Lane,
    /// What it does next: a send or a read.
    pub next: Next,
    /// When it was leased, by the ledger's clock.
    pub at: DateTime<Utc>,
    /// When leasing it began, by this process's clock: what it may take is counted from here.
    pub began: Instant,
    /// What its rows were.
    pub(super) before: Before,
}

/// What a claim came to.
#[derive(Debug, Default)]
pub struct Claims {
    /// Lanes that are to be worked on.
    pub lanes: Vec<Claimed>,
    /// Lanes that were looked at, whether or not they had anything to do.
    pub looked_at: usize,
    /// What became final on the way.
    pub finals: Vec<FinalRow>,
}

impl Ledger {
    /// Leases due lanes. `decide` takes each lane's turn, between its loading and its saving: what it settles is written in the
    /// same transaction, and what it is about to send stands in the ledger before the first byte leaves.
    ///
    /// # Errors
    /// Where Postgres is away: then nothing was leased.
    pub async fn claim(
        &self,
        request: &ClaimRequest,
        targets: &Targets,
        mut decide: impl FnMut(&mut Lane, DateTime<Utc>) -> Turn + Send,
    ) -> Result<Claims, LedgerError> {
        in_time(async {
            let began = Instant::now();
            fail_point!("claim-begins");
            let mut connection = self.pool.acquire().await?;
            fail_point!("claim-connected");
            let mut transaction = connection.begin().await?;
            fail_point!("claim-begun");
            let rows = sqlx::query(
                "SELECT id, lease_no, target, bwp_id, memo::text, now() FROM lane
                 WHERE target = $1 AND next_at <= now()
                 ORDER BY next_at LIMIT $2 FOR UPDATE SKIP LOCKED",
            )
            .bind(&request.target)
            .bind(i64::try_from(request.limit).unwrap_or(i64::MAX))
            .fetch_all(&mut *transaction)
            .await?;
            fail_point!("claim-selected");
            let mut heads = Vec::with_capacity(rows.len());
            let mut now = DateTime::<Utc>::UNIX_EPOCH;
            for row in &rows {
                let memo: Option<String> = row.try_get(4)?;
                now = row.try_get(5)?;
                heads.push(Head {
                    id: row.try_get(0)?,
                    lease_no: row.try_get(1)?,
                    target: row.try_get(2)?,
                    bwp_id: row.try_get(3)?,
                    memo: memo.map(|memo| serde_json::from_str(&memo)).transpose()?.unwrap_or_default(),
                });
            }
            if heads.is_empty() {
                fail_point!("claim-empty");
                transaction.rollback().await?;
                return Ok(Claims::default());
            }
            let loaded = load(&mut transaction, &heads, targets).await?;
            fail_point!("claim-loaded");
            let mut claims = Claims { looked_at: heads.len(), ..Claims::default() };
            let mut writes = Vec::with_capacity(heads.len());
            for (head, (mut lane, before)) in heads.into_iter().zip(loaded) {
                let turn = decide(&mut lane, now);
                let release = Release::of(&turn.next, request.lease);
                let written = Written::of(&head, &mut lane, &before, &turn, release, now)?;
                if matches!(turn.next, Next::Send(_) | Next::Read { .. }) {
                    let before = before.after(&lane, &written)?;
                    let lease_no = head.lease_no + 1;
                    let (target, next) = (head.target, turn.next);
                    claims.lanes.push(Claimed { id: head.id, lease_no, target, lane, next, at: now, began, before });
                }
                writes.push(written);
            }
            let (finals, tied) = write_lanes(&mut transaction, writes, targets, now).await?;
            claims.finals = finals;
            claims.lanes.retain(|claimed| !tied.contains(&claimed.id));
            fail_point!("claim-written");
            transaction.commit().await?;
            fail_point!("claim-committed");
            Ok(claims)
        })
        .await
    }
}
