//! The configuration file: Docker's `daemon.json`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json};

use crate::options::{self, Kind, OptionRow, Support};
use crate::values::{Value, Values};

/// Where the configuration is unless something else is said.
pub(crate) const DEFAULT_PATH: &str = "/etc/wharf/daemon.json";

/// A configuration file that cannot be used. Docker's words, and where to look.
#[derive(Debug, thiserror::Error)]
#[error("unable to configure the daemon with file {path}")]
pub(crate) struct ConfigFileError {
    path: PathBuf,
    #[source]
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("cannot read it")]
    Read(#[source] io::Error),
    #[error("invalid JSON: {0}")]
    Json(serde_json::Error),
    #[error("invalid JSON: the file is not an object")]
    NotAnObject,
    #[error("the following directives don't match any configuration option: {}", list.join(", "))]
    Unknown { list: Vec<String> },
    #[error("the following directives are specified both as a flag and in the configuration file: {}", list.join(", "))]
    Conflict { list: Vec<String> },
    #[error("{key} ({position}) is {expected}, and the file has {found}")]
    WrongType { key: String, position: String, expected: &'static str, found: &'static str },
    #[error("{key} ({position}) is not implemented by Wharf yet")]
    Missing { key: String, position: String },
}

/// Reads the file, adds `flags`, and refuses what is said in both places. A file that nobody
/// named need not be there.
pub(crate) fn merge(named: Option<&str>, flags: &Values) -> Result<Values, ConfigFileError> {
    let path = PathBuf::from(named.unwrap_or(DEFAULT_PATH));
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && named.is_none() => {
            return Ok(flags.clone());
        }
        Err(error) => return Err(ConfigFileError { path, problem: Problem::Read(error) }),
    };
    merge_text(&text, flags).map_err(|problem| failed(&path, problem))
}

fn failed(path: &Path, problem: Problem) -> ConfigFileError {
    ConfigFileError { path: path.to_owned(), problem }
}

fn merge_text(text: &str, flags: &Values) -> Result<Values, Problem> {
    // An empty file configures nothing.
    if text.trim().is_empty() {
        return Ok(flags.clone());
    }
    let members = match serde_json::from_str(text) {
        Ok(Json::Object(members)) => members,
        Ok(_) => return Err(Problem::NotAnObject),
        Err(error) => return Err(Problem::Json(error)),
    };
    check_names(text, &members)?;
    let mut merged = flags.clone();
    let mut conflicts = Vec::new();
    for (key, value) in members {
        let Some(row) = options::by_key(&key) else { continue };
        let value = convert(text, row, &key, value)?;
        match flags.get(row.name()) {
            // Both places are good for adding to a list, as long as it is only one of them.
            Some(flag) => conflicts.push(format!("{key}: (from flag: {flag}, from file: {value})")),
            None => merged.set(row.name(), value),
        }
    }
    if conflicts.is_empty() { Ok(merged) } else { Err(Problem::Conflict { list: conflicts }) }
}

fn check_names(text: &str, members: &Map<String, Json>) -> Result<(), Problem> {
    let unknown: Vec<String> = members
        .keys()
        .filter(|key| options::by_key(key).is_none())
        .map(|key| format!("{key} ({})", position(text, key)))
        .collect();
    if unknown.is_empty() { Ok(()) } else { Err(Problem::Unknown { list: unknown }) }
}

fn convert(text: &str, row: &OptionRow, key: &str, value: Json) -> Result<Value, Problem> {
    if row.support == Support::Missing {
        return Err(Problem::Missing { key: key.to_owned(), position: position(text, key) });
    }
    let wrong = |expected, found: &Json| Problem::WrongType {
        key: key.to_owned(),
        position: position(text, key),
        expected,
        found: kind_name(found),
    };
    match (row.kind, value) {
        (Kind::Flag, Json::Bool(flag)) => Ok(Value::Flag(flag)),
        (Kind::Number, Json::Number(number)) if number.is_i64() => {
            Ok(Value::Number(number.as_i64().unwrap_or_default()))
        }
        (Kind::Text, Json::String(text)) => Ok(Value::Text(text)),
        // Sizes may be plain numbers.
        (Kind::Text, Json::Number(number)) if key == "default-shm-size" => {
            Ok(Value::Text(number.to_string()))
        }
        (Kind::List, Json::Array(items)) => {
            let items = items.into_iter().map(|item| list_item(key, item));
            let items: Result<_, _> = items.collect();
            items.map(Value::List).map_err(|found| wrong("a list of strings", &found))
        }
        (Kind::Map, Json::Object(members)) => {
            let members: Result<BTreeMap<_, _>, Json> = members
                .into_iter()
                .map(|(name, value)| map_value(key, value).map(|value| (name, value)))
                .collect();
            members.map(Value::Map).map_err(|found| wrong("an object of strings", &found))
        }
        (kind, found) => Err(wrong(expected_name(kind), &found)),
    }
}

/// An address pool is an object here, and a text on the command line.
fn list_item(key: &str, item: Json) -> Result<String, Json> {
    match item {
        Json::String(text) => Ok(text),
        Json::Object(pool) if key == "default-address-pools" => {
            let base = pool.get("base").and_then(Json::as_str).unwrap_or_default();
            let size = pool.get("size").and_then(Json::as_u64).unwrap_or_default();
            Ok(format!("base={base},size={size}"))
        }
        other => Err(other),
    }
}

/// So is a limit.
fn map_value(key: &str, value: Json) -> Result<String, Json> {
    match value {
        Json::String(text) => Ok(text),
        Json::Object(limit) if key == "default-ulimits" => {
            let number = |name: &str| {
                let member = limit.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
                member.and_then(|(_, value)| value.as_i64())
            };
            let soft = number("soft").unwrap_or_default();
            Ok(format!("{soft}:{}", number("hard").unwrap_or(soft)))
        }
        // What is in it is for whoever makes sense of it.
        Json::Object(runtime) if key == "runtimes" => Ok(Json::Object(runtime).to_string()),
        other => Err(other),
    }
}

fn expected_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Flag => "true or false",
        Kind::Number => "a whole number",
        Kind::Text => "a string",
        Kind::List => "a list",
        Kind::Map => "an object",
    }
}

fn kind_name(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}

/// Where a member's name stands in the file.
fn position(text: &str, key: &str) -> String {
    let quoted = Json::from(key).to_string();
    let Some(at) = text.find(&quoted) else { return "in the file".to_owned() };
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.len() - before.rfind('\n').map_or(0, |end| end + 1) + 1;
    format!("line {line}, column {column}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, flags: &Values, words: &str) {
        assert_eq!(merge_text(text, flags).unwrap_err().to_string(), words);
    }

    #[test]
    fn unknown_keys_are_named_with_their_place() {
        refused(
            "{\n  \"foo\": 1,\n  \"debug\": true, \"bar\": 2\n}",
            &Values::default(),
            "the following directives don't match any configuration option: foo (line 2, column \
             3), bar (line 3, column 18)",
        );
    }

    #[test]
    fn a_wrong_type_is_named_with_its_place() {
        refused(
            r#"{"debug":"x"}"#,
            &Values::default(),
            "debug (line 1, column 2) is true or false, and the file has a string",
        );
    }

    #[test]
    fn nothing_is_said_twice() {
        let mut flags = Values::default();
        flags.set("debug", Value::Flag(false));
        refused(
            r#"{"debug":true}"#,
            &flags,
            "the following directives are specified both as a flag and in the configuration \
             file: debug: (from flag: false, from file: true)",
        );
    }

    #[test]
    fn what_is_missing_is_refused_by_name() {
        refused(
            r#"{"userns-remap":"default"}"#,
            &Values::default(),
            "userns-remap (line 1, column 2) is not implemented by Wharf yet",
        );
    }

    #[test]
    fn objects_become_what_flags_are() {
        let text = r#"{"default-address-pools":[{"base":"10.0.0.0/8","size":24}],
            "default-ulimits":{"nofile":{"Name":"nofile","Soft":1,"Hard":2}},
            "hosts":["unix:///a"],"log-opts":{"max-size":"1m"},"mtu":1400}"#;
        let values = merge_text(text, &Values::default()).unwrap();
        assert_eq!(values.list("default-address-pools"), ["base=10.0.0.0/8,size=24"]);
        assert_eq!(values.map("default-ulimits")["nofile"], "1:2");
        assert_eq!(values.number("mtu"), Some(1400));
    }
}
