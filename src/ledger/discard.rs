//! Operators act on events: dead ones are retried, others are given up. In bounded steps, each a transaction that holds the lanes
//! which it changes, and records the act.
//!
//! A lane may be leased meanwhile. What is in flight or unknown is left alone. Anything else may go: its holder finds the lane dirty,
//! so it takes no turn without loading it again, and it can end no event whose row has gone.

use super::acts::{By, record_act};
use super::codec::{kind_code, state};
use super::connect::in_time;
use super::events::{Filter, filtered, fits, page, since, status, work_row};
use super::naming::lock_lanes;
use super::save::{OutcomeRow, Tally};
use super::totals::kind_label;
use super::writes::Writes;
use super::{Ledger, LedgerError, Targets};
use crate::event::Data;
use crate::outcome::{self, Final};
use crate::plan::outcome::{Class, Reason, Status};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{Connection, PgConnection, Row};
use std::collections::{BTreeMap, BTreeSet};

/// Events of one step.
const STEP: i64 = 200;

/// What is done with events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Dead ones go back to where they can be sent.
    Retry,
    /// What is neither in flight nor unknown is given up.
    Discard,
}

impl Act {
    /// The verb, as acts are recorded.
    pub const fn verb(self) -> &'static str {
        match self {
            Act::Retry => "retry",
            Act::Discard => "discard",
        }
    }
}

/// What an act came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Acted {
    /// Events that it was done to, or would be.
    pub done: u64,
    /// The same by status and, where they are dead, code.
    pub by_status: BTreeMap<String, u64>,
    /// Events that it could not be done to, by reason.
    pub refused: BTreeMap<String, u64>,
}

const IN_FLIGHT: &str = "in flight: wait for its answer";
const UNKNOWN: &str = "part of a mutation of which it is not known what became: the order is read first";
const NO_TARGET: &str = "its target is not configured; give this command the configuration that the daemon has";
const UNREADABLE: &str = "its stored record can no longer be read";
const MOVED: &str = "changed meanwhile: ask again";

type Keys = Vec<(i64, i64)>;

impl Ledger {
    /// Does the act to all events that fit; with nobody to do it, only counts them.
    ///
    /// # Errors
    /// Where Postgres is away: steps that were done stay done.
    pub async fn act(&self, act: Act, filter: &Filter, by: Option<&By>, targets: &Targets) -> Result<Acted, LedgerError> {
        let (mut acted, mut after) = (Acted::default(), (0, 0));
        loop {
            let rows =
                in_time(async { page(&mut *self.pool.acquire().await?, filter, act == Act::Retry, after, STEP).await }).await?;
            let Some(last) = rows.last() else { return Ok(acted) };
            after = (last.0, last.1);
            let keys: Keys = rows.iter().map(|row| (row.0, row.1)).collect();
            let refused = in_time(self.step(act, filter, keys, by, targets)).await?;
            for (lane, no, status, code) in rows {
                match refused.get(&(lane, no)) {
                    Some(why) => *acted.refused.entry((*why).to_owned()).or_default() += 1,
                    None => {
                        acted.done += 1;
                        let label = code.map_or_else(|| status.clone(), |code| format!("{status} {code}"));
                        *acted.by_status.entry(label).or_default() += 1;
                    }
                }
            }
        }
    }

    /// One step: gives what was refused.
    async fn step(
        &self,
        act: Act,
        filter: &Filter,
        keys: Keys,
        by: Option<&By>,
        targets: &Targets,
    ) -> Result<BTreeMap<(i64, i64), &'static str>, LedgerError> {
        let mut connection = self.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        let lanes: BTreeSet<i64> = keys.iter().map(|key| key.0).collect();
        lock_lanes(&mut transaction, &lanes).await?;
        let open = open_events(&mut transaction, &lanes).await?;
        let rows = filtered!(
            sqlx::query(concat!(
                "SELECT w.*, l.target, l.bwp_id, ",
                status!(),
                " AS status, w.received_at AS since, now() AS now FROM unnest($10::bigint[], $11::bigint[]) AS k (lane, no)
                 JOIN work w ON w.lane = k.lane AND w.no = k.no JOIN lane l ON l.id = w.lane WHERE ",
                fits!(),
                " ORDER BY w.lane, w.no FOR UPDATE OF w"
            )),
            filter
        )
        .bind(keys.iter().map(|key| key.0).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| key.1).collect::<Vec<_>>())
        .fetch_all(&mut *transaction)
        .await?;
        let mut refused: BTreeMap<(i64, i64), &'static str> = keys.into_iter().map(|key| (key, MOVED)).collect();
        let mut step = Step::default();
        for row in &rows {
            let key: (i64, i64) = (row.try_get("lane")?, row.try_get("no")?);
            refused.remove(&key);
            let why = match (act, open.get(&key)) {
                (Act::Discard, Some(why)) => Some(*why),
                (Act::Discard, None) => step.discard(row, key, by.and_then(|by| by.reason.as_deref()))?,
                (Act::Retry, _) => step.retry(row, key, targets)?,
            };
            refused.extend(why.map(|why| (key, why)));
        }
        let Some(by) = by else {
            transaction.rollback().await?;
            return Ok(refused);
        };
        step.write(&mut transaction, act, by, targets).await?;
        transaction.commit().await?;
        Ok(refused)
    }
}

/// Events in mutations that are in flight or unknown, with the sentence for them.
async fn open_events(db: &mut PgConnection, lanes: &BTreeSet<i64>) -> Result<BTreeMap<(i64, i64), &'static str>, LedgerError> {
    let rows: Vec<(i64, i64, bool)> = sqlx::query_as(
        "SELECT l.id, (o #>> '{}')::bigint, coalesce(l.is_leased AND (o #>> '{}')::bigint = ANY(l.flight), false)
         FROM lane l CROSS JOIN LATERAL jsonb_path_query(l.memo::jsonb, '$.intents[*].parts[*].events[*]') AS o WHERE l.id = ANY($1)",
    )
    .bind(lanes.iter().copied().collect::<Vec<_>>())
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|(lane, no, flies)| ((lane, no), if flies { IN_FLIGHT } else { UNKNOWN })).collect())
}

/// What one step writes.
#[derive(Default)]
struct Step {
    revived: Keys,
    gone: Keys,
    anew: Vec<super::retry::Anew>,
    outcomes: Vec<OutcomeRow>,
    tally: Tally,
    names: Vec<serde_json::Value>,
    lanes: BTreeSet<i64>,
    now: DateTime<Utc>,
}

impl Step {
    fn retry(
        &mut self,
        row: &sqlx::postgres::PgRow,
        key: (i64, i64),
        targets: &Targets,
    ) -> Result<Option<&'static str>, LedgerError> {
        let (event, record) = work_row(row)?;
        if record.row.state != state::DEAD {
            return Ok(Some(MOVED));
        }
        let Some(read) = record.event() else { return Ok(Some(UNREADABLE)) };
        if !targets.contains_key(&read.envelope.target) {
            return Ok(Some(NO_TARGET));
        }
        let kind: i16 = row.try_get("kind")?;
        // Its lane was chosen without its target's alias types, and an alias row has no turn in a lane: taken in anew.
        let had_no_target = event.reason.as_ref().is_some_and(|reason| reason.code == "UNKNOWN_TARGET");
        if had_no_target || matches!(read.data, Data::Alias(_)) {
            let number = record.row.outcomes + 1;
            self.gone.push(key);
            self.anew.push(super::retry::Anew { event: read, record, hash: row.try_get("hash")?, kind, number });
        } else {
            self.revived.push(key);
            self.tally.add("final", kind_label(Some(kind)), -1);
        }
        self.note(&event, key);
        Ok(None)
    }

    fn discard(
        &mut self,
        row: &sqlx::postgres::PgRow,
        key: (i64, i64),
        why: Option<&str>,
    ) -> Result<Option<&'static str>, LedgerError> {
        let (event, record) = work_row(row)?;
        let Some(read) = record.event() else { return Ok(Some(UNREADABLE)) };
        self.now = row.try_get("now")?;
        let reason = Reason::new(Class::Operator, "DISCARDED", why.unwrap_or("an operator gave it up"));
        let order_bwp_id: Option<String> = row.try_get("bwp_id")?;
        let ending = Final {
            status: Status::Discarded,
            reason: Some(&reason),
            attempts: event.attempts,
            order_bwp_id: order_bwp_id.as_deref(),
            entity_bwp_id: None,
            settled_at: self.now,
            number: record.row.outcomes + 1,
        };
        let kind = kind_code(read.envelope.kind);
        self.outcomes.push(OutcomeRow {
            settled_at: self.now,
            lane: Some(key.0),
            no: Some(key.1),
            kind: Some(kind),
            status: Status::Discarded,
            record_key: Some(read.data.order().id().as_bytes().to_vec()),
            outcome: outcome::of_event(&read, &record.row.place, &ending),
            letter: None,
            is_leaving: false,
            reason: Some(reason),
        });
        // The outcome of a dead event is replaced: it still has one.
        if record.row.state != state::DEAD {
            self.tally.add("final", kind_label(Some(kind)), 1);
        }
        self.gone.push(key);
        self.note(&event, key);
        Ok(None)
    }

    fn note(&mut self, event: &super::events::EventRow, key: (i64, i64)) {
        self.lanes.insert(key.0);
        self.names.push(json!({"source": event.source, "id": event.id, "status": event.status}));
    }

    async fn write(mut self, db: &mut PgConnection, act: Act, by: &By, targets: &Targets) -> Result<(), LedgerError> {
        if self.lanes.is_empty() {
            return Ok(());
        }
        let split = |keys: &Keys| -> (Vec<i64>, Vec<i64>) { keys.iter().copied().unzip() };
        let (lanes, numbers) = split(&self.revived);
        sqlx::query(
            "UPDATE work w SET state = $3, progress = NULL, died = NULL, waiting_since = NULL, waits_for = NULL
             FROM unnest($1::bigint[], $2::bigint[]) AS k (lane, no) WHERE w.lane = k.lane AND w.no = k.no",
        )
        .bind(lanes)
        .bind(numbers)
        .bind(state::QUEUED)
        .execute(&mut *db)
        .await?;
        let (lanes, numbers) = split(&self.gone);
        sqlx::query(
            "DELETE FROM work w USING unnest($1::bigint[], $2::bigint[]) AS k (lane, no) WHERE w.lane = k.lane AND w.no = k.no",
        )
        .bind(lanes)
        .bind(numbers)
        .execute(&mut *db)
        .await?;
        // What waited behind them may go on.
        sqlx::query(
            "UPDATE lane SET next_at = CASE WHEN is_leased THEN next_at ELSE now() END, is_dirty = is_leased WHERE id = ANY($1)",
        )
        .bind(self.lanes.iter().copied().collect::<Vec<_>>())
        .execute(&mut *db)
        .await?;
        let mut lanes = self.lanes.clone();
        lanes.extend(super::intake::take_anew(db, &self.anew, targets, &mut self.tally).await?);
        record_act(db, by, act.verb(), &json!({"lanes": lanes, "events": self.names})).await?;
        Writes { outcomes: &self.outcomes, tally: self.tally, ..Writes::default() }.write(db).await?;
        Ok(())
    }
}
