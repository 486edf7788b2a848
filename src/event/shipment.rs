//! `oms.shipment.v1`: the whole present state of one shipment.

use super::fault::{FaultCode, Read};
use super::reader::{self, Object, Value};
use super::vocabulary::vocabulary;
use super::{Line, Reference};

/// A shipment as the merchant's system has it now.
#[derive(Debug, Clone, PartialEq)]
pub struct ShipmentSnapshot {
    /// The order it belongs to.
    pub order: Reference,
    /// Its name.
    pub shipment: Reference,
    /// The package of Buy with Prime that it is, or is a part of, where it is not named by `shipment`.
    pub package: Option<Reference>,
    /// The producer's version of this shipment.
    pub version: Option<u64>,
    /// Where it stands, with the reason of a cancellation.
    pub state: ShipmentState,
    /// Carrier and number.
    pub tracking: Option<Tracking>,
    /// The carrier's latest word; only ever beside `tracking`.
    pub milestone: Option<Milestone>,
    /// What is in it, where the package holds part of the order.
    pub lines: Option<Vec<Line>>,
}

/// How a carrier names a parcel.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tracking {
    /// The carrier's code.
    pub carrier: String,
    /// The tracking number.
    pub number: String,
}

/// Where a shipment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ShipmentState {
    /// Not yet handed over.
    Pending,
    /// Under way.
    InTransit,
    /// Arrived.
    Delivered,
    /// Called off, or came back.
    Cancelled(CancelReason),
}

impl ShipmentSnapshot {
    pub(super) fn read(value: Value<'_>) -> Read<ShipmentSnapshot> {
        let known =
            ["order", "shipment", "package", "version", "state", "reason", "tracking", "milestone", "lines", "extensions"];
        let object = value.object(&known)?;
        let snapshot = ShipmentSnapshot {
            order: object.required("order", Reference::read)?,
            shipment: object.required("shipment", Reference::read)?,
            package: object.optional("package", Reference::read)?,
            version: super::read_version(object)?,
            state: ShipmentState::read(object)?,
            tracking: object.optional("tracking", Tracking::read)?,
            milestone: object.optional("milestone", |value| value.one_of(Milestone::parse, Milestone::WORDS))?,
            lines: object.optional("lines", Line::read_counted)?,
        };
        super::read_extensions(object)?;
        match (&snapshot.milestone, &snapshot.tracking) {
            (Some(_), None) => Err(object.missing("tracking", "beside `milestone`")),
            _ => Ok(snapshot),
        }
    }
}

impl Tracking {
    fn read(value: Value<'_>) -> Read<Tracking> {
        let object = value.object(&["carrier", "number"])?;
        Ok(Tracking {
            carrier: object.required("carrier", reader::some_prose)?,
            number: object.required("number", reader::some_prose)?,
        })
    }
}

impl ShipmentState {
    /// Every word of `state`.
    pub const WORDS: &'static [&'static str] = &["PENDING", "IN_TRANSIT", "DELIVERED", "CANCELLED"];

    /// The spelling of `state` in JSON; the reason stands apart.
    pub const fn as_str(self) -> &'static str {
        match self {
            ShipmentState::Pending => "PENDING",
            ShipmentState::InTransit => "IN_TRANSIT",
            ShipmentState::Delivered => "DELIVERED",
            ShipmentState::Cancelled(_) => "CANCELLED",
        }
    }

    fn read(object: Object<'_>) -> Read<ShipmentState> {
        let reason = |value: Value<'_>| value.one_of(CancelReason::parse, CancelReason::WORDS);
        let word = object.required("state", |value| value.one_of(Word::parse, ShipmentState::WORDS))?;
        let reason = object.optional("reason", reason)?;
        let state = match (word, reason) {
            (Word::Cancelled, Some(reason)) => return Ok(ShipmentState::Cancelled(reason)),
            (Word::Cancelled, None) => return Err(object.missing("reason", "with the state CANCELLED")),
            (Word::Pending, _) => ShipmentState::Pending,
            (Word::InTransit, _) => ShipmentState::InTransit,
            (Word::Delivered, _) => ShipmentState::Delivered,
        };
        if reason.is_none() {
            return Ok(state);
        }
        let message = format!("`reason` says why a shipment was CANCELLED, and this one is {}; leave it out", state.as_str());
        Err(object.wrong_member("reason", FaultCode::MisplacedMember, message))
    }
}

/// `state` as it is written, apart from its reason.
#[derive(Clone, Copy)]
enum Word {
    Pending,
    InTransit,
    Delivered,
    Cancelled,
}

impl Word {
    fn parse(word: &str) -> Option<Word> {
        match word {
            "PENDING" => Some(Word::Pending),
            "IN_TRANSIT" => Some(Word::InTransit),
            "DELIVERED" => Some(Word::Delivered),
            "CANCELLED" => Some(Word::Cancelled),
            _ => None,
        }
    }
}

vocabulary! {
    /// Why a package was cancelled: `PackageInformationDetailsReasonInput`.
    pub enum CancelReason {
        /// `UNFULFILLABLE`
        Unfulfillable = "UNFULFILLABLE",
        /// `UNDELIVERABLE`
        Undeliverable = "UNDELIVERABLE",
        /// `CUSTOMER_REQUESTED`
        CustomerRequested = "CUSTOMER_REQUESTED",
    }
}

vocabulary! {
    /// What a carrier last said: `PackageMilestoneStatusCodeInput`.
    pub enum Milestone {
        /// `AVAILABLE_FOR_PICKUP`
        AvailableForPickup = "AVAILABLE_FOR_PICKUP",
        /// `CUSTOMER_ACTION`
        CustomerAction = "CUSTOMER_ACTION",
        /// `DELAYED`
        Delayed = "DELAYED",
        /// `DELIVERED`
        Delivered = "DELIVERED",
        /// `DELIVERY_ATTEMPTED`
        DeliveryAttempted = "DELIVERY_ATTEMPTED",
        /// `EXCEPTION`
        Exception = "EXCEPTION",
        /// `INFO_RECEIVED`
        InfoReceived = "INFO_RECEIVED",
        /// `IN_TRANSIT`
        InTransit = "IN_TRANSIT",
        /// `LOST`
        Lost = "LOST",
        /// `OUT_FOR_DELIVERY`
        OutForDelivery = "OUT_FOR_DELIVERY",
        /// `RETURN_TO_SENDER`
        ReturnToSender = "RETURN_TO_SENDER",
        /// `UNDELIVERABLE`
        Undeliverable = "UNDELIVERABLE",
    }
}
