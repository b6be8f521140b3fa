//! The functions that Docker adds to Go's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use gotmpl::{TemplateError, Value as Data};

use super::scope::address;

type Function = Arc<dyn Fn(&[Data]) -> gotmpl::Result<Data> + Send + Sync>;
/// Functions by name.
pub(super) type Functions = Vec<(&'static str, Function)>;

/// The documents of the scope that a template is being filled from. The functions are
/// made once for a template, which is filled many times.
pub(super) type Documents = Arc<Mutex<HashMap<usize, String>>>;

/// The functions for values.
pub(super) fn for_values(documents: &Documents) -> Functions {
    let documents = Arc::clone(documents);
    vec![
        (
            "json",
            Arc::new(move |arguments| {
                Ok(text(&json(
                    argument("json", arguments, 0)?,
                    &documents.lock().unwrap_or_else(PoisonError::into_inner),
                )))
            }),
        ),
        ("index", Arc::new(index)),
        (
            "split",
            Arc::new(|arguments| {
                let value = string("split", arguments, 0)?;
                let separator = string("split", arguments, 1)?;
                let parts: Vec<Data> = if separator.is_empty() {
                    value.chars().map(|letter| text(&letter.to_string())).collect()
                } else {
                    value.split(separator.as_str()).map(text).collect()
                };
                Ok(Data::List(parts.into()))
            }),
        ),
        (
            "join",
            Arc::new(|arguments| {
                let Data::List(items) = argument("join", arguments, 0)? else {
                    return Err(TemplateError::Exec(
                        "wrong type for value; expected []string".into(),
                    ));
                };
                let items: Vec<_> = items.iter().map(ToString::to_string).collect();
                Ok(text(&items.join(&string("join", arguments, 1)?)))
            }),
        ),
        ("title", Arc::new(|arguments| Ok(text(&title(&string("title", arguments, 0)?))))),
        ("lower", Arc::new(|arguments| Ok(text(&string("lower", arguments, 0)?.to_lowercase())))),
        ("upper", Arc::new(|arguments| Ok(text(&string("upper", arguments, 0)?.to_uppercase())))),
        (
            "pad",
            Arc::new(|arguments| {
                let value = string("pad", arguments, 0)?;
                if value.is_empty() {
                    return Ok(text(""));
                }
                let before = " ".repeat(number("pad", arguments, 1)?);
                let after = " ".repeat(number("pad", arguments, 2)?);
                Ok(text(&format!("{before}{value}{after}")))
            }),
        ),
        (
            "truncate",
            Arc::new(|arguments| {
                let value = string("truncate", arguments, 0)?;
                let length = number("truncate", arguments, 1)?;
                Ok(text(value.get(..length).unwrap_or(&value)))
            }),
        ),
    ]
}

/// The functions for the names of columns: they leave them as they are.
pub(super) fn for_headers() -> Functions {
    let keep: Function = Arc::new(|arguments| Ok(arguments.first().cloned().unwrap_or(Data::Nil)));
    ["json", "split", "join", "title", "lower", "upper", "truncate", "pad", "index"]
        .into_iter()
        .map(|name| (name, Arc::clone(&keep)))
        .collect()
}

fn text(value: &str) -> Data {
    Data::String(value.into())
}

fn argument<'a>(name: &str, arguments: &'a [Data], index: usize) -> gotmpl::Result<&'a Data> {
    arguments.get(index).ok_or_else(|| TemplateError::ArgCount {
        name: name.to_owned(),
        expected: index + 1,
        got: arguments.len(),
    })
}

fn string(name: &str, arguments: &[Data], index: usize) -> gotmpl::Result<String> {
    match argument(name, arguments, index)? {
        Data::String(value) => Ok(value.to_string()),
        other => Err(TemplateError::Exec(format!(
            "wrong type for value; expected string; got {}",
            other.type_name()
        ))),
    }
}

fn number(name: &str, arguments: &[Data], index: usize) -> gotmpl::Result<usize> {
    let number = argument(name, arguments, index)?.as_int();
    number
        .and_then(|number| usize::try_from(number).ok())
        .ok_or_else(|| TemplateError::Exec("wrong type for value; expected int".into()))
}

/// What is at a key or a place, and there in turn. What a map of texts does not have is
/// an empty text, as in Go, whose maps have a type.
fn index(arguments: &[Data]) -> gotmpl::Result<Data> {
    let mut value = argument("index", arguments, 0)?.clone();
    for key in &arguments[1..] {
        value = match (&value, key) {
            (Data::Map(map), Data::String(key)) => map.get(key).cloned().unwrap_or_else(|| {
                let is_of_texts = map.values().all(|value| matches!(value, Data::String(_)));
                if is_of_texts { text("") } else { Data::Nil }
            }),
            (Data::List(items), key) => {
                let place = key.as_int().ok_or_else(|| {
                    TemplateError::Exec("cannot index slice/array with type string".into())
                })?;
                let item = usize::try_from(place).ok().and_then(|place| items.get(place));
                item.cloned().ok_or(TemplateError::IndexOutOfRange { index: place })?
            }
            (Data::Nil, _) => return Err(TemplateError::Exec("index of untyped nil".into())),
            (other, _) => {
                let kind = other.type_name();
                return Err(TemplateError::Exec(format!("can't index item of type {kind}")));
            }
        };
    }
    Ok(value)
}

/// The first letter of each word in upper case.
fn title(value: &str) -> String {
    let mut is_inside = false;
    let letters = value.chars().flat_map(|letter| {
        let starts = !is_inside && letter.is_alphanumeric();
        is_inside = letter.is_alphanumeric() || matches!(letter, '_' | '\'');
        let letter = if starts { letter.to_uppercase().collect() } else { letter.to_string() };
        letter.chars().collect::<Vec<_>>()
    });
    letters.collect()
}

/// A value as a document, its members in the order they came in.
fn json(value: &Data, documents: &HashMap<usize, String>) -> String {
    match value {
        Data::Nil | Data::Function(_) => "null".to_owned(),
        Data::Bool(value) => value.to_string(),
        Data::Int(value) => value.to_string(),
        Data::Uint(value) => value.to_string(),
        Data::Float(value) => serde_json::Value::from(*value).to_string(),
        Data::String(value) => serde_json::Value::from(&**value).to_string(),
        Data::List(items) => {
            if let Some(document) = documents.get(&items.as_ptr().addr()) {
                return document.clone();
            }
            let items: Vec<_> = items.iter().map(|item| json(item, documents)).collect();
            format!("[{}]", items.join(","))
        }
        Data::Map(map) => documents.get(&address(map)).cloned().unwrap_or_else(|| {
            let members: Vec<_> = map
                .iter()
                .map(|(name, value)| {
                    let name = serde_json::Value::from(&**name);
                    format!("{name}:{}", json(value, documents))
                })
                .collect();
            format!("{{{}}}", members.join(","))
        }),
    }
}
