//! JSON as the contract wants it: no member named twice, at most 128 levels, numbers kept as they are written.
//!
//! Owns the tree that the typed readers walk. It borrows from the record wherever the text has no escapes. A member named twice
//! or a level too many is noted, not fatal, so that what else the record says can still be told.

use super::fault::{FaultCode, Problem};
use super::path::Path;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

/// The deepest that objects and lists may be nested.
pub(super) const MAX_DEPTH: usize = 128;

/// From this many members on a hash map finds the repeated one; below, looking through them is faster.
const MANY_MEMBERS: usize = 24;

/// Under `arbitrary_precision` serde_json hands over a number that is no plain integer as a map with this one key.
const NUMBER_TOKEN: &str = "$serde_json::private::Number";

/// One JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node<'a> {
    Null,
    Bool(bool),
    /// As it is written, but for the spelling of an exponent.
    Number(String),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Object(Members<'a>),
}

/// The members of an object in the order of the text.
pub(super) type Members<'a> = Vec<(Cow<'a, str>, Node<'a>)>;

impl Node<'_> {
    /// What the JSON type is called in messages.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Node::Null => "null",
            Node::Bool(_) => "a boolean",
            Node::Number(_) => "a number",
            Node::Text(_) => "a string",
            Node::List(_) => "a list",
            Node::Object(_) => "an object",
        }
    }

    /// The same value for those who pass it on.
    pub(super) fn to_value(&self) -> serde_json::Value {
        use serde_json::Value;
        match self {
            Node::Null => Value::Null,
            Node::Bool(value) => Value::Bool(*value),
            Node::Number(text) => text.parse().map_or(Value::Null, Value::Number),
            Node::Text(text) => Value::String(text.as_ref().to_owned()),
            Node::List(entries) => Value::Array(entries.iter().map(Node::to_value).collect()),
            Node::Object(members) => {
                Value::Object(members.iter().map(|(name, node)| (name.as_ref().to_owned(), node.to_value())).collect())
            }
        }
    }
}

/// A parsed text, and the first thing about it that the contract forbids though it is JSON.
pub(super) struct Tree<'a> {
    pub(super) root: Node<'a>,
    pub(super) problem: Option<Problem>,
}

/// Parses a text that stands at `path` of the event. `path` tells how deep it is already. With `unwrap`, a list at the top is
/// taken as wrapping the event: its entries count as the top themselves.
pub(super) fn parse<'a>(text: &'a str, path: &Path<'_>, level: usize, unwrap: bool) -> Result<Tree<'a>, serde_json::Error> {
    let notes = Notes::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    // Our own count of levels is exact and does not stop at the first 127.
    deserializer.disable_recursion_limit();
    let root = Builder { path, level, unwrap, notes: &notes }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(Tree { root, problem: notes.first.into_inner() })
}

/// What the builders of one text share.
#[derive(Default)]
struct Notes {
    first: RefCell<Option<Problem>>,
    /// Set when the value just read was a number's text, which only serde_json itself can hand over.
    was_number: Cell<bool>,
}

impl Notes {
    fn note(&self, problem: impl FnOnce() -> Problem) {
        self.first.borrow_mut().get_or_insert_with(problem);
    }
}

#[derive(Clone, Copy)]
struct Builder<'s> {
    path: &'s Path<'s>,
    level: usize,
    unwrap: bool,
    notes: &'s Notes,
}

impl Builder<'_> {
    /// Whether a list or object may begin here; if not, that is noted.
    fn may_open(&self) -> bool {
        let fits = self.level < MAX_DEPTH;
        if !fits {
            let message = format!("objects and lists are nested more than {MAX_DEPTH} levels deep here; flatten them");
            self.notes.note(|| Problem::at(self.path, FaultCode::TooDeep, message));
        }
        fits
    }

    fn below<'c>(&self, path: &'c Path<'c>) -> Builder<'c>
    where
        Self: 'c,
    {
        Builder { path, level: self.level + 1, unwrap: false, notes: self.notes }
    }
}

impl<'de> DeserializeSeed<'de> for Builder<'_> {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Builder<'_> {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node<'de>, E> {
        Ok(Node::Number(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node<'de>, E> {
        Ok(Node::Number(value.to_string()))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(text.to_owned())))
    }

    /// Strings of the text come borrowed or copied; an owned one is a number's text.
    fn visit_string<E: Error>(self, text: String) -> Result<Node<'de>, E> {
        self.notes.was_number.set(true);
        Ok(Node::Number(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Node<'de>, A::Error> {
        let mut list = Vec::new();
        if self.unwrap {
            let entry = Builder { unwrap: false, ..self };
            while let Some(node) = entries.next_element_seed(entry)? {
                list.push(node);
            }
        } else if self.may_open() {
            loop {
                let path = self.path.index(list.len());
                let Some(node) = entries.next_element_seed(self.below(&path))? else { break };
                list.push(node);
            }
        } else {
            while entries.next_element::<IgnoredAny>()?.is_some() {}
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node<'de>, A::Error> {
        let mut members = Members::new();
        let mut places = HashMap::new();
        let mut open = None;
        while let Some(name) = entries.next_key_seed(Name)? {
            // A number comes as a map of one key. It opens no level, so the level is counted only once it is surely an object;
            // an object that only looks so is not followed past the deepest level.
            if open.is_none() && name == NUMBER_TOKEN && self.level <= MAX_DEPTH {
                let path = self.path.name(&name);
                let node = entries.next_value_seed(self.below(&path))?;
                if self.notes.was_number.take() {
                    return Ok(node);
                }
                open = Some(self.may_open());
                members.push((name, node));
                continue;
            }
            if !*open.get_or_insert_with(|| self.may_open()) {
                entries.next_value::<IgnoredAny>()?;
                continue;
            }
            let path = self.path.name(&name);
            let node = entries.next_value_seed(self.below(&path))?;
            if let Some(earlier) = position(&members, &mut places, &name) {
                // Which of the two is meant is open, so neither is told.
                self.notes.note(|| repeated(&path));
                members[earlier].1 = Node::Null;
            } else {
                members.push((name, node));
            }
        }
        if open.is_none() {
            self.may_open();
        }
        Ok(Node::Object(members))
    }
}

fn repeated(path: &Path<'_>) -> Problem {
    let message = match path.is_shown() {
        true => format!("{} is named twice in one object; keep one of them", path.label()),
        false => format!("a member of {} is named twice; keep one of them", path.label()),
    };
    Problem::at(path, FaultCode::DuplicateMember, message)
}

/// Where a member of this name stands already.
fn position(members: &Members<'_>, places: &mut HashMap<String, usize>, name: &str) -> Option<usize> {
    if members.len() < MANY_MEMBERS {
        return members.iter().position(|(known, _)| known == name);
    }
    if places.is_empty() {
        places.extend(members.iter().enumerate().map(|(place, (name, _))| (name.to_string(), place)));
    }
    match places.entry(name.to_owned()) {
        Entry::Occupied(known) => Some(*known.get()),
        Entry::Vacant(free) => {
            free.insert(members.len());
            None
        }
    }
}

/// Reads a member's name, borrowed where it has no escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}
