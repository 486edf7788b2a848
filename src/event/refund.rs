//! `oms.refund.v1`: the whole present state of one refund.

use super::vocabulary::vocabulary;
use super::{Alias, Line, Money, Payment, Reference};

/// A refund as the merchant's system has it now.
#[derive(Debug, Clone, PartialEq)]
pub struct RefundSnapshot {
    /// The order it belongs to.
    pub order: Reference,
    /// Its name.
    pub refund: Reference,
    /// The producer's version of this refund.
    pub version: Option<u64>,
    /// Where it stands.
    pub state: RefundState,
    /// Refunded so far, all payments together.
    pub total: Money,
    /// Why it was asked for: a word of capitals and underscores.
    pub request_reason: Option<String>,
    /// Why it is in its state.
    pub status_reason: Option<RefundStatusReason>,
    /// Aliases beside the one in `refund`; Buy with Prime merges them by type.
    pub aliases: Option<Vec<Alias>>,
    /// What it is for.
    pub lines: Option<Vec<Line>>,
    /// All payments so far.
    pub payments: Option<Vec<Payment>>,
    /// Who asked for it; the merchant where absent.
    pub initiator: Option<Initiator>,
}

vocabulary! {
    /// Where a refund stands: `RefundStateInput`.
    pub enum RefundState {
        /// `PENDING`
        Pending = "PENDING",
        /// `PARTIAL`
        Partial = "PARTIAL",
        /// `SUCCESS`
        Success = "SUCCESS",
        /// `FAILURE`
        Failure = "FAILURE",
        /// `REJECTED`
        Rejected = "REJECTED",
    }
}

vocabulary! {
    /// Which side opened a return or asked for a refund.
    pub enum Initiator {
        /// `MERCHANT`
        Merchant = "MERCHANT",
        /// `BWP`
        Bwp = "BWP",
    }
}

vocabulary! {
    /// Why a refund is in its state: `RefundStatusReasonInput`.
    pub enum RefundStatusReason {
        /// `EXCESSIVE_RETURNS`
        ExcessiveReturns = "EXCESSIVE_RETURNS",
        /// `FAILURE_TO_PROVIDE_PROOF_OF_PURCHASE`
        FailureToProvideProofOfPurchase = "FAILURE_TO_PROVIDE_PROOF_OF_PURCHASE",
        /// `FRAUDULENT_RETURN_ATTEMPT`
        FraudulentReturnAttempt = "FRAUDULENT_RETURN_ATTEMPT",
        /// `ITEM_NOT_RETURNED_IN_ORIGINAL_CONDITION`
        ItemNotReturnedInOriginalCondition = "ITEM_NOT_RETURNED_IN_ORIGINAL_CONDITION",
        /// `MISSING_ORIGINAL_PACKAGING`
        MissingOriginalPackaging = "MISSING_ORIGINAL_PACKAGING",
        /// `MISSING_RECEIPT_OR_PROOF_OF_PURCHASE`
        MissingReceiptOrProofOfPurchase = "MISSING_RECEIPT_OR_PROOF_OF_PURCHASE",
        /// `NON_REFUNDABLE_SHIPPING_FEES`
        NonRefundableShippingFees = "NON_REFUNDABLE_SHIPPING_FEES",
        /// `NON_RETURNABLE_ITEMS`
        NonReturnableItems = "NON_RETURNABLE_ITEMS",
        /// `OTHERS`
        Others = "OTHERS",
        /// `PARTIALLY_DECLINED`
        PartiallyDeclined = "PARTIALLY_DECLINED",
        /// `REFUND_ALREADY_PROCESSED`
        RefundAlreadyProcessed = "REFUND_ALREADY_PROCESSED",
        /// `REFUND_VIOLATION`
        RefundViolation = "REFUND_VIOLATION",
        /// `RETURN_NOT_AUTHORIZED`
        ReturnNotAuthorized = "RETURN_NOT_AUTHORIZED",
        /// `RETURN_WINDOW_EXPIRED`
        ReturnWindowExpired = "RETURN_WINDOW_EXPIRED",
        /// `USED_OR_DAMAGED_ITEM`
        UsedOrDamagedItem = "USED_OR_DAMAGED_ITEM",
    }
}
