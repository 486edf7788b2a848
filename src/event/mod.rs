//! What a producer says: CloudEvents and their data, parsed into types that cannot hold a wrong state.
//!
//! Owns the reading of records: envelope, references, money and the five kinds of data. It does no I/O, reads no clock and
//! knows nothing of what Buy with Prime holds: whatever the record alone shows to be wrong is found here, and nothing else.

pub mod alias_row;
pub mod envelope;
pub mod money;
pub mod order;
pub mod payment;
pub mod reference;
pub mod refund;
pub mod returns;
pub mod shipment;
mod stored;
pub(crate) mod vocabulary;

pub use alias_row::{AliasKind, AliasRow};
pub use envelope::{Envelope, Identity, Kind};
pub use money::{Currency, Money};
pub use order::{Discount, ExecutionState, LinkDestination, OrderLine, OrderLink, OrderPackage, OrderSnapshot};
pub use payment::{Payment, PaymentMethod, PaymentState};
pub use reference::{Alias, Line, Reference};
pub use refund::{Initiator, RefundSnapshot, RefundState, RefundStatusReason};
pub use returns::{ReturnSnapshot, ReturnState};
pub use shipment::{CancelReason, Milestone, ShipmentSnapshot, ShipmentState, Tracking};

/// One event, read and found sound by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Who sent it, when, about what, and for which target.
    pub envelope: Envelope,
    /// What it says.
    pub data: Data,
}

/// The data of an event, by its kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// `oms.return.v1`: the whole present state of one return.
    Return(ReturnSnapshot),
    /// `oms.refund.v1`: the whole present state of one refund.
    Refund(RefundSnapshot),
    /// `oms.shipment.v1`: the whole present state of one shipment.
    Shipment(ShipmentSnapshot),
    /// `oms.order.v1`: what Buy with Prime is to know of the order itself.
    Order(OrderSnapshot),
    /// `oms.alias.v1`: one row of the alias-resolution table.
    Alias(AliasRow),
}

impl Data {
    /// The order that the event is about: for an alias row of an order without `order`, the row's own alias.
    pub fn order(&self) -> Reference {
        match self {
            Data::Return(snapshot) => snapshot.order.clone(),
            Data::Refund(snapshot) => snapshot.order.clone(),
            Data::Shipment(snapshot) => snapshot.order.clone(),
            Data::Order(snapshot) => snapshot.order.clone(),
            Data::Alias(row) => row.order(),
        }
    }

    /// The producer's version of the thing, where it gave one.
    pub fn version(&self) -> Option<u64> {
        match self {
            Data::Return(snapshot) => snapshot.version,
            Data::Refund(snapshot) => snapshot.version,
            Data::Shipment(snapshot) => snapshot.version,
            Data::Order(snapshot) => snapshot.version,
            Data::Alias(row) => row.version,
        }
    }
}
