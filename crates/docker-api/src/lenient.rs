//! Reading JSON as leniently as Go does, so that whatever a client sends to a Docker engine
//! means the same here.
//!
//! - A member's name matches a field whatever its case; an exact match wins.
//! - `null` is the zero value, whatever the type.
//! - Unknown members are ignored.
//!
//! An error names the member it is about by its path.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    Deserialize, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};
use serde::{Deserializer, forward_to_deserialize_any};
use serde_json::Value;

/// A document that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Member names and list positions down to the one at fault, innermost first.
    path: Vec<String>,
    message: String,
}

impl Error {
    fn within(mut self, name: impl Into<String>) -> Self {
        self.path.push(name.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return f.write_str(&self.message);
        }
        let path: Vec<&str> = self.path.iter().rev().map(String::as_str).collect();
        write!(f, "{}: {}", path.join("."), self.message)
    }
}

impl std::error::Error for Error {}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { path: Vec::new(), message: message.to_string() }
    }
}

/// Reads the first document in `bytes`.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    first_of(bytes).map(|(document, _rest)| document)
}

/// Reads the first document in `bytes`, and says what comes after it.
pub fn first_of<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), Error> {
    let mut documents = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    let value = match documents.next() {
        Some(Ok(value)) => value,
        Some(Err(error)) if error.is_eof() => {
            return Err(serde::de::Error::custom("unexpected EOF"));
        }
        Some(Err(error)) => return Err(serde::de::Error::custom(error)),
        None => return Err(serde::de::Error::custom("unexpected end of JSON input")),
    };
    let rest = bytes.get(documents.byte_offset()..).unwrap_or_default();
    Ok((from_value(value)?, rest))
}

/// Reads a document that was parsed already.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, Error> {
    T::deserialize(Lenient(value))
}

/// A JSON value that is read leniently.
struct Lenient(Value);

impl Lenient {
    fn unexpected<'de, V: Visitor<'de>>(&self, visitor: &V) -> Error {
        let found = match &self.0 {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        let wanted: &dyn serde::de::Expected = visitor;
        serde::de::Error::custom(format!("invalid type: {found}, expected {wanted}"))
    }
}

/// The zero value for whoever asked for a string, a number and so on.
macro_rules! scalars {
    ($($method:ident => $visit:ident($zero:expr);)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.0 {
                Value::Null => visitor.$visit($zero),
                other => Lenient(other).deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Lenient {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Array(items) => visitor.visit_seq(Items { items: items.into_iter(), next: 0 }),
            Value::Object(members) => {
                visitor.visit_map(Members { members: members.into_iter(), value: None })
            }
            scalar => scalar.deserialize_any(visitor).map_err(serde::de::Error::custom),
        }
    }

    scalars! {
        deserialize_bool => visit_bool(false);
        deserialize_i8 => visit_i64(0);
        deserialize_i16 => visit_i64(0);
        deserialize_i32 => visit_i64(0);
        deserialize_i64 => visit_i64(0);
        deserialize_u8 => visit_u64(0);
        deserialize_u16 => visit_u64(0);
        deserialize_u32 => visit_u64(0);
        deserialize_u64 => visit_u64(0);
        deserialize_f64 => visit_f64(0.0);
        deserialize_str => visit_str("");
        deserialize_string => visit_str("");
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_seq(Items { items: Vec::new().into_iter(), next: 0 }),
            Value::Array(_) => self.deserialize_any(visitor),
            _ => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => Lenient(Value::Object(serde_json::Map::new())).deserialize_any(visitor),
            Value::Object(_) => self.deserialize_any(visitor),
            _ => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => Lenient(Value::Object(serde_json::Map::new())).deserialize_any(visitor),
            Value::Object(members) => {
                Lenient(Value::Object(matching_members(members, fields))).deserialize_any(visitor)
            }
            _ => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::String(name) => visitor.visit_enum(UnitVariant(name)),
            _ => Err(self.unexpected(&visitor)),
        }
    }

    forward_to_deserialize_any! {
        i128 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct identifier
        ignored_any
    }
}

/// The members that belong to `fields`, under the fields' own spelling, without nulls: those
/// leave the field's zero value.
fn matching_members(
    members: serde_json::Map<String, Value>,
    fields: &'static [&'static str],
) -> serde_json::Map<String, Value> {
    let mut matching = serde_json::Map::new();
    for (name, value) in members {
        if value.is_null() {
            continue;
        }
        let exact = fields.iter().find(|field| ***field == *name);
        let field = exact.or_else(|| fields.iter().find(|field| field.eq_ignore_ascii_case(&name)));
        match field {
            Some(_) if exact.is_none() && matching.contains_key(&name) => {}
            Some(field) => {
                matching.insert((*field).to_owned(), value);
            }
            None => {}
        }
    }
    matching
}

struct Items {
    items: std::vec::IntoIter<Value>,
    next: usize,
}

impl<'de> SeqAccess<'de> for Items {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let position = self.next;
        self.next += 1;
        seed.deserialize(Lenient(item))
            .map(Some)
            .map_err(|error| error.within(position.to_string()))
    }
}

struct Members {
    members: serde_json::map::IntoIter,
    value: Option<(String, Value)>,
}

impl<'de> MapAccess<'de> for Members {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some((name, value)) = self.members.next() else { return Ok(None) };
        let key: StrDeserializer<'_, Error> = name.as_str().into_deserializer();
        let key = seed.deserialize(key)?;
        self.value = Some((name, value));
        Ok(Some(key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let (name, value) = self.value.take().expect("serde asks for a value after its key");
        seed.deserialize(Lenient(value)).map_err(|error| error.within(name))
    }
}

/// An enum's variant, which in Docker's documents is a plain string.
struct UnitVariant(String);

impl<'de> EnumAccess<'de> for UnitVariant {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let name: StrDeserializer<'_, Error> = self.0.as_str().into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for UnitVariant {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _seed: T) -> Result<T::Value, Error> {
        Err(serde::de::Error::custom("invalid type: a string, expected an object"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, _visitor: V) -> Result<V::Value, Error> {
        Err(serde::de::Error::custom("invalid type: a string, expected a list"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Error> {
        Err(serde::de::Error::custom("invalid type: a string, expected an object"))
    }
}

/// Reads the same document as two types: Go's embedded structs.
pub(crate) fn both<'de, D, A, B>(deserializer: D) -> Result<(A, B), D::Error>
where
    D: Deserializer<'de>,
    A: DeserializeOwned,
    B: DeserializeOwned,
{
    let document = Value::deserialize(deserializer)?;
    let first = from_value(document.clone()).map_err(serde::de::Error::custom)?;
    let second = from_value(document).map_err(serde::de::Error::custom)?;
    Ok((first, second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(default, rename_all = "PascalCase")]
    struct Document {
        name: String,
        memory: i64,
        list: Option<Vec<String>>,
        inner: Option<Box<Document>>,
    }

    #[track_caller]
    fn read(text: &str) -> Document {
        from_slice(text.as_bytes()).unwrap()
    }

    #[test]
    fn names_match_whatever_their_case() {
        assert_eq!(
            read(r#"{"name":"a","MEMORY":3}"#),
            Document { name: "a".into(), memory: 3, ..Document::default() }
        );
    }

    #[test]
    fn an_exact_name_wins() {
        assert_eq!(read(r#"{"Name":"exact","name":"other"}"#).name, "other");
        assert_eq!(read(r#"{"name":"other","Name":"exact"}"#).name, "exact");
    }

    #[test]
    fn null_is_the_zero_value_and_unknown_members_are_ignored() {
        let text =
            r#"{"Name":null,"Memory":null,"List":["a",null],"Inner":null,"X":[{}]} trailing"#;
        assert_eq!(
            read(text),
            Document { list: Some(vec!["a".into(), String::new()]), ..Document::default() }
        );
    }

    #[test]
    fn a_wrong_type_is_named_by_its_path() {
        let error = from_slice::<Document>(br#"{"inner":{"memory":"12m"}}"#).unwrap_err();
        assert_eq!(error.to_string(), "Inner.Memory: invalid type: string \"12m\", expected i64");
    }

    #[test]
    fn an_empty_body_is_said_to_be_empty() {
        let error = from_slice::<Document>(b"").unwrap_err();
        assert_eq!(error.to_string(), "unexpected end of JSON input");
    }
}
