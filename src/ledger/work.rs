//! Events on their way into their lanes.

use super::codec::{json_text, kind_code, pack_headers, state};
use super::load::{Head, Loaded, WRITTEN, WorkRow, bind_limits, loaded, rows_of_lanes, take_event};
use super::naming::types_of;
use super::seen::Fresh;
use super::{LedgerError, Targets};
use crate::plan::outcome::Reason;
use crate::plan::rank::EventNo;
use chrono::{DateTime, Utc};
use fail::fail_point;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres, Row};

/// An event on its way into its lane, with the reason where it is dead already. It is numbered as it is written, unless it was before.
pub(super) struct Work<'a> {
    pub lane: i64,
    pub no: Option<i64>,
    pub event: &'a Fresh<'a>,
    pub died: Option<Reason>,
}

/// Writes events in their order. They are numbered in that order, too.
macro_rules! insert {
    () => {
        "INSERT INTO work (lane, no, hash, kind, topic, partition, \"offset\", key, headers, value, died, died_at, state, outcomes)
        SELECT k.lane, coalesce(k.no, nextval('event_no')), k.hash, k.kind, k.topic, k.partition, k.\"offset\", k.key, k.headers, k.value,
               k.died::jsonb, CASE WHEN k.died IS NOT NULL THEN now() END, CASE WHEN k.died IS NULL THEN 0 ELSE 3 END,
               CASE WHEN k.died IS NULL THEN k.number - 1 ELSE k.number END
        FROM (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::smallint[], $5::text[], $6::int[], $7::bigint[],
                    $8::bytea[], $9::bytea[], $10::bytea[], $11::text[], $12::int[]) WITH ORDINALITY
             AS k (lane, no, hash, kind, topic, partition, \"offset\", key, headers, value, died, number, at)
             ORDER BY at) k"
    };
}

/// Writes them, and loads lanes as they are then; they come in the order of the heads. What the same statement writes it does not see,
/// so that numbers are added which it has given.
const WRITE_AND_LOAD: &str = concat!(
    "WITH written AS (",
    insert!(),
    " RETURNING lane, no) ",
    rows_of_lanes!("$13", "$14", "$15", "$16"),
    " UNION ALL SELECT 3, lane, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
        no, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM written"
);

/// Writes events that come into their lanes, whose rows are locked.
pub(super) async fn write_work(db: &mut PgConnection, work: &[Work<'_>]) -> Result<(), LedgerError> {
    if !work.is_empty() {
        bind(sqlx::query(insert!()), work).execute(db).await?;
    }
    Ok(())
}

/// The same, and loads some of these lanes, with what has come into them.
pub(super) async fn write_and_load(
    db: &mut PgConnection,
    work: &[Work<'_>],
    heads: &[Head],
    targets: &Targets,
    now: DateTime<Utc>,
) -> Result<Vec<Loaded>, LedgerError> {
    if heads.is_empty() {
        write_work(db, work).await?;
        return Ok(Vec::new());
    }
    let ids = heads.iter().map(|head| head.id).collect();
    let rows = bind_limits(bind(sqlx::query(WRITE_AND_LOAD), work), ids).fetch_all(db).await?;
    let mut lanes = loaded(heads, &rows, targets)?;
    let mut numbers: Vec<EventNo> = Vec::with_capacity(work.len());
    for row in &rows {
        if row.try_get::<i32, _>("part")? == WRITTEN {
            numbers.push(row.try_get("no")?);
        }
    }
    // Those that were numbered before are dead: nobody takes their turn.
    numbers.retain(|no| !work.iter().any(|row| row.no == Some(*no)));
    numbers.sort_unstable();
    let unnumbered: Vec<&Work> = work.iter().filter(|row| row.no.is_none()).collect();
    if numbers.len() != unnumbered.len() {
        return Err(LedgerError::Unreadable(format!("{} events were written and {} numbered", unnumbered.len(), numbers.len())));
    }
    for (row, no) in unnumbered.into_iter().zip(numbers) {
        let at = heads.iter().position(|head| head.id == row.lane);
        let Some(lane) = at.and_then(|at| lanes.get_mut(at)) else { continue };
        let types = types_of(targets, &row.event.event.envelope.target);
        take_event(lane, no, row.event.event.clone(), row.as_written(now), types);
    }
    Ok(lanes)
}

impl Work<'_> {
    /// What its row says, beside its record.
    fn as_written(&self, now: DateTime<Utc>) -> WorkRow {
        WorkRow {
            place: self.event.place.clone(),
            received_at: now,
            state: state::QUEUED,
            waiting_since: None,
            progress: None,
            waits_for: None,
            outcomes: self.event.number - 1,
        }
    }
}

fn bind<'q>(query: Query<'q, Postgres, PgArguments>, work: &'q [Work<'_>]) -> Query<'q, Postgres, PgArguments> {
    fail_point!("intake-writes");
    let died: Vec<Option<String>> = work.iter().map(|row| row.died.as_ref().map(json_text)).collect();
    query
        .bind(work.iter().map(|row| row.lane).collect::<Vec<_>>())
        .bind(work.iter().map(|row| row.no).collect::<Vec<_>>())
        .bind(work.iter().map(|row| row.event.hash).collect::<Vec<_>>())
        .bind(work.iter().map(|row| kind_code(row.event.event.envelope.kind)).collect::<Vec<_>>())
        .bind(work.iter().map(|row| row.event.place.topic.as_str()).collect::<Vec<_>>())
        .bind(work.iter().map(|row| row.event.place.partition).collect::<Vec<_>>())
        .bind(work.iter().map(|row| row.event.place.offset).collect::<Vec<_>>())
        .bind(work.iter().map(|row| row.event.original.key.as_deref()).collect::<Vec<_>>())
        .bind(work.iter().map(|row| pack_headers(&row.event.original.headers)).collect::<Vec<_>>())
        .bind(work.iter().map(|row| row.event.original.value.as_slice()).collect::<Vec<_>>())
        .bind(died)
        .bind(work.iter().map(|row| row.event.number).collect::<Vec<_>>())
}
