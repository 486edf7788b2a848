//! Personal data of an order is erased wherever the ledger keeps it, but for what has still to be sent.

use super::acts::{By, record_act};
use super::codec::state;
use super::connect::in_time;
use super::events::OrderScope;
use super::load::record;
use super::naming::lock_lanes;
use super::{Ledger, LedgerError};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, Row};

/// What was erased, and what could not be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Forgotten {
    /// Stored records of dead events, now without their payer.
    pub dead_events: u64,
    /// Dead letters that were not published yet, without their payer.
    pub dead_letters: u64,
    /// Records that could not be read: nothing tells where personal data is in them, so their bytes went.
    pub quarantined: u64,
    /// Requests that were made.
    pub requests: u64,
    /// Events that have still to send their payer, by source and id.
    pub still_to_send: Vec<(String, String)>,
}

impl Forgotten {
    /// Rows in which something was erased.
    pub fn rows(&self) -> u64 {
        self.dead_events + self.dead_letters + self.quarantined + self.requests
    }
}

impl Ledger {
    /// Erases what it can of an order's personal data; with nobody to do it, only counts.
    ///
    /// # Errors
    /// Where Postgres is away: then nothing was erased.
    pub async fn forget(&self, order: &OrderScope, by: Option<&By>) -> Result<Forgotten, LedgerError> {
        in_time(async {
            let mut connection = self.pool.acquire().await?;
            let mut transaction = connection.begin().await?;
            lock_lanes(&mut transaction, &order.lanes.iter().copied().collect()).await?;
            let mut forgotten = Forgotten::default();
            events(&mut transaction, order, &mut forgotten).await?;
            letters(&mut transaction, order, &mut forgotten).await?;
            unreadable(&mut transaction, order, &mut forgotten).await?;
            forgotten.requests =
                sqlx::query("UPDATE attempt SET request = NULL WHERE lane = ANY($1) AND request LIKE '%\"payer\"%'")
                    .bind(&order.lanes)
                    .execute(&mut *transaction)
                    .await?
                    .rows_affected();
            let Some(by) = by else {
                transaction.rollback().await?;
                return Ok(forgotten);
            };
            let subject = json!({"lanes": order.lanes, "rows": forgotten.rows(), "stillToSend": forgotten.still_to_send.len()});
            record_act(&mut transaction, by, "forget", &subject).await?;
            transaction.commit().await?;
            Ok(forgotten)
        })
        .await
    }
}

async fn events(db: &mut PgConnection, order: &OrderScope, forgotten: &mut Forgotten) -> Result<(), LedgerError> {
    let rows = sqlx::query("SELECT * FROM work WHERE lane = ANY($1) ORDER BY no").bind(&order.lanes).fetch_all(&mut *db).await?;
    for row in &rows {
        let record = record(row)?;
        let Some(value) = without_payer(&record.original.value) else { continue };
        if record.row.state != state::DEAD {
            forgotten
                .still_to_send
                .extend(record.event().map(|event| (event.envelope.identity.source, event.envelope.identity.id)));
            continue;
        }
        let (lane, no): (i64, i64) = (row.try_get("lane")?, row.try_get("no")?);
        sqlx::query("UPDATE work SET value = $3 WHERE lane = $1 AND no = $2")
            .bind(lane)
            .bind(no)
            .bind(value)
            .execute(&mut *db)
            .await?;
        forgotten.dead_events += 1;
    }
    Ok(())
}

/// Letters that wait for the publisher.
async fn letters(db: &mut PgConnection, order: &OrderScope, forgotten: &mut Forgotten) -> Result<(), LedgerError> {
    let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT d.seq, d.value FROM dead_letter d JOIN history h ON h.seq = d.seq WHERE h.lane = ANY($1) FOR UPDATE OF d",
    )
    .bind(&order.lanes)
    .fetch_all(&mut *db)
    .await?;
    for (seq, value) in rows {
        let Some(value) = without_payer(&value) else { continue };
        sqlx::query("UPDATE dead_letter SET value = $2 WHERE seq = $1").bind(seq).bind(value).execute(&mut *db).await?;
        forgotten.dead_letters += 1;
    }
    Ok(())
}

/// What could not be read, and is keyed by the order or names it: with its letter, where that waits.
async fn unreadable(db: &mut PgConnection, order: &OrderScope, forgotten: &mut Forgotten) -> Result<(), LedgerError> {
    let ids: Vec<Vec<u8>> = order.ids.iter().map(|id| id.as_bytes().to_vec()).collect();
    forgotten.quarantined = sqlx::query(
        "UPDATE quarantine q SET value = '', headers = NULL WHERE q.value <> '' AND (q.key = ANY($1) OR EXISTS (
            SELECT 1 FROM history h WHERE h.lane IS NULL AND h.record_key = ANY($1)
               AND split_part(h.outcome, '\"', 8) = concat_ws('/', q.topic, q.partition, q.\"offset\")))",
    )
    .bind(&ids)
    .execute(&mut *db)
    .await?
    .rows_affected();
    forgotten.dead_letters += sqlx::query(
        "UPDATE dead_letter d SET value = '', headers = NULL FROM history h
         WHERE h.seq = d.seq AND h.lane IS NULL AND (h.record_key = ANY($1) OR d.key = ANY($1)) AND d.value <> ''",
    )
    .bind(&ids)
    .execute(&mut *db)
    .await?
    .rows_affected();
    Ok(())
}

/// The record's bytes without any payer; none where there is none in them.
fn without_payer(value: &[u8]) -> Option<Vec<u8>> {
    let mut json: Value = serde_json::from_slice(value).ok()?;
    remove(&mut json).then(|| json.to_string().into_bytes())
}

fn remove(value: &mut Value) -> bool {
    // Each member is looked into, also after one had a payer.
    match value {
        Value::Array(items) => items.iter_mut().map(remove).filter(|removed| *removed).count() > 0,
        Value::Object(members) => {
            let had = members.remove("payer").is_some();
            members.values_mut().map(remove).filter(|removed| *removed).count() > 0 || had
        }
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_payer_goes_and_nothing_else() {
        let record = br#"[{"data":{"payments":[{"id":"p","amount":1.10,"payer":{"name":"Jane"}},{"payer":null}],"state":"X"}}]"#;
        let kept: Value = serde_json::from_slice(&without_payer(record).unwrap()).unwrap();
        assert_eq!(kept.to_string(), r#"[{"data":{"payments":[{"amount":1.10,"id":"p"},{}],"state":"X"}}]"#);
        assert_eq!(without_payer(br#"{"data":{}}"#), None);
        assert_eq!(without_payer(b"no json, Jane"), None);
    }
}
