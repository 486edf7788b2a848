//! `oms.shipment.v1`: the whole present state of one shipment.

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
