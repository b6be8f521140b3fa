//! D-Bus messages, as far as systemd's manager needs them: writing calls, reading answers.
//!
//! Everything is aligned to its own size, counted from the start of the message; the body
//! starts at a multiple of eight. See the D-Bus specification, "Message Format".

use std::ops::Range;

/// A value of a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Flag(bool),
    Signed32(i32),
    Unsigned32(u32),
    Signed64(i64),
    Unsigned64(u64),
    Texts(Vec<String>),
    Numbers(Vec<u32>),
    Bytes(Vec<u8>),
    Pairs(Vec<(String, String)>),
}

impl Value {
    fn signature(&self) -> &'static str {
        match self {
            Self::Text(_) => "s",
            Self::Flag(_) => "b",
            Self::Signed32(_) => "i",
            Self::Unsigned32(_) => "u",
            Self::Signed64(_) => "x",
            Self::Unsigned64(_) => "t",
            Self::Texts(_) => "as",
            Self::Numbers(_) => "au",
            Self::Bytes(_) => "ay",
            Self::Pairs(_) => "a(ss)",
        }
    }
}

/// A property of a unit, by name.
pub(super) type Property = (&'static str, Value);

/// Writes a message's parts in order.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    pub(super) fn number(&mut self, number: u32) {
        self.align(4);
        self.bytes.extend(number.to_le_bytes());
    }

    fn long_number(&mut self, number: u64) {
        self.align(8);
        self.bytes.extend(number.to_le_bytes());
    }

    pub(super) fn flag(&mut self, flag: bool) {
        self.number(flag.into());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.number(length(text.len()));
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
    }

    fn signature(&mut self, signature: &str) {
        self.bytes.push(u8::try_from(signature.len()).expect("signatures here are short"));
        self.bytes.extend(signature.as_bytes());
        self.bytes.push(0);
    }

    /// An array whose elements are aligned to `alignment`: its length does not count what comes
    /// before the first one.
    pub(super) fn array(&mut self, alignment: usize, elements: impl FnOnce(&mut Self)) {
        self.number(0);
        let at = self.bytes.len() - 4;
        self.align(alignment);
        let start = self.bytes.len();
        elements(self);
        let size = length(self.bytes.len() - start);
        self.bytes[at..at + 4].copy_from_slice(&size.to_le_bytes());
    }

    /// `a(sv)`.
    pub(super) fn properties<'a>(
        &mut self,
        properties: impl Iterator<Item = (&'a str, &'a Value)>,
    ) {
        self.array(8, |writer| {
            for (name, value) in properties {
                writer.align(8);
                writer.text(name);
                writer.signature(value.signature());
                writer.value(value);
            }
        });
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Text(text) => self.text(text),
            Value::Flag(flag) => self.flag(*flag),
            Value::Signed32(number) => self.number(number.cast_unsigned()),
            Value::Unsigned32(number) => self.number(*number),
            Value::Signed64(number) => self.long_number(number.cast_unsigned()),
            Value::Unsigned64(number) => self.long_number(*number),
            Value::Texts(texts) => {
                self.array(4, |writer| texts.iter().for_each(|text| writer.text(text)));
            }
            Value::Numbers(numbers) => {
                self.array(4, |writer| numbers.iter().for_each(|number| writer.number(*number)));
            }
            Value::Bytes(bytes) => self.array(1, |writer| writer.bytes.extend(bytes)),
            Value::Pairs(pairs) => self.array(8, |writer| {
                for (one, other) in pairs {
                    writer.align(8);
                    writer.text(one);
                    writer.text(other);
                }
            }),
        }
    }
}

fn length(length: usize) -> u32 {
    u32::try_from(length).expect("a message is shorter than that")
}

/// What is called, and where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target {
    pub(super) destination: &'static str,
    pub(super) path: &'static str,
    pub(super) interface: &'static str,
}

const CALL: u8 = 1;
const ANSWER: u8 = 2;
const ERROR: u8 = 3;
const SIGNAL: u8 = 4;

// The header's fields.
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// The bytes of a call. `body` has the arguments, of the types that `signature` says.
pub(super) fn call(
    serial: u32,
    target: Target,
    member: &str,
    signature: &str,
    body: &Writer,
) -> Vec<u8> {
    let mut message = Writer { bytes: vec![b'l', CALL, 0, 1] };
    message.number(length(body.bytes.len()));
    message.number(serial);
    message.array(8, |header| {
        let texts = [
            (PATH, "o", target.path),
            (DESTINATION, "s", target.destination),
            (INTERFACE, "s", target.interface),
            (MEMBER, "s", member),
        ];
        for (field, kind, text) in texts {
            header.align(8);
            header.bytes.push(field);
            header.signature(kind);
            header.text(text);
        }
        if !signature.is_empty() {
            header.align(8);
            header.bytes.push(SIGNATURE);
            header.signature("g");
            header.signature(signature);
        }
    });
    message.align(8);
    message.bytes.extend(&body.bytes);
    message.bytes
}

/// A message that came in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    Answer {
        to: u32,
        body: Vec<u8>,
    },
    Error {
        to: u32,
        name: String,
        body: Vec<u8>,
    },
    Signal {
        member: String,
        body: Vec<u8>,
    },
    /// Of no interest here.
    Other,
}

/// The length of the header's fixed part, from which the whole length follows.
pub(super) const START: usize = 16;

/// The length of the message that starts with `start`, of which there are [`START`] bytes.
/// `None` if it makes no sense, or is in the byte order of another machine.
pub(super) fn whole_length(start: &[u8]) -> Option<usize> {
    /// Far more than systemd has to say.
    const LENGTH_MAX: usize = 1 << 24;
    let mut reader = Reader { bytes: start, at: 4 };
    if start.first() != Some(&b'l') {
        return None;
    }
    let body = reader.number()? as usize;
    reader.number()?;
    let fields = reader.number()? as usize;
    let whole = (START + fields).next_multiple_of(8).checked_add(body)?;
    (whole <= LENGTH_MAX).then_some(whole)
}

/// Reads a whole message.
pub(super) fn parse(bytes: &[u8]) -> Option<Message> {
    let mut reader = Reader { bytes, at: 4 };
    let body_length = reader.number()? as usize;
    reader.number()?;
    let fields_length = reader.number()? as usize;
    let end = START + fields_length;
    let (mut to, mut name, mut member) = (None, String::new(), String::new());
    while reader.at < end {
        reader.align(8);
        let field = reader.byte()?;
        match (field, reader.signature()?) {
            (REPLY_SERIAL, "u") => to = Some(reader.number()?),
            (ERROR_NAME, "s") => name = reader.text()?.to_owned(),
            (MEMBER, "s") => member = reader.text()?.to_owned(),
            (_, "u") => drop(reader.number()?),
            (_, "s" | "o") => drop(reader.text()?),
            (_, "g") => drop(reader.signature()?),
            _ => return None,
        }
    }
    let body = bytes.get(bytes.len().checked_sub(body_length)?..)?.to_owned();
    Some(match (bytes.get(1)?, to) {
        (&ANSWER, Some(to)) => Message::Answer { to, body },
        (&ERROR, Some(to)) => Message::Error { to, name, body },
        (&SIGNAL, _) => Message::Signal { member, body },
        _ => Message::Other,
    })
}

/// Reads a message's parts in order. `None`: there is less than there should be.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, range: Range<usize>) -> Option<&'a [u8]> {
        let taken = self.bytes.get(range.clone())?;
        self.at = range.end;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(self.at..self.at + 1).map(|bytes| bytes[0])
    }

    pub(super) fn number(&mut self) -> Option<u32> {
        self.align(4);
        let bytes = self.take(self.at..self.at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = self.number()? as usize;
        let text = self.take(self.at..self.at.checked_add(length)?)?;
        self.byte()?;
        std::str::from_utf8(text).ok()
    }

    pub(super) fn signature(&mut self) -> Option<&'a str> {
        let length = usize::from(self.byte()?);
        let text = self.take(self.at..self.at + length)?;
        self.byte()?;
        std::str::from_utf8(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Target = Target { destination: "d.d", path: "/p", interface: "i.i" };

    #[test]
    fn a_call_is_laid_out_as_specified() {
        let mut body = Writer::default();
        body.text("hi");
        body.flag(true);
        let bytes = call(7, TARGET, "Do", "sb", &body);
        assert_eq!(&bytes[..12], b"l\x01\x00\x01\x0c\0\0\0\x07\0\0\0");
        assert_eq!(&bytes[bytes.len() - 12..], b"\x02\0\0\0hi\0\0\x01\0\0\0");
        assert_eq!(whole_length(&bytes), Some(bytes.len()));
        assert_eq!(parse(&bytes), Some(Message::Other));
    }

    #[test]
    fn elements_are_aligned_and_not_counted_before_the_first() {
        let mut writer = Writer::default();
        writer.number(0);
        writer.properties([("A", &Value::Unsigned64(5))].into_iter());
        // A number, the length, name, signature `t`, and the value at a multiple of eight.
        let expected = b"\0\0\0\0\x10\0\0\0\x01\0\0\0A\0\x01t\0\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0";
        let mut expected = expected.to_vec();
        expected[4] = 24;
        assert_eq!(writer.bytes, expected);
    }

    #[test]
    fn answers_and_errors_are_told_apart() {
        let fields = |kind: u8, extra: &dyn Fn(&mut Writer)| {
            let mut message = Writer { bytes: vec![b'l', kind, 0, 1] };
            message.number(8);
            message.number(1);
            message.array(8, |header| {
                header.bytes.push(REPLY_SERIAL);
                header.signature("u");
                header.number(42);
                extra(header);
            });
            message.align(8);
            message.text("abc");
            message.bytes
        };
        let answer = fields(ANSWER, &|_| {});
        let Some(Message::Answer { to: 42, body }) = parse(&answer) else { panic!("{answer:?}") };
        assert_eq!(Reader::of(&body).text(), Some("abc"));
        let error = fields(ERROR, &|header| {
            header.align(8);
            header.bytes.push(ERROR_NAME);
            header.signature("s");
            header.text("x.Y");
        });
        let parsed = parse(&error);
        assert!(matches!(&parsed, Some(Message::Error { to: 42, name, .. }) if name == "x.Y"));
    }

    #[test]
    fn nonsense_is_no_message() {
        assert_eq!(whole_length(b"B\x01\0\x01\0\0\0\0\0\0\0\0\0\0\0\0"), None);
        assert_eq!(whole_length(b"l\x01\0\x01\xff\xff\xff\xff\0\0\0\0\0\0\0\0"), None);
        assert_eq!(parse(b"l\x02\0\x01\0\0\0\0\0\0\0\0\x30\0\0\0\x05"), None);
    }
}
