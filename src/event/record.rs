//! From a Kafka record to an event, or to why it is none.
//!
//! Owns the choice between the forms of an event (binary, structured, an array of one) and what may still be told of a record
//! that is no event. The forms meet in one tree, so that they cannot be read differently.

use super::envelope::ATTRIBUTES;
use super::fault::{Fault, FaultCode, PartialEnvelope, Problem, Read};
use super::json::{self, Members, Node, Tree};
use super::path::Path;
use super::reader::Value;
use super::{AliasKind, AliasRow, Data, Envelope, Event, Kind, Reference};
use std::borrow::Cow;

/// The longest value of a record, in bytes.
pub const MAX_VALUE_BYTES: usize = 1 << 20;

/// What precedes an attribute's name in its header's.
const HEADER_PREFIX: &str = "ce_";

/// A record as Kafka gave it. The key plays no part in reading.
#[derive(Debug, Clone, Copy, Default)]
pub struct RawRecord<'a> {
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// The record's value; none for a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers in their order; a name may stand there twice.
    pub headers: &'a [(&'a str, Option<&'a [u8]>)],
}

/// What a record turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// No value: a tombstone of log compaction.
    Tombstone,
    /// An event, sound by itself.
    Event(Box<Event>),
    /// Not an event.
    Fault(Box<Fault>),
}

impl From<Result<Event, Box<Fault>>> for Reading {
    fn from(result: Result<Event, Box<Fault>>) -> Reading {
        match result {
            Ok(event) => Reading::Event(Box::new(event)),
            Err(fault) => Reading::Fault(fault),
        }
    }
}

/// Reads a record: in binary mode where it has a `ce_specversion` header, else in structured mode, whatever its content type.
pub fn read(record: &RawRecord<'_>) -> Reading {
    let Some(value) = record.value else { return Reading::Tombstone };
    match record.headers.iter().any(|(name, _)| *name == "ce_specversion") {
        true => read_binary(record.headers, value).into(),
        false => read_structured(value),
    }
}

/// Reads one structured event: a JSON object, or an array of one.
pub fn read_structured(value: &[u8]) -> Reading {
    structured(value).into()
}

/// Reads the data of one alias event by itself, as `aliases export` writes it. Pointers are into the given JSON.
///
/// # Errors
/// Where it is not such a row.
pub fn read_alias_data(json: &[u8]) -> Result<AliasRow, Box<Fault>> {
    let read = || {
        let tree = parse(json, &Path::ROOT, 0, false)?;
        match tree.problem {
            Some(problem) => Err(problem),
            None => AliasRow::read(Value { node: &tree.root, path: &Path::ROOT }),
        }
    };
    read().map_err(|problem| problem.with(PartialEnvelope::default()))
}

fn structured(value: &[u8]) -> Result<Event, Box<Fault>> {
    let tree = parse(value, &Path::ROOT, 0, true).map_err(|problem| problem.with(PartialEnvelope::default()))?;
    let root = match tree.root {
        Node::List(mut entries) if entries.len() == 1 => entries.remove(0),
        Node::List(entries) => {
            let message =
                format!("a record is one event, and this is a list of {}; send each in a record of its own", entries.len());
            return Err(Problem::whole(FaultCode::NotOneEvent, message).with(PartialEnvelope::default()));
        }
        root => root,
    };
    match tree.problem {
        Some(problem) => Err(problem.with(partial(&root))),
        None => event(&root, None),
    }
}

fn read_binary(headers: &[(&str, Option<&[u8]>)], value: &[u8]) -> Result<Event, Box<Fault>> {
    let (mut members, header_problem) = attributes(headers);
    let parsed = parse(value, &Path::ROOT.name("data"), 1, false);
    let (data, data_problem) = match parsed {
        Ok(Tree { root, problem }) => (root, problem),
        Err(problem) => (Node::Null, Some(problem)),
    };
    members.push((Cow::Borrowed("data"), data));
    let root = Node::Object(members);
    match header_problem {
        Some(problem) => Err(problem.with(partial(&root))),
        None => event(&root, data_problem),
    }
}

/// The attributes that are used, as members of the structured event; the Kafka binding has their values as plain UTF-8.
fn attributes<'a>(headers: &[(&str, Option<&'a [u8]>)]) -> (Members<'a>, Option<Problem>) {
    let mut members = Members::new();
    let mut first = None;
    for (header, value) in headers {
        let own = header.strip_prefix(HEADER_PREFIX);
        let Some(name) = own.and_then(|name| ATTRIBUTES.iter().copied().find(|known| *known == name)) else { continue };
        let path = Path::ROOT.name(name);
        if let Some(earlier) = members.iter_mut().find(|(known, _)| known == name) {
            earlier.1 = Node::Null;
            let message = format!("the header `{header}` is there twice; keep one of them");
            first.get_or_insert_with(|| Problem::at(&path, FaultCode::DuplicateMember, message));
            continue;
        }
        let node = match value.map(std::str::from_utf8) {
            None => Node::Null,
            Some(Ok(text)) => Node::Text(Cow::Borrowed(text)),
            Some(Err(_)) => {
                let message = format!("the header `{header}` is not UTF-8; CloudEvents attributes are UTF-8 text");
                first.get_or_insert_with(|| Problem::at(&path, FaultCode::NotUtf8, message));
                Node::Null
            }
        };
        members.push((Cow::Borrowed(name), node));
    }
    (members, first)
}

/// The tree of a text at this place of the event, one level below its parent. Where it cannot be had, no object can be read.
fn parse<'a>(bytes: &'a [u8], path: &Path<'_>, level: usize, unwrap: bool) -> Read<Tree<'a>> {
    if bytes.len() > MAX_VALUE_BYTES {
        let message = format!("the record's value is {} bytes long; at most {MAX_VALUE_BYTES} are read", bytes.len());
        return Err(Problem::whole(FaultCode::TooLarge, message));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let message = format!("the record's value is not UTF-8 from byte {} on; send JSON as UTF-8", error.valid_up_to());
        Problem::whole(FaultCode::NotUtf8, message)
    })?;
    json::parse(text, path, level, unwrap).map_err(|error| {
        let message = format!("the record's value is not JSON ({error}); an event is one JSON object");
        Problem::whole(FaultCode::NotJson, message)
    })
}

/// The event in a tree. The envelope is judged before anything found in the data.
fn event(root: &Node<'_>, data_problem: Option<Problem>) -> Result<Event, Box<Fault>> {
    let value = Value { node: root, path: &Path::ROOT };
    let read = || {
        let object = value.open_object()?;
        let envelope = Envelope::read(object)?;
        match data_problem {
            Some(problem) => Err(problem),
            None => {
                let data = object.required("data", |value| Data::read(value, &envelope))?;
                Ok(Event { envelope, data })
            }
        }
    };
    read().map_err(|problem| problem.with(partial(root)))
}

/// What of a record that is no event can be told all the same: whatever is sound by itself.
fn partial(root: &Node<'_>) -> PartialEnvelope {
    let Ok(object) = (Value { node: root, path: &Path::ROOT }).open_object() else { return PartialEnvelope::default() };
    let mut told = Envelope::read_partial(object);
    let tell = |value: Value<'_>| {
        let data = value.open_object()?;
        let reference = |name| data.optional(name, Reference::read).ok().flatten();
        told.order = reference("order");
        match told.event_type.as_deref().and_then(Kind::of_type) {
            None => {}
            Some(Kind::Order) => told.tell(AliasKind::Order, reference("order")),
            Some(Kind::Return) => told.tell(AliasKind::Return, reference("return")),
            Some(Kind::Refund) => told.tell(AliasKind::Refund, reference("refund")),
            Some(Kind::Shipment) => told.tell(AliasKind::Package, reference("shipment")),
            Some(Kind::Alias) => {
                let alias = data.optional("alias", super::Alias::read).ok().flatten().map(Reference::Alias);
                if let Some(kind) = data.optional("kind", AliasKind::read).ok().flatten() {
                    told.tell(kind, alias);
                }
            }
        }
        Ok(())
    };
    // Data that is no object tells nothing more.
    object.optional("data", tell).ok();
    told
}

impl PartialEnvelope {
    fn tell(&mut self, kind: AliasKind, entity: Option<Reference>) {
        self.entity_kind = Some(kind);
        self.entity = entity;
    }
}
