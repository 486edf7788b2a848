//! Rows that end events: outcomes, dead letters, running totals.

use super::LedgerError;
use super::inbox::Place;
use super::writes::Writes;
use crate::plan::outcome::{Reason, Status};
use chrono::{DateTime, Utc};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres};
use std::collections::BTreeMap;

/// An outcome to be recorded and published.
#[derive(Debug, Clone)]
pub struct OutcomeRow {
    pub settled_at: DateTime<Utc>,
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

/// Keeps the originals of outcomes with a letter until they are published, with the outcomes' numbers.
pub(super) async fn write_letters(db: &mut PgConnection, letters: &[(i64, &OutcomeRow)]) -> Result<(), LedgerError> {
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

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds to the totals, in key order and as the last locks of a transaction.
    pub async fn write(self, db: &mut PgConnection) -> Result<(), LedgerError> {
        Writes { tally: self, ..Writes::default() }.write(db).await?;
        Ok(())
    }

    /// Binds kinds of totals, a slot and what is added. Slots keep replicas from waiting for one row.
    pub(super) fn bind(self, query: Query<'_, Postgres, PgArguments>) -> Query<'_, Postgres, PgArguments> {
        query
            .bind(self.0.keys().map(|(what, _)| *what).collect::<Vec<_>>())
            .bind(self.0.keys().map(|(_, kind)| *kind).collect::<Vec<_>>())
            .bind(fastrand::i16(0..16))
            .bind(self.0.values().copied().collect::<Vec<_>>())
    }
}
