//! Due lanes are leased: chosen by lane and not by event, so that a lane's backlog does not make it dearer.

use super::connect::in_time;
use super::finals::FinalRow;
use super::kept::Step;
use super::load::{Before, Head, Loaded, load};
use super::parking::{MOST_TOUCHES, Parked, park};
use super::settle::Release;
use super::write::{Beside, Written, write_lanes};
use super::{Ledger, LedgerError, Targets};
use crate::plan::lane::Lane;
use crate::plan::turn::{Next, Turn};
use chrono::{DateTime, Utc};
use fail::fail_point;
use sqlx::postgres::PgRow;
use sqlx::{Connection, PgConnection, Row};
use std::collections::BTreeSet;
use std::panic::{self, AssertUnwindSafe};
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

/// A lane and the number of its lease: a replica may still have a turn of a lease that has gone, beside one of the lease that stands.
pub type LeaseKey = (i64, i64);

impl Claimed {
    /// By which lease it is held.
    pub fn lease(&self) -> LeaseKey {
        (self.id, self.lease_no)
    }
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
    /// Lanes that were parked.
    pub parked: usize,
}

/// The turns of lanes, to be written: until then they are not leased.
#[derive(Default)]
pub(super) struct Turns {
    pub(super) claims: Claims,
    pub(super) writes: Vec<Written>,
}

impl Claims {
    /// What came of writing their lanes: events that are final, and lanes that were merged, whose leases no longer stand.
    pub(super) fn are_written(&mut self, (finals, tied): (Vec<FinalRow>, BTreeSet<i64>)) {
        self.finals.extend(finals);
        self.lanes.retain(|claimed| !tied.contains(&claimed.id));
    }

    pub(super) fn extend(&mut self, other: Claims) {
        self.lanes.extend(other.lanes);
        self.looked_at += other.looked_at;
        self.finals.extend(other.finals);
        self.parked += other.parked;
    }
}

/// A claim that failed, and the lanes that it was about.
struct Failed {
    error: LedgerError,
    heads: Vec<(i64, i32)>,
}

impl<E: Into<LedgerError>> From<E> for Failed {
    fn from(error: E) -> Self {
        Failed { error: error.into(), heads: Vec::new() }
    }
}

impl Ledger {
    /// Leases due lanes. `decide` takes each lane's turn, between its loading and its saving: what it settles is written in the
    /// same transaction, and what it is about to send stands in the ledger before the first byte leaves. A lane that cannot be
    /// loaded or planned, or that keeps killing its holders, is parked: it stops no other.
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
            match self.try_claim(request, targets, &mut decide).await {
                // One of them is to blame: alone it shows.
                Err(failed) if !failed.error.is_passing() && failed.heads.len() > 1 => {
                    let alone = ClaimRequest { limit: 1, ..request.clone() };
                    let claimed = self.try_claim(&alone, targets, &mut decide).await;
                    self.or_park(claimed).await
                }
                claimed => self.or_park(claimed).await,
            }
        })
        .await
    }

    /// Parks the one lane that a claim has failed with.
    async fn or_park(&self, claimed: Result<Claims, Failed>) -> Result<Claims, LedgerError> {
        match claimed {
            Err(Failed { error, heads }) if !error.is_passing() && heads.len() == 1 => {
                let parked = heads.into_iter().map(|(id, touches)| {
                    let touches = touches.saturating_add(1);
                    Parked { id, touches, why: error.to_string() }
                });
                park(&mut *self.pool.acquire().await?, &parked.collect::<Vec<_>>()).await?;
                Ok(Claims { looked_at: 1, parked: 1, ..Claims::default() })
            }
            claimed => claimed.map_err(|failed| failed.error),
        }
    }

    async fn try_claim(
        &self,
        request: &ClaimRequest,
        targets: &Targets,
        decide: &mut (impl FnMut(&mut Lane, DateTime<Utc>) -> Turn + Send),
    ) -> Result<Claims, Failed> {
        let began = Instant::now();
        fail_point!("claim-begins");
        let mut connection = self.connection(Step::Claim).await?;
        fail_point!("claim-connected");
        let mut transaction = connection.begin().await?;
        fail_point!("claim-begun");
        let Some(heads) = due_heads(&mut transaction, request).await? else {
            fail_point!("claim-empty");
            transaction.rollback().await?;
            connection.keep();
            return Ok(Claims::default());
        };
        fail_point!("claim-selected");
        let known: Vec<(i64, i32)> = heads.due.iter().map(|head| (head.id, head.touches)).collect();
        let taken = Taking { began, lease: request.lease, targets };
        let worked = async {
            let (now, loaded) = (heads.now, load(&mut transaction, &heads.due, targets).await?);
            let mut turns = taken.turns(&mut transaction, heads, loaded, &mut *decide).await?;
            let done = write_lanes(&mut transaction, &turns.writes, Beside::default(), targets, now).await?;
            turns.claims.are_written(done);
            Ok::<Claims, LedgerError>(turns.claims)
        };
        let claims = worked.await.map_err(|error| Failed { error, heads: known })?;
        fail_point!("claim-written");
        transaction.commit().await?;
        fail_point!("claim-committed");
        connection.keep();
        Ok(claims)
    }
}

/// Lanes whose rows are locked and whose turn has come.
pub(super) struct Heads {
    pub(super) due: Vec<Head>,
    /// Those that cannot be worked on.
    pub(super) parked: Vec<Parked>,
    pub(super) now: DateTime<Utc>,
}

/// How the turns of lanes are taken.
pub(super) struct Taking<'a> {
    pub(super) began: Instant,
    pub(super) lease: Duration,
    pub(super) targets: &'a Targets,
}

/// Takes a lane's turn: what it does next stands in the lane from there on.
pub type Decide<'a> = dyn FnMut(&mut Lane, DateTime<Utc>) -> Turn + Send + 'a;

impl Taking<'_> {
    /// Takes the turns of lanes that are loaded. What came of it is to be written: what is final, and the lease and the intent of those
    /// that have something to do.
    pub(super) async fn turns(
        &self,
        db: &mut PgConnection,
        heads: Heads,
        loaded: Vec<Loaded>,
        decide: &mut Decide<'_>,
    ) -> Result<Turns, LedgerError> {
        let Heads { due, mut parked, now } = heads;
        let mut claims = Claims { looked_at: due.len() + parked.len(), ..Claims::default() };
        fail_point!("claim-loaded");
        let mut writes = Vec::with_capacity(due.len());
        for (head, loaded) in due.into_iter().zip(loaded) {
            let planned = loaded.map_err(|error| error.to_string()).and_then(|(lane, before)| {
                let (lane, turn) = planned(lane, |lane| decide(lane, now))?;
                Ok((lane, before, turn))
            });
            let (mut lane, mut before, turn) = match planned {
                Ok(planned) => planned,
                Err(why) => {
                    parked.push(Parked { id: head.id, touches: head.touches.saturating_add(1).max(MOST_TOUCHES), why });
                    continue;
                }
            };
            let release = Release::of(&turn.next, self.lease);
            let written = Written::of(&head, &mut lane, &before, &turn, release, now)?;
            if matches!(turn.next, Next::Send(_) | Next::Read { .. }) {
                before.follow(&mut lane, &written);
                let (lease_no, target, next) = (head.lease_no + 1, head.target, turn.next);
                claims.lanes.push(Claimed { id: head.id, lease_no, target, lane, next, at: now, began: self.began, before });
            }
            writes.push(written);
        }
        park(db, &parked).await?;
        claims.parked = parked.len();
        Ok(Turns { claims, writes })
    }
}

/// Due lanes, locked, and those among them that have killed too many holders; none where nothing is due.
async fn due_heads(db: &mut PgConnection, request: &ClaimRequest) -> Result<Option<Heads>, LedgerError> {
    let rows = sqlx::query(
        "SELECT id, lease_no, target, bwp_id, memo::text, touches, is_leased, now() FROM lane
         WHERE target = $1 AND next_at <= now() AND (parked_until IS NULL OR parked_until <= now())
           AND NOT EXISTS (SELECT FROM target WHERE name = $1 AND not_before > now())
         ORDER BY next_at LIMIT $2 FOR UPDATE SKIP LOCKED",
    )
    .bind(&request.target)
    .bind(i64::try_from(request.limit).unwrap_or(i64::MAX))
    .fetch_all(db)
    .await?;
    heads_of(&rows)
}

/// Reads `id, lease_no, target, bwp_id, memo::text, touches, is_leased, now()` of lanes whose rows are locked; none where there are no
/// rows.
pub(super) fn heads_of(rows: &[PgRow]) -> Result<Option<Heads>, LedgerError> {
    let Some(first) = rows.first() else { return Ok(None) };
    let mut heads = Heads { due: Vec::with_capacity(rows.len()), parked: Vec::new(), now: first.try_get(7)? };
    for row in rows {
        let (id, touches, is_leased): (i64, i32, bool) = (row.try_get(0)?, row.try_get(5)?, row.try_get(6)?);
        if is_leased && touches >= MOST_TOUCHES {
            let why = format!("{touches} leases in a row ended without a settle");
            heads.parked.push(Parked { id, touches, why });
            continue;
        }
        let memo: Option<String> = row.try_get(4)?;
        match memo.map(|memo| serde_json::from_str(&memo)).transpose() {
            Ok(memo) => {
                let (lease_no, target, bwp_id) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
                heads.due.push(Head { id, lease_no, target, bwp_id, memo: memo.unwrap_or_default(), touches });
            }
            Err(error) => {
                let touches = touches.saturating_add(1).max(MOST_TOUCHES);
                heads.parked.push(Parked { id, touches, why: format!("its memo: {error}") });
            }
        }
    }
    Ok(Some(heads))
}

/// Takes a lane's turn. A panic in it is that lane's alone: the order is parked, the process and its other orders go on.
fn planned(mut lane: Lane, decide: impl FnOnce(&mut Lane) -> Turn) -> Result<(Lane, Turn), String> {
    let turn = panic::catch_unwind(AssertUnwindSafe(|| decide(&mut lane))).map_err(|_| "planning it broke".to_owned())?;
    Ok((lane, turn))
}
