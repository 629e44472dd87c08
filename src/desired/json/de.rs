//! serde over the tree. Field names and values are handed out with their places, and every error that comes back
//! is given the place that it was asked at.

use super::{DecodeError, error::Mistake};
use crate::desired::pointer::{bytes, element_span, property_span};
use jsonc_parser::ast::{Object, Value};
use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor},
    forward_to_deserialize_any,
};
use std::collections::BTreeSet;

/// Reads a `T` out of `value`.
pub(in crate::desired) fn from_value<'de, T: Deserialize<'de>>(value: &Value<'_>) -> Result<T, DecodeError> {
    T::deserialize(Node(value)).map_err(|error| error.at(element_span(value)))
}

/// A value that is to be visited.
struct Node<'v, 'a>(&'v Value<'a>);

impl<'de> Deserializer<'de> for Node<'_, '_> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::StringLit(text) => visitor.visit_str(&text.value),
            Value::NumberLit(number) => visit_number(number.value, visitor),
            Value::BooleanLit(boolean) => visitor.visit_bool(boolean.value),
            Value::NullKeyword(_) => visitor.visit_unit(),
            Value::Object(object) => visitor.visit_map(Fields { object, next: 0, seen: BTreeSet::new() }),
            Value::Array(array) => visitor.visit_seq(Elements { elements: &array.elements, next: 0 }),
        }
    }

    /// `null` is nobody's value: a field that is not wanted is left out.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    /// serde would take a list for a struct, field by field.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self.0 {
            Value::Object(_) => self.deserialize_any(visitor),
            other => Err(wrong_type("an object", other)),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let Value::StringLit(text) = self.0 else { return Err(wrong_type("a text", self.0)) };
        let text: &str = &text.value;
        visitor.visit_enum(IntoDeserializer::<DecodeError>::into_deserializer(text))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

/// The fields of an object, in the order of the text.
struct Fields<'v, 'a> {
    object: &'v Object<'a>,
    next: usize,
    seen: BTreeSet<&'v str>,
}

impl<'de> MapAccess<'de> for Fields<'_, '_> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        let Some(property) = self.object.properties.get(self.next) else { return Ok(None) };
        let key = property.name.as_str();
        let placed = |error: DecodeError| error.at(bytes(&property.name)).within_key(key);
        if !self.seen.insert(key) {
            return Err(placed(DecodeError::new(Mistake::Duplicate(key.to_owned()))));
        }
        seed.deserialize(IntoDeserializer::<DecodeError>::into_deserializer(key)).map(Some).map_err(placed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        let Some(property) = self.object.properties.get(self.next) else {
            return Err(serde::de::Error::custom("a value was asked for before its key"));
        };
        self.next += 1;
        seed.deserialize(Node(&property.value))
            .map_err(|error| error.at(property_span(property)).within_key(property.name.as_str()))
    }
}

/// The elements of a list.
struct Elements<'v, 'a> {
    elements: &'v [Value<'a>],
    next: usize,
}

impl<'de> SeqAccess<'de> for Elements<'_, '_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        let index = self.next;
        let Some(element) = self.elements.get(index) else { return Ok(None) };
        self.next += 1;
        let placed = |error: DecodeError| error.at(element_span(element)).within_index(index);
        seed.deserialize(Node(element)).map(Some).map_err(placed)
    }
}

/// As an integer if it is one.
fn visit_number<'de, V: Visitor<'de>>(number: &str, visitor: V) -> Result<V::Value, DecodeError> {
    if let Ok(value) = number.parse::<i64>() {
        return visitor.visit_i64(value);
    }
    match number.parse::<f64>() {
        Ok(value) => visitor.visit_f64(value),
        Err(_) => Err(serde::de::Error::invalid_type(Unexpected::Other(number), &"a number")),
    }
}

fn wrong_type(expected: &str, found: &Value<'_>) -> DecodeError {
    let found = match found {
        Value::StringLit(text) => Unexpected::Str(&text.value),
        Value::NumberLit(_) => Unexpected::Other("a number"),
        Value::BooleanLit(boolean) => Unexpected::Bool(boolean.value),
        Value::NullKeyword(_) => Unexpected::Unit,
        Value::Object(_) => Unexpected::Map,
        Value::Array(_) => Unexpected::Seq,
    };
    serde::de::Error::invalid_type(found, &expected)
}
