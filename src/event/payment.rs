//! A payment on a refund, an order or a line item.

use super::Money;
use super::fault::Read;
use super::lists;
use super::reader::{self, Value};
use super::vocabulary::vocabulary;
use std::sync::Arc;

/// One transfer of money. `id` is unique within its list.
#[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Payment {
    /// The merchant's id of the transfer.
    pub id: String,
    /// How much.
    pub amount: Money,
    /// How it was paid.
    pub method: Arc<PaymentMethod>,
    /// How far it is; final where absent.
    pub state: Option<PaymentState>,
    /// Buy with Prime's `PayerInput`, passed on unchanged. Personal data: never printed, never logged.
    #[serde(skip)]
    pub payer: Option<serde_json::Value>,
}

/// How a payment was made.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PaymentMethod {
    /// A word of capitals and underscores, for instance `AMAZON_PAY`.
    pub method_type: String,
    /// What the shopper sees, for instance `Visa ending in 1234`.
    pub display: String,
}

impl Payment {
    /// A list of payments, each with an id of its own. Whoever has it shares it.
    pub(super) fn read_list(value: Value<'_>) -> Read<Arc<Vec<Payment>>> {
        let payments = value.list(Payment::read)?;
        lists::distinct(value, &payments, |payment| &payment.id)?;
        Ok(Arc::new(payments))
    }

    fn read(value: Value<'_>) -> Read<Payment> {
        let object = value.object(&["id", "amount", "state", "method", "payer"])?;
        Ok(Payment {
            id: object.required("id", reader::id)?,
            amount: object.required("amount", Money::read)?,
            method: object.required("method", PaymentMethod::read)?.into(),
            state: object.optional("state", |value| value.one_of(PaymentState::parse, PaymentState::WORDS))?,
            payer: object.optional("payer", |value| value.open_object().map(|_| value.node.to_value()))?,
        })
    }
}

impl PaymentMethod {
    fn read(value: Value<'_>) -> Read<PaymentMethod> {
        let object = value.object(&["type", "display"])?;
        Ok(PaymentMethod {
            method_type: object.required("type", reader::word)?,
            display: object.required("display", reader::prose)?,
        })
    }
}

vocabulary! {
    /// How far a payment is: `PaymentStateInput`.
    pub enum PaymentState {
        /// `NOT_STARTED`
        NotStarted = "NOT_STARTED",
        /// `CREATED`
        Created = "CREATED",
        /// `AUTHORIZED`
        Authorized = "AUTHORIZED",
        /// `CAPTURED`
        Captured = "CAPTURED",
        /// `CLIENT_ACTION_REQUIRED`
        ClientActionRequired = "CLIENT_ACTION_REQUIRED",
        /// `READY_FOR_CONFIRMATION`
        ReadyForConfirmation = "READY_FOR_CONFIRMATION",
        /// `IN_PROGRESS`
        InProgress = "IN_PROGRESS",
        /// `SUCCESS`
        Success = "SUCCESS",
        /// `FAILED`
        Failed = "FAILED",
        /// `CANCELLED`
        Cancelled = "CANCELLED",
    }
}

impl PaymentState {
    /// Whether the payment can no longer change: only such a payment is sent, since Buy with Prime adds up what it is sent.
    pub const fn is_final(self) -> bool {
        matches!(self, PaymentState::Success | PaymentState::Failed | PaymentState::Cancelled)
    }
}

impl std::fmt::Debug for Payment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Payment")
            .field("id", &self.id)
            .field("amount", &self.amount)
            .field("method", &self.method)
            .field("state", &self.state)
            .field("payer", &self.payer.as_ref().map(|_| "…"))
            .finish()
    }
}
