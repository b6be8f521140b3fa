//! The driver `local`, in the format of [`shim::local_log`].

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use shim::local_log::{BLOCK_BYTES, BlockHeader, Decoded, HEADER_BYTES, RawEntry};

use super::Source;
use super::file_log::Format;
use super::files::Files;
use super::lines::Entry;
use super::pack::Packing;

/// Where the log is: what the next header has to say.
#[derive(Debug)]
pub(crate) struct Local {
    entries: u64,
    last_time: i64,
    latest_time: i64,
    /// One entry, on its way into blocks.
    encoded: Vec<u8>,
}

impl Local {
    pub(super) fn new() -> Self {
        Self { entries: 0, last_time: 0, latest_time: i64::MIN, encoded: Vec::new() }
    }

    fn header(&self, first_entry: usize) -> [u8; HEADER_BYTES] {
        let header = BlockHeader {
            first_entry: first_entry as u32,
            entries_before: self.entries,
            last_time: self.last_time,
            latest_time: self.latest_time,
        };
        header.encode()
    }

    /// Walks over the entries of the last block; says where in it the last whole one ends.
    fn walk(&mut self, block: &[u8], header: BlockHeader) -> usize {
        self.entries = header.entries_before;
        self.last_time = header.last_time;
        self.latest_time = header.latest_time;
        let mut end = header.first_entry as usize;
        let mut rest = block.get(end..).unwrap_or_default();
        while let Decoded::Entry(entry, length) = RawEntry::decode(rest) {
            self.note(self.last_time.wrapping_add(entry.time_delta));
            rest = &rest[length..];
            end += length;
        }
        end
    }

    fn note(&mut self, time: i64) {
        self.entries += 1;
        self.last_time = time;
        self.latest_time = self.latest_time.max(time);
    }
}

impl Format for Local {
    const PACKING: Packing = Packing::Blocks;

    /// The last block tells all. If it has no entry that is whole (its header cut off, or the
    /// rest of an entry of the block before), the one before has to.
    fn resume(&mut self, file: &File, size: u64) -> io::Result<u64> {
        let blocks = size.div_ceil(BLOCK_BYTES as u64);
        for number in (0..blocks).rev() {
            let start = number * BLOCK_BYTES as u64;
            let length = (size - start).min(BLOCK_BYTES as u64) as usize;
            let mut block = vec![0; length];
            file.read_exact_at(&mut block, start)?;
            let Some(header) = BlockHeader::decode(&block) else { continue };
            if header.first_entry as usize > length {
                continue;
            }
            let end = self.walk(&block, header);
            return Ok(start + end as u64);
        }
        *self = Self::new();
        Ok(0)
    }

    fn begin_file(&mut self, _: &Files) {
        self.entries = 0;
    }

    fn push(&mut self, source: Source, entry: &Entry<'_>, batch: &mut Vec<u8>, position: u64) {
        let raw = RawEntry {
            is_stderr: source == Source::Stderr,
            goes_on: !entry.is_end,
            time_delta: entry.unix_nanoseconds.wrapping_sub(self.last_time),
            text: entry.text,
        };
        let used = |batch: &Vec<u8>| (position + batch.len() as u64) as usize % BLOCK_BYTES;
        if used(batch) == 0 {
            batch.extend_from_slice(&self.header(HEADER_BYTES));
        }
        let mut encoded = std::mem::take(&mut self.encoded);
        raw.encode(&mut encoded);
        self.note(entry.unix_nanoseconds);
        let mut rest = &encoded[..];
        loop {
            let room = BLOCK_BYTES - used(batch);
            if rest.len() <= room {
                batch.extend_from_slice(rest);
                break;
            }
            let (now, later) = rest.split_at(room);
            batch.extend_from_slice(now);
            // It fits: a block is longer than any entry.
            batch.extend_from_slice(&self.header(HEADER_BYTES + later.len()));
            rest = later;
        }
        encoded.clear();
        self.encoded = encoded;
    }

    fn written(&mut self, _: &Path, _: &File) {}
}
