//! Reading the format of [`shim::local_log`]: plain files, which may be growing, and packed ones.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;

use flate2::read::DeflateDecoder;
use jiff::Timestamp;
use shim::local_log::{
    BLOCK_BYTES, BlockHeader, Decoded, FOOTER_BYTES, Footer, HEADER_BYTES, INDEX_ENTRY_BYTES,
    IndexEntry, RawEntry,
};

use super::LogEntry;
use super::entry::NEVER;
use super::file::partition;

/// The largest index that is believed: that of a file of a terabyte.
const BLOCKS_MAX: u64 = 1 << 24;

/// A packed block that is longer than this is none.
const PACKED_BLOCK_BYTES_MAX: u32 = 2 * BLOCK_BYTES as u32;

/// A file of the driver `local`.
#[derive(Debug)]
pub(super) struct Local {
    blocks: Blocks,
    /// The block that is read next, and how much of it was read.
    block: u64,
    offset: usize,
    /// What was read and is not a whole entry yet, without headers.
    pending: Vec<u8>,
    /// That of the last entry.
    time: i64,
    /// The next entry is the first one that begins in the block.
    is_between: bool,
    /// Entries that are not wanted.
    skip: u64,
}

#[derive(Debug)]
enum Blocks {
    Plain(File),
    Packed { file: File, index: Vec<IndexEntry>, footer: Footer },
}

impl Local {
    pub(super) fn plain(file: File) -> Self {
        Self::new(Blocks::Plain(file))
    }

    /// A damaged file is left out, for the others' sake: it is as good as empty.
    pub(super) fn packed(file: File) -> Self {
        let (index, footer) = read_index(&file).unwrap_or_else(|error| {
            tracing::warn!(%error, "a packed file of a log cannot be read and is left out");
            (Vec::new(), Footer { blocks: 0, entries: 0, latest_time: NEVER })
        });
        Self::new(Blocks::Packed { file, index, footer })
    }

    fn new(blocks: Blocks) -> Self {
        Self {
            blocks,
            block: 0,
            offset: 0,
            pending: Vec::new(),
            time: 0,
            is_between: true,
            skip: 0,
        }
    }

    fn go_to(&mut self, block: u64, skip: u64) {
        self.block = block;
        self.offset = 0;
        self.pending.clear();
        self.is_between = true;
        self.skip = skip;
    }

    pub(super) fn seek_time(&mut self, since: i64) -> io::Result<()> {
        let count = self.blocks.count()?;
        let first = partition(count, |number| Ok(self.blocks.latest_time(number)? < since))?;
        // All entries before that block are earlier.
        self.go_to(first.saturating_sub(1), 0);
        Ok(())
    }

    pub(super) fn may_begin_after(&mut self, since: i64) -> io::Result<bool> {
        Ok(self.blocks.count()? == 0 || self.blocks.latest_time(0)? >= since)
    }

    pub(super) fn seek_tail(&mut self, wanted: u64) -> io::Result<u64> {
        let (total, _) = self.blocks.totals()?;
        let unwanted = total.saturating_sub(wanted);
        let count = self.blocks.count()?;
        let later = partition(count, |number| Ok(self.blocks.entries_before(number)? <= unwanted))?;
        let block = later.saturating_sub(1);
        // A first block without a header does not say how many are before it: rather too many
        // entries than too few.
        let skip = match count {
            0 => 0,
            _ => unwanted.saturating_sub(self.blocks.entries_before(block)?),
        };
        self.go_to(block, skip);
        Ok(total.min(wanted))
    }

    pub(super) fn last_time(&mut self) -> io::Result<Option<i64>> {
        let (entries, latest) = self.blocks.totals()?;
        Ok((entries > 0).then_some(latest))
    }

    pub(super) fn read(&mut self, entries: &mut Vec<LogEntry>) -> io::Result<bool> {
        let bytes = match self.blocks.read(self.block, self.offset) {
            Err(error) if self.blocks.is_packed() => {
                tracing::warn!(%error, "a packed block of a log cannot be read and is left out");
                self.go_on_with_next_block();
                return Ok(true);
            }
            bytes => bytes?,
        };
        if bytes.is_empty() {
            return self.read_again_if_cut();
        }
        let is_whole_block = self.offset + bytes.len() == BLOCK_BYTES;
        if !self.take(&bytes) {
            // A header that is not complete yet. The rest follows, or its end is cut off.
            return Ok(false);
        }
        self.decode(entries);
        if is_whole_block {
            self.block += 1;
            self.offset = 0;
        } else {
            self.offset += bytes.len();
        }
        Ok(true)
    }

    fn go_on_with_next_block(&mut self) {
        self.block += 1;
        self.offset = 0;
        self.pending.clear();
        self.is_between = true;
    }

    /// Adds what was read to what is pending; `false` if it is too little.
    fn take(&mut self, bytes: &[u8]) -> bool {
        if self.offset > 0 {
            self.pending.extend_from_slice(bytes);
            return true;
        }
        if bytes.len() < HEADER_BYTES {
            return false;
        }
        let header = BlockHeader::decode(bytes);
        let start = match header {
            Some(header) if self.is_between => {
                let first = header.first_entry as usize;
                if first > bytes.len() {
                    return false;
                }
                self.time = header.last_time;
                self.is_between = false;
                self.pending.clear();
                first
            }
            Some(_) => HEADER_BYTES,
            // Damaged. The next block tells where it goes on.
            None => {
                self.is_between = true;
                self.pending.clear();
                return true;
            }
        };
        self.pending.extend_from_slice(&bytes[start..]);
        true
    }

    /// Takes every whole entry from what is pending.
    fn decode(&mut self, entries: &mut Vec<LogEntry>) {
        let mut rest = &self.pending[..];
        loop {
            match RawEntry::decode(rest) {
                Decoded::Entry(entry, length) => {
                    rest = &rest[length..];
                    self.time = self.time.wrapping_add(entry.time_delta);
                    if self.skip > 0 {
                        self.skip -= 1;
                    } else {
                        entries.extend(entry_of(&entry, self.time));
                    }
                }
                Decoded::Incomplete => break,
                Decoded::Damaged => {
                    rest = &[];
                    self.is_between = true;
                    break;
                }
            }
        }
        let left = rest.len();
        self.pending.drain(..self.pending.len() - left);
    }

    /// A live file whose end was not a whole entry may have lost it. What comes now is read
    /// from the end of the last whole one.
    fn read_again_if_cut(&mut self) -> io::Result<bool> {
        let Blocks::Plain(file) = &self.blocks else { return Ok(false) };
        let position = self.block * BLOCK_BYTES as u64 + self.offset as u64;
        if self.pending.is_empty() || file.metadata()?.len() >= position {
            return Ok(false);
        }
        let pending = self.pending.len();
        if self.offset.saturating_sub(HEADER_BYTES) >= pending {
            self.offset -= pending;
        } else {
            // It began in the block before.
            let before = pending - self.offset.saturating_sub(HEADER_BYTES);
            self.block -= 1;
            self.offset = BLOCK_BYTES - before;
        }
        self.pending.clear();
        Ok(true)
    }
}

impl Blocks {
    fn is_packed(&self) -> bool {
        matches!(self, Self::Packed { .. })
    }

    fn count(&self) -> io::Result<u64> {
        match self {
            Self::Plain(file) => Ok(file.metadata()?.len().div_ceil(BLOCK_BYTES as u64)),
            Self::Packed { index, .. } => Ok(index.len() as u64),
        }
    }

    fn latest_time(&self, number: u64) -> io::Result<i64> {
        match self {
            // A header that is not whole yet comes after every entry.
            Self::Plain(file) => {
                Ok(plain_header(file, number)?.map_or(i64::MAX, |header| header.latest_time))
            }
            Self::Packed { index, .. } => Ok(index[number as usize].latest_time),
        }
    }

    fn entries_before(&self, number: u64) -> io::Result<u64> {
        match self {
            Self::Plain(file) => {
                Ok(plain_header(file, number)?.map_or(u64::MAX, |header| header.entries_before))
            }
            Self::Packed { index, .. } => Ok(index[number as usize].entries_before),
        }
    }

    /// Entries of the whole file, and the latest time of them and all before.
    fn totals(&self) -> io::Result<(u64, i64)> {
        match self {
            Self::Packed { footer, .. } => Ok((footer.entries, footer.latest_time)),
            Self::Plain(_) => {
                for number in (0..self.count()?).rev() {
                    let block = self.read(number, 0)?;
                    let Some(header) = BlockHeader::decode(&block) else { continue };
                    return Ok(walk(&block, &header));
                }
                Ok((0, NEVER))
            }
        }
    }

    /// What there is of a block from `offset` on.
    fn read(&self, number: u64, offset: usize) -> io::Result<Vec<u8>> {
        match self {
            Self::Plain(file) => {
                let position = number * BLOCK_BYTES as u64 + offset as u64;
                let mut bytes = vec![0; BLOCK_BYTES - offset];
                let mut filled = 0;
                while filled < bytes.len() {
                    match file.read_at(&mut bytes[filled..], position + filled as u64)? {
                        0 => break,
                        count => filled += count,
                    }
                }
                bytes.truncate(filled);
                Ok(bytes)
            }
            Self::Packed { file, index, .. } => match index.get(number as usize) {
                None => Ok(Vec::new()),
                Some(entry) => {
                    let mut block = unpack(file, entry.position)?;
                    block.drain(..offset.min(block.len()));
                    Ok(block)
                }
            },
        }
    }
}

fn plain_header(file: &File, number: u64) -> io::Result<Option<BlockHeader>> {
    let mut bytes = [0; HEADER_BYTES];
    match file.read_exact_at(&mut bytes, number * BLOCK_BYTES as u64) {
        Ok(()) => Ok(BlockHeader::decode(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Counts the entries of a file's last block, together with those before it.
fn walk(block: &[u8], header: &BlockHeader) -> (u64, i64) {
    let mut entries = header.entries_before;
    let mut time = header.last_time;
    let mut latest = header.latest_time;
    let mut rest = block.get(header.first_entry as usize..).unwrap_or_default();
    while let Decoded::Entry(entry, length) = RawEntry::decode(rest) {
        entries = entries.saturating_add(1);
        time = time.wrapping_add(entry.time_delta);
        latest = latest.max(time);
        rest = &rest[length..];
    }
    (entries, latest)
}

/// The index and the last words of a packed file.
fn read_index(file: &File) -> io::Result<(Vec<IndexEntry>, Footer)> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a packed log is damaged");
    let size = file.metadata()?.len();
    let mut bytes = [0; FOOTER_BYTES];
    let footer_at = size.checked_sub(FOOTER_BYTES as u64).ok_or_else(damaged)?;
    file.read_exact_at(&mut bytes, footer_at)?;
    let footer = Footer::decode(&bytes).filter(|footer| footer.blocks <= BLOCKS_MAX);
    let footer = footer.ok_or_else(damaged)?;
    let length = footer.blocks * INDEX_ENTRY_BYTES as u64;
    let index_at = footer_at.checked_sub(length).ok_or_else(damaged)?;
    let mut bytes = vec![0; length as usize];
    file.read_exact_at(&mut bytes, index_at)?;
    let (entries, _) = bytes.as_chunks::<INDEX_ENTRY_BYTES>();
    Ok((entries.iter().map(IndexEntry::decode).collect(), footer))
}

fn unpack(file: &File, position: u64) -> io::Result<Vec<u8>> {
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a packed log is damaged");
    let mut length = [0; 4];
    file.read_exact_at(&mut length, position)?;
    let length = u32::from_le_bytes(length);
    if length > PACKED_BLOCK_BYTES_MAX {
        return Err(damaged());
    }
    let mut packed = vec![0; length as usize];
    file.read_exact_at(&mut packed, position + 4)?;
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    DeflateDecoder::new(&packed[..]).take(BLOCK_BYTES as u64).read_to_end(&mut block)?;
    Ok(block)
}

fn entry_of(entry: &RawEntry<'_>, time: i64) -> Option<LogEntry> {
    let mut text = Vec::with_capacity(entry.text.len() + 1);
    text.extend_from_slice(entry.text);
    if !entry.goes_on {
        text.push(b'\n');
    }
    let at = Timestamp::from_nanosecond(i128::from(time)).ok()?;
    Some(LogEntry { at, is_stderr: entry.is_stderr, text, attributes: Vec::new() })
}
