//! Rows that end events: outcomes, dead letters, running totals.

use super::LedgerError;
use super::codec::status_code;
use super::inbox::Place;
use crate::plan::outcome::{Reason, Status};
use chrono::{DateTime, Utc};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres};
use std::collections::BTreeMap;

/// The statement that adds to the totals, after whatever goes with it; its columns are `$1` to `$4`.
macro_rules! ADD_TO_TOTALS {
    ($with:literal) => {
        concat!(
            $with,
            "INSERT INTO tally (what, kind, slot, total)
             SELECT k.what, k.kind, $3, k.total FROM unnest($1::text[], $2::text[], $4::bigint[]) AS k (what, kind, total)
             ON CONFLICT (what, kind, slot) DO UPDATE SET total = tally.total + excluded.total"
        )
    };
}
pub(super) use ADD_TO_TOTALS;

/// An outcome to be recorded and published.
#[derive(Debug, Clone)]
pub struct OutcomeRow {
    pub lane: Option<i64>,
    pub no: Option<i64>,
    pub kind: Option<i16>,
    pub status: Status,
    pub reason: Option<Reason>,
    pub record_key: Option<Vec<u8>>,
    pub outcome: String,
    /// Where the record is that goes to the dead letters, if it does.
    pub letter: Option<Letter>,
    /// Whether the event leaves `work` with it: where it has left already, there is no outcome.
    pub is_leaving: bool,
}

/// Where in the ledger the record of a dead letter is.
#[derive(Debug, Clone)]
pub enum Letter {
    /// In `work`: that of the outcome's event.
    Work,
    /// In `quarantine`.
    Quarantine(Place),
}

/// Records outcomes, in their order, as their events leave. Tells of each whether it was recorded.
pub async fn record_outcomes(db: &mut PgConnection, rows: &[OutcomeRow], now: DateTime<Utc>) -> Result<Vec<bool>, LedgerError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let recorded: Vec<(i64, Option<i64>)> = sqlx::query_as(
        "WITH ending AS (
             SELECT * FROM unnest($2::bigint[], $3::bigint[], $4::smallint[], $5::smallint[], $6::text[], $7::text[], $8::bytea[],
                 $9::text[], $10::bool[])
                 WITH ORDINALITY AS k (lane, no, kind, status, class, code, record_key, outcome, is_leaving, at)
         ), left_now AS (
             DELETE FROM work w USING ending k WHERE k.is_leaving AND w.lane = k.lane AND w.no = k.no RETURNING k.*
         )
         INSERT INTO history (settled_at, lane, no, kind, status, class, code, record_key, outcome)
         SELECT $1, lane, no, kind, status, class, code, record_key, outcome
         FROM (SELECT * FROM left_now UNION ALL SELECT * FROM ending WHERE NOT is_leaving) k ORDER BY at
         RETURNING seq, no",
    )
    .bind(now)
    .bind(rows.iter().map(|row| row.lane).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.no).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.kind).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| status_code(row.status)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.reason.as_ref().map(|reason| reason.class.as_str())).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.reason.as_ref().map(|reason| reason.code.as_str())).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.record_key.as_deref()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.outcome.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.is_leaving).collect::<Vec<_>>())
    .fetch_all(&mut *db)
    .await?;
    // They come in the order of the rows, without those that were not recorded.
    let mut recorded = recorded.into_iter().peekable();
    let seqs: Vec<Option<i64>> = rows.iter().map(|row| recorded.next_if(|(_, no)| *no == row.no).map(|(seq, _)| seq)).collect();
    let with_letter = seqs.iter().zip(rows).filter(|(_, row)| row.letter.is_some());
    let letters: Vec<(i64, &OutcomeRow)> = with_letter.filter_map(|(seq, row)| Some(((*seq)?, row))).collect();
    write_letters(db, &letters).await?;
    Ok(seqs.iter().map(Option::is_some).collect())
}

/// Keeps the originals of outcomes with a letter until they are published, with the outcomes' numbers.
async fn write_letters(db: &mut PgConnection, letters: &[(i64, &OutcomeRow)]) -> Result<(), LedgerError> {
    if letters.is_empty() {
        return Ok(());
    }
    let places = || {
        letters.iter().map(|(_, row)| match &row.letter {
            Some(Letter::Quarantine(place)) => Some(place),
            Some(Letter::Work) | None => None,
        })
    };
    sqlx::query(
        "INSERT INTO dead_letter (seq, topic, partition, \"offset\", key, headers, value)
         SELECT k.seq, r.topic, r.partition, r.\"offset\", r.key, r.headers, r.value
         FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::int[], $6::bigint[])
              AS k (seq, lane, no, topic, partition, \"offset\")
         CROSS JOIN LATERAL (
             (SELECT w.topic, w.partition, w.\"offset\", w.key, w.headers, w.value FROM work w
              WHERE k.topic IS NULL AND w.lane = k.lane AND w.no = k.no LIMIT 1)
             UNION ALL
             (SELECT q.topic, q.partition, q.\"offset\", q.key, q.headers, q.value FROM quarantine q
              WHERE (q.topic, q.partition, q.\"offset\") = (k.topic, k.partition, k.\"offset\") LIMIT 1)
         ) r",
    )
    .bind(letters.iter().map(|(seq, _)| *seq).collect::<Vec<_>>())
    .bind(letters.iter().map(|(_, row)| row.lane).collect::<Vec<_>>())
    .bind(letters.iter().map(|(_, row)| row.no).collect::<Vec<_>>())
    .bind(places().map(|place| place.map(|place| &*place.topic)).collect::<Vec<_>>())
    .bind(places().map(|place| place.map(|place| place.partition)).collect::<Vec<_>>())
    .bind(places().map(|place| place.map(|place| place.offset)).collect::<Vec<_>>())
    .execute(db)
    .await?;
    Ok(())
}

/// What changes of the running totals, by what is counted and its kind.
#[derive(Debug, Clone, Default)]
pub struct Tally(BTreeMap<(&'static str, &'static str), i64>);

impl Tally {
    pub fn add(&mut self, what: &'static str, kind: &'static str, count: i64) {
        if count != 0 {
            *self.0.entry((what, kind)).or_default() += count;
        }
    }

    /// Adds to the totals, in key order and as the last locks of a transaction.
    pub async fn write(self, db: &mut PgConnection) -> Result<(), LedgerError> {
        if !self.0.is_empty() {
            self.bind(sqlx::query(ADD_TO_TOTALS!(""))).execute(db).await?;
        }
        Ok(())
    }

    /// Binds the columns of [`ADD_TO_TOTALS`]. Slots keep replicas from waiting for one row.
    pub(super) fn bind(self, query: Query<'_, Postgres, PgArguments>) -> Query<'_, Postgres, PgArguments> {
        query
            .bind(self.0.keys().map(|(what, _)| *what).collect::<Vec<_>>())
            .bind(self.0.keys().map(|(_, kind)| *kind).collect::<Vec<_>>())
            .bind(fastrand::i16(0..16))
            .bind(self.0.values().copied().collect::<Vec<_>>())
    }
}
