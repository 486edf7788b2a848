//! A lane after its turn, as the difference to its rows.

use super::attempts::AttemptRow;
use super::codec::{json_text, state};
use super::finals::{Ending, FinalRow};
use super::load::{Before, Head, WorkRow};
use super::merge::{lead_learned, tie_lanes};
use super::naming::{OrderKey, ThingKey};
use super::save::{OutcomeRow, Tally};
use super::settle::Release;
use super::totals::kind_label;
use super::writes::Writes;
use super::{LedgerError, Targets};
use crate::event::{Alias, AliasKind};
use crate::plan::lane::{Lane, Settled, Standing, Stands};
use crate::plan::names::NameRow;
use crate::plan::rank::EventNo;
use crate::plan::subject::Name;
use crate::plan::things::Change;
use crate::plan::turn::Turn;
use chrono::{DateTime, TimeDelta, Utc};
use fail::fail_point;
use sqlx::PgConnection;
use std::collections::BTreeSet;
use std::sync::Arc;

/// All that is to be written of one lane.
#[derive(Debug)]
pub struct Written {
    pub(super) id: i64,
    /// Whether this ends a lease: then what the lane's holders did before no longer counts against it.
    pub(super) is_settled: bool,
    target: String,
    pub(super) release: Release,
    pub(super) bwp_id: Option<String>,
    /// Whether the lane has just got to know that id.
    is_new_id: bool,
    pub(super) memo: String,
    pub(super) flight: Vec<EventNo>,
    pub(super) new_things: Vec<ThingRow>,
    pub(super) things: Vec<ThingRow>,
    gone_things: Vec<String>,
    names: Vec<(AliasKind, Alias, NameRow)>,
    parked: Vec<Parked>,
    pub(super) settled: Vec<Ended>,
}

/// A thing whose row has to say something new.
#[derive(Debug)]
pub(super) struct ThingRow {
    pub(super) subject: String,
    pub(super) doc: String,
}

/// An event that is final, with what its row and its outcome say beside it.
#[derive(Debug)]
pub(super) struct Ended {
    pub settled: Arc<Settled>,
    pub row: Arc<WorkRow>,
    pub order_bwp_id: Option<String>,
    pub entity_bwp_id: Option<String>,
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
    /// The difference between a lane after its turn and its rows. What the lane has learned stays in it: see [`Before::follow`].
    pub fn of(
        head: &Head,
        lane: &mut Lane,
        before: &Before,
        turn: &Turn,
        release: Release,
        now: DateTime<Utc>,
    ) -> Result<Written, LedgerError> {
        let (mut new_things, mut things, mut gone_things) = (Vec::new(), Vec::new(), Vec::new());
        for (subject, change) in lane.things.changes() {
            let subject = serde_json::to_string(subject)?;
            match change {
                Change::New(thing) => new_things.push(ThingRow { subject, doc: json_text(thing) }),
                Change::Changed(thing) => things.push(ThingRow { subject, doc: json_text(thing) }),
                Change::Gone => gone_things.push(subject),
            }
        }
        let flight = lane.memo.intents.iter().filter(|intent| intent.stands == Stands::InFlight);
        let flight: BTreeSet<EventNo> =
            flight.flat_map(|intent| &*intent.parts).flat_map(|part| part.events.iter().copied()).collect();
        // Where not all events were loaded, the rest may be due: at once where something has ended, else soon.
        let release = match release {
            Release::Lease(_) | Release::Hold { .. } => release,
            _ if before.is_partial && !turn.settled.is_empty() => Release::Now,
            _ if before.is_partial => Release::At(now + TimeDelta::seconds(1)),
            _ => release,
        };
        Ok(Written {
            id: head.id,
            is_settled: false,
            target: head.target.clone(),
            release,
            bwp_id: lane.bwp_id.clone(),
            is_new_id: lane.bwp_id != before.bwp_id,
            memo: json_text(&lane.memo),
            flight: flight.into_iter().collect(),
            new_things,
            things,
            gone_things,
            names: lane.names.learned(),
            parked: parked(lane, before, turn)?,
            settled: ended(lane, before, turn),
        })
    }

    /// The same, at the end of a lease.
    pub fn settled(self) -> Written {
        Written { is_settled: true, ..self }
    }
}

impl Before {
    /// Makes this what the rows are once that has been written, and the lane one that has changed nothing since.
    pub(super) fn follow(&mut self, lane: &mut Lane, written: &Written) {
        lane.names.forget_learned();
        lane.things.stored();
        self.bwp_id.clone_from(&written.bwp_id);
        for ended in &written.settled {
            self.rows.remove(&ended.settled.no);
        }
        for parked in &written.parked {
            if let Some(row) = self.rows.get_mut(&parked.no).map(Arc::make_mut) {
                row.state = parked.state;
                row.waiting_since = parked.waiting_since;
                row.waits_for.clone_from(&parked.waits_for);
                row.progress.clone_from(&parked.progress);
            }
        }
    }
}

fn ended(lane: &Lane, before: &Before, turn: &Turn) -> Vec<Ended> {
    let ended = turn.settled.iter().filter_map(|settled| {
        let row = Arc::clone(before.rows.get(&settled.no)?);
        let entity_bwp_id = entity_id(lane, settled);
        let order_bwp_id = lane.order_id().map(str::to_owned);
        Some(Ended { settled: Arc::clone(settled), row, order_bwp_id, entity_bwp_id })
    });
    ended.collect()
}

fn entity_id(lane: &Lane, settled: &Settled) -> Option<String> {
    let (subject, _) = settled.live.facets.first()?;
    match lane.canonical(subject).name() {
        None => lane.order_id().map(str::to_owned),
        Some(Name::Bwp(id)) => Some(id.clone()),
        Some(Name::Alias(_)) => None,
    }
}

/// Rows of work that no longer say how their event stands.
fn parked(lane: &mut Lane, before: &Before, turn: &Turn) -> Result<Vec<Parked>, LedgerError> {
    let mut parked = Vec::new();
    for (no, standing) in &turn.standings {
        let (Some(live), Some(row)) = (lane.events.get_mut(no), before.rows.get(no)) else { continue };
        let (state, waits_for) = match standing {
            Standing::Queued => (state::QUEUED, None),
            Standing::Retrying => (state::RETRYING, None),
            Standing::Waiting(needs) => (state::WAITING, Some(serde_json::to_value(needs)?)),
        };
        let waiting_since = (state == state::WAITING).then(|| live.waiting_since.unwrap_or(turn.charged));
        live.waiting_since = waiting_since;
        let is_fresh = live.progress == crate::plan::lane::Progress::default();
        let progress = (!is_fresh).then(|| serde_json::from_str(&json_text(&live.progress))).transpose()?;
        let same = (row.state, row.waiting_since, &row.waits_for, &row.progress) == (state, waiting_since, &waits_for, &progress);
        if !same {
            parked.push(Parked { no: *no, state, waiting_since, waits_for, progress });
        }
    }
    Ok(parked)
}

/// What is written beside lanes: outcomes of events that never had a turn, calls, and what changes of the running totals.
#[derive(Default)]
pub(super) struct Beside<'a> {
    pub outcomes: Vec<OutcomeRow>,
    pub calls: Vec<(i64, &'a AttemptRow)>,
    pub tally: Tally,
}

/// Writes lanes whose rows are locked, and what goes with them; the last that a transaction does. Gives what became final, and the lanes
/// that were merged: their leases no longer stand.
pub(super) async fn write_lanes(
    db: &mut PgConnection,
    lanes: &[Written],
    beside: Beside<'_>,
    targets: &Targets,
    now: DateTime<Utc>,
) -> Result<(Vec<FinalRow>, BTreeSet<i64>), LedgerError> {
    let Beside { mut outcomes, calls, mut tally } = beside;
    forget_things(db, lanes).await?;
    write_parked(db, lanes).await?;
    fail_point!("write-parked");
    let ending = Ending::of(db, lanes).await?;
    fail_point!("finals-ended");
    let others = outcomes.len();
    outcomes.extend(ending.outcomes(now, &mut tally));
    let learned = learned_orders(lanes);
    let are_led = lead_learned(db, &learned).await?;
    fail_point!("write-led");
    // Where a name leads elsewhere, other names are locked yet, before the totals.
    let (counted, mut later) = if are_led { (tally, Tally::default()) } else { (Tally::default(), tally) };
    let recorded = Writes { lanes, names: names(lanes), outcomes: &outcomes, calls, tally: counted }.write(db).await?;
    fail_point!("write-written");
    // Last, since a tie moves what has just been written.
    let tied = if are_led { BTreeSet::new() } else { tie_lanes(db, &learned, targets).await? };
    for (row, _) in outcomes.iter().zip(&recorded).filter(|(_, is_recorded)| !**is_recorded) {
        later.add("final", kind_label(row.kind), -1);
    }
    later.write(db).await?;
    Ok((ending.finals(&recorded[others.min(recorded.len())..], now), tied))
}

/// The names of things that lanes have learned.
fn names(lanes: &[Written]) -> Vec<(ThingKey<'_>, &NameRow)> {
    let names = lanes.iter().flat_map(|written| {
        let things = written.names.iter().filter(|(kind, ..)| *kind != AliasKind::Order);
        things.map(|(kind, alias, row)| ((written.id, *kind, alias), row))
    });
    names.collect()
}

/// An array as text, since arrays of arrays of different lengths are none in SQL.
pub(super) fn array(numbers: &[EventNo]) -> String {
    let list: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    format!("{{{}}}", list.join(","))
}

async fn forget_things(db: &mut PgConnection, writes: &[Written]) -> Result<(), LedgerError> {
    let gone: Vec<(i64, &String)> =
        writes.iter().flat_map(|written| written.gone_things.iter().map(|subject| (written.id, subject))).collect();
    if gone.is_empty() {
        return Ok(());
    }
    sqlx::query("DELETE FROM entity WHERE (lane, subject) IN (SELECT * FROM unnest($1::bigint[], $2::text[]))")
        .bind(gone.iter().map(|row| row.0).collect::<Vec<_>>())
        .bind(gone.iter().map(|row| row.1.as_str()).collect::<Vec<_>>())
        .execute(db)
        .await?;
    Ok(())
}

/// Names of orders that Buy with Prime has just confirmed: each leads to its lane, or ties it to another.
fn learned_orders(writes: &[Written]) -> Vec<(OrderKey<'_>, i64, Option<NameRow>)> {
    let mut learned = Vec::new();
    for written in writes {
        if let Some(id) = written.bwp_id.as_ref().filter(|_| written.is_new_id) {
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
