//! What came of a lane's turn is written back, if the lease still stands.

use super::claim::Claimed;
use super::codec::{kind_code, state};
use super::load::{Before, Head, Record};
use super::merge::tie_lanes;
use super::naming::{OrderKey, ThingKey, write_thing_rows};
use super::save::{OutcomeRow, Tally, record_outcomes};
use super::{Ledger, LedgerError};
use crate::event::{Alias, AliasKind};
use crate::outcome::{self, Final};
use crate::plan::lane::{Lane, Settled, Standing, Stands};
use crate::plan::names::NameRow;
use crate::plan::outcome::{Reason, Status};
use crate::plan::rank::EventNo;
use crate::plan::subject::Subject;
use crate::plan::turn::{Next, Turn};
use chrono::{DateTime, Utc};
use fail::fail_point;
use sqlx::{Connection, PgConnection};
use std::collections::{BTreeMap, BTreeSet};
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

/// A row that became final: for metrics and logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalRow {
    /// The kind of the event.
    pub kind: crate::event::Kind,
    /// How it ended.
    pub status: Status,
    /// Why.
    pub reason: Option<Reason>,
    /// What it is about.
    pub entity: AliasKind,
    /// Its trace context.
    pub traceparent: Option<String>,
    /// From intake to now.
    pub age: Duration,
    /// Who it is, for the log.
    pub identity: crate::event::Identity,
    /// The id in its reference to its order.
    pub order: String,
    /// Mutations sent for it.
    pub attempts: u32,
}

/// All that is to be written of one lane.
#[derive(Debug)]
pub struct Written {
    id: i64,
    target: String,
    release: Release,
    bwp_id: Option<String>,
    memo: String,
    flight: Vec<EventNo>,
    things: Vec<(String, String)>,
    gone_things: Vec<String>,
    names: Vec<(AliasKind, Alias, NameRow)>,
    parked: Vec<Parked>,
    settled: Vec<(Settled, Record, Option<String>, Option<String>)>,
}

/// An unsettled event whose row has to say something new.
#[derive(Debug)]
struct Parked {
    no: EventNo,
    state: i16,
    waiting_since: Option<DateTime<Utc>>,
    waits_for: Option<serde_json::Value>,
    progress: Option<serde_json::Value>,
}

impl Written {
    /// The difference between a lane after its turn and its rows.
    pub fn of(
        head: &Head,
        lane: &mut Lane,
        before: &Before,
        turn: &Turn,
        release: Release,
        now: DateTime<Utc>,
    ) -> Result<Written, LedgerError> {
        let mut things = Vec::new();
        for (subject, thing) in &lane.things {
            let doc = serde_json::to_string(thing)?;
            if before.things.get(subject) != Some(&doc) {
                things.push((serde_json::to_string(subject)?, doc));
            }
        }
        let gone = before.things.keys().filter(|subject| !lane.things.contains_key(subject));
        let gone_things = gone.map(serde_json::to_string).collect::<Result<_, _>>()?;
        let flight = lane.memo.intents.iter().filter(|intent| intent.stands == Stands::InFlight);
        let flight: BTreeSet<EventNo> =
            flight.flat_map(|intent| &intent.parts).flat_map(|part| part.events.iter().copied()).collect();
        let settled = turn
            .settled
            .iter()
            .filter_map(|settled| {
                let record = before.records.get(&settled.no)?.clone();
                let entity = entity_id(lane, settled);
                Some((settled.clone(), record, lane.order_id().map(str::to_owned), entity))
            })
            .collect();
        Ok(Written {
            id: head.id,
            target: head.target.clone(),
            release,
            bwp_id: lane.bwp_id.clone(),
            memo: serde_json::to_string(&lane.memo)?,
            flight: flight.into_iter().collect(),
            things,
            gone_things,
            names: lane.names.take_learned(),
            parked: parked(lane, before, turn, now)?,
            settled,
        })
    }
}

impl Before {
    /// What the rows are once this has been written.
    pub(super) fn after(mut self, lane: &Lane, written: &Written) -> Result<Before, LedgerError> {
        self.things = lane
            .things
            .iter()
            .map(|(subject, thing)| Ok((subject.clone(), serde_json::to_string(thing)?)))
            .collect::<Result<BTreeMap<Subject, String>, serde_json::Error>>()?;
        for (settled, ..) in &written.settled {
            self.records.remove(&settled.no);
        }
        for parked in &written.parked {
            if let Some(record) = self.records.get_mut(&parked.no) {
                record.state = parked.state;
                record.waiting_since = parked.waiting_since;
                record.waits_for.clone_from(&parked.waits_for);
                record.progress.clone_from(&parked.progress);
            }
        }
        Ok(self)
    }
}

fn entity_id(lane: &Lane, settled: &Settled) -> Option<String> {
    use crate::plan::subject::Name;
    let (subject, _) = settled.live.facets.first()?;
    match lane.canonical(subject).name() {
        None => lane.order_id().map(str::to_owned),
        Some(Name::Bwp(id)) => Some(id.clone()),
        Some(Name::Alias(_)) => None,
    }
}

/// Rows of work that no longer say how their event stands.
fn parked(lane: &mut Lane, before: &Before, turn: &Turn, now: DateTime<Utc>) -> Result<Vec<Parked>, LedgerError> {
    let mut parked = Vec::new();
    for (no, standing) in &turn.standings {
        let (Some(live), Some(record)) = (lane.events.get_mut(no), before.records.get(no)) else { continue };
        let (state, waits_for) = match standing {
            Standing::Queued => (state::QUEUED, None),
            Standing::Retrying => (state::RETRYING, None),
            Standing::Waiting(needs) => (state::WAITING, Some(serde_json::to_value(needs)?)),
        };
        let waiting_since = (state == state::WAITING).then(|| live.waiting_since.unwrap_or(now));
        live.waiting_since = waiting_since;
        let is_fresh = live.progress == crate::plan::lane::Progress::default();
        let progress = (!is_fresh).then(|| serde_json::to_value(&live.progress)).transpose()?;
        let same = (record.state, record.waiting_since, &record.waits_for, &record.progress)
            == (state, waiting_since, &waits_for, &progress);
        if !same {
            parked.push(Parked { no: *no, state, waiting_since, waits_for, progress });
        }
    }
    Ok(parked)
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
        Ok(sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&self.pool).await?)
    }

    /// Writes what came of many lanes in one transaction. A lane whose lease has gone to somebody else is left alone and counted.
    ///
    /// # Errors
    /// Where Postgres is away: then nothing was written, and the same call may be made again.
    pub async fn settle(&self, settlements: &mut [Settlement], now: DateTime<Utc>) -> Result<SettleReport, LedgerError> {
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
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
        report.finals = write_lanes(&mut transaction, writes, now).await?;
        fail_point!("settle-written");
        transaction.commit().await?;
        fail_point!("settle-committed");
        Ok(report)
    }
}

/// Writes lanes whose rows are locked.
pub async fn write_lanes(db: &mut PgConnection, writes: Vec<Written>, now: DateTime<Utc>) -> Result<Vec<FinalRow>, LedgerError> {
    if writes.is_empty() {
        return Ok(Vec::new());
    }
    write_heads(db, &writes).await?;
    write_things(db, &writes).await?;
    write_names(db, &writes).await?;
    write_parked(db, &writes).await?;
    let finals = write_finals(db, &writes, now).await?;
    // Last, since a tie moves what has just been written.
    tie_lanes(db, &learned_orders(&writes)).await?;
    Ok(finals)
}

async fn write_heads(db: &mut PgConnection, writes: &[Written]) -> Result<(), LedgerError> {
    let flights: Vec<String> = writes.iter().map(|written| array(&written.flight)).collect();
    let leases: Vec<Option<f64>> = writes
        .iter()
        .map(|written| match written.release {
            Release::Lease(lease) => Some(lease.as_secs_f64()),
            _ => None,
        })
        .collect();
    let dues: Vec<Option<DateTime<Utc>>> = writes
        .iter()
        .map(|written| match written.release {
            Release::At(at) => Some(at),
            Release::Now => Some(DateTime::<Utc>::UNIX_EPOCH),
            Release::Lease(_) | Release::Never => None,
        })
        .collect();
    sqlx::query(
        "UPDATE lane l SET
            is_leased = k.lease IS NOT NULL,
            lease_no = l.lease_no + (k.lease IS NOT NULL)::int,
            next_at = CASE
                WHEN k.lease IS NOT NULL THEN now() + make_interval(secs => k.lease)
                WHEN l.is_dirty AND l.is_leased THEN now()
                WHEN k.due = 'epoch' THEN now()
                -- A lane that only rests is never due at once: nothing can make it spin.
                WHEN k.due IS NOT NULL THEN greatest(k.due, now() + interval '20 ms') END,
            is_dirty = false,
            touches = CASE WHEN k.lease IS NOT NULL THEN l.touches + 1 ELSE 0 END,
            bwp_id = coalesce(k.bwp_id, l.bwp_id), memo = k.memo::jsonb, flight = k.flight::bigint[]
         FROM unnest($1::bigint[], $2::float8[], $3::timestamptz[], $4::text[], $5::text[], $6::text[])
              AS k (id, lease, due, bwp_id, memo, flight)
         WHERE l.id = k.id",
    )
    .bind(writes.iter().map(|written| written.id).collect::<Vec<_>>())
    .bind(leases)
    .bind(dues)
    .bind(writes.iter().map(|written| written.bwp_id.clone()).collect::<Vec<_>>())
    .bind(writes.iter().map(|written| (written.memo != "{}").then(|| written.memo.clone())).collect::<Vec<_>>())
    .bind(flights)
    .execute(db)
    .await?;
    Ok(())
}

/// An array as text, since arrays of arrays of different lengths are none in SQL.
fn array(numbers: &[EventNo]) -> String {
    let list: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    format!("{{{}}}", list.join(","))
}

async fn write_things(db: &mut PgConnection, writes: &[Written]) -> Result<(), LedgerError> {
    let gone: Vec<(i64, &String)> =
        writes.iter().flat_map(|written| written.gone_things.iter().map(|subject| (written.id, subject))).collect();
    if !gone.is_empty() {
        sqlx::query("DELETE FROM entity WHERE (lane, subject) IN (SELECT * FROM unnest($1::bigint[], $2::text[]))")
            .bind(gone.iter().map(|row| row.0).collect::<Vec<_>>())
            .bind(gone.iter().map(|row| row.1.clone()).collect::<Vec<_>>())
            .execute(&mut *db)
            .await?;
    }
    let things: Vec<(i64, &(String, String))> =
        writes.iter().flat_map(|written| written.things.iter().map(|thing| (written.id, thing))).collect();
    if things.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO entity (lane, subject, doc)
         SELECT k.lane, k.subject, k.doc::jsonb FROM unnest($1::bigint[], $2::text[], $3::text[]) AS k (lane, subject, doc)
         ON CONFLICT (lane, subject) DO UPDATE SET doc = excluded.doc, changed_at = excluded.changed_at",
    )
    .bind(things.iter().map(|row| row.0).collect::<Vec<_>>())
    .bind(things.iter().map(|row| row.1.0.clone()).collect::<Vec<_>>())
    .bind(things.iter().map(|row| row.1.1.clone()).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(())
}

async fn write_names(db: &mut PgConnection, writes: &[Written]) -> Result<(), LedgerError> {
    let rows: Vec<(ThingKey, NameRow)> = writes
        .iter()
        .flat_map(|written| {
            let things = written.names.iter().filter(|(kind, ..)| *kind != AliasKind::Order);
            things.map(|(kind, alias, row)| ((written.id, *kind, alias.clone()), row.clone()))
        })
        .collect();
    write_thing_rows(db, &rows).await
}

/// Names of orders that Buy with Prime has confirmed: each leads to its lane, or ties it to another.
fn learned_orders(writes: &[Written]) -> Vec<(OrderKey, i64, Option<NameRow>)> {
    let mut learned = Vec::new();
    for written in writes {
        if let Some(id) = &written.bwp_id {
            learned.push((OrderKey::bwp(&written.target, id), written.id, None));
        }
        let orders = written.names.iter().filter(|(kind, ..)| *kind == AliasKind::Order);
        learned.extend(orders.map(|(_, alias, row)| (OrderKey::alias(&written.target, alias), written.id, Some(row.clone()))));
    }
    learned
}

async fn write_parked(db: &mut PgConnection, writes: &[Written]) -> Result<(), LedgerError> {
    let parked: Vec<(i64, &Parked)> =
        writes.iter().flat_map(|written| written.parked.iter().map(|parked| (written.id, parked))).collect();
    if parked.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE work w SET state = k.state, waiting_since = k.waiting_since, waits_for = k.waits_for, progress = k.progress
         FROM unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::timestamptz[], $5::jsonb[], $6::jsonb[])
              AS k (lane, no, state, waiting_since, waits_for, progress)
         WHERE w.lane = k.lane AND w.no = k.no",
    )
    .bind(parked.iter().map(|row| row.0).collect::<Vec<_>>())
    .bind(parked.iter().map(|row| row.1.no).collect::<Vec<_>>())
    .bind(parked.iter().map(|row| row.1.state).collect::<Vec<_>>())
    .bind(parked.iter().map(|row| row.1.waiting_since).collect::<Vec<_>>())
    .bind(parked.iter().map(|row| row.1.waits_for.clone()).collect::<Vec<_>>())
    .bind(parked.iter().map(|row| row.1.progress.clone()).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(())
}

/// Ends events: the dead stay to be retried, the others leave; each has its outcome and is counted.
async fn write_finals(db: &mut PgConnection, writes: &[Written], now: DateTime<Utc>) -> Result<Vec<FinalRow>, LedgerError> {
    let mut outcomes = Vec::new();
    let mut finals = Vec::new();
    let mut tally = Tally::default();
    let (mut ended, mut dead): (Vec<(i64, i64)>, Vec<(i64, i64, serde_json::Value)>) = (Vec::new(), Vec::new());
    for written in writes {
        for (settled, record, order_bwp_id, entity_bwp_id) in &written.settled {
            let event = &settled.live.event;
            let ending = Final {
                status: settled.status,
                reason: settled.reason.as_ref(),
                attempts: settled.live.progress.attempts,
                order_bwp_id: order_bwp_id.as_deref(),
                entity_bwp_id: entity_bwp_id.as_deref(),
                settled_at: now,
                number: record.outcomes + 1,
            };
            let order = event.data.order().id().to_owned();
            outcomes.push(OutcomeRow {
                lane: Some(written.id),
                no: Some(settled.no),
                kind: Some(kind_code(event.envelope.kind)),
                status: settled.status,
                reason: settled.reason.clone(),
                record_key: Some(order.as_bytes().to_vec()),
                outcome: outcome::of_event(event, &record.place, &ending),
                dead: (settled.status == Status::Dead).then(|| (record.place.clone(), record.original.clone())),
            });
            tally.add("final", event.envelope.kind.label(), 1);
            match (settled.status, &settled.reason) {
                (Status::Dead, Some(reason)) => dead.push((written.id, settled.no, serde_json::to_value(reason)?)),
                _ => ended.push((written.id, settled.no)),
            }
            finals.push(FinalRow {
                kind: event.envelope.kind,
                status: settled.status,
                reason: settled.reason.clone(),
                age: (now - record.received_at).to_std().unwrap_or_default(),
                entity: outcome::entity(event).0,
                traceparent: event.envelope.traceparent.clone(),
                identity: event.envelope.identity.clone(),
                order,
                attempts: settled.live.progress.attempts,
            });
        }
    }
    delete_work(db, &ended).await?;
    bury_work(db, &dead).await?;
    record_outcomes(db, &outcomes, now).await?;
    tally.write(db).await?;
    Ok(finals)
}

async fn delete_work(db: &mut PgConnection, rows: &[(i64, i64)]) -> Result<(), LedgerError> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "DELETE FROM work w USING unnest($1::bigint[], $2::bigint[]) AS k (lane, no) WHERE w.lane = k.lane AND w.no = k.no",
    )
    .bind(rows.iter().map(|row| row.0).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.1).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(())
}

async fn bury_work(db: &mut PgConnection, rows: &[(i64, i64, serde_json::Value)]) -> Result<(), LedgerError> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE work w SET state = $4, died = k.died, outcomes = w.outcomes + 1, waiting_since = NULL, waits_for = NULL
         FROM unnest($1::bigint[], $2::bigint[], $3::jsonb[]) AS k (lane, no, died)
         WHERE w.lane = k.lane AND w.no = k.no",
    )
    .bind(rows.iter().map(|row| row.0).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.1).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.2.clone()).collect::<Vec<_>>())
    .bind(state::DEAD)
    .execute(db)
    .await?;
    Ok(())
}

/// A dead event was revived: its outcome no longer counts, and its lane is due.
pub async fn reopen(db: &mut PgConnection, lane: i64, kind: i16) -> Result<(), LedgerError> {
    sqlx::query("UPDATE lane SET next_at = CASE WHEN is_leased THEN next_at ELSE now() END, is_dirty = is_leased WHERE id = $1")
        .bind(lane)
        .execute(&mut *db)
        .await?;
    let mut tally = Tally::default();
    tally.add("final", super::totals::kind_label(Some(kind)), -1);
    tally.write(db).await
}
