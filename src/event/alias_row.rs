//! `oms.alias.v1`: one row of the alias-resolution table.

use super::fault::Read;
use super::reader::{self, Value};
use super::vocabulary::vocabulary;
use super::{Alias, Reference};

/// That an alias of a thing stands for an id of Buy with Prime, or no longer does.
#[derive(Debug, Clone, PartialEq)]
pub struct AliasRow {
    /// What kind of thing it names.
    pub kind: AliasKind,
    /// The name.
    pub alias: Alias,
    /// Buy with Prime's id; none removes the row.
    pub bwp_id: Option<String>,
    /// The producer's version of the row.
    pub version: Option<u64>,
    /// The order that the thing belongs to; always there but for an order's own row, where it may be absent.
    pub order: Option<Reference>,
}

impl AliasRow {
    /// The order that the row is about.
    pub fn order(&self) -> Reference {
        match (&self.order, self.kind) {
            (Some(order), kind) if kind != AliasKind::Order => order.clone(),
            _ => Reference::Alias(self.alias.clone()),
        }
    }
}

impl AliasRow {
    pub(super) fn read(value: Value<'_>) -> Read<AliasRow> {
        let object = value.object(&["kind", "alias", "bwpId", "version", "order", "extensions"])?;
        let row = AliasRow {
            kind: object.required("kind", AliasKind::read)?,
            alias: object.required("alias", Alias::read)?,
            bwp_id: object.optional("bwpId", reader::id)?,
            version: super::read_version(object)?,
            order: object.optional("order", Reference::read)?,
        };
        super::read_extensions(object)?;
        if object.given("bwpId").is_none() {
            return Err(object.missing("bwpId", "(null removes the row)"));
        }
        if row.order.is_none() && row.kind != AliasKind::Order {
            return Err(object.missing("order", "for every kind but ORDER"));
        }
        Ok(row)
    }
}

vocabulary! {
    /// What an alias can name.
    pub enum AliasKind {
        /// An order.
        Order = "ORDER",
        /// A line item of an order.
        LineItem = "LINE_ITEM",
        /// A return.
        Return = "RETURN",
        /// A refund.
        Refund = "REFUND",
        /// A package; also what a shipment is.
        Package = "PACKAGE",
    }
}

impl AliasKind {
    pub(super) fn read(value: Value<'_>) -> Read<AliasKind> {
        value.one_of(AliasKind::parse, AliasKind::WORDS)
    }
}
