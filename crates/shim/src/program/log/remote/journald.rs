//! journald's native protocol: a datagram of fields, `NAME=value` each on a line. A value with a
//! line feed in it is preceded by its length instead.
//!
//! See <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>; the fields are Docker's.

use std::io;

use super::{Encode, Message};
use crate::log::Source;
use crate::log::json_text::push_time;
use crate::log::lines::Entry;
use crate::log::remote::fluentd::random_hex;

/// Syslog's severities.
const ERROR: u8 = 3;
const INFORMATION: u8 = 6;

#[derive(Debug)]
struct Journald {
    /// The fields that every entry has, encoded.
    common: Vec<u8>,
    ordinal: u64,
    /// Names the present line, if it has several entries.
    line_id: String,
}

pub(super) fn encoder(fields: &[(String, String)]) -> io::Result<Box<dyn Encode>> {
    let mut common = Vec::new();
    for (name, value) in fields {
        push(&mut common, name, value.as_bytes());
    }
    push(&mut common, "CONTAINER_LOG_EPOCH", random_hex()?.as_bytes());
    Ok(Box::new(Journald { common, ordinal: 0, line_id: String::new() }))
}

impl Encode for Journald {
    fn encode(&mut self, source: Source, entry: &Entry<'_>) -> Option<Message> {
        let mut bytes = Vec::with_capacity(self.common.len() + entry.text.len() + 256);
        let priority = if source == Source::Stderr { ERROR } else { INFORMATION };
        push(&mut bytes, "PRIORITY", priority.to_string().as_bytes());
        push(&mut bytes, "MESSAGE", entry.text);
        bytes.extend_from_slice(&self.common);
        let mut time = Vec::new();
        push_time(&mut time, entry.unix_nanoseconds);
        push(&mut bytes, "SYSLOG_TIMESTAMP", &time);
        self.ordinal += 1;
        push(&mut bytes, "CONTAINER_LOG_ORDINAL", self.ordinal.to_string().as_bytes());
        if entry.ordinal > 0 {
            self.push_part(&mut bytes, entry);
        }
        Some(Message::new(bytes))
    }
}

impl Journald {
    fn push_part(&mut self, bytes: &mut Vec<u8>, entry: &Entry<'_>) {
        if entry.ordinal == 1 {
            self.line_id = random_hex().unwrap_or_default();
        }
        push(bytes, "CONTAINER_PARTIAL_ID", self.line_id.as_bytes());
        push(bytes, "CONTAINER_PARTIAL_ORDINAL", entry.ordinal.to_string().as_bytes());
        push(bytes, "CONTAINER_PARTIAL_LAST", entry.is_end.to_string().as_bytes());
        if !entry.is_end {
            push(bytes, "CONTAINER_PARTIAL_MESSAGE", b"true");
        }
    }
}

fn push(bytes: &mut Vec<u8>, name: &str, value: &[u8]) {
    bytes.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        bytes.push(b'\n');
        bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        bytes.push(b'=');
    }
    bytes.extend_from_slice(value);
    bytes.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_a_row_of_fields() {
        let fields = [
            ("CONTAINER_NAME".to_owned(), "web".to_owned()),
            ("ODD".to_owned(), "a\nb".to_owned()),
        ];
        let mut encoder = encoder(&fields).unwrap();
        let entry = Entry { text: b"hello", is_end: false, unix_nanoseconds: 0, ordinal: 1 };
        let bytes = encoder.encode(Source::Stderr, &entry).unwrap().bytes;
        let text = String::from_utf8(bytes).unwrap();
        let beginning = "PRIORITY=3\nMESSAGE=hello\nCONTAINER_NAME=web\n\
                         ODD\n\u{3}\0\0\0\0\0\0\0a\nb\nCONTAINER_LOG_EPOCH=";
        assert!(text.starts_with(beginning), "{text}");
        for line in [
            "SYSLOG_TIMESTAMP=1970-01-01T00:00:00Z",
            "CONTAINER_LOG_ORDINAL=1",
            "CONTAINER_PARTIAL_ORDINAL=1",
            "CONTAINER_PARTIAL_LAST=false",
            "CONTAINER_PARTIAL_MESSAGE=true",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
