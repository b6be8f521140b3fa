//! A line of Docker's `json-file` format.

use std::io;

use jiff::Timestamp;
use serde::Deserialize;

/// A piece of output: a line, or a part of a long one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    pub at: Timestamp,
    pub is_stderr: bool,
    /// With its line feed, unless the line goes on in the next entry.
    pub text: Vec<u8>,
    /// Labels and environment that were logged along (`--details`).
    pub attributes: Vec<(String, String)>,
}

/// A line as it is in the file.
#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    log: String,
    #[serde(default)]
    stream: String,
    #[serde(default)]
    attrs: serde_json::Map<String, serde_json::Value>,
    time: Timestamp,
}

/// Reads a line without its line feed.
pub(super) fn parse(line: &[u8]) -> io::Result<LogEntry> {
    let line: Line = serde_json::from_slice(line)?;
    let text = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    Ok(LogEntry {
        at: line.time,
        is_stderr: line.stream == "stderr",
        text: line.log.into_bytes(),
        attributes: line.attrs.into_iter().map(|(key, value)| (key, text(value))).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_own_lines_are_read() {
        let line = br#"{"log":"a\u003cb\n","stream":"stderr","attrs":{"k":"v"},"time":"2026-01-02T03:04:05.000000006Z"}"#;
        let entry = parse(line).unwrap();
        assert_eq!(entry.text, b"a<b\n");
        assert!(entry.is_stderr);
        assert_eq!(entry.attributes, [("k".to_owned(), "v".to_owned())]);
        assert_eq!(entry.at.to_string(), "2026-01-02T03:04:05.000000006Z");
    }

    #[test]
    fn half_a_line_is_an_error() {
        assert!(parse(br#"{"log":"a"#).is_err());
    }
}
