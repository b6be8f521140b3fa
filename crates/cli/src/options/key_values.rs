//! `KEY=VALUE` pairs, from flags and from files of them.

use std::collections::BTreeMap;
use std::fs;

use crate::failure::go_message;

/// Where a file's name without a value finds one: nowhere, or in the environment.
pub(crate) type Lookup = fn(&str) -> Option<String>;

/// Every pair of the files, then those of the flags, which therefore win.
pub(crate) fn read(
    files: &[String],
    given: Vec<String>,
    lookup: Lookup,
) -> Result<Vec<String>, String> {
    let mut pairs = Vec::new();
    for file in files {
        let content =
            fs::read(file).map_err(|error| format!("open {file}: {}", go_message(&error)))?;
        let read = parse_file(&content, lookup)
            .map_err(|reason| format!("invalid env file ({file}): {reason}"))?;
        pairs.extend(read);
    }
    pairs.extend(given);
    Ok(pairs)
}

/// The client's own environment, for `--env-file`.
pub(crate) fn from_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Nothing, for `--label-file`.
pub(crate) fn from_nowhere(_: &str) -> Option<String> {
    None
}

/// Pairs as a map; the last of a name wins, and a name alone has an empty value.
pub(crate) fn to_map(pairs: &[String]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key.to_owned(), value.to_owned())
        })
        .collect()
}

fn parse_file(content: &[u8], lookup: Lookup) -> Result<Vec<String>, String> {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let mut pairs = Vec::new();
    for (index, bytes) in content.split(|&byte| byte == b'\n').enumerate() {
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        let line = str::from_utf8(bytes)
            .map_err(|_| format!("invalid utf8 bytes at line {}: {bytes:?}", index + 1))?;
        // What follows the value belongs to it, so only the front is trimmed.
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, has_value) = match line.split_once('=') {
            Some((name, _)) => (name, true),
            None => (line, false),
        };
        if name.is_empty() {
            return Err(format!("no variable name on line '{line}'"));
        }
        if name.contains([' ', '\t']) {
            return Err(format!("variable '{name}' contains whitespaces"));
        }
        if has_value {
            pairs.push(line.to_owned());
        } else if let Some(value) = lookup(name) {
            pairs.push(format!("{name}={value}"));
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::parse_file;

    #[test]
    fn comments_and_empty_lines_are_skipped() {
        let content = b"\xef\xbb\xbfA=1\n# comment\n\n  B=two words \nFOUND\nLOST\r\n";
        let lookup = |name: &str| (name == "FOUND").then(|| "yes".to_owned());
        let pairs = parse_file(content, lookup).unwrap();
        assert_eq!(pairs, ["A=1", "B=two words ", "FOUND=yes"]);
    }

    #[test]
    fn a_line_without_a_name_is_an_error() {
        let check = |content: &[u8]| parse_file(content, |_| None).unwrap_err();
        assert_eq!(check(b"=x"), "no variable name on line '=x'");
        assert_eq!(check(b"a b=x"), "variable 'a b' contains whitespaces");
    }
}
