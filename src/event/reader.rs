//! Typed reading of a JSON tree: objects with known members, lists, texts, words, integers. Knows no kind of event.

use super::fault::{FaultCode, Problem, Read, clip};
use super::json::{Members, Node};
use super::path::Path;

/// The longest id, in characters.
pub(super) const LONGEST_ID: usize = 256;

/// A value of the event and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Value<'t> {
    pub(super) node: &'t Node<'t>,
    pub(super) path: &'t Path<'t>,
}

/// An object of the event and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Object<'t> {
    members: &'t Members<'t>,
    path: &'t Path<'t>,
}

impl<'t> Value<'t> {
    /// This value is wrong.
    pub(super) fn wrong(self, code: FaultCode, message: impl Into<String>) -> Problem {
        Problem::at(self.path, code, message)
    }

    /// What a message calls this value.
    pub(super) fn label(self) -> String {
        self.path.label()
    }

    fn wrong_type(self, wanted: &str) -> Problem {
        let message = format!("{} is {}; it must be {wanted}", self.label(), self.node.type_name());
        self.wrong(FaultCode::WrongType, message)
    }

    /// An object with no other members than these.
    pub(super) fn object(self, known: &[&str]) -> Read<Object<'t>> {
        let object = self.open_object()?;
        for (name, node) in object.members {
            if *node != Node::Null && !known.contains(&name.as_ref()) {
                return Err(object.unknown(name, known));
            }
        }
        Ok(object)
    }

    /// An object with any members.
    pub(super) fn open_object(self) -> Read<Object<'t>> {
        match self.node {
            Node::Object(members) => Ok(Object { members, path: self.path }),
            _ => Err(self.wrong_type("an object")),
        }
    }

    /// A list, each entry read the same way.
    pub(super) fn list<T>(self, read: impl Fn(Value<'_>) -> Read<T>) -> Read<Vec<T>> {
        let Node::List(entries) = self.node else { return Err(self.wrong_type("a list")) };
        let read_entry = |(index, node)| read(Value { node, path: &self.path.index(index) });
        entries.iter().enumerate().map(read_entry).collect()
    }

    /// A string.
    pub(super) fn text(self) -> Read<&'t str> {
        match self.node {
            Node::Text(text) => Ok(text),
            _ => Err(self.wrong_type("a string")),
        }
    }

    /// One of a closed set of words.
    pub(super) fn one_of<T>(self, parse: fn(&str) -> Option<T>, words: &[&str]) -> Read<T> {
        let text = self.text()?;
        parse(text).ok_or_else(|| {
            let message = format!("{} is {}; it must be one of {}", self.label(), clip(text), words.join(", "));
            self.wrong(FaultCode::BadValue, message)
        })
    }

    /// An integer written without fraction and exponent.
    pub(super) fn integer(self, least: u64, most: u64) -> Read<u64> {
        let Node::Number(text) = self.node else { return Err(self.wrong_type("an integer")) };
        let digits_only = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse::<u64>() {
            Ok(value) if digits_only && (least..=most).contains(&value) => Ok(value),
            _ => {
                let shown = clip(text);
                let message = format!(
                    "{} is {}; it must be an integer from {least} to {most}, without fraction or exponent",
                    self.label(),
                    shown.replace('"', "")
                );
                Err(self.wrong(FaultCode::BadValue, message))
            }
        }
    }
}

impl<'t> Object<'t> {
    /// The object itself is wrong.
    pub(super) fn wrong(self, code: FaultCode, message: impl Into<String>) -> Problem {
        Problem::at(self.path, code, message)
    }

    /// The member of this name is wrong or missing.
    pub(super) fn wrong_member(self, name: &str, code: FaultCode, message: impl Into<String>) -> Problem {
        Problem::at(&self.path.name(name), code, message)
    }

    /// Something deep in an entry of the list of this name is wrong.
    pub(super) fn wrong_below(self, list: &str, index: usize, names: [&str; 2], code: FaultCode, message: String) -> Problem {
        let list = self.path.name(list);
        let entry = list.index(index);
        let outer = entry.name(names[0]);
        Problem::at(&outer.name(names[1]), code, message)
    }

    /// What a message calls this object.
    pub(super) fn label(self) -> String {
        self.path.label()
    }

    /// The member as it stands, `null` too.
    pub(super) fn given(self, name: &str) -> Option<&'t Node<'t>> {
        self.members.iter().find(|(known, _)| known == name).map(|(_, node)| node)
    }

    /// The member, `null` being the same as absent.
    pub(super) fn get(self, name: &str) -> Option<&'t Node<'t>> {
        self.given(name).filter(|node| !matches!(node, Node::Null))
    }

    /// A member that may be absent.
    pub(super) fn optional<T>(self, name: &str, read: impl FnOnce(Value<'_>) -> Read<T>) -> Read<Option<T>> {
        self.get(name).map(|node| read(Value { node, path: &self.path.name(name) })).transpose()
    }

    /// A member that must be there.
    pub(super) fn required<T>(self, name: &str, read: impl FnOnce(Value<'_>) -> Read<T>) -> Read<T> {
        self.optional(name, read)?.ok_or_else(|| self.missing(name, ""))
    }

    /// The member is missing; `why` says when it is needed, where that is not always.
    pub(super) fn missing(self, name: &str, why: &str) -> Problem {
        let space = if why.is_empty() { "" } else { " " };
        let message = format!("`{name}` is missing in {}{space}{why}; add it", self.label());
        self.wrong_member(name, FaultCode::MissingMember, message)
    }

    fn unknown(self, name: &str, known: &[&str]) -> Problem {
        let path = self.path.name(name);
        let message = match path.is_shown() {
            true => format!(
                "{} is not a member of {}, which has {}; correct or remove it",
                path.label(),
                self.label(),
                known.join(", ")
            ),
            false => format!("{} has a member that it does not know; it has {}", self.label(), known.join(", ")),
        };
        Problem::at(&path, FaultCode::UnknownMember, message)
    }
}

/// A string for people or carriers. No database keeps a NUL in text, so there must be none.
pub(super) fn prose(value: Value<'_>) -> Read<String> {
    let text = value.text()?;
    match text.contains('\0') {
        false => Ok(text.to_owned()),
        true => Err(value.wrong(FaultCode::BadValue, format!("{} has a NUL character; leave it out", value.label()))),
    }
}

/// Prose that says something.
pub(super) fn some_prose(value: Value<'_>) -> Read<String> {
    match prose(value)? {
        text if text.is_empty() => {
            Err(value.wrong(FaultCode::BadValue, format!("{} is empty; fill it or leave it out", value.label())))
        }
        text => Ok(text),
    }
}

/// An id or alias type.
pub(super) fn id(value: Value<'_>) -> Read<String> {
    let text = value.text()?;
    match id_flaw(text) {
        None => Ok(text.to_owned()),
        Some(flaw) => Err(value.wrong(
            FaultCode::BadId,
            format!(
                "{} {} {flaw}; ids are 1 to {LONGEST_ID} characters without control characters or a space at either end",
                value.label(),
                clip(text)
            ),
        )),
    }
}

/// Any word of capitals and underscores.
pub(super) fn word(value: Value<'_>) -> Read<String> {
    let text = value.text()?;
    match !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
        true => Ok(text.to_owned()),
        false => {
            let message = format!("{} is {}; it must be a word of capitals and underscores", value.label(), clip(text));
            Err(value.wrong(FaultCode::BadValue, message))
        }
    }
}

/// What is wrong with an id, if anything.
pub(super) fn id_flaw(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("is empty");
    }
    if text.len() > LONGEST_ID && text.chars().count() > LONGEST_ID {
        return Some("is too long");
    }
    if text.chars().any(char::is_control) {
        return Some("has a control character");
    }
    (text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace)).then_some("has a space at an end")
}

#[cfg(test)]
mod tests {
    use super::id_flaw;

    #[test]
    fn ids_are_1_to_256_characters_without_controls_or_spaces_at_the_ends() {
        for good in ["1", "RMA 77", "é", &"é".repeat(256), "#1001", "a\u{200b}"] {
            assert_eq!(id_flaw(good), None, "{good:?}");
        }
        for bad in ["", " 1", "1 ", "1\u{a0}", "\u{3000}1", "a\nb", "a\u{7f}", "a\u{85}b", &"é".repeat(257)] {
            assert!(id_flaw(bad).is_some(), "{bad:?}");
        }
    }
}
