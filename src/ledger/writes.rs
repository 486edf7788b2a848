//! All that a step comes to, in one statement: each trip to the server costs more than most of what is written there.
//!
//! The lanes' rows are locked by whoever writes. Outcomes and calls are rows of their own; the running totals come with them, since their
//! locks are the last ones of a transaction.

use super::LedgerError;
use super::attempts::AttemptRow;
use super::codec::status_code;
use super::naming::{ThingKey, said_columns, thing_columns};
use super::save::{OutcomeRow, Tally, write_letters};
use super::write::{Written, array};
use crate::plan::names::NameRow;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres};

/// What is to be written. Each outcome is counted as final in the tally by whoever made it.
#[derive(Default)]
pub(super) struct Writes<'a> {
    /// The lanes' own rows, and what is known of their things.
    pub lanes: &'a [Written],
    /// Names of things. What said something else before is recorded.
    pub names: Vec<(ThingKey<'a>, &'a NameRow)>,
    /// Recorded in their order, as their events leave.
    pub outcomes: &'a [OutcomeRow],
    /// Calls of lanes.
    pub calls: Vec<(i64, &'a AttemptRow)>,
    /// What changes of the running totals.
    pub tally: Tally,
}

/// Lanes, things that have no row yet, and things that have one (or had, and retention took it meanwhile). A thing without a row gets it
/// without looking for one, which is a third cheaper.
macro_rules! lanes {
    () => {
        "lanes AS (
        UPDATE lane l SET
            is_leased = k.lease IS NOT NULL,
            lease_no = l.lease_no + (k.lease IS NOT NULL)::int,
            used_on = current_date,
            next_at = CASE
                -- Not written anew as long as it is enough: no index changes then.
                WHEN l.next_at >= now() + make_interval(secs => k.enough) THEN l.next_at
                WHEN k.lease IS NOT NULL THEN now() + make_interval(secs => k.lease)
                WHEN l.is_dirty AND l.is_leased THEN now()
                WHEN k.due = 'epoch' THEN now()
                -- A lane that only rests is never due at once: nothing can make it spin.
                WHEN k.due IS NOT NULL THEN greatest(k.due, now() + interval '20 ms') END,
            is_dirty = false,
            touches = CASE WHEN k.lease IS NULL THEN 0 WHEN k.is_settled THEN 1 ELSE l.touches + 1 END,
            parked_until = CASE WHEN k.lease IS NOT NULL AND NOT k.is_settled THEN l.parked_until END,
            bwp_id = coalesce(k.bwp_id, l.bwp_id), memo = k.memo::json, flight = k.flight::bigint[]
        FROM unnest($1::bigint[], $2::float8[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::bool[], $8::float8[])
            AS k (id, lease, due, bwp_id, memo, flight, is_settled, enough)
        WHERE l.id = k.id
    ), new_things AS (
        INSERT INTO entity (lane, subject, doc)
        SELECT k.lane, k.subject, k.doc::json FROM unnest($9::bigint[], $10::text[], $11::text[]) AS k (lane, subject, doc)
    ), things AS (
        INSERT INTO entity (lane, subject, doc)
        SELECT k.lane, k.subject, k.doc::json FROM unnest($12::bigint[], $13::text[], $14::text[]) AS k (lane, subject, doc)
        ON CONFLICT (lane, subject) DO UPDATE SET doc = excluded.doc, changed_at = excluded.changed_at
    )"
    };
}

/// Comes first, since Postgres does such parts of a statement last that it has seen first: the locks of totals are the last ones.
macro_rules! totals {
    () => {
        "INSERT INTO tally (what, kind, slot, total)
        SELECT k.what, k.kind, $17, k.total FROM unnest($15::text[], $16::text[], $18::bigint[]) AS k (what, kind, total)
        ON CONFLICT (what, kind, slot) DO UPDATE SET total = tally.total + excluded.total"
    };
}

/// What a claim writes: a server takes some time for each part of a statement, though nothing is in it.
const LANES: &str = concat!("WITH totals AS (", totals!(), "), ", lanes!(), " SELECT");

/// The same, and names, outcomes, and calls.
const ALL: &str = concat!(
    "WITH totals AS (",
    totals!(),
    "), ",
    lanes!(),
    ", said AS (
        SELECT * FROM unnest($19::bigint[], $20::smallint[], $21::text[], $22::text[], $23::text[], $24::smallint[], $25::bigint[],
            $26::timestamptz[]) AS k (lane, kind, alias_type, id, bwp_id, origin, version, said_at)
    ), changed AS (
        INSERT INTO alias_change (lane, kind, alias_type, alias_id, old_bwp_id, old_origin, old_version, old_said_at,
                                  new_bwp_id, new_origin)
        SELECT k.lane, k.kind, k.alias_type, k.id, n.bwp_id, n.origin, n.version, n.said_at, k.bwp_id, k.origin
        FROM said k CROSS JOIN LATERAL (SELECT * FROM name n
            WHERE (n.lane, n.kind, n.alias_type, n.id) = (k.lane, k.kind, k.alias_type, k.id) LIMIT 1) n
        WHERE n.bwp_id IS DISTINCT FROM k.bwp_id
    ), names AS (
        INSERT INTO name (lane, kind, alias_type, id, bwp_id, origin, version, said_at) SELECT * FROM said
        ON CONFLICT (lane, kind, alias_type, id) DO UPDATE
        SET bwp_id = excluded.bwp_id, origin = excluded.origin, version = excluded.version, said_at = excluded.said_at
    ), ending AS (
        SELECT * FROM unnest($27::timestamptz[], $28::bigint[], $29::bigint[], $30::smallint[], $31::smallint[], $32::text[],
            $33::text[], $34::bytea[], $35::text[], $36::bool[])
            WITH ORDINALITY AS k (settled_at, lane, no, kind, status, class, code, record_key, outcome, is_leaving, at)
    ), left_now AS (
        DELETE FROM work w USING ending k WHERE k.is_leaving AND w.lane = k.lane AND w.no = k.no RETURNING k.*
    ), recorded AS (
        INSERT INTO history (settled_at, lane, no, kind, status, class, code, record_key, outcome)
        SELECT settled_at, lane, no, kind, status, class, code, record_key, outcome
        FROM (SELECT * FROM left_now UNION ALL SELECT * FROM ending WHERE NOT is_leaving) k ORDER BY at
        RETURNING seq, no
    ), calls AS (
        INSERT INTO attempt (lane, at, operation, events, request, verdict, http, code, message, request_id, took_ms)
        SELECT k.lane, k.at, k.operation, k.events::bigint[], k.request, k.verdict, k.http, k.code, k.message, k.request_id, k.took
        FROM unnest($37::bigint[], $38::timestamptz[], $39::text[], $40::text[], $41::text[], $42::text[], $43::smallint[],
            $44::text[], $45::text[], $46::text[], $47::int[])
            AS k (lane, at, operation, events, request, verdict, http, code, message, request_id, took)
    )
    SELECT seq, no FROM recorded"
);

type Statement<'q> = Query<'q, Postgres, PgArguments>;

impl Writes<'_> {
    /// Writes it all. Tells of each outcome whether it was recorded: where its event has left already, there is none, and it is to be
    /// taken off the totals again.
    pub async fn write(mut self, db: &mut PgConnection) -> Result<Vec<bool>, LedgerError> {
        let is_short = self.names.is_empty() && self.outcomes.is_empty() && self.calls.is_empty();
        if is_short && self.lanes.is_empty() && self.tally.is_empty() {
            return Ok(Vec::new());
        }
        // What is locked on the way is locked in the order of its key.
        self.names.sort_by_key(|row| row.0);
        let statement = sqlx::query(if is_short { LANES } else { ALL });
        let statement = self.tally.bind(bind_things(bind_lanes(statement, self.lanes), self.lanes));
        if is_short {
            statement.execute(db).await?;
            return Ok(Vec::new());
        }
        let statement = bind_outcomes(bind_names(statement, &self.names), self.outcomes);
        let rows = bind_calls(statement, &self.calls).fetch_all(&mut *db).await?;
        let seqs = seqs(&rows, self.outcomes)?;
        let with_letter = seqs.iter().zip(self.outcomes).filter(|(_, row)| row.letter.is_some());
        let letters: Vec<(i64, &OutcomeRow)> = with_letter.filter_map(|(seq, row)| Some(((*seq)?, row))).collect();
        write_letters(db, &letters).await?;
        Ok(seqs.iter().map(Option::is_some).collect())
    }
}

/// The numbers of outcomes: they come in the order of the rows, without those that were not recorded.
fn seqs(rows: &[PgRow], outcomes: &[OutcomeRow]) -> Result<Vec<Option<i64>>, LedgerError> {
    use sqlx::Row;
    let recorded: Vec<(i64, Option<i64>)> =
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, sqlx::Error>>()?;
    let mut recorded = recorded.into_iter().peekable();
    Ok(outcomes.iter().map(|row| recorded.next_if(|(_, no)| *no == row.no).map(|(seq, _)| seq)).collect())
}

fn bind_lanes<'q>(statement: Statement<'q>, lanes: &'q [Written]) -> Statement<'q> {
    statement
        .bind(lanes.iter().map(|written| written.id).collect::<Vec<_>>())
        .bind(lanes.iter().map(|written| written.release.lease()).collect::<Vec<_>>())
        .bind(lanes.iter().map(|written| written.release.due()).collect::<Vec<_>>())
        .bind(lanes.iter().map(|written| written.bwp_id.as_deref()).collect::<Vec<_>>())
        .bind(lanes.iter().map(|written| Some(&*written.memo).filter(|memo| *memo != "{}")).collect::<Vec<_>>())
        .bind(lanes.iter().map(|written| array(&written.flight)).collect::<Vec<_>>())
        .bind(lanes.iter().map(|written| written.is_settled).collect::<Vec<_>>())
        .bind(lanes.iter().map(|written| written.release.enough()).collect::<Vec<_>>())
}

fn bind_things<'q>(statement: Statement<'q>, lanes: &'q [Written]) -> Statement<'q> {
    let new = || lanes.iter().flat_map(|written| written.new_things.iter().map(|thing| (written.id, thing)));
    let changed = || lanes.iter().flat_map(|written| written.things.iter().map(|thing| (written.id, thing)));
    statement
        .bind(new().map(|(lane, _)| lane).collect::<Vec<_>>())
        .bind(new().map(|(_, thing)| thing.subject.as_str()).collect::<Vec<_>>())
        .bind(new().map(|(_, thing)| thing.doc.as_str()).collect::<Vec<_>>())
        .bind(changed().map(|(lane, _)| lane).collect::<Vec<_>>())
        .bind(changed().map(|(_, thing)| thing.subject.as_str()).collect::<Vec<_>>())
        .bind(changed().map(|(_, thing)| thing.doc.as_str()).collect::<Vec<_>>())
}

fn bind_names<'q>(statement: Statement<'q>, names: &[(ThingKey<'q>, &'q NameRow)]) -> Statement<'q> {
    let (lanes, kinds, types, ids) = thing_columns(names.iter().map(|row| row.0));
    let (bwp_ids, origins, versions) = said_columns(names.iter().map(|row| Some(row.1)));
    let times = names.iter().map(|row| row.1.time).collect::<Vec<_>>();
    statement.bind(lanes).bind(kinds).bind(types).bind(ids).bind(bwp_ids).bind(origins).bind(versions).bind(times)
}

fn bind_outcomes<'q>(statement: Statement<'q>, rows: &'q [OutcomeRow]) -> Statement<'q> {
    statement
        .bind(rows.iter().map(|row| row.settled_at).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.lane).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.no).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.kind).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| status_code(row.status)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.reason.as_ref().map(|reason| reason.class.as_str())).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.reason.as_ref().map(|reason| reason.code.as_str())).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.record_key.as_deref()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.outcome.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.is_leaving).collect::<Vec<_>>())
}

fn bind_calls<'q>(statement: Statement<'q>, calls: &[(i64, &'q AttemptRow)]) -> Statement<'q> {
    let clean = |text: &Option<String>| text.as_ref().map(|text| text.replace('\0', "\u{fffd}"));
    statement
        .bind(calls.iter().map(|row| row.0).collect::<Vec<_>>())
        .bind(calls.iter().map(|row| row.1.at).collect::<Vec<_>>())
        .bind(calls.iter().map(|row| row.1.operation.as_str()).collect::<Vec<_>>())
        .bind(calls.iter().map(|row| array(&row.1.events)).collect::<Vec<_>>())
        .bind(calls.iter().map(|row| row.1.request.as_deref()).collect::<Vec<_>>())
        .bind(calls.iter().map(|row| row.1.verdict.as_str()).collect::<Vec<_>>())
        .bind(calls.iter().map(|row| row.1.http.and_then(|http| i16::try_from(http).ok())).collect::<Vec<_>>())
        .bind(calls.iter().map(|row| clean(&row.1.code)).collect::<Vec<_>>())
        .bind(calls.iter().map(|row| clean(&row.1.message)).collect::<Vec<_>>())
        .bind(calls.iter().map(|row| row.1.request_id.as_deref()).collect::<Vec<_>>())
        .bind(calls.iter().map(|row| row.1.took_ms).collect::<Vec<_>>())
}
