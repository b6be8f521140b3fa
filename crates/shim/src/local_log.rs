//! The files of the log driver `local`: compact, and indexed by time.
//!
//! A file is a row of blocks of [`BLOCK_BYTES`]; only the last may be shorter. Each begins with
//! a header that says how many entries the file has before it and the latest time among them,
//! so whoever looks for a time or for the last hundred lines bisects headers. Entries follow
//! each other without regard to blocks; the header also says where the first one begins.
//!
//! ```text
//! header   magic: 8 bytes
//!          first entry: u32, counted from the block's beginning
//!          entries before: u64
//!          last time: i64, that of the entry before; the next one's is relative to it
//!          latest time: i64, of all entries before, those of earlier files included
//! entry    mark: 0xa0, +1 for stderr, +2 if its line goes on in the next entry
//!          length of the text, as a varint
//!          time less that of the entry before, as a zigzag varint
//!          the text
//! ```
//!
//! Times are nanoseconds since the epoch, numbers little-endian. The latest time only grows,
//! whatever a clock does: nothing before a block whose latest time is less than T is of T or later.
//!
//! A rotated file may be packed: each block deflated on its own, so that it still need not be
//! read from its start. After the blocks comes an index, and the file ends with a footer.
//!
//! ```text
//! block    length: u32, then so many bytes of raw deflate
//! index    for each block: where its length is: u64, and entries before and latest time as in its header
//! footer   blocks: u64, entries of the whole file: u64, latest time of the whole file: i64, magic: 8 bytes
//! ```

/// A block, with its header.
pub const BLOCK_BYTES: usize = 64 << 10;

/// The header of a block.
pub const HEADER_BYTES: usize = 36;

/// The end of a packed file.
pub const FOOTER_BYTES: usize = 32;

/// One block in a packed file's index.
pub const INDEX_ENTRY_BYTES: usize = 24;

/// What a packed file's name ends with.
pub const PACKED_EXTENSION: &str = ".z";

/// The longest text of an entry that is believed.
pub const TEXT_BYTES_MAX: u64 = 1 << 20;

const BLOCK_MAGIC: [u8; 8] = *b"wharflg1";
const FOOTER_MAGIC: [u8; 8] = *b"wharflz1";

const MARK: u8 = 0xa0;
const MARK_STDERR: u8 = 1;
const MARK_GOES_ON: u8 = 2;

/// What a block says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockHeader {
    /// Where the first entry that begins in the block does. May be its end.
    pub first_entry: u32,
    pub entries_before: u64,
    pub last_time: i64,
    pub latest_time: i64,
}

impl BlockHeader {
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&BLOCK_MAGIC);
        bytes[8..12].copy_from_slice(&self.first_entry.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.entries_before.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.last_time.to_le_bytes());
        bytes[28..].copy_from_slice(&self.latest_time.to_le_bytes());
        bytes
    }

    /// `None` if these are no header's bytes.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.get(..HEADER_BYTES)?.strip_prefix(&BLOCK_MAGIC)?;
        let first_entry = u32::from_le_bytes(rest[..4].try_into().ok()?);
        let is_inside = (HEADER_BYTES..=BLOCK_BYTES).contains(&(first_entry as usize));
        is_inside.then_some(Self {
            first_entry,
            entries_before: u64::from_le_bytes(rest[4..12].try_into().ok()?),
            last_time: i64::from_le_bytes(rest[12..20].try_into().ok()?),
            latest_time: i64::from_le_bytes(rest[20..28].try_into().ok()?),
        })
    }
}

/// An entry as it is in a file, apart from its time, which is relative to the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawEntry<'a> {
    pub is_stderr: bool,
    /// Whether the line goes on in the stream's next entry.
    pub goes_on: bool,
    pub time_delta: i64,
    pub text: &'a [u8],
}

/// What was found where an entry should be.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// With the bytes that it takes.
    Entry(RawEntry<'a>, usize),
    /// More bytes are needed.
    Incomplete,
    /// No entry begins like this.
    Damaged,
}

impl<'a> RawEntry<'a> {
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut mark = MARK;
        if self.is_stderr {
            mark |= MARK_STDERR;
        }
        if self.goes_on {
            mark |= MARK_GOES_ON;
        }
        out.push(mark);
        push_varint(out, self.text.len() as u64);
        push_varint(out, zigzag(self.time_delta));
        out.extend_from_slice(self.text);
    }

    pub fn decode(bytes: &'a [u8]) -> Decoded<'a> {
        let Some((&mark, rest)) = bytes.split_first() else { return Decoded::Incomplete };
        if mark & !(MARK_STDERR | MARK_GOES_ON) != MARK {
            return Decoded::Damaged;
        }
        let (length, rest) = match take_varint(rest) {
            Varint::Number(length, rest) if length <= TEXT_BYTES_MAX => (length as usize, rest),
            Varint::Incomplete => return Decoded::Incomplete,
            Varint::Number(..) | Varint::TooLong => return Decoded::Damaged,
        };
        let (delta, rest) = match take_varint(rest) {
            Varint::Number(delta, rest) => (delta, rest),
            Varint::Incomplete => return Decoded::Incomplete,
            Varint::TooLong => return Decoded::Damaged,
        };
        let Some(text) = rest.get(..length) else { return Decoded::Incomplete };
        let entry = Self {
            is_stderr: mark & MARK_STDERR != 0,
            goes_on: mark & MARK_GOES_ON != 0,
            time_delta: unzigzag(delta),
            text,
        };
        Decoded::Entry(entry, bytes.len() - rest.len() + length)
    }
}

/// A packed file's last words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footer {
    pub blocks: u64,
    pub entries: u64,
    pub latest_time: i64,
}

impl Footer {
    pub fn encode(&self) -> [u8; FOOTER_BYTES] {
        let mut bytes = [0; FOOTER_BYTES];
        bytes[..8].copy_from_slice(&self.blocks.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.entries.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.latest_time.to_le_bytes());
        bytes[24..].copy_from_slice(&FOOTER_MAGIC);
        bytes
    }

    /// `None` if these are no footer's bytes.
    pub fn decode(bytes: &[u8; FOOTER_BYTES]) -> Option<Self> {
        let number = |at: usize| bytes[at..at + 8].try_into().ok();
        (bytes[24..] == FOOTER_MAGIC).then_some(())?;
        Some(Self {
            blocks: u64::from_le_bytes(number(0)?),
            entries: u64::from_le_bytes(number(8)?),
            latest_time: i64::from_le_bytes(number(16)?),
        })
    }
}

/// One block in a packed file's index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexEntry {
    pub position: u64,
    pub entries_before: u64,
    pub latest_time: i64,
}

impl IndexEntry {
    pub fn encode(&self) -> [u8; INDEX_ENTRY_BYTES] {
        let mut bytes = [0; INDEX_ENTRY_BYTES];
        bytes[..8].copy_from_slice(&self.position.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.entries_before.to_le_bytes());
        bytes[16..].copy_from_slice(&self.latest_time.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8; INDEX_ENTRY_BYTES]) -> Self {
        let number = |at: usize| bytes[at..at + 8].try_into().expect("it takes eight bytes");
        Self {
            position: u64::from_le_bytes(number(0)),
            entries_before: u64::from_le_bytes(number(8)),
            latest_time: i64::from_le_bytes(number(16)),
        }
    }
}

fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

fn push_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

enum Varint<'a> {
    /// And what comes after it.
    Number(u64, &'a [u8]),
    Incomplete,
    TooLong,
}

/// Takes seven bits from each byte, the lowest first.
fn take_varint(bytes: &[u8]) -> Varint<'_> {
    const BYTES_MAX: usize = 10;
    let mut number = 0;
    for (index, byte) in bytes.iter().take(BYTES_MAX).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Varint::Number(number, &bytes[index + 1..]);
        }
    }
    if bytes.len() < BYTES_MAX { Varint::Incomplete } else { Varint::TooLong }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_header_comes_back_as_it_went() {
        let header = BlockHeader {
            first_entry: 36,
            entries_before: u64::MAX,
            last_time: -1,
            latest_time: i64::MIN,
        };
        assert_eq!(BlockHeader::decode(&header.encode()), Some(header));
        assert_eq!(BlockHeader::decode(&[0; HEADER_BYTES]), None);
        assert_eq!(BlockHeader::decode(&header.encode()[1..]), None);
    }

    #[test]
    fn what_is_cut_off_is_incomplete_and_zeroes_are_damage() {
        let entry = RawEntry { is_stderr: true, goes_on: false, time_delta: 300, text: b"text" };
        let mut bytes = Vec::new();
        entry.encode(&mut bytes);
        for length in 0..bytes.len() {
            assert_eq!(RawEntry::decode(&bytes[..length]), Decoded::Incomplete);
        }
        assert_eq!(RawEntry::decode(&[0; 40]), Decoded::Damaged);
        assert_eq!(RawEntry::decode(&[0xa0; 40]), Decoded::Damaged);
    }

    proptest! {
        #[test]
        fn an_entry_comes_back_as_it_went(
            is_stderr: bool,
            goes_on: bool,
            time_delta: i64,
            text in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let entry = RawEntry { is_stderr, goes_on, time_delta, text: &text };
            let mut bytes = Vec::new();
            entry.encode(&mut bytes);
            let length = bytes.len();
            bytes.extend_from_slice(b"more");
            prop_assert_eq!(RawEntry::decode(&bytes), Decoded::Entry(entry, length));
        }

        #[test]
        fn garbage_is_never_more_than_it_is(bytes in prop::collection::vec(any::<u8>(), 0..50)) {
            if let Decoded::Entry(_, length) = RawEntry::decode(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }
    }
}
