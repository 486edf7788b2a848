//! All rows of a target, as a stream.

use super::super::codec::alias_kind_of;
use super::super::{Ledger, LedgerError};
use crate::event::{Alias, AliasRow, Reference};
use futures_util::TryStreamExt;
use sqlx::{Connection, Row};

/// Rows of orders first, then those of things, each by a name of its order: first one that has a row of its own, then any other alias,
/// then Buy with Prime's id.
const ROWS: &str = r#"
    SELECT * FROM (
    SELECT 0::smallint AS kind, n.alias_type, n.id, n.bwp_id, n.version, NULL AS order_type, NULL AS order_id
    FROM order_name n WHERE n.target = $1 AND n.origin IS NOT NULL AND n.alias_type <> ''
    UNION ALL
    SELECT n.kind, n.alias_type, n.id, n.bwp_id, n.version, o.alias_type, o.id
    FROM name n JOIN lane l ON l.id = n.lane AND l.target = $1
    CROSS JOIN LATERAL (
        SELECT alias_type, id FROM order_name WHERE lane = n.lane
        ORDER BY alias_type = '', origin IS NULL, alias_type, id LIMIT 1) o
    ) r
    ORDER BY order_type COLLATE "C" NULLS FIRST, order_id COLLATE "C", kind, alias_type COLLATE "C", id COLLATE "C""#;

impl Ledger {
    /// Hands every row of a target's table on, in an order that is always the same.
    ///
    /// # Errors
    /// Where Postgres cannot do it; and what the receiver of the rows says.
    pub async fn export_aliases<E: From<LedgerError>>(
        &self,
        target: &str,
        mut each: impl FnMut(AliasRow) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = |error: sqlx::Error| E::from(LedgerError::from(error));
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        let mut transaction = connection.begin().await.map_err(failed)?;
        // It takes as long as the reader takes.
        sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *transaction).await.map_err(failed)?;
        let mut rows = sqlx::query(ROWS).bind(target).fetch(&mut *transaction);
        while let Some(row) = rows.try_next().await.map_err(failed)? {
            each(alias_row(&row).map_err(failed)?)?;
        }
        Ok(())
    }
}

fn alias_row(row: &sqlx::postgres::PgRow) -> Result<AliasRow, sqlx::Error> {
    let version: Option<i64> = row.try_get(4)?;
    let order: (Option<String>, Option<String>) = (row.try_get(5)?, row.try_get(6)?);
    Ok(AliasRow {
        kind: alias_kind_of(row.try_get(0)?),
        alias: Alias { alias_type: row.try_get(1)?, id: row.try_get(2)? },
        bwp_id: row.try_get(3)?,
        version: version.and_then(|version| u64::try_from(version).ok()),
        order: order.0.zip(order.1).map(|(alias_type, id)| match alias_type.is_empty() {
            true => Reference::BwpId(id),
            false => Reference::Alias(Alias { alias_type, id }),
        }),
    })
}
