//! The `filters` parameter of lists, prunes and events.
//!
//! Two spellings are in use: `{"label":["a","b"]}`, and Docker's own `{"label":{"a":true}}`.
//! Either is read; the second is written, as Docker's client does since API 1.22.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

/// Filters: several values for each name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, BTreeSet<String>>);

/// A `filters` parameter that makes no sense, in Docker's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FiltersError {
    Malformed,
    UnknownName(String),
    InvalidValue { name: String, values: Vec<String> },
}

impl fmt::Display for FiltersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("invalid filter"),
            Self::UnknownName(name) => write!(f, "invalid filter '{name}'"),
            Self::InvalidValue { name, values } => {
                write!(f, "invalid filter '{name}=[{}]'", values.join(" "))
            }
        }
    }
}

impl std::error::Error for FiltersError {}

impl Filters {
    /// Reads a `filters` parameter; an empty one is no filter.
    pub fn parse(text: &str) -> Result<Self, FiltersError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let names = match serde_json::from_str(text) {
            Ok(Value::Object(names)) => names,
            Ok(Value::Null) => return Ok(Self::default()),
            _ => return Err(FiltersError::Malformed),
        };
        let mut filters = Self::default();
        for (name, values) in names {
            for value in value_names(values)? {
                filters.add(&name, value);
            }
        }
        Ok(filters)
    }

    pub fn add(&mut self, name: &str, value: impl Into<String>) {
        self.0.entry(name.to_owned()).or_default().insert(value.into());
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|values| !values.is_empty())
    }

    /// The values given for a name, in order.
    pub fn get(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.get(name).into_iter().flatten().map(String::as_str)
    }

    /// Refuses names that are not in `accepted`.
    pub fn check_names(&self, accepted: &[&str]) -> Result<(), FiltersError> {
        match self.0.keys().find(|name| !accepted.contains(&name.as_str())) {
            Some(name) => Err(FiltersError::UnknownName(name.clone())),
            None => Ok(()),
        }
    }

    /// A filter that is true or false; `None` if it is not given.
    pub fn get_bool(&self, name: &str) -> Result<Option<bool>, FiltersError> {
        let values: Vec<&str> = self.get(name).collect();
        match values[..] {
            [] => Ok(None),
            ["1" | "true"] => Ok(Some(true)),
            ["0" | "false"] => Ok(Some(false)),
            _ => Err(FiltersError::InvalidValue {
                name: name.to_owned(),
                values: values.into_iter().map(str::to_owned).collect(),
            }),
        }
    }

    /// As a `filters` parameter.
    pub fn to_json(&self) -> String {
        let names: BTreeMap<&str, BTreeMap<&str, bool>> = self
            .0
            .iter()
            .map(|(name, values)| {
                (name.as_str(), values.iter().map(|value| (value.as_str(), true)).collect())
            })
            .collect();
        serde_json::to_string(&names).expect("strings and booleans are always JSON")
    }
}

fn value_names(values: Value) -> Result<Vec<String>, FiltersError> {
    match values {
        Value::Array(values) => values
            .into_iter()
            .map(|value| match value {
                Value::String(value) => Ok(value),
                _ => Err(FiltersError::Malformed),
            })
            .collect(),
        Value::Object(values) => values
            .into_iter()
            .map(|(value, is_set)| match is_set {
                Value::Bool(_) => Ok(value),
                _ => Err(FiltersError::Malformed),
            })
            .collect(),
        Value::Null => Ok(Vec::new()),
        _ => Err(FiltersError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_mean_the_same() {
        let list = Filters::parse(r#"{"label":["a=b","c"]}"#).unwrap();
        let map = Filters::parse(r#"{"label":{"c":true,"a=b":true}}"#).unwrap();
        assert_eq!(list, map);
        assert_eq!(list.get("label").collect::<Vec<_>>(), ["a=b", "c"]);
        assert_eq!(list.to_json(), r#"{"label":{"a=b":true,"c":true}}"#);
    }

    #[test]
    fn what_is_no_filter_is_refused_in_dockers_words() {
        assert!(Filters::parse("null").unwrap().is_empty());
        assert_eq!(Filters::parse("x").unwrap_err().to_string(), "invalid filter");
        let filters = Filters::parse(r#"{"colour":["red"],"dangling":["maybe"]}"#).unwrap();
        assert_eq!(
            filters.check_names(&["dangling"]).unwrap_err().to_string(),
            "invalid filter 'colour'"
        );
        assert_eq!(
            filters.get_bool("dangling").unwrap_err().to_string(),
            "invalid filter 'dangling=[maybe]'"
        );
    }
}
