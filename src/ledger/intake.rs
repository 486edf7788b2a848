//! A batch of records becomes rows, in one transaction.

use super::alias_rows::{Said, apply_aliases};
use super::aliases::lanes_of;
use super::codec::{identity_hash, json_text, kind_code, pack_headers};
use super::connect::in_time;
use super::finals::FinalRow;
use super::inbox::{Content, Incoming, Original, Place, Report};
use super::naming::{Lanes, OrderKey, types_of};
use super::retention::touch;
use super::retry::{Anew, retake, revive};
use super::save::{OutcomeRow, Tally, record_outcomes};
use super::totals::{TOMBSTONE, UNREADABLE, kind_label};
use super::waking::{make_due, wake_named};
use super::{Ledger, LedgerError, Targets};
use crate::event::{AliasKind, Data, Event};
use crate::outcome::{self, Final};
use crate::plan::outcome::{Class, Reason, Status};
use chrono::{DateTime, Utc};
use fail::fail_point;
use sqlx::{Connection, PgConnection};
use std::collections::BTreeSet;
use uuid::Uuid;

/// How often a batch is tried again because lanes were merged under it.
const RESTARTS: usize = 10;

/// An event that was not there before.
pub(super) struct Fresh<'a> {
    pub place: &'a Place,
    pub event: &'a Event,
    pub original: &'a Original,
    pub hash: Uuid,
    pub order: OrderKey<'a>,
    /// The count of the outcome that it would have at once.
    pub number: i32,
    /// The kind of the dead event that it takes the place of.
    pub retaken: Option<i16>,
}

impl Ledger {
    /// Takes a batch in. Each record is counted; a record that was there before changes nothing else.
    ///
    /// # Errors
    /// Where Postgres is away: then nothing of the batch was taken.
    pub async fn intake(&self, batch: &[Incoming], targets: &Targets) -> Result<Report, LedgerError> {
        in_time(async {
            for _ in 0..RESTARTS {
                fail_point!("intake-begins");
                let mut connection = self.connection("intake").await?;
                fail_point!("intake-connected");
                let mut transaction = connection.begin().await?;
                fail_point!("intake-begun");
                if let Some(report) = take_in(&mut transaction, batch, targets).await? {
                    fail_point!("intake-written");
                    transaction.commit().await?;
                    fail_point!("intake-committed");
                    return Ok(report);
                }
                transaction.rollback().await?;
            }
            Err(LedgerError::Unavailable("lanes were merged again and again under one batch".into()))
        })
        .await
    }
}

/// None where a lane was merged away before it could be locked: the batch starts anew.
async fn take_in(db: &mut PgConnection, batch: &[Incoming], targets: &Targets) -> Result<Option<Report>, LedgerError> {
    let now: DateTime<Utc> = sqlx::query_scalar("SELECT now()").fetch_one(&mut *db).await?;
    let mut report = Report::default();
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
    let (fresh, repeated) = sort_out(db, batch, targets).await?;
    fail_point!("intake-sorted");
    let said: Vec<Said> = fresh.iter().filter_map(|event| Said::of(event, targets)).collect();
    let orders = fresh.iter().map(|event| event.order);
    let Some(mut lanes) = lanes_of(db, orders, &said).await? else { return Ok(None) };
    fail_point!("intake-locked");
    say(db, &said, &mut lanes, targets).await?;
    fail_point!("intake-aliased");
    let (mut outcomes, finals) = insert_work(db, &fresh, &lanes, targets, now).await?;
    fail_point!("intake-queued");
    let revived = revive(db, &repeated).await?;
    fail_point!("intake-revived");
    report.new = fresh.len() as u64;
    report.duplicates = repeated.len() as u64 - revived.len() as u64;
    // A retry reopens an outcome; the record that asked for it is one that was read and has no outcome of its own.
    for (_, event, ..) in &repeated {
        tally.add("duplicate", event.envelope.kind.label(), 1);
    }
    quarantine(db, batch, now, &mut report, &mut tally, &mut outcomes).await?;
    fail_point!("intake-quarantined");
    for row in &outcomes {
        tally.add("final", kind_label(row.kind), 1);
    }
    report.finals = finals;
    for kind in fresh.iter().filter_map(|event| event.retaken) {
        tally.add("final", kind_label(Some(kind)), -1);
        tally.add("duplicate", kind_label(Some(kind)), 1);
    }
    record_outcomes(db, &outcomes, now).await?;
    fail_point!("intake-recorded");
    tally.write(db).await?;
    report.is_work_due = !fresh.is_empty() || !revived.is_empty();
    Ok(Some(report))
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
    let (outcomes, _) = insert_work(db, &fresh, &lanes, targets, now).await?;
    for row in &outcomes {
        tally.add("final", kind_label(row.kind), 1);
    }
    for anew in anew {
        tally.add("final", kind_label(Some(anew.kind)), -1);
    }
    record_outcomes(db, &outcomes, now).await?;
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

pub(super) type Repeated<'a> = (&'a Place, &'a Event, Uuid, &'a Original);

/// Parts the events of a batch into new ones and those that were there before, within the batch or ever.
async fn sort_out<'a>(
    db: &mut PgConnection,
    batch: &'a [Incoming],
    targets: &'a Targets,
) -> Result<(Vec<Fresh<'a>>, Vec<Repeated<'a>>), LedgerError> {
    let mut candidates: Vec<Fresh> = Vec::new();
    let mut hashes: BTreeSet<Uuid> = BTreeSet::new();
    let mut repeated = Vec::new();
    for incoming in batch {
        let Content::Event { event, original } = &incoming.content else { continue };
        let hash = identity_hash(&event.envelope.identity);
        if !hashes.insert(hash) {
            repeated.push((&incoming.place, &**event, hash, original));
            continue;
        }
        let order = OrderKey::of(event, types_of(targets, &event.envelope.target));
        candidates.push(Fresh { place: &incoming.place, event, original, hash, order, number: 1, retaken: None });
    }
    if candidates.is_empty() {
        return Ok((candidates, repeated));
    }
    let new: Vec<Uuid> =
        sqlx::query_scalar("INSERT INTO seen (hash) SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING RETURNING hash")
            .bind(hashes.into_iter().collect::<Vec<_>>())
            .fetch_all(&mut *db)
            .await?;
    fail_point!("intake-seen");
    // A dead event may outlive the memory of its identity: it is still the same event.
    let kept: Vec<Uuid> =
        sqlx::query_scalar("SELECT hash FROM work WHERE state = 3 AND hash = ANY($1)").bind(&new).fetch_all(&mut *db).await?;
    let kept: BTreeSet<Uuid> = kept.into_iter().collect();
    let new: BTreeSet<Uuid> = new.into_iter().filter(|hash| !kept.contains(hash)).collect();
    let (mut fresh, mut old): (Vec<Fresh>, Vec<Fresh>) = candidates.into_iter().partition(|event| new.contains(&event.hash));
    retake(db, &mut fresh, &mut old, targets).await?;
    repeated.extend(old.into_iter().map(|old| (old.place, old.event, old.hash, old.original)));
    Ok((fresh, repeated))
}

/// Writes the work, wakes the lanes, and gives the outcomes of what is final at once.
async fn insert_work(
    db: &mut PgConnection,
    fresh: &[Fresh<'_>],
    lanes: &Lanes<'_>,
    targets: &Targets,
    now: DateTime<Utc>,
) -> Result<(Vec<OutcomeRow>, Vec<FinalRow>), LedgerError> {
    if fresh.is_empty() {
        return Ok(Default::default());
    }
    let numbers: Vec<i64> = sqlx::query_scalar("SELECT nextval('event_no') FROM generate_series(1, $1)")
        .bind(fresh.len() as i64)
        .fetch_all(&mut *db)
        .await?;
    let (mut outcomes, mut finals) = (Vec::new(), Vec::new());
    let mut work: Vec<(i64, i64, &Fresh, Option<Reason>)> = Vec::new();
    for (event, no) in fresh.iter().zip(numbers) {
        let Some(lane) = lanes.get(&event.order).copied() else { continue };
        let unknown = (!targets.contains_key(&event.event.envelope.target)).then(|| unknown_target(event.event));
        match (unknown, &event.event.data) {
            (None, Data::Alias(_)) => {
                let reason = Reason::new(Class::Nothing, "ALIAS_STORED", "the row is in the alias table");
                finals.push(final_row(event, Status::NothingToSend, &reason, now));
                outcomes.push(outcome_row(event, lane, no, Status::NothingToSend, reason, now));
            }
            (Some(reason), _) => {
                finals.push(final_row(event, Status::Dead, &reason, now));
                outcomes.push(outcome_row(event, lane, no, Status::Dead, reason.clone(), now));
                work.push((lane, no, event, Some(reason)));
            }
            (None, _) => work.push((lane, no, event, None)),
        }
    }
    write_work(db, &work).await?;
    fail_point!("intake-worked");
    let due: BTreeSet<i64> = work.iter().filter(|row| row.3.is_none()).map(|row| row.0).collect();
    let named: BTreeSet<i64> = fresh.iter().filter_map(|event| lanes.get(&event.order).copied()).collect();
    let named: BTreeSet<i64> = named.difference(&due).copied().collect();
    make_due(db, due.into_iter().collect()).await?;
    fail_point!("intake-due");
    wake_named(db, named).await?;
    Ok((outcomes, finals))
}

async fn write_work(db: &mut PgConnection, work: &[(i64, i64, &Fresh<'_>, Option<Reason>)]) -> Result<(), LedgerError> {
    if work.is_empty() {
        return Ok(());
    }
    let died: Vec<Option<String>> = work.iter().map(|row| row.3.as_ref().map(json_text)).collect();
    sqlx::query(
        "INSERT INTO work (lane, no, hash, kind, topic, partition, \"offset\", key, headers, value, died, died_at, state, outcomes)
         SELECT k.lane, k.no, k.hash, k.kind, k.topic, k.partition, k.\"offset\", k.key, k.headers, k.value, k.died::jsonb,
                CASE WHEN k.died IS NOT NULL THEN now() END, CASE WHEN k.died IS NULL THEN 0 ELSE 3 END,
                CASE WHEN k.died IS NULL THEN k.number - 1 ELSE k.number END
         FROM unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::smallint[], $5::text[], $6::int[], $7::bigint[], $8::bytea[],
                     $9::bytea[], $10::bytea[], $11::text[], $12::int[])
              AS k (lane, no, hash, kind, topic, partition, \"offset\", key, headers, value, died, number)",
    )
    .bind(work.iter().map(|row| row.0).collect::<Vec<_>>())
    .bind(work.iter().map(|row| row.1).collect::<Vec<_>>())
    .bind(work.iter().map(|row| row.2.hash).collect::<Vec<_>>())
    .bind(work.iter().map(|row| kind_code(row.2.event.envelope.kind)).collect::<Vec<_>>())
    .bind(work.iter().map(|row| row.2.place.topic.as_str()).collect::<Vec<_>>())
    .bind(work.iter().map(|row| row.2.place.partition).collect::<Vec<_>>())
    .bind(work.iter().map(|row| row.2.place.offset).collect::<Vec<_>>())
    .bind(work.iter().map(|row| row.2.original.key.as_deref()).collect::<Vec<_>>())
    .bind(work.iter().map(|row| pack_headers(&row.2.original.headers)).collect::<Vec<_>>())
    .bind(work.iter().map(|row| row.2.original.value.as_slice()).collect::<Vec<_>>())
    .bind(died)
    .bind(work.iter().map(|row| row.2.number).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(())
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
        lane: Some(lane),
        no: Some(no),
        kind: Some(kind_code(event.event.envelope.kind)),
        status,
        record_key: Some(event.event.data.order().id().as_bytes().to_vec()),
        outcome: outcome::of_event(event.event, event.place, &ending),
        dead: (status == Status::Dead).then(|| (event.place.clone(), event.original.clone())),
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
            lane: None,
            no: None,
            kind: None,
            status: Status::Quarantined,
            record_key: order.or_else(|| original.key.clone()),
            outcome: outcome::of_fault(fault, place, &reason, now),
            dead: Some((place.clone(), original.clone())),
            reason: Some(reason),
        });
    }
    Ok(())
}
