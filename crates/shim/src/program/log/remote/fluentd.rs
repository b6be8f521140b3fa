//! fluentd's forward protocol: each entry a `MessagePack` array of tag, time, record and options.
//!
//! See <https://github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1>; the record's
//! fields are Docker's.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};

use super::{Encode, Message};
use crate::log::Source;
use crate::log::lines::Entry;

const NANOSECONDS: i64 = 1_000_000_000;

/// What the user wants of the protocol.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    pub has_subsecond_time: bool,
    pub wants_acknowledgement: bool,
}

#[derive(Debug)]
struct Fluentd {
    tag: String,
    fields: Vec<(String, String)>,
    options: Options,
    /// Begins every receipt.
    epoch: String,
    ordinal: u64,
    /// Names the present line, if it has several entries.
    line_id: String,
}

pub(super) fn encoder(
    tag: &str,
    fields: &[(String, String)],
    options: Options,
) -> io::Result<Box<dyn Encode>> {
    Ok(Box::new(Fluentd {
        tag: tag.to_owned(),
        fields: fields.to_vec(),
        options,
        epoch: random_hex()?,
        ordinal: 0,
        line_id: String::new(),
    }))
}

impl Encode for Fluentd {
    fn encode(&mut self, source: Source, entry: &Entry<'_>) -> Option<Message> {
        let mut bytes = Vec::with_capacity(entry.text.len() + 512);
        push_array(&mut bytes, 4);
        push_text(&mut bytes, self.tag.as_bytes());
        self.push_time(&mut bytes, entry.unix_nanoseconds);
        self.push_record(&mut bytes, source, entry);
        let receipt = self.options.wants_acknowledgement.then(|| {
            self.ordinal += 1;
            format!("{}-{:x}", &self.epoch[..16], self.ordinal)
        });
        push_map(&mut bytes, usize::from(receipt.is_some()));
        if let Some(receipt) = &receipt {
            push_text(&mut bytes, b"chunk");
            push_text(&mut bytes, receipt.as_bytes());
        }
        Some(Message { bytes, receipt })
    }
}

impl Fluentd {
    fn push_time(&self, bytes: &mut Vec<u8>, unix_nanoseconds: i64) {
        let seconds = unix_nanoseconds.div_euclid(NANOSECONDS) as u32;
        if self.options.has_subsecond_time {
            // An extension of type 0, eight bytes long.
            bytes.extend_from_slice(&[0xd7, 0x00]);
            bytes.extend_from_slice(&seconds.to_be_bytes());
            let nanoseconds = unix_nanoseconds.rem_euclid(NANOSECONDS) as u32;
            bytes.extend_from_slice(&nanoseconds.to_be_bytes());
        } else {
            bytes.push(0xce);
            bytes.extend_from_slice(&seconds.to_be_bytes());
        }
    }

    fn push_record(&mut self, bytes: &mut Vec<u8>, source: Source, entry: &Entry<'_>) {
        if entry.ordinal == 1 {
            self.line_id = random_hex().unwrap_or_default();
        }
        let parts = if entry.ordinal > 0 { 4 } else { 0 };
        push_map(bytes, self.fields.len() + 2 + parts);
        for (name, value) in &self.fields {
            push_pair(bytes, name, value.as_bytes());
        }
        let source = if source == Source::Stderr { "stderr" } else { "stdout" };
        push_pair(bytes, "source", source.as_bytes());
        push_pair(bytes, "log", entry.text);
        if entry.ordinal > 0 {
            push_pair(bytes, "partial_message", b"true");
            push_pair(bytes, "partial_id", self.line_id.as_bytes());
            push_pair(bytes, "partial_ordinal", entry.ordinal.to_string().as_bytes());
            push_pair(bytes, "partial_last", entry.is_end.to_string().as_bytes());
        }
    }
}

fn push_pair(bytes: &mut Vec<u8>, name: &str, value: &[u8]) {
    push_text(bytes, name.as_bytes());
    push_text(bytes, value);
}

fn push_array(bytes: &mut Vec<u8>, length: u8) {
    debug_assert!(length < 16, "longer arrays begin with another byte");
    bytes.push(0x90 | length);
}

fn push_map(bytes: &mut Vec<u8>, length: usize) {
    match u8::try_from(length) {
        Ok(length @ ..16) => bytes.push(0x80 | length),
        _ => {
            bytes.push(0xdf);
            bytes.extend_from_slice(&(length as u32).to_be_bytes());
        }
    }
}

/// As Go does, whether it is UTF-8 or not.
fn push_text(bytes: &mut Vec<u8>, text: &[u8]) {
    match u8::try_from(text.len()) {
        Ok(length @ ..32) => bytes.push(0xa0 | length),
        Ok(length) => bytes.extend_from_slice(&[0xd9, length]),
        Err(_) => {
            bytes.push(0xdb);
            bytes.extend_from_slice(&(text.len() as u32).to_be_bytes());
        }
    }
    bytes.extend_from_slice(text);
}

/// 256 random bits, as 64 hexadecimal digits.
pub(super) fn random_hex() -> io::Result<String> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let mut text = String::with_capacity(64);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a string takes every character");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_an_array_of_four() {
        let options = Options { has_subsecond_time: true, wants_acknowledgement: false };
        let fields = [("container_name".to_owned(), "/web".to_owned())];
        let mut encoder = encoder("tag", &fields, options).unwrap();
        let entry =
            Entry { text: b"hello", is_end: true, unix_nanoseconds: 5_000_000_007, ordinal: 0 };
        let message = encoder.encode(Source::Stdout, &entry).unwrap();
        let expected = b"\x94\xa3tag\xd7\0\0\0\0\x05\0\0\0\x07\
            \x83\xaecontainer_name\xa4/web\xa6source\xa6stdout\xa3log\xa5hello\x80";
        assert_eq!(message.bytes, expected);
        assert_eq!(message.receipt, None);
    }

    #[test]
    fn lengths_are_written_as_short_as_they_are() {
        for (length, head) in
            [(31, &[0xbf][..]), (32, &[0xd9, 32]), (255, &[0xd9, 255]), (256, &[0xdb, 0, 0, 1, 0])]
        {
            let mut bytes = Vec::new();
            push_text(&mut bytes, &vec![b'x'; length]);
            assert_eq!(&bytes[..bytes.len() - length], head);
        }
        let mut bytes = Vec::new();
        push_map(&mut bytes, 16);
        assert_eq!(bytes, [0xdf, 0, 0, 0, 16]);
    }
}
