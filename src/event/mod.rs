//! What a producer says: CloudEvents and their data, parsed into types that cannot hold a wrong state.
//!
//! Owns the reading of records: envelope, references, money and the five kinds of data. It does no I/O, reads no clock and
//! knows nothing of what Buy with Prime holds: whatever the record alone shows to be wrong is found here, and nothing else.

pub mod alias_row;
pub mod envelope;
pub mod fault;
mod json;
mod lists;
pub mod money;
pub mod order;
mod path;
pub mod payment;
mod reader;
pub mod record;
pub mod reference;
pub mod refund;
pub mod returns;
pub mod shipment;
mod stored;
mod timestamp;
pub(crate) mod vocabulary;

pub use alias_row::{AliasKind, AliasRow};
pub use envelope::{DEFAULT_TARGET, Envelope, Identity, Kind};
pub use fault::{Fault, FaultCode, PartialEnvelope, is_card_number};
pub use money::{Currency, Money, MoneyError};
pub use order::{Discount, ExecutionState, LinkDestination, OrderLine, OrderLink, OrderPackage, OrderSnapshot};
pub use path::is_payer_member;
pub use payment::{Payment, PaymentMethod, PaymentState};
pub use record::{MAX_VALUE_BYTES, RawRecord, Reading, read, read_alias_data, read_structured};
pub use reference::{Alias, Line, Reference};
pub use refund::{Initiator, RefundSnapshot, RefundState, RefundStatusReason};
pub use returns::{ReturnSnapshot, ReturnState};
pub use shipment::{CancelReason, Milestone, ShipmentSnapshot, ShipmentState, Tracking};

use fault::Read;
use reader::{Object, Value};

/// The highest version: 2^53 - 1, the last integer that every JSON reader keeps.
const HIGHEST_VERSION: u64 = (1 << 53) - 1;

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
    fn read(value: Value<'_>, envelope: &Envelope) -> Read<Data> {
        Ok(match envelope.kind {
            Kind::Return => Data::Return(ReturnSnapshot::read(value, &envelope.identity)?),
            Kind::Refund => Data::Refund(RefundSnapshot::read(value)?),
            Kind::Shipment => Data::Shipment(ShipmentSnapshot::read(value)?),
            Kind::Order => Data::Order(OrderSnapshot::read(value)?),
            Kind::Alias => Data::Alias(AliasRow::read(value)?),
        })
    }

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

    /// The payers of all payments in it: personal data.
    pub fn payers(&self) -> impl Iterator<Item = &serde_json::Value> {
        let (payments, lines) = match self {
            Data::Refund(snapshot) => (&snapshot.payments, &None),
            Data::Order(snapshot) => (&snapshot.payments, &snapshot.lines),
            Data::Return(_) | Data::Shipment(_) | Data::Alias(_) => (&None, &None),
        };
        let of_lines = lines.iter().flatten().filter_map(|line: &OrderLine| line.payments.as_ref());
        payments.iter().chain(of_lines).flat_map(|payments| &**payments).filter_map(|payment: &Payment| payment.payer.as_ref())
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

/// `version`, which every kind of data may have.
fn read_version(object: Object<'_>) -> Read<Option<u64>> {
    object.optional("version", |value| value.integer(0, HIGHEST_VERSION))
}

/// `extensions`, which every kind of data may have: the producer's own members, never sent on.
fn read_extensions(object: Object<'_>) -> Read<()> {
    object.optional("extensions", |value| value.open_object().map(|_| ())).map(|_| ())
}
