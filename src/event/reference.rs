//! How things are named: by the merchant's id, by any other alias, or by Buy with Prime's own id.

use super::fault::{FaultCode, Read};
use super::lists;
use super::reader::{self, Object, Value};
use serde::{Deserialize, Serialize};

/// The most units of a line.
const MOST_UNITS: u32 = 1_000_000;

/// An alias: an id within a namespace that the merchant manages. Compared byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Alias {
    /// The namespace, for instance `EXTERNAL_ID`. Each spelling is a type of its own.
    #[serde(rename = "type")]
    pub alias_type: String,
    /// The id within it.
    pub id: String,
}

impl Alias {
    pub(super) fn read(value: Value<'_>) -> Read<Alias> {
        let object = value.object(&["type", "id"])?;
        Ok(Alias { alias_type: object.required("type", reader::id)?, id: object.required("id", reader::id)? })
    }

    pub(super) fn read_list(value: Value<'_>) -> Read<Vec<Alias>> {
        value.list(Alias::read)
    }
}

/// One name of a thing, as the producer gave it. Nothing is guessed from the look of an id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reference {
    /// `{"id": …}`: the merchant's own id, under the alias type configured for the kind of thing.
    Id(String),
    /// `{"alias": {"type": …, "id": …}}`: any other alias.
    Alias(Alias),
    /// `{"bwpId": …}`: Buy with Prime's own id.
    BwpId(String),
}

impl Reference {
    /// The id inside the reference, whatever its form.
    pub fn id(&self) -> &str {
        match self {
            Reference::Id(id) | Reference::BwpId(id) => id,
            Reference::Alias(alias) => &alias.id,
        }
    }

    pub(super) fn read(value: Value<'_>) -> Read<Reference> {
        let object = value.object(&["id", "alias", "bwpId"])?;
        let forms = (object.get("id"), object.get("alias"), object.get("bwpId"));
        match forms {
            (Some(_), None, None) => object.required("id", reader::id).map(Reference::Id),
            (None, Some(_), None) => object.required("alias", Alias::read).map(Reference::Alias),
            (None, None, Some(_)) => object.required("bwpId", reader::id).map(Reference::BwpId),
            _ => {
                let has = if forms == (None, None, None) { "none" } else { "several" };
                let message = format!("{} has {has} of `id`, `alias` and `bwpId`; name the thing by exactly one", object.label());
                Err(object.wrong(FaultCode::NotOneReference, message))
            }
        }
    }
}

/// A line item of the order, and how much of it is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The line item's name.
    pub line: Reference,
    /// How many units, 1 to 1,000,000. Only a refund's line may leave it out: it can be of money alone.
    pub quantity: Option<u32>,
}

impl Line {
    /// The lines of a return or shipment, each with its quantity.
    pub(super) fn read_counted(value: Value<'_>) -> Read<Vec<Line>> {
        Line::read_list(value, |line| line.required("quantity", Line::quantity).map(Some))
    }

    /// The lines of a refund, which may be of money alone.
    pub(super) fn read_uncounted(value: Value<'_>) -> Read<Vec<Line>> {
        Line::read_list(value, |line| line.optional("quantity", Line::quantity))
    }

    fn read_list(value: Value<'_>, quantity: fn(Object<'_>) -> Read<Option<u32>>) -> Read<Vec<Line>> {
        let lines = value.list(|entry| {
            let object = entry.object(&["line", "quantity"])?;
            Ok(Line { line: object.required("line", Reference::read)?, quantity: quantity(object)? })
        })?;
        lists::filled(value, &lines)?;
        lists::distinct(value, &lines, |line| &line.line)?;
        Ok(lines)
    }

    fn quantity(value: Value<'_>) -> Read<u32> {
        let quantity = value.integer(1, MOST_UNITS.into())?;
        Ok(u32::try_from(quantity).unwrap_or(MOST_UNITS))
    }
}
