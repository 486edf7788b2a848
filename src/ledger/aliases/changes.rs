//! Rows of an order that came to say something else.

use super::super::LedgerError;
use super::super::codec::{alias_kind_of, origin_of};
use crate::event::AliasKind;
use crate::plan::names::Origin;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, Row};

/// A row that another took the place of.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NameChange {
    /// When.
    pub at: DateTime<Utc>,
    /// What is named.
    pub kind: AliasKind,
    /// The alias type.
    pub alias_type: String,
    /// The alias id.
    pub id: String,
    /// What it stood for; none where it had been removed.
    pub old_bwp_id: Option<String>,
    /// Who had said so.
    pub old_origin: Origin,
    /// What it stands for from then on; none where it was removed.
    pub new_bwp_id: Option<String>,
    /// Who said so.
    pub new_origin: Origin,
}

/// The newest changes of the names in some lanes, in the order of time.
pub(in crate::ledger) async fn changes_of(
    db: &mut PgConnection,
    lanes: &[i64],
    most: i64,
) -> Result<Vec<NameChange>, LedgerError> {
    let rows = sqlx::query(
        "SELECT c.changed_at, c.kind, c.alias_type, c.alias_id, c.old_bwp_id, c.old_origin, c.new_bwp_id, c.new_origin
         FROM unnest($1::bigint[]) AS k (lane) CROSS JOIN LATERAL (SELECT * FROM alias_change WHERE lane = k.lane OFFSET 0) c
         ORDER BY c.id DESC LIMIT $2",
    )
    .bind(lanes)
    .bind(most)
    .fetch_all(db)
    .await?;
    rows.iter()
        .rev()
        .map(|row| {
            Ok(NameChange {
                at: row.try_get(0)?,
                kind: alias_kind_of(row.try_get(1)?),
                alias_type: row.try_get(2)?,
                id: row.try_get(3)?,
                old_bwp_id: row.try_get(4)?,
                old_origin: origin_of(row.try_get(5)?),
                new_bwp_id: row.try_get(6)?,
                new_origin: origin_of(row.try_get(7)?),
            })
        })
        .collect()
}
