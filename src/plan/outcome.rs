//! How an event ends, and why.

use serde::{Deserialize, Serialize};

/// The final statuses of an event, in the order in which the first one counts where its parts end differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Refused for good, or its time budget ran out; an operator can retry it.
    Dead,
    /// Buy with Prime accepted it.
    Delivered,
    /// A read made for the event after a send or a refusal shows that it is already so.
    Confirmed,
    /// Valid, and there is nothing to write.
    NothingToSend,
    /// A newer snapshot of the same thing was used instead.
    Superseded,
    /// Could not be read as an event.
    Quarantined,
    /// An operator gave it up.
    Discarded,
}

impl Status {
    /// Every final status.
    pub const ALL: [Status; 7] = [
        Status::Dead,
        Status::Delivered,
        Status::Confirmed,
        Status::NothingToSend,
        Status::Superseded,
        Status::Quarantined,
        Status::Discarded,
    ];

    /// The spelling in outcomes, tables and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Dead => "DEAD",
            Status::Delivered => "DELIVERED",
            Status::Confirmed => "CONFIRMED",
            Status::NothingToSend => "NOTHING_TO_SEND",
            Status::Superseded => "SUPERSEDED",
            Status::Quarantined => "QUARANTINED",
            Status::Discarded => "DISCARDED",
        }
    }
}

/// What kind of reason it is; an operator sorts by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// The record alone is wrong.
    Invalid,
    /// Wrong against earlier events or what Buy with Prime holds.
    Contradiction,
    /// Wrong against the configuration.
    Configuration,
    /// Its time ran out.
    Expired,
    /// Buy with Prime refused it.
    Refused,
    /// Something newer was used.
    Superseded,
    /// Nothing had to be sent.
    Nothing,
    /// An operator decided.
    Operator,
}

impl Class {
    /// The spelling in outcomes and filters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Class::Invalid => "invalid",
            Class::Contradiction => "contradiction",
            Class::Configuration => "configuration",
            Class::Expired => "expired",
            Class::Refused => "refused",
            Class::Superseded => "superseded",
            Class::Nothing => "nothing",
            Class::Operator => "operator",
        }
    }
}

/// Why an event ended as it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The kind of reason.
    pub class: Class,
    /// A stable code: Buy with Prime's own where it spoke, else ours.
    pub code: String,
    /// A sentence: the thing, the value, the way out. Never personal data.
    pub message: String,
    /// RFC 6901 pointer into the structured event, where one member is at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
}

impl Reason {
    /// A reason without a pointer.
    pub fn new(class: Class, code: &str, message: impl Into<String>) -> Self {
        Reason { class, code: code.to_owned(), message: message.into(), pointer: None }
    }

    /// The same reason with a pointer to the member at fault.
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into());
        self
    }

    /// A contradiction against earlier events or what Buy with Prime holds.
    pub fn contradiction(code: &str, message: impl Into<String>) -> Self {
        Reason::new(Class::Contradiction, code, message)
    }

    /// Nothing had to be sent.
    pub fn nothing(code: &str, message: impl Into<String>) -> Self {
        Reason::new(Class::Nothing, code, message)
    }
}
