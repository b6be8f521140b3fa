//! Writing messages: several requests in one buffer, which is sent by one system call.

/// `NLM_F_REQUEST`: every message to the kernel carries it.
const REQUEST: u16 = 0x1;
/// `NLM_F_ACK`: the kernel answers even if all went well.
const ACK: u16 = 0x4;
/// `NLM_F_ROOT | NLM_F_MATCH`: everything that matches, in many messages.
const DUMP: u16 = 0x300;
/// `NLM_F_EXCL`: refuse if it exists.
const EXCLUSIVE: u16 = 0x200;
/// `NLM_F_CREATE`: make it if it does not exist.
const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`: at the end of its list.
const APPEND: u16 = 0x800;

/// `NLA_F_NESTED`: the attribute's payload is attributes.
const NESTED: u16 = 0x8000;

/// The size of `struct nlmsghdr`.
const HEADER_LEN: usize = 16;

/// Requests that are sent together, in their order.
///
/// Except in an nftables batch, the kernel goes on with the next one after it refused one.
#[derive(Debug, Default)]
pub struct Requests {
    bytes: Vec<u8>,
    sequence: u32,
    /// How many of them the kernel will acknowledge.
    acknowledged: u32,
}

impl Requests {
    /// Changes something that exists, or removes it.
    pub fn change(&mut self, kind: u16, write: impl FnOnce(&mut Body)) {
        self.message(kind, ACK, write);
    }

    /// Makes something that must not exist yet.
    pub fn create(&mut self, kind: u16, write: impl FnOnce(&mut Body)) {
        self.message(kind, ACK | CREATE | EXCLUSIVE, write);
    }

    /// Makes something unless it exists, and is silent about success.
    pub(crate) fn ensure_silently(&mut self, kind: u16, write: impl FnOnce(&mut Body)) {
        self.message(kind, CREATE, write);
    }

    /// Adds something after all others of its kind, and is silent about success.
    pub(crate) fn append_silently(&mut self, kind: u16, write: impl FnOnce(&mut Body)) {
        self.message(kind, CREATE | APPEND, write);
    }

    /// Changes something, and is silent about success.
    pub(crate) fn change_silently(&mut self, kind: u16, write: impl FnOnce(&mut Body)) {
        self.message(kind, 0, write);
    }

    /// Asks for one thing.
    pub fn get(&mut self, kind: u16, write: impl FnOnce(&mut Body)) {
        self.message(kind, ACK, write);
    }

    /// Asks for all that match. Nothing else may be in the same buffer.
    pub fn dump(&mut self, kind: u16, write: impl FnOnce(&mut Body)) {
        self.message(kind, DUMP, write);
    }

    fn message(&mut self, kind: u16, flags: u16, write: impl FnOnce(&mut Body)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 4]);
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((REQUEST | flags).to_ne_bytes());
        self.bytes.extend(self.sequence.to_ne_bytes());
        self.bytes.extend([0; 4]);
        debug_assert_eq!(self.bytes.len() - start, HEADER_LEN);
        self.sequence += 1;
        // `EXCLUSIVE` is a bit of `DUMP`. A dump ends with a message of its own, which counts.
        self.acknowledged += u32::from(flags & ACK == ACK || flags & DUMP == DUMP);

        let mut body = Body { bytes: std::mem::take(&mut self.bytes) };
        write(&mut body);
        self.bytes = body.bytes;

        let len = u32::try_from(self.bytes.len() - start).expect("a request is small");
        self.bytes[start..start + 4].copy_from_slice(&len.to_ne_bytes());
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn acknowledged(&self) -> u32 {
        self.acknowledged
    }
}

/// The part of a message after its header.
#[derive(Debug)]
pub struct Body {
    bytes: Vec<u8>,
}

impl Body {
    /// Appends a fixed struct, or a part of one, as it is.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend(bytes);
        self.pad();
        self
    }

    pub fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.attribute_with(kind, |body| {
            body.bytes.extend(value);
        })
    }

    /// A number in the host's byte order, as routing messages have it.
    pub fn number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    /// A number in the network's byte order, as netfilter messages have it.
    pub fn big_endian(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attribute(kind, &value.to_be_bytes())
    }

    /// A text with a NUL at its end.
    pub fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        self.attribute_with(kind, |body| {
            body.bytes.extend(value.as_bytes());
            body.bytes.push(0);
        })
    }

    /// An attribute made of attributes.
    pub fn nest(&mut self, kind: u16, write: impl FnOnce(&mut Self)) -> &mut Self {
        self.attribute_with(kind | NESTED, write)
    }

    fn attribute_with(&mut self, kind: u16, write: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend(kind.to_ne_bytes());
        write(self);
        let len = u16::try_from(self.bytes.len() - start).expect("an attribute is small");
        self.bytes[start..start + 2].copy_from_slice(&len.to_ne_bytes());
        self.pad();
        self
    }

    /// Everything begins at a multiple of four bytes.
    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::Requests;

    #[test]
    fn a_message_is_laid_out_as_the_kernel_reads_it() {
        let mut requests = Requests::default();
        requests.change(0x10, |body| {
            body.raw(&[1, 2, 3, 4]).text(3, "lo").nest(18, |body| {
                body.number(1, 7);
            });
        });
        requests.get(0x12, |_| {});

        let mut expected = Vec::new();
        expected.extend(40_u32.to_ne_bytes());
        expected.extend(0x10_u16.to_ne_bytes());
        expected.extend(5_u16.to_ne_bytes());
        expected.extend([0; 8]);
        expected.extend([1, 2, 3, 4]);
        expected.extend(7_u16.to_ne_bytes());
        expected.extend(3_u16.to_ne_bytes());
        expected.extend(b"lo\0\0");
        expected.extend(12_u16.to_ne_bytes());
        expected.extend(0x8012_u16.to_ne_bytes());
        expected.extend(8_u16.to_ne_bytes());
        expected.extend(1_u16.to_ne_bytes());
        expected.extend(7_u32.to_ne_bytes());
        assert_eq!(requests.bytes()[..40], expected);
        assert_eq!(requests.bytes().len(), 56);
        assert_eq!(requests.acknowledged(), 2);
    }
}
