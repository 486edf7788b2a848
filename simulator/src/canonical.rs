//! Whether variables are, as they were sent, what coercion would make of them. Then they can be read as Rust types from the
//! request's own text. Walks the SDL's input types beside the JSON and builds nothing; where it is not sure it says no, and
//! `execute` coerces as GraphQL says.

use apollo_compiler::Schema;
use apollo_compiler::ast::Type;
use apollo_compiler::schema::{ExtendedType, InputObjectType};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Beyond it the long way tells floats from whole numbers.
const LARGEST_WHOLE: f64 = 9e15;

/// Whether the JSON text is a value of the type that coercion would leave alone.
pub(crate) fn is_canonical(schema: &Schema, ty: &Type, text: &str) -> bool {
    let mut json = serde_json::Deserializer::from_str(text);
    Expected { schema, ty }.deserialize(&mut json).is_ok()
}

#[derive(Clone, Copy)]
struct Expected<'s> {
    schema: &'s Schema,
    ty: &'s Type,
}

impl<'de> DeserializeSeed<'de> for Expected<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let composed = self.ty.is_list() || matches!(self.definition(), Some(ExtendedType::InputObject(_)));
        if composed {
            return deserializer.deserialize_option(self);
        }
        let text = <&RawValue>::deserialize(deserializer)?.get();
        if self.fits(text) { Ok(()) } else { Err(D::Error::custom("not canonical")) }
    }
}

impl Expected<'_> {
    fn definition(&self) -> Option<&ExtendedType> {
        self.schema.types.get(self.ty.inner_named_type())
    }

    fn fits(&self, text: &str) -> bool {
        let first = text.as_bytes().first().copied().unwrap_or_default();
        let number = first == b'-' || first.is_ascii_digit();
        if first == b'n' {
            return !self.ty.is_non_null();
        }
        match (self.definition(), self.ty.inner_named_type().as_str()) {
            (Some(ExtendedType::Enum(of)), _) => {
                let word = text.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
                word.is_some_and(|it| of.values.contains_key(it))
            }
            (_, "Float") => number && text.parse::<f64>().is_ok_and(|it| it.abs() < LARGEST_WHOLE),
            (_, "Int") => number && text.parse::<i32>().is_ok(),
            (_, "Boolean") => first == b't' || first == b'f',
            (_, "ID" | "String") => first == b'"',
            (Some(ExtendedType::Scalar(_)), _) => true,
            _ => false,
        }
    }

    /// Every member is known and fits; every one that must be there is.
    fn members<'de, A: MapAccess<'de>>(&self, of: &InputObjectType, mut map: A) -> Result<(), A::Error> {
        let mut seen = 0_u64;
        while let Some(Name(name)) = map.next_key()? {
            let known = of.fields.get_full(name.as_ref());
            let Some((index, _, field)) = known.filter(|(index, ..)| *index < 64 && seen & (1 << index) == 0) else {
                return Err(A::Error::custom("unknown or twice"));
            };
            seen |= 1 << index;
            map.next_value_seed(Expected { schema: self.schema, ty: &field.ty })?;
        }
        let mut absent = of.fields.values().enumerate().filter(|(index, _)| *index >= 64 || seen & (1 << index) == 0);
        if absent.any(|(_, field)| field.ty.is_non_null() || field.default_value.is_some()) {
            return Err(A::Error::custom("missing"));
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for Expected<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {}", self.ty)
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        if self.ty.is_non_null() { Err(E::custom("null")) } else { Ok(()) }
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.ty.is_list() { deserializer.deserialize_seq(self) } else { deserializer.deserialize_map(self) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let ty = self.ty.item_type();
        while seq.next_element_seed(Expected { schema: self.schema, ty })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        match self.definition() {
            Some(ExtendedType::InputObject(of)) => self.members(of, map),
            _ => Err(A::Error::custom("not an input object")),
        }
    }
}

/// A name that borrows where it can.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Variables by name, their values as they were written.
pub(crate) struct Variables<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl Variables<'_> {
    /// Whether no name occurs twice.
    pub fn unique(&self) -> bool {
        let names = self.0.iter().enumerate();
        names.into_iter().all(|(index, (name, _))| self.0[..index].iter().all(|(it, _)| it != name))
    }

    /// The text of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(it, _)| it == name).map(|(_, value)| value.get())
    }
}

impl<'de> Deserialize<'de> for Variables<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Variables<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("variables")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    pairs.push((name, value));
                }
                Ok(Variables(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}
