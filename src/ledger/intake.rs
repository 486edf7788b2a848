//! A batch of records becomes rows, in one transaction.

use super::alias_rows::{Said, apply_aliases};
use super::aliases::lanes_of;
use super::claim::{Claims, Taking, Turns};
use super::codec::{json_text, kind_code, pack_headers};
use super::connect::in_time;
use super::finals::FinalRow;
use super::handover::HandOver;
use super::heads::{Locked, lanes_of_events};
use super::inbox::{Content, Incoming, Report};
use super::kept::Step;
use super::load::Head;
use super::naming::Lanes;
use super::retention::touch;
use super::retry::{Anew, revive};
use super::save::{Letter, OutcomeRow, Tally};
use super::seen::{Fresh, Sorted, sort_out};
use super::totals::{TOMBSTONE, UNREADABLE, kind_label};
use super::waking::{make_due, wake_named};
use super::work::{Work, write_and_load, write_work};
use super::write::{Beside, write_lanes};
use super::writes::Writes;
use super::{Ledger, LedgerError, Targets};
use crate::event::{AliasKind, Data, Event};
use crate::outcome::{self, Final};
use crate::plan::outcome::{Class, Reason, Status};
use chrono::{DateTime, Utc};
use fail::fail_point;
use sqlx::{Connection, PgConnection};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How often a batch is tried again because lanes were merged under it.
const RESTARTS: usize = 10;

impl Ledger {
    /// Takes a batch in. Each record is counted; a record that was there before changes nothing else.
    ///
    /// # Errors
    /// Where Postgres is away: then nothing of the batch was taken.
    pub async fn intake(&self, batch: &[Incoming], targets: &Targets) -> Result<Report, LedgerError> {
        let taken = in_time(self.take_in(batch, targets, None)).await?;
        Ok(taken.report)
    }

    /// Takes a batch in, and takes up those of its lanes that there is room for: they are leased for `lease`, as by a claim. Where that
    /// fails for one of these lanes, none is taken up, and claims find the one.
    ///
    /// # Errors
    /// Where Postgres is away: then nothing of the batch was taken.
    pub async fn intake_and_take_up(
        &self,
        batch: &[Incoming],
        targets: &Targets,
        lease: Duration,
        hand_overs: &mut [HandOver<'_>],
    ) -> Result<(Report, Claims), LedgerError> {
        in_time(async {
            let taken = match self.take_in(batch, targets, Some((lease, hand_overs))).await {
                Err(error) if !error.is_passing() => self.take_in(batch, targets, None).await,
                taken => taken,
            };
            taken.map(|taken| (taken.report, taken.claims))
        })
        .await
    }

    async fn take_in(
        &self,
        batch: &[Incoming],
        targets: &Targets,
        mut hand_overs: Option<(Duration, &mut [HandOver<'_>])>,
    ) -> Result<Taken, LedgerError> {
        for _ in 0..RESTARTS {
            let began = Instant::now();
            fail_point!("intake-begins");
            let mut connection = self.connection(Step::Intake).await?;
            fail_point!("intake-connected");
            let mut transaction = connection.begin().await?;
            fail_point!("intake-begun");
            let hand_overs = hand_overs.as_mut().map(|(lease, all)| (Taking { began, lease: *lease, targets }, &mut **all));
            if let Some(taken) = take_in(&mut transaction, batch, targets, hand_overs).await? {
                fail_point!("intake-written");
                transaction.commit().await?;
                fail_point!("intake-committed");
                connection.keep();
                return Ok(taken);
            }
            transaction.rollback().await?;
        }
        Err(LedgerError::Unavailable("lanes were merged again and again under one batch".into()))
    }
}

/// What became of a batch, and the lanes of it that were taken up.
struct Taken {
    report: Report,
    claims: Claims,
}

/// None where a lane was merged away before it could be locked: the batch starts anew.
async fn take_in(
    db: &mut PgConnection,
    batch: &[Incoming],
    targets: &Targets,
    hand_overs: Option<(Taking<'_>, &mut [HandOver<'_>])>,
) -> Result<Option<Taken>, LedgerError> {
    let mut report = Report::default();
    let mut tally = read(batch, &mut report);
    let Sorted { fresh, repeated, found, now } = sort_out(db, batch, targets, hand_overs.is_some()).await?;
    fail_point!("intake-sorted");
    let said: Vec<Said> = fresh.iter().filter_map(|event| Said::of(event, targets)).collect();
    // What is said may lead events elsewhere: then their lanes are made due once it has been, and none is taken up.
    let hand_overs = hand_overs.filter(|(_, all)| said.is_empty() && !all.is_empty());
    let orders = fresh.iter().map(|event| event.order);
    let lanes = match said.is_empty() {
        true => lanes_of_events(db, orders.collect(), found, hand_overs.is_some()).await?,
        false => lanes_of(db, orders, &said).await?.map(|lanes| (lanes, Locked::default())),
    };
    let Some((mut lanes, locked)) = lanes else { return Ok(None) };
    fail_point!("intake-locked");
    say(db, &said, &mut lanes, targets).await?;
    fail_point!("intake-aliased");
    let mut queued = queue(db, &fresh, &lanes, targets, now).await?;
    fail_point!("intake-queued");
    // Before lanes are loaded: what is revived has a turn, too.
    let revived = revive(db, &repeated).await?;
    fail_point!("intake-revived");
    report.new = fresh.len() as u64;
    report.duplicates = repeated.len() as u64 - revived.len() as u64;
    // A retry reopens an outcome; the record that asked for it is one that was read and has no outcome of its own.
    for (_, event, ..) in &repeated {
        tally.add("duplicate", event.envelope.kind.label(), 1);
    }
    let mut outcomes = std::mem::take(&mut queued.outcomes);
    quarantine(db, batch, now, &mut report, &mut tally, &mut outcomes).await?;
    fail_point!("intake-quarantined");
    for row in &outcomes {
        tally.add("final", kind_label(row.kind), 1);
    }
    report.finals = std::mem::take(&mut queued.finals);
    for kind in fresh.iter().filter_map(|event| event.retaken) {
        tally.add("final", kind_label(Some(kind)), -1);
        tally.add("duplicate", kind_label(Some(kind)), 1);
    }
    let (taken_up, left) = match hand_overs {
        Some((taking, hand_overs)) => hand_over(db, &queued, locked, &taking, hand_overs, now).await?,
        None => (Turns::default(), insert_work(db, &fresh, &lanes, &queued).await?),
    };
    fail_point!("intake-taken-up");
    report.is_work_due = !left.is_empty() || !said.is_empty() || !revived.is_empty();
    make_due(db, left.into_iter().collect()).await?;
    fail_point!("intake-due");
    let Turns { mut claims, writes } = taken_up;
    let beside = Beside { outcomes, tally, ..Beside::default() };
    claims.are_written(write_lanes(db, &writes, beside, targets, now).await?);
    Ok(Some(Taken { report, claims }))
}

/// Counts what was read.
fn read(batch: &[Incoming], report: &mut Report) -> Tally {
    let mut tally = Tally::default();
    for incoming in batch {
        let kind = match &incoming.content {
            Content::Event { event, .. } => event.envelope.kind.label(),
            Content::Fault { .. } => UNREADABLE,
            Content::Tombstone => {
                report.tombstones += 1;
                tally.add("tombstone", TOMBSTONE, 1);
                TOMBSTONE
            }
        };
        tally.add("read", kind, 1);
    }
    tally
}

/// Takes dead events in anew that an operator retries: no record was read. Gives their lanes.
pub(super) async fn take_anew(
    db: &mut PgConnection,
    anew: &[Anew],
    targets: &Targets,
    tally: &mut Tally,
) -> Result<BTreeSet<i64>, LedgerError> {
    if anew.is_empty() {
        return Ok(BTreeSet::new());
    }
    let now: DateTime<Utc> = sqlx::query_scalar("SELECT now()").fetch_one(&mut *db).await?;
    let fresh: Vec<Fresh> = anew.iter().map(|anew| anew.fresh(targets)).collect();
    let said: Vec<Said> = fresh.iter().filter_map(|event| Said::of(event, targets)).collect();
    let orders = fresh.iter().map(|event| event.order);
    let Some(mut lanes) = lanes_of(db, orders, &said).await? else {
        return Err(LedgerError::Unavailable("lanes were merged meanwhile".into()));
    };
    say(db, &said, &mut lanes, targets).await?;
    let queued = queue(db, &fresh, &lanes, targets, now).await?;
    let turns = insert_work(db, &fresh, &lanes, &queued).await?;
    make_due(db, turns.into_iter().collect()).await?;
    let outcomes = queued.outcomes;
    for row in &outcomes {
        tally.add("final", kind_label(row.kind), 1);
    }
    for anew in anew {
        tally.add("final", kind_label(Some(anew.kind)), -1);
    }
    Writes { outcomes: &outcomes, ..Writes::default() }.write(db).await?;
    Ok(lanes.into_values().collect())
}

/// Puts what is said into the alias table. An order is used by what is said of it.
async fn say<'a>(db: &mut PgConnection, said: &[Said<'a>], lanes: &mut Lanes<'a>, targets: &Targets) -> Result<(), LedgerError> {
    apply_aliases(db, said, lanes, targets).await?;
    if !said.is_empty() {
        touch(db, &said.iter().filter_map(|said| lanes.get(&said.order)).copied().collect()).await?;
    }
    Ok(())
}

/// What becomes of new events.
#[derive(Default)]
struct Queued<'a> {
    /// What is to be written.
    work: Vec<Work<'a>>,
    /// Of what is final at once.
    outcomes: Vec<OutcomeRow>,
    finals: Vec<FinalRow>,
}

impl Queued<'_> {
    /// The lanes whose turn it is.
    fn turns(&self) -> BTreeSet<i64> {
        self.work.iter().filter(|row| row.died.is_none()).map(|row| row.lane).collect()
    }
}

/// Parts events that have a turn in their lanes from those that are final at once.
async fn queue<'a>(
    db: &mut PgConnection,
    fresh: &'a [Fresh<'a>],
    lanes: &Lanes<'_>,
    targets: &Targets,
    now: DateTime<Utc>,
) -> Result<Queued<'a>, LedgerError> {
    let mut queued = Queued::default();
    let over = fresh.iter().filter(|event| !event.has_turn(targets)).count();
    let mut numbers = numbers(db, over).await?.into_iter();
    for event in fresh {
        let Some(lane) = lanes.get(&event.order).copied() else { continue };
        if event.has_turn(targets) {
            queued.work.push(Work { lane, no: None, event, died: None });
            continue;
        }
        let (Some(no), (status, reason)) = (numbers.next(), at_once(event, targets)) else { continue };
        queued.finals.push(final_row(event, status, &reason, now));
        queued.outcomes.push(outcome_row(event, lane, no, status, reason.clone(), now));
        if status == Status::Dead {
            queued.work.push(Work { lane, no: Some(no), event, died: Some(reason) });
        }
    }
    Ok(queued)
}

/// Writes the work, and wakes the lanes that only got a name. Gives the lanes whose turn it is.
async fn insert_work(
    db: &mut PgConnection,
    fresh: &[Fresh<'_>],
    lanes: &Lanes<'_>,
    queued: &Queued<'_>,
) -> Result<BTreeSet<i64>, LedgerError> {
    write_work(db, &queued.work).await?;
    let turns = queued.turns();
    let named: BTreeSet<i64> = fresh.iter().filter_map(|event| lanes.get(&event.order).copied()).collect();
    wake_named(db, named.difference(&turns).copied().collect()).await?;
    Ok(turns)
}

/// Writes the work, and takes up those of its lanes that there is room for. Gives the lanes that are left, whose turn it is, too.
async fn hand_over(
    db: &mut PgConnection,
    queued: &Queued<'_>,
    mut locked: Locked,
    taking: &Taking<'_>,
    hand_overs: &mut [HandOver<'_>],
    now: DateTime<Utc>,
) -> Result<(Turns, BTreeSet<i64>), LedgerError> {
    let mut left = queued.turns();
    let mut chosen = Vec::with_capacity(hand_overs.len());
    for hand_over in hand_overs {
        chosen.extend(hand_over.choose(&mut locked, &left, taking)?);
    }
    let heads: Vec<Head> = chosen.iter().flat_map(|chosen| chosen.due().iter().cloned()).collect();
    let mut loaded = write_and_load(db, &queued.work, &heads, taking.targets, now).await?.into_iter();
    let mut taken_up = Turns::default();
    for chosen in chosen {
        chosen.lanes().for_each(|lane| _ = left.remove(&lane));
        let own = loaded.by_ref().take(chosen.due().len()).collect();
        let turns = chosen.take_up(db, own, taking).await?;
        taken_up.claims.extend(turns.claims);
        taken_up.writes.extend(turns.writes);
    }
    Ok((taken_up, left))
}

/// How an event ends that has no turn.
fn at_once(event: &Fresh, targets: &Targets) -> (Status, Reason) {
    if targets.contains_key(&event.event.envelope.target) {
        (Status::NothingToSend, Reason::new(Class::Nothing, "ALIAS_STORED", "the row is in the alias table"))
    } else {
        (Status::Dead, unknown_target(event.event))
    }
}

/// Numbers for events that need them before they are written.
async fn numbers(db: &mut PgConnection, count: usize) -> Result<Vec<i64>, LedgerError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let statement = "SELECT nextval('event_no') FROM generate_series(1, $1)";
    Ok(sqlx::query_scalar(statement).bind(count as i64).fetch_all(db).await?)
}

fn final_row(fresh: &Fresh, status: Status, reason: &Reason, now: DateTime<Utc>) -> FinalRow {
    let event = fresh.event;
    FinalRow {
        kind: event.envelope.kind,
        status,
        reason: Some(reason.clone()),
        entity: outcome::entity(event).0,
        traceparent: event.envelope.traceparent.clone(),
        place: fresh.place.clone(),
        event_time: event.envelope.time,
        received_at: now,
        settled_at: now,
        identity: event.envelope.identity.clone(),
        order: event.data.order().id().to_owned(),
        attempts: 0,
    }
}

fn unknown_target(event: &Event) -> Reason {
    let message =
        format!("target {} is not configured; add targets.{0} or correct the event, then retry it", event.envelope.target);
    Reason::new(Class::Configuration, "UNKNOWN_TARGET", message).at("/target")
}

fn outcome_row(event: &Fresh, lane: i64, no: i64, status: Status, reason: Reason, now: DateTime<Utc>) -> OutcomeRow {
    let bwp_id = match &event.event.data {
        Data::Alias(row) => row.bwp_id.as_deref(),
        _ => None,
    };
    let order_bwp_id = match &event.event.data {
        Data::Alias(row) if row.kind == AliasKind::Order => row.bwp_id.as_deref(),
        _ => None,
    };
    let ending = Final {
        status,
        reason: Some(&reason),
        attempts: 0,
        order_bwp_id,
        entity_bwp_id: bwp_id,
        settled_at: now,
        number: event.number,
    };
    OutcomeRow {
        settled_at: now,
        lane: Some(lane),
        no: Some(no),
        kind: Some(kind_code(event.event.envelope.kind)),
        status,
        record_key: Some(event.event.data.order().id().as_bytes().to_vec()),
        outcome: outcome::of_event(event.event, event.place, &ending),
        letter: (status == Status::Dead).then_some(Letter::Work),
        is_leaving: false,
        reason: Some(reason),
    }
}

/// Keeps what could not be read, once for each place.
async fn quarantine(
    db: &mut PgConnection,
    batch: &[Incoming],
    now: DateTime<Utc>,
    report: &mut Report,
    tally: &mut Tally,
    outcomes: &mut Vec<OutcomeRow>,
) -> Result<(), LedgerError> {
    for incoming in batch {
        let Content::Fault { fault, original } = &incoming.content else { continue };
        let place = &incoming.place;
        let reason = Reason::new(Class::Invalid, fault.code.as_str(), fault.message.clone()).at(fault.pointer.clone());
        let inserted = sqlx::query(
            "INSERT INTO quarantine (topic, partition, \"offset\", key, headers, value, reason)
             VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb) ON CONFLICT DO NOTHING",
        )
        .bind(&place.topic)
        .bind(place.partition)
        .bind(place.offset)
        .bind(&original.key)
        .bind(pack_headers(&original.headers))
        .bind(&original.value)
        .bind(json_text(&reason))
        .execute(&mut *db)
        .await?;
        if inserted.rows_affected() == 0 {
            report.duplicates += 1;
            tally.add("duplicate", UNREADABLE, 1);
            continue;
        }
        *report.quarantined.entry(place.topic.clone()).or_default() += 1;
        let order = fault.envelope.order.as_ref().map(|order| order.id().as_bytes().to_vec());
        outcomes.push(OutcomeRow {
            settled_at: now,
            lane: None,
            no: None,
            kind: None,
            status: Status::Quarantined,
            record_key: order.or_else(|| original.key.clone()),
            outcome: outcome::of_fault(fault, place, &reason, now),
            letter: Some(Letter::Quarantine(place.clone())),
            is_leaving: false,
            reason: Some(reason),
        });
    }
    Ok(())
}
