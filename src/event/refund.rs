//! `oms.refund.v1`: the whole present state of one refund.

use super::fault::{FaultCode, Read};
use super::reader::{self, Object, Value};
use super::vocabulary::vocabulary;
use super::{Alias, Line, Money, Payment, PaymentState, Reference};
use rust_decimal::Decimal;
use std::sync::Arc;

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
    pub payments: Option<Arc<Vec<Payment>>>,
    /// Who asked for it; the merchant where absent.
    pub initiator: Option<Initiator>,
}

impl RefundSnapshot {
    pub(super) fn read(value: Value<'_>) -> Read<RefundSnapshot> {
        let known = [
            "order",
            "refund",
            "version",
            "state",
            "total",
            "requestReason",
            "statusReason",
            "aliases",
            "lines",
            "payments",
            "initiator",
            "extensions",
        ];
        let object = value.object(&known)?;
        let snapshot = RefundSnapshot {
            order: object.required("order", Reference::read)?,
            refund: object.required("refund", Reference::read)?,
            version: super::read_version(object)?,
            state: object.required("state", |value| value.one_of(RefundState::parse, RefundState::WORDS))?,
            total: object.required("total", Money::read)?,
            request_reason: object.optional("requestReason", reader::word)?,
            status_reason: object
                .optional("statusReason", |value| value.one_of(RefundStatusReason::parse, RefundStatusReason::WORDS))?,
            aliases: object.optional("aliases", Alias::read_list)?,
            lines: object.optional("lines", Line::read_uncounted)?,
            payments: object.optional("payments", Payment::read_list)?,
            initiator: object.optional("initiator", |value| value.one_of(Initiator::parse, Initiator::WORDS))?,
        };
        super::read_extensions(object)?;
        snapshot.check_payments(object)?;
        Ok(snapshot)
    }

    /// Payments are in the currency of the total, and those that stand do not exceed it.
    fn check_payments(&self, object: Object<'_>) -> Read<()> {
        let payments = self.payments.as_deref().map(Vec::as_slice).unwrap_or_default();
        if let Some(index) = payments.iter().position(|payment| payment.amount.currency() != self.total.currency()) {
            let message = format!(
                "`payments[{index}]` is in {}, the refund's `total` in {}; both must be in one currency",
                payments[index].amount.currency(),
                self.total.currency()
            );
            return Err(object.wrong_below("payments", index, ["amount", "currency"], FaultCode::CurrencyMismatch, message));
        }
        let stands = |payment: &&Payment| !matches!(payment.state, Some(PaymentState::Failed | PaymentState::Cancelled));
        let sum: Decimal = payments.iter().filter(stands).map(|payment| payment.amount.amount()).sum();
        if sum <= self.total.amount() {
            return Ok(());
        }
        let message = format!(
            "`payments` that are not FAILED or CANCELLED come to {sum}, more than the refund's `total` of {}; \
             `total` is all that was refunded so far",
            self.total
        );
        Err(object.wrong_member("payments", FaultCode::PaymentsExceedTotal, message))
    }
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
