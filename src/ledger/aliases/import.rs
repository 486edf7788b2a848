//! Rows from a file, batch by batch: each batch is one transaction that locks as intake does.

use super::super::acts::By;
use super::super::alias_rows::{Effect, Said, apply_aliases};
use super::super::codec::json_text;
use super::super::naming::{OrderKey, find_names};
use super::super::retention::touch;
use super::super::waking::wake_named;
use super::super::{Ledger, LedgerError, Targets};
use super::fresh::Fresh;
use super::known::leave_known;
use super::lanes::lanes_of;
use crate::event::AliasRow;
use crate::plan::names::{NameRow, Origin};
use crate::plan::subject::AliasTypes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How often a batch is tried again: because lanes were merged under it, or because Postgres could not do it just then.
const RESTARTS: u32 = 10;

/// What an import is to do, and for whom.
#[derive(Debug, Clone)]
pub struct Importing {
    /// The target whose table it is.
    pub target: String,
    /// The alias types of the target.
    pub types: AliasTypes,
    /// Who imports, and why; without anybody nothing is kept, and each batch is rolled back.
    pub by: Option<By>,
    /// What is imported, for the record of acts.
    pub from: String,
}

/// An import that is under way.
#[derive(Debug)]
pub struct Import {
    ledger: Ledger,
    importing: Importing,
    said_at: DateTime<Utc>,
    act: Option<i64>,
    counts: BTreeMap<&'static str, u64>,
}

impl Ledger {
    /// Begins an import: all of its rows count as said now.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn import(&self, importing: Importing) -> Result<Import, LedgerError> {
        let said_at = sqlx::query_scalar("SELECT now()").fetch_one(&self.pool).await?;
        Ok(Import { ledger: self.clone(), importing, said_at, act: None, counts: BTreeMap::new() })
    }
}

impl Import {
    /// When its rows were said, as the table has it.
    pub fn said_at(&self) -> DateTime<Utc> {
        self.said_at
    }

    /// Takes a batch of rows in, and gives what became of each. Events that wait for one of them are due from then on.
    ///
    /// # Errors
    /// Where Postgres cannot do it, also after some tries: then nothing of the batch was taken.
    pub async fn take(&mut self, rows: &[AliasRow]) -> Result<Vec<Effect>, LedgerError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.once(rows).await {
                Ok(Some(effects)) => return Ok(effects),
                Err(error) if !error.is_passing() || tries == RESTARTS => return Err(error),
                Ok(None) if tries == RESTARTS => {
                    return Err(LedgerError::Unavailable("lanes were merged again and again under one batch".into()));
                }
                Ok(None) => {}
                Err(_) => tokio::time::sleep(Duration::from_millis(200 * u64::from(tries))).await,
            }
        }
    }

    async fn once(&mut self, rows: &[AliasRow]) -> Result<Option<Vec<Effect>>, LedgerError> {
        let mut connection = self.ledger.pool.acquire().await?;
        let mut transaction = connection.begin().await?;
        // A batch is many rows; those who wait for its locks have their own limit.
        sqlx::query("SET LOCAL statement_timeout = '120s'").execute(&mut *transaction).await?;
        let Some(effects) = self.take_in(&mut transaction, rows).await? else { return Ok(None) };
        let Some(by) = &self.importing.by else {
            transaction.rollback().await?;
            return Ok(Some(effects));
        };
        let mut counts = self.counts.clone();
        effects.iter().for_each(|effect| *counts.entry(word(effect)).or_default() += 1);
        let act = self.record(&mut transaction, by, &counts).await?;
        transaction.commit().await?;
        (self.act, self.counts) = (act, counts);
        Ok(Some(effects))
    }

    /// None where something else came in between.
    async fn take_in(&self, db: &mut PgConnection, rows: &[AliasRow]) -> Result<Option<Vec<Effect>>, LedgerError> {
        let Importing { target, types, .. } = &self.importing;
        let said = |row| Said {
            row,
            order: OrderKey::of_row(target, row, types),
            new: NameRow { bwp_id: row.bwp_id.clone(), origin: Origin::Import, version: row.version, time: self.said_at },
        };
        let said: Vec<Said> = rows.iter().map(said).collect();
        let mut effects: Vec<Option<Effect>> = vec![None; rows.len()];
        let keys = said.iter().flat_map(|said| [Some(said.order), said.tied_to()]).flatten().collect();
        let names = find_names(db, keys).await?;
        if !Fresh::of(&said, &names, &mut effects).write(db, self.said_at).await? {
            return Ok(None);
        }
        leave_known(db, &said, &names, &mut effects).await?;
        let rest: Vec<Said> = said.into_iter().zip(&effects).filter(|(_, done)| done.is_none()).map(|(said, _)| said).collect();
        let Some(of_rest) = self.change(db, &rest).await? else { return Ok(None) };
        if !touch(db, &names.values().map(|leads| leads.lane).collect()).await? {
            return Ok(None);
        }
        let mut of_rest = of_rest.into_iter();
        Ok(Some(effects.into_iter().filter_map(|effect| effect.or_else(|| of_rest.next())).collect()))
    }

    /// Rows that say something of orders that are known already. None where a lane was merged away before it could be locked.
    async fn change(&self, db: &mut PgConnection, said: &[Said<'_>]) -> Result<Option<Vec<Effect>>, LedgerError> {
        let Importing { target, types, .. } = &self.importing;
        let Some(mut lanes) = lanes_of(db, said.iter().map(|said| said.order), said).await? else {
            return Ok(None);
        };
        let targets = Targets::from([(target.clone(), types.clone())]);
        let effects = apply_aliases(db, said, &mut lanes, &targets).await?;
        let changed = said.iter().zip(&effects).filter(|(_, effect)| matches!(effect, Effect::New | Effect::Replaced(_)));
        let named: BTreeSet<i64> = changed.filter_map(|(said, _)| lanes.get(&said.order).copied()).collect();
        wake_named(db, named).await?;
        Ok(Some(effects))
    }

    /// Writes down who changed what: once for the whole import, with the counts so far.
    async fn record(
        &self,
        db: &mut PgConnection,
        by: &By,
        counts: &BTreeMap<&'static str, u64>,
    ) -> Result<Option<i64>, LedgerError> {
        if counts.keys().all(|word| ["same", "outranked"].contains(word)) {
            return Ok(None);
        }
        let subject: Value = json!({
            "target": self.importing.target, "from": self.importing.from, "rows": counts,
            "saidAt": self.said_at.to_rfc3339_opts(SecondsFormat::Micros, true),
        });
        let act = match self.act {
            Some(id) => {
                sqlx::query("UPDATE act SET subject = $2::jsonb WHERE id = $1")
                    .bind(id)
                    .bind(json_text(&subject))
                    .execute(db)
                    .await?;
                id
            }
            None => {
                sqlx::query_scalar(
                    "INSERT INTO act (who, what, subject, reason) VALUES ($1, 'aliases import', $2::jsonb, $3) RETURNING id",
                )
                .bind(&by.who)
                .bind(json_text(&subject))
                .bind(&by.reason)
                .fetch_one(db)
                .await?
            }
        };
        Ok(Some(act))
    }
}

fn word(effect: &Effect) -> &'static str {
    match effect {
        Effect::New => "new",
        Effect::Same => "same",
        Effect::Replaced(_) => "replaced",
        Effect::Outranked(_) => "outranked",
    }
}
