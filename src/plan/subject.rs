//! Things and their names inside one order.

use crate::event::{Alias, AliasKind, Reference};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A name that the configuration has already been applied to: an alias with its type, or Buy with Prime's id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Name {
    /// Buy with Prime's own id.
    #[serde(rename = "bwp")]
    Bwp(String),
    /// An alias.
    #[serde(rename = "alias")]
    Alias(Alias),
}

impl Name {
    /// The alias, where the name is one.
    pub fn alias(&self) -> Option<&Alias> {
        match self {
            Name::Alias(alias) => Some(alias),
            Name::Bwp(_) => None,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Bwp(id) => write!(f, "bwpId {id}"),
            Name::Alias(alias) => write!(f, "{} {}", alias.alias_type, alias.id),
        }
    }
}

/// A thing of an order: what snapshots are snapshots of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Subject {
    /// The order itself.
    Order,
    /// A line item, as an order event speaks of it.
    Line(Name),
    /// A package, as an order event speaks of it.
    Package(Name),
    /// A return.
    Return(Name),
    /// A refund.
    Refund(Name),
    /// A shipment.
    Shipment(Name),
}

impl Subject {
    /// The kind under which the alias table knows it.
    pub fn kind(&self) -> AliasKind {
        match self {
            Subject::Order => AliasKind::Order,
            Subject::Line(_) => AliasKind::LineItem,
            Subject::Package(_) | Subject::Shipment(_) => AliasKind::Package,
            Subject::Return(_) => AliasKind::Return,
            Subject::Refund(_) => AliasKind::Refund,
        }
    }

    /// Its name; none for the order, which has many.
    pub fn name(&self) -> Option<&Name> {
        match self {
            Subject::Order => None,
            Subject::Line(name)
            | Subject::Package(name)
            | Subject::Return(name)
            | Subject::Refund(name)
            | Subject::Shipment(name) => Some(name),
        }
    }

    /// The same kind of thing under another name.
    pub fn renamed(&self, name: Name) -> Subject {
        match self {
            Subject::Order => Subject::Order,
            Subject::Line(_) => Subject::Line(name),
            Subject::Package(_) => Subject::Package(name),
            Subject::Return(_) => Subject::Return(name),
            Subject::Refund(_) => Subject::Refund(name),
            Subject::Shipment(_) => Subject::Shipment(name),
        }
    }
}

/// A name that has to become known before an event can go on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Need {
    /// What kind of thing it names.
    pub kind: AliasKind,
    /// The missing name.
    pub name: Name,
}

/// The alias types under which the merchant's own ids stand, by kind of thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasTypes {
    /// For orders.
    pub order: String,
    /// For line items.
    pub line_item: String,
    /// For returns.
    pub returns: String,
    /// For refunds.
    pub refund: String,
    /// For packages.
    pub package: String,
}

impl Default for AliasTypes {
    fn default() -> Self {
        AliasTypes {
            order: "EXTERNAL_ID".into(),
            line_item: "EXTERNAL_ITEM_ID".into(),
            returns: "EXTERNAL-RETURN-ID".into(),
            refund: "EXTERNAL_REFUND_ID".into(),
            package: "EXTERNAL_ID".into(),
        }
    }
}

impl From<&crate::config::AliasTypes> for AliasTypes {
    fn from(types: &crate::config::AliasTypes) -> Self {
        AliasTypes {
            order: types.order.clone(),
            line_item: types.line_item.clone(),
            returns: types.return_.clone(),
            refund: types.refund.clone(),
            package: types.package.clone(),
        }
    }
}

impl AliasTypes {
    /// The alias type of one kind.
    pub fn of(&self, kind: AliasKind) -> &str {
        match kind {
            AliasKind::Order => &self.order,
            AliasKind::LineItem => &self.line_item,
            AliasKind::Return => &self.returns,
            AliasKind::Refund => &self.refund,
            AliasKind::Package => &self.package,
        }
    }

    /// What a producer's reference to a thing of this kind is called: `{"id"}` and `{"alias"}` with the configured type are one.
    pub fn name(&self, kind: AliasKind, reference: &Reference) -> Name {
        match reference {
            Reference::Id(id) => Name::Alias(Alias { alias_type: self.of(kind).to_owned(), id: id.clone() }),
            Reference::Alias(alias) => Name::Alias(alias.clone()),
            Reference::BwpId(id) => Name::Bwp(id.clone()),
        }
    }
}
