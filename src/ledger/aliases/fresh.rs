//! Orders of which nobody has heard, with all that an import says of them: their rows are copied in, since nothing that is there can
//! contradict them, nothing waits for them, and nobody can hold them.

use super::super::LedgerError;
use super::super::alias_rows::{Effect, Said};
use super::super::codec::{alias_kind_code, origin_code};
use super::super::naming::OrderKey;
use super::lanes::groups;
use crate::event::{Alias, AliasKind};
use crate::plan::names::NameRow;
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// What Postgres says where somebody else has just made the same name.
const TAKEN: &str = "23505";

/// The orders of a batch of which nothing is known.
#[derive(Default)]
pub(super) struct Fresh<'a> {
    /// The one key of each name's order: Buy with Prime's id where a row of the batch ties the name to it.
    roots: BTreeMap<&'a OrderKey, OrderKey>,
    orders: BTreeMap<OrderKey, NameRow>,
    things: BTreeMap<(OrderKey, AliasKind, Alias), NameRow>,
}

impl<'a> Fresh<'a> {
    /// Takes the rows out of a batch that are about orders of which nothing is known; the effect of each is put in its place.
    pub fn of(said: &'a [Said<'a>], known: &BTreeMap<OrderKey, i64>, effects: &mut [Option<Effect>]) -> Fresh<'a> {
        let tied: BTreeMap<OrderKey, OrderKey> = groups(said)
            .into_iter()
            .flat_map(|(bwp, aliases)| aliases.into_iter().map(move |alias| (alias, bwp.clone())))
            .collect();
        let root = |key: &OrderKey| tied.get(key).unwrap_or(key).clone();
        let mut old: BTreeSet<OrderKey> = known.keys().map(root).collect();
        for said in said {
            // A name that the batch ties to several orders is nobody's, and none of these is simple.
            if let Some(bwp) = said.tied_to().filter(|_| !tied.contains_key(&said.order)) {
                old.extend([bwp, root(&said.order)]);
            }
        }
        let mut fresh = Fresh::default();
        for (said, effect) in said.iter().zip(effects) {
            let root = root(&said.order);
            if old.contains(&root) {
                continue;
            }
            *effect = Some(fresh.take(said, &root));
            fresh.roots.insert(&said.order, root);
        }
        fresh
    }

    fn take(&mut self, said: &Said<'_>, root: &OrderKey) -> Effect {
        let new = said.new.clone();
        if said.row.kind == AliasKind::Order {
            return offer(self.orders.entry(said.order.clone()), new);
        }
        offer(self.things.entry((root.clone(), said.row.kind, said.row.alias.clone())), new)
    }

    /// Copies them in. False where somebody else has just made one of their names: then the transaction cannot go on.
    pub async fn write(&self, db: &mut PgConnection) -> Result<bool, LedgerError> {
        let roots: BTreeSet<&OrderKey> = self.roots.values().collect();
        if roots.is_empty() {
            return Ok(true);
        }
        let ids: Vec<i64> =
            sqlx::query_scalar("SELECT nextval(pg_get_serial_sequence('lane', 'id')) FROM generate_series(1, $1)")
                .bind(roots.len() as i64)
                .fetch_all(&mut *db)
                .await?;
        let lanes: BTreeMap<&OrderKey, i64> = roots.into_iter().zip(ids).collect();
        let (mut heads, mut names, mut things) = (Rows::default(), Rows::default(), Rows::default());
        for (root, lane) in &lanes {
            let bwp_id = root.alias_type.is_empty().then_some(root.id.as_str());
            heads.number(*lane).text(Some(&root.target)).text(bwp_id).end();
        }
        let ends = self.roots.iter().flat_map(|(key, root)| [(*key, root), (root, root)]);
        for (key, root) in ends.collect::<BTreeMap<_, _>>() {
            let Some(lane) = lanes.get(root) else { continue };
            names.text(Some(&key.target)).text(Some(&key.alias_type)).text(Some(&key.id)).number(*lane);
            names.row(self.orders.get(key)).end();
        }
        let mut of_lanes: Vec<_> = self.things.iter().filter_map(|(key, row)| Some((lanes.get(&key.0)?, key, row))).collect();
        of_lanes.sort_by_key(|(lane, ..)| **lane);
        for (lane, (_, kind, alias), row) in of_lanes {
            things.number(*lane).number(alias_kind_code(*kind).into()).text(Some(&alias.alias_type)).text(Some(&alias.id));
            things.row(Some(row)).end();
        }
        let columns = "bwp_id, origin, version, said_at";
        Ok(copy(db, "lane (id, target, bwp_id)", heads).await?
            && copy(db, &format!("order_name (target, alias_type, id, lane, {columns})"), names).await?
            && copy(db, &format!("name (lane, kind, alias_type, id, {columns})"), things).await?)
    }
}

/// Puts a row in where it ranks above what the same batch has said before.
fn offer<K: Ord>(entry: std::collections::btree_map::Entry<'_, K, NameRow>, new: NameRow) -> Effect {
    use std::collections::btree_map::Entry;
    match entry {
        Entry::Vacant(vacant) => {
            vacant.insert(new);
            Effect::New
        }
        Entry::Occupied(mut occupied) => {
            let effect = Effect::of(&new, Some(occupied.get()));
            if Effect::is_written(&new, Some(occupied.get())) {
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

    fn number(&mut self, number: i64) -> &mut Rows {
        let _ = write!(self.field(), "{number}");
        self
    }

    fn text(&mut self, value: Option<&str>) -> &mut Rows {
        let text = self.field();
        let Some(value) = value else {
            text.push_str("\\N");
            return self;
        };
        for character in value.chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                '\t' => text.push_str("\\t"),
                '\n' => text.push_str("\\n"),
                '\r' => text.push_str("\\r"),
                other => text.push(other),
            }
        }
        self
    }

    /// `bwp_id, origin, version, said_at`; nothing of them where a name was only used so far.
    fn row(&mut self, row: Option<&NameRow>) -> &mut Rows {
        let text = |value: Option<String>, rows: &mut Rows| _ = rows.text(value.as_deref());
        text(row.and_then(|row| row.bwp_id.clone()), self);
        text(row.map(|row| origin_code(row.origin).to_string()), self);
        text(row.and_then(|row| row.version).map(|version| version.to_string()), self);
        text(row.map(|row| row.time.to_rfc3339()), self);
        self
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
        rows.text(Some("a\\N\tb")).text(None).text(Some("")).number(-1).end();
        rows.text(Some("Größe\r\n\\.")).end();
        assert_eq!(rows.text, "a\\\\N\\tb\t\\N\t\t-1\nGröße\\r\\n\\\\.\n");
    }
}
