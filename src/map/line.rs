//! What `map` shows: one line per mutation, or per event that becomes none.

use crate::event::{Alias, AliasKind, Envelope, Fault};
use crate::plan::lane::{Draft, Lane};
use crate::plan::outcome::{Class, Reason};
use crate::plan::step::Mutation;
use crate::plan::subject::{Name, Need};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write;

/// What became of one or more events.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// The events.
    pub events: Vec<Told>,
    /// What became of them.
    pub status: Status,
    /// The mutation, with `SEND`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<Mutation>,
    /// The mutation's variables, with `SEND`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variables: Option<Value>,
    /// The missing names, with `WAITING`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<Vec<Missing>>,
    /// Why, where there is a reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// An event, as far as it could be read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Told {
    /// The CloudEvents `source`.
    pub source: Option<String>,
    /// The CloudEvents `id`.
    pub id: Option<String>,
    /// The CloudEvents `type`.
    #[serde(rename = "type")]
    pub event_type: Option<String>,
}

/// What became of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "the statuses of the contract")]
pub enum Status {
    Send,
    Waiting,
    NothingToSend,
    Superseded,
    Duplicate,
    Dead,
    Quarantined,
}

/// A name that is not known.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Missing {
    kind: AliasKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias: Option<Alias>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bwp_id: Option<String>,
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Status::Send => "SEND",
            Status::Waiting => "WAITING",
            Status::NothingToSend => "NOTHING_TO_SEND",
            Status::Superseded => "SUPERSEDED",
            Status::Duplicate => "DUPLICATE",
            Status::Dead => "DEAD",
            Status::Quarantined => "QUARANTINED",
        }
    }
}

impl From<&Need> for Missing {
    fn from(need: &Need) -> Missing {
        match &need.name {
            Name::Alias(alias) => Missing { kind: need.kind, alias: Some(alias.clone()), bwp_id: None },
            Name::Bwp(id) => Missing { kind: need.kind, alias: None, bwp_id: Some(id.clone()) },
        }
    }
}

impl From<&Envelope> for Told {
    fn from(envelope: &Envelope) -> Told {
        Told {
            source: Some(envelope.identity.source.clone()),
            id: Some(envelope.identity.id.clone()),
            event_type: Some(envelope.kind.type_name().to_owned()),
        }
    }
}

impl Line {
    /// What became of one event that is not sent.
    pub(super) fn of(event: Told, status: Status, reason: Option<Reason>) -> Line {
        Line { events: vec![event], status, operation: None, variables: None, waits_for: None, reason }
    }

    /// A record that is no event.
    pub(super) fn fault(fault: Fault) -> Line {
        let told = Told { source: fault.envelope.source, id: fault.envelope.id, event_type: fault.envelope.event_type };
        let reason = Reason::new(Class::Invalid, fault.code.as_str(), fault.message).at(fault.pointer);
        Line::of(told, Status::Quarantined, Some(reason))
    }

    /// A mutation, with the events that it is sent for in the order of intake.
    pub(super) fn send(lane: &Lane, draft: &Draft) -> Line {
        let events = draft.events().into_iter().filter_map(|no| lane.events.get(&no));
        Line {
            events: events.map(|live| Told::from(&live.event.envelope)).collect(),
            status: Status::Send,
            operation: Some(draft.mutation),
            variables: serde_json::from_str(&draft.variables).ok(),
            waits_for: None,
            reason: None,
        }
    }

    /// An event that waits for names.
    pub(super) fn waiting<'a>(event: Told, needs: impl IntoIterator<Item = &'a Need>) -> Line {
        let waits_for = needs.into_iter().map(Missing::from).collect();
        Line { waits_for: Some(waits_for), ..Line::of(event, Status::Waiting, None) }
    }

    /// Whether it makes the answer a no.
    pub fn is_bad(&self) -> bool {
        matches!(self.status, Status::Dead | Status::Quarantined)
    }
}

/// The lines for eyes.
pub fn table(lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        let events: Vec<String> = line.events.iter().map(Told::to_string).collect();
        let _ = write!(text, "{:<15} {}", line.status.as_str(), events.join(", "));
        if let Some(operation) = line.operation {
            let _ = write!(text, "  {}", operation.as_str());
        }
        text.push('\n');
        if let Some(variables) = &line.variables {
            let pretty = format!("{variables:#}");
            text.extend(pretty.lines().map(|line| format!("    {line}\n")));
        }
        for missing in line.waits_for.iter().flatten() {
            let name = match (&missing.alias, &missing.bwp_id) {
                (Some(alias), _) => format!("{} {}", alias.alias_type, alias.id),
                (None, id) => format!("bwpId {}", id.as_deref().unwrap_or_default()),
            };
            let _ = writeln!(text, "    waits for {} {name}", missing.kind.as_str());
        }
        if let Some(reason) = &line.reason {
            let at = reason.pointer.as_deref().map_or_else(String::new, |pointer| format!(" at {pointer:?}"));
            let _ = writeln!(text, "    {} {}{at}: {}", reason.class.as_str(), reason.code, reason.message);
        }
    }
    text
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = |part: &Option<String>| part.clone().unwrap_or_else(|| "?".to_owned());
        write!(f, "{}#{} ({})", known(&self.source), known(&self.id), known(&self.event_type))
    }
}
