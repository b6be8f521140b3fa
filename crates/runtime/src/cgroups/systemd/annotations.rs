//! Properties of the unit that the configuration's annotations set: the rest of the name
//! `org.systemd.property.<Name>` is the property's, the value is in GVariant's text format.

use std::collections::HashMap;

use super::message::Value;

const PREFIX: &str = "org.systemd.property.";

/// Every property that `annotations` set, or what is wrong with one.
pub(super) fn properties(
    annotations: &HashMap<String, String>,
) -> Result<Vec<(String, Value)>, String> {
    let mut list = Vec::new();
    for (key, text) in annotations {
        let Some(name) = key.strip_prefix(PREFIX) else { continue };
        if name.len() < 3 || !name.bytes().all(|letter| letter.is_ascii_alphabetic()) {
            return Err(format!("annotation {key} name incorrect"));
        }
        let value =
            parse(text).ok_or_else(|| format!("annotation {key}={text} value parse error"))?;
        list.push(in_microseconds(name, value));
    }
    // In an order of their own, not that of a table of hashes.
    list.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(list)
}

/// On the bus, durations are told in microseconds, by properties of other names.
fn in_microseconds(name: &str, value: Value) -> (String, Value) {
    const SECOND: u64 = 1_000_000;
    let Some(start) = name
        .strip_suffix("Sec")
        .filter(|start| start.ends_with(|letter: char| letter.is_ascii_lowercase()))
    else {
        return (name.to_owned(), value);
    };
    let seconds = match value {
        Value::Signed32(number) => u64::try_from(number).ok(),
        Value::Signed64(number) => u64::try_from(number).ok(),
        Value::Unsigned32(number) => Some(number.into()),
        Value::Unsigned64(number) => Some(number),
        _ => None,
    };
    match seconds.and_then(|seconds| seconds.checked_mul(SECOND)) {
        Some(microseconds) => (format!("{start}USec"), Value::Unsigned64(microseconds)),
        None => (name.to_owned(), value),
    }
}

/// `'text'`, `true`, `5`, `uint64 5`, `['a', 'b']`.
fn parse(text: &str) -> Option<Value> {
    let text = text.trim();
    match text {
        "true" => return Some(Value::Flag(true)),
        "false" => return Some(Value::Flag(false)),
        _ => {}
    }
    if let Some(text) = quoted(text) {
        return Some(Value::Text(text));
    }
    if let Some(list) = text.strip_prefix('[').and_then(|list| list.strip_suffix(']')) {
        let texts = list.split(',').map(|element| quoted(element.trim()));
        return texts.collect::<Option<_>>().map(Value::Texts);
    }
    let (kind, number) = text.split_once(' ').unwrap_or(("int32", text));
    let number = number.trim();
    match kind {
        "int32" => number.parse().ok().map(Value::Signed32),
        "uint32" => number.parse().ok().map(Value::Unsigned32),
        "int64" => number.parse().ok().map(Value::Signed64),
        "uint64" => number.parse().ok().map(Value::Unsigned64),
        _ => None,
    }
}

fn quoted(text: &str) -> Option<String> {
    let inner = ['\'', '"']
        .into_iter()
        .find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote).map(|text| (quote, text)));
    let (quote, inner) = inner?;
    (!inner.contains(quote)).then(|| inner.replace("\\n", "\n").replace("\\\\", "\\"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_types() {
        assert_eq!(parse("'a b'"), Some(Value::Text("a b".to_owned())));
        assert_eq!(parse("true"), Some(Value::Flag(true)));
        assert_eq!(parse("15"), Some(Value::Signed32(15)));
        assert_eq!(parse("uint64 15"), Some(Value::Unsigned64(15)));
        assert_eq!(parse("['a', \"b\"]"), Some(Value::Texts(vec!["a".into(), "b".into()])));
        assert_eq!(
            [parse("a"), parse("uint64 x"), parse("'a'b'"), parse("float 1")],
            [const { None }; 4]
        );
    }

    #[test]
    fn seconds_become_microseconds() {
        let annotations = HashMap::from([
            ("org.systemd.property.TimeoutStopSec".to_owned(), "uint64 3".to_owned()),
            ("org.systemd.property.CollectMode".to_owned(), "'inactive-or-failed'".to_owned()),
            ("other".to_owned(), "?".to_owned()),
        ]);
        let expected = [
            ("CollectMode".to_owned(), Value::Text("inactive-or-failed".to_owned())),
            ("TimeoutStopUSec".to_owned(), Value::Unsigned64(3_000_000)),
        ];
        assert_eq!(properties(&annotations).unwrap(), expected);
        let annotations = HashMap::from([("org.systemd.property.A.b".to_owned(), "1".to_owned())]);
        assert!(properties(&annotations).is_err());
    }
}
