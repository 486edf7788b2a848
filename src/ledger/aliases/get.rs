//! Single rows, with what they replaced.

use super::super::codec::{alias_kind_code, alias_kind_of, origin_of};
use super::super::naming::name_row;
use super::super::{Ledger, LedgerError};
use crate::event::{Alias, AliasKind};
use crate::plan::names::NameRow;
use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, Row};

/// Which rows are wanted: those to which all that is given applies.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// What is named.
    pub kind: Option<AliasKind>,
    /// The alias type.
    pub alias_type: Option<String>,
    /// The alias id.
    pub id: Option<String>,
    /// An id of the order: under any alias type, or Buy with Prime's.
    pub order: Option<String>,
}

/// A row, its order, and what it replaced.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What is named.
    pub kind: AliasKind,
    /// The name.
    pub alias: Alias,
    /// What it stands for, and who said so.
    pub row: NameRow,
    /// Buy with Prime's id of the order, where it is known.
    pub order_bwp_id: Option<String>,
    /// The aliases of the order.
    pub order_aliases: Vec<Alias>,
    /// What was there before, the newest first.
    pub replaced: Vec<Replaced>,
}

/// A row that another took the place of.
#[derive(Debug, Clone)]
pub struct Replaced {
    /// The row.
    pub row: NameRow,
    /// When it was replaced.
    pub at: DateTime<Utc>,
}

/// At the most so many rows are shown.
const MOST: i64 = 1000;

/// Rows of the orders that have the wanted id. Each part of these statements is come at by one index, whatever else is given; `LIMIT` and
/// `OFFSET 0` keep it so where the planner would rather walk through a whole table.
const OF_ORDER: &str = r"
    WITH wanted_lane AS MATERIALIZED (
        SELECT DISTINCT lane FROM order_name WHERE id = $5 AND target = $1
    ), found AS MATERIALIZED (
        SELECT 0::smallint AS kind, n.alias_type, n.id, n.bwp_id, n.origin, n.version, n.said_at, n.lane
        FROM wanted_lane w CROSS JOIN LATERAL (SELECT * FROM order_name WHERE lane = w.lane OFFSET 0) n
        WHERE n.origin IS NOT NULL AND n.alias_type <> '' AND coalesce($2::smallint, 0) = 0
            AND ($3::text IS NULL OR n.alias_type = $3) AND ($4::text IS NULL OR n.id = $4)
        UNION ALL
        SELECT n.kind, n.alias_type, n.id, n.bwp_id, n.origin, n.version, n.said_at, n.lane
        FROM wanted_lane w CROSS JOIN LATERAL (SELECT * FROM name WHERE lane = w.lane OFFSET 0) n
        WHERE ($2 IS NULL OR n.kind = $2) AND ($3 IS NULL OR n.alias_type = $3) AND ($4 IS NULL OR n.id = $4)
    )";

/// Rows of the wanted id, whatever their order.
const OF_ID: &str = r"
    WITH found AS MATERIALIZED (
        (SELECT 0::smallint AS kind, n.alias_type, n.id, n.bwp_id, n.origin, n.version, n.said_at, n.lane
         FROM (SELECT * FROM order_name WHERE id = $4 AND $5::text IS NULL OFFSET 0) n
         WHERE n.target = $1 AND n.origin IS NOT NULL AND n.alias_type <> '' AND coalesce($2::smallint, 0) = 0
            AND ($3::text IS NULL OR n.alias_type = $3)
         LIMIT $6)
        UNION ALL
        (SELECT n.kind, n.alias_type, n.id, n.bwp_id, n.origin, n.version, n.said_at, n.lane
         FROM (SELECT * FROM name WHERE id = $4 OFFSET 0) n
         CROSS JOIN LATERAL (SELECT 1 FROM lane WHERE id = n.lane AND target = $1 LIMIT 1) l
         WHERE ($2 IS NULL OR n.kind = $2) AND ($3 IS NULL OR n.alias_type = $3)
         LIMIT $6)
    )";

/// What is found, with the names of its order.
const FOUND: &str = r"
    SELECT f.kind, f.alias_type, f.id, f.bwp_id, f.origin, f.version, f.said_at, f.lane, l.bwp_id,
        (SELECT array_agg(o.alias_type ORDER BY o.alias_type, o.id) FROM order_name o WHERE o.lane = f.lane AND o.alias_type <> ''),
        (SELECT array_agg(o.id ORDER BY o.alias_type, o.id) FROM order_name o WHERE o.lane = f.lane AND o.alias_type <> '')
    FROM (SELECT * FROM found ORDER BY lane, kind, alias_type, id LIMIT $6) f
    CROSS JOIN LATERAL (SELECT bwp_id FROM lane WHERE id = f.lane LIMIT 1) l
    ORDER BY f.lane, f.kind, f.alias_type, f.id";

/// A row may have been replaced before its lane was merged into the one where it is now; that of an order, in any lane of its target.
const REPLACED: &str = r"
    WITH RECURSIVE own (id) AS (
        SELECT $1::bigint UNION SELECT l.id FROM own CROSS JOIN LATERAL (SELECT id FROM lane WHERE merged_into = own.id OFFSET 0) l
    ), changed AS MATERIALIZED (
        SELECT c.* FROM own CROSS JOIN LATERAL (
            SELECT * FROM alias_change WHERE (lane, kind, alias_type, alias_id) = (own.id, $2, $3, $4) OFFSET 0) c
        WHERE $2 <> 0
        UNION ALL
        SELECT c.* FROM (
            SELECT * FROM alias_change WHERE (alias_id, alias_type, kind) = ($4, $3, 0) AND $2 = 0::smallint OFFSET 0) c
        CROSS JOIN LATERAL (SELECT 1 FROM lane WHERE id = c.lane AND target = $5 LIMIT 1) l
    )
    SELECT old_bwp_id, old_origin, old_version, old_said_at, changed_at FROM changed ORDER BY id DESC LIMIT 20";

impl Ledger {
    /// Rows of a target's table, as far as a page shows them.
    ///
    /// # Errors
    /// Where Postgres cannot do it.
    pub async fn get_aliases(&self, target: &str, wanted: &Wanted) -> Result<Vec<Entry>, LedgerError> {
        let found = if wanted.order.is_some() { OF_ORDER } else { OF_ID };
        let rows = sqlx::query(AssertSqlSafe(format!("{found}{FOUND}")))
            .bind(target)
            .bind(wanted.kind.map(alias_kind_code))
            .bind(&wanted.alias_type)
            .bind(&wanted.id)
            .bind(&wanted.order)
            .bind(MOST)
            .fetch_all(&self.pool)
            .await?;
        let mut entries = Vec::with_capacity(rows.len());
        for row in &rows {
            let (kind, lane): (i16, i64) = (row.try_get(0)?, row.try_get(7)?);
            let alias = Alias { alias_type: row.try_get(1)?, id: row.try_get(2)? };
            let types: Option<Vec<String>> = row.try_get(9)?;
            let ids: Option<Vec<String>> = row.try_get(10)?;
            let order_aliases = types.unwrap_or_default().into_iter().zip(ids.unwrap_or_default());
            let order_aliases = order_aliases.map(|(alias_type, id)| Alias { alias_type, id }).collect();
            let replaced = self.replaced(target, lane, kind, &alias).await?;
            let kind = alias_kind_of(kind);
            entries.push(Entry { kind, alias, row: name_row(row, 3)?, order_bwp_id: row.try_get(8)?, order_aliases, replaced });
        }
        Ok(entries)
    }

    async fn replaced(&self, target: &str, lane: i64, kind: i16, alias: &Alias) -> Result<Vec<Replaced>, LedgerError> {
        let rows = sqlx::query(REPLACED)
            .bind(lane)
            .bind(kind)
            .bind(&alias.alias_type)
            .bind(&alias.id)
            .bind(target)
            .fetch_all(&self.pool)
            .await?;
        let replaced = |row: &sqlx::postgres::PgRow| -> Result<Replaced, LedgerError> {
            let version: Option<i64> = row.try_get(2)?;
            Ok(Replaced {
                row: NameRow {
                    bwp_id: row.try_get(0)?,
                    origin: origin_of(row.try_get(1)?),
                    version: version.and_then(|version| u64::try_from(version).ok()),
                    time: row.try_get(3)?,
                },
                at: row.try_get(4)?,
            })
        };
        rows.iter().map(replaced).collect()
    }
}
