//! Reading messages. Nothing here trusts a length that it read.

/// The size of `struct nlmsghdr`.
const HEADER_LEN: usize = 16;

/// `NLMSG_ERROR`: an error, or with the code zero an acknowledgement.
const ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a dump.
const DONE: u16 = 3;

/// `NLM_F_CAPPED`: the refused request's payload is not repeated in the error.
const CAPPED: u16 = 0x100;
/// `NLM_F_ACK_TLVS`: attributes follow the error.
const HAS_ATTRIBUTES: u16 = 0x200;
/// `NLMSGERR_ATTR_MSG`: what the kernel says about its refusal.
const REASON: u16 = 1;

/// Strips `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`.
const KIND_MASK: u16 = 0x3fff;

/// What the kernel sent.
#[derive(Debug, Clone)]
pub struct Answer {
    pub kind: u16,
    /// The fixed struct and the attributes.
    pub payload: Vec<u8>,
}

impl Answer {
    /// The attributes behind a fixed struct of this size.
    pub fn attributes(&self, struct_len: usize) -> Attributes<'_> {
        Attributes { bytes: self.payload.get(struct_len..).unwrap_or_default() }
    }

    /// Four bytes of the fixed struct, in the host's byte order.
    pub fn number_at(&self, offset: usize) -> Option<u32> {
        let bytes = self.payload.get(offset..offset + 4)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    }
}

/// One message of those in a datagram.
#[derive(Debug)]
pub(super) enum Message {
    Data(Answer),
    /// An acknowledgement or a refusal: the error number, negated, and a reason.
    Verdict {
        code: i32,
        reason: Option<String>,
    },
}

/// Splits what one `recv` brought into messages.
pub(super) fn messages(mut bytes: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    while let Some((message, rest)) = next_message(bytes) {
        messages.extend(message);
        bytes = rest;
    }
    messages
}

/// The first message, if it is one that says something, and what follows it.
fn next_message(bytes: &[u8]) -> Option<(Option<Message>, &[u8])> {
    let header = bytes.get(..HEADER_LEN)?;
    let len = usize::try_from(u32::from_ne_bytes(header[..4].try_into().ok()?)).ok()?;
    let kind = u16::from_ne_bytes(header[4..6].try_into().ok()?);
    let flags = u16::from_ne_bytes(header[6..8].try_into().ok()?);
    let payload = bytes.get(HEADER_LEN..len)?;
    let rest = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
    let message = match kind {
        ERROR | DONE => verdict(kind, flags, payload),
        _ => Some(Message::Data(Answer { kind, payload: payload.to_vec() })),
    };
    Some((message, rest))
}

fn verdict(kind: u16, flags: u16, payload: &[u8]) -> Option<Message> {
    let code = i32::from_ne_bytes(payload.get(..4)?.try_into().ok()?);
    let mut skip = 4;
    if kind == ERROR {
        skip += HEADER_LEN;
        if flags & CAPPED == 0 {
            let len = u32::from_ne_bytes(payload.get(4..8)?.try_into().ok()?);
            skip = 4 + usize::try_from(len).ok()?.next_multiple_of(4);
        }
    }
    let attributes = Attributes { bytes: payload.get(skip..).unwrap_or_default() };
    let reason = (flags & HAS_ATTRIBUTES != 0).then(|| attributes.text(REASON)).flatten();
    Some(Message::Verdict { code, reason })
}

/// A list of attributes.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    bytes: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// The value of the first attribute of this kind.
    pub fn bytes(self, kind: u16) -> Option<&'a [u8]> {
        let mut bytes = self.bytes;
        loop {
            let len = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
            let found = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?) & KIND_MASK;
            let value = bytes.get(4..len)?;
            if found == kind {
                return Some(value);
            }
            bytes = bytes.get(len.next_multiple_of(4)..)?;
        }
    }

    /// A number in the host's byte order.
    pub fn number(self, kind: u16) -> Option<u32> {
        Some(u32::from_ne_bytes(self.bytes(kind)?.try_into().ok()?))
    }

    /// A number in the network's byte order.
    pub fn big_endian(self, kind: u16) -> Option<u32> {
        Some(u32::from_be_bytes(self.bytes(kind)?.try_into().ok()?))
    }

    /// A text up to its NUL.
    pub fn text(self, kind: u16) -> Option<String> {
        let bytes = self.bytes(kind)?;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }

    pub fn nested(self, kind: u16) -> Option<Self> {
        Some(Self { bytes: self.bytes(kind)? })
    }
}

#[cfg(test)]
mod tests {
    use super::{Attributes, Message, messages};

    #[test]
    fn a_length_that_lies_ends_the_list() {
        for bytes in [&[][..], &[1, 2, 3], &[255; 20], &[0; 40], &[4, 0, 0, 0, 1, 1]] {
            assert!(messages(bytes).is_empty());
            assert_eq!(Attributes { bytes }.bytes(7), None);
        }
        // An attribute whose length says zero would never end.
        assert_eq!(Attributes { bytes: &[0, 0, 1, 0, 0, 0, 1, 0] }.bytes(7), None);
    }

    #[test]
    fn an_error_carries_its_code() {
        let mut bytes = 36_u32.to_ne_bytes().to_vec();
        bytes.extend(2_u16.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend((-17_i32).to_ne_bytes());
        bytes.extend([0; 16]);
        let messages = messages(&bytes);
        assert!(matches!(messages[..], [Message::Verdict { code: -17, reason: None }]));
    }
}
