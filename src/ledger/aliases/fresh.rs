//! Orders of which nobody has heard, with all that an import says of them: their rows are copied in, since nothing that is there can
//! contradict them, nothing waits for them, and nobody can hold them.

use super::super::LedgerError;
use super::super::alias_rows::{Effect, Said};
use super::super::codec::{alias_kind_code, origin_code};
use super::super::naming::{self, Lanes, Leads, OrderKey, ThingKey};
use super::lanes::ties;
use crate::event::{Alias, AliasKind};
use crate::plan::names::NameRow;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::collections::HashSet;
use std::collections::hash_map::{Entry, HashMap};
use std::fmt::{Display, Write};
use std::hash::Hash;

/// What Postgres says where somebody else has just made the same name.
const TAKEN: &str = "23505";

/// The orders of a batch of which nothing is known.
#[derive(Default)]
pub(super) struct Fresh<'a> {
    /// The one key of each name's order: Buy with Prime's id where a row of the batch ties the name to it.
    roots: HashMap<OrderKey<'a>, OrderKey<'a>>,
    orders: HashMap<OrderKey<'a>, &'a NameRow>,
    things: HashMap<(OrderKey<'a>, AliasKind, &'a Alias), &'a NameRow>,
}

impl<'a> Fresh<'a> {
    /// Takes the rows out of a batch that are about orders of which nothing is known; the effect of each is put in its place.
    pub fn of(said: &'a [Said<'a>], known: &HashMap<OrderKey<'a>, Leads>, effects: &mut [Option<Effect>]) -> Fresh<'a> {
        let ties = ties(said);
        let root = |key: &OrderKey<'a>| *ties.get(key).unwrap_or(key);
        let mut old: HashSet<OrderKey> = known.keys().map(root).collect();
        for said in said {
            // A name that the batch ties to several orders is nobody's, and none of these is simple.
            if let Some(bwp) = said.tied_to().filter(|_| !ties.contains_key(&said.order)) {
                old.extend([bwp, said.order]);
            }
        }
        let mut fresh = Fresh::default();
        for (said, effect) in said.iter().zip(effects) {
            let root = root(&said.order);
            if !old.contains(&root) {
                if fresh.roots.insert(said.order, root).is_none() {
                    fresh.roots.insert(root, root);
                }
                *effect = Some(fresh.take(said, root));
            }
        }
        fresh
    }

    fn take(&mut self, said: &'a Said<'a>, root: OrderKey<'a>) -> Effect {
        match said.row.kind {
            AliasKind::Order => offer(self.orders.entry(said.order), &said.new),
            kind => offer(self.things.entry((root, kind, &said.row.alias)), &said.new),
        }
    }

    /// Copies them in, all of them said at one time. False where somebody else has just made one of their names: then the transaction
    /// cannot go on.
    pub async fn write(&self, db: &mut PgConnection, said_at: DateTime<Utc>) -> Result<bool, LedgerError> {
        let mut keys: Vec<(OrderKey, OrderKey)> = self.roots.iter().map(|(key, root)| (*key, *root)).collect();
        keys.sort_unstable();
        let roots: Vec<OrderKey> = keys.iter().filter(|(key, root)| key == root).map(|(key, _)| *key).collect();
        if roots.is_empty() {
            return Ok(true);
        }
        let lanes = naming::make_lanes(db, &roots).await?;
        let lanes: Lanes = roots.into_iter().zip(lanes).collect();
        let (mut names, mut things) = (Rows::default(), Rows::default());
        let said_at = said_at.to_rfc3339();
        for (key, root) in keys {
            let Some(lane) = lanes.get(&root) else { continue };
            names.text(Some(key.target)).text(Some(key.alias_type)).text(Some(key.id)).value(lane);
            names.row(self.orders.get(&key).copied(), &said_at).end();
        }
        let rows = self.things.iter();
        let mut of_lanes: Vec<(ThingKey, &NameRow)> =
            rows.filter_map(|((root, kind, alias), row)| Some(((*lanes.get(root)?, *kind, *alias), *row))).collect();
        of_lanes.sort_unstable_by_key(|(key, _)| *key);
        for ((lane, kind, alias), row) in of_lanes {
            things.value(lane).value(alias_kind_code(kind)).text(Some(&alias.alias_type)).text(Some(&alias.id));
            things.row(Some(row), &said_at).end();
        }
        let columns = "bwp_id, origin, version, said_at";
        Ok(copy(db, &format!("order_name (target, alias_type, id, lane, {columns})"), names).await?
            && copy(db, &format!("name (lane, kind, alias_type, id, {columns})"), things).await?)
    }
}

/// Puts a row in where it ranks above what the same batch has said before.
fn offer<'a, K: Eq + Hash>(entry: Entry<'_, K, &'a NameRow>, new: &'a NameRow) -> Effect {
    match entry {
        Entry::Vacant(vacant) => {
            vacant.insert(new);
            Effect::New
        }
        Entry::Occupied(mut occupied) => {
            let effect = Effect::of(new, Some(occupied.get()));
            if Effect::is_written(new, Some(occupied.get())) {
                occupied.insert(new);
            }
            effect
        }
    }
}

/// Rows in the text form of `COPY`.
#[derive(Default)]
struct Rows {
    text: String,
    is_inside: bool,
}

impl Rows {
    fn field(&mut self) -> &mut String {
        if self.is_inside {
            self.text.push('\t');
        }
        self.is_inside = true;
        &mut self.text
    }

    /// A value whose text has nothing that would have to be escaped.
    fn value(&mut self, value: impl Display) -> &mut Rows {
        let _ = write!(self.field(), "{value}");
        self
    }

    fn text(&mut self, value: Option<&str>) -> &mut Rows {
        let text = self.field();
        let Some(value) = value else {
            text.push_str("\\N");
            return self;
        };
        for part in value.split_inclusive(['\\', '\t', '\n', '\r']) {
            let (plain, escaped) = match part.as_bytes() {
                [.., b'\\'] => (1, "\\\\"),
                [.., b'\t'] => (1, "\\t"),
                [.., b'\n'] => (1, "\\n"),
                [.., b'\r'] => (1, "\\r"),
                _ => (0, ""),
            };
            text.push_str(&part[..part.len() - plain]);
            text.push_str(escaped);
        }
        self
    }

    /// `bwp_id, origin, version, said_at`; nothing of them where a name was only used so far.
    fn row(&mut self, row: Option<&NameRow>, said_at: &str) -> &mut Rows {
        let Some(row) = row else { return self.text(None).text(None).text(None).text(None) };
        self.text(row.bwp_id.as_deref()).value(origin_code(row.origin));
        match row.version {
            Some(version) => self.value(version),
            None => self.text(None),
        };
        self.text(Some(said_at))
    }

    fn end(&mut self) {
        self.text.push('\n');
        self.is_inside = false;
    }
}

/// False where a row is there already.
async fn copy(db: &mut PgConnection, table: &str, rows: Rows) -> Result<bool, LedgerError> {
    if rows.text.is_empty() {
        return Ok(true);
    }
    let copied = async {
        let mut copy = db.copy_in_raw(&format!("COPY {table} FROM STDIN")).await?;
        copy.send(rows.text.into_bytes()).await?;
        copy.finish().await
    };
    match copied.await {
        Ok(_) => Ok(true),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(TAKEN) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_an_id_holds_stays_one_field() {
        let mut rows = Rows::default();
        rows.text(Some("a\\N\tb")).text(None).text(Some("")).value(-1).end();
        rows.text(Some("Größe\r\n\\.")).end();
        assert_eq!(rows.text, "a\\\\N\\tb\t\\N\t\t-1\nGröße\\r\\n\\\\.\n");
    }
}
