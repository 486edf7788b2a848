//! How things are named: by the merchant's id, by any other alias, or by Buy with Prime's own id.

use serde::{Deserialize, Serialize};

/// An alias: an id within a namespace that the merchant manages. Compared byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Alias {
    /// The namespace, for instance `EXTERNAL_ID`. Each spelling is a type of its own.
    #[serde(rename = "type")]
    pub alias_type: String,
    /// The id within it.
    pub id: String,
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
}

/// A line item of the order, and how much of it is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The line item's name.
    pub line: Reference,
    /// How many units, 1 to 1,000,000. Only a refund's line may leave it out: it can be of money alone.
    pub quantity: Option<u32>,
}
