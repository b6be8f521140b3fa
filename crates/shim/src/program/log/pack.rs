//! Packing a rotated file: what this program does when it is told so on its command line.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use shim::local_log::{
    BLOCK_BYTES, BlockHeader, Decoded, Footer, IndexEntry, PACKED_EXTENSION, RawEntry,
};

use super::files::FILE_MODE;

/// The argument with which this program packs its standard input, a file, and ends. It is
/// followed by the way to pack it and the file to make.
pub(crate) const PACK_ARGUMENT: &str = "--pack-log";

/// Whatever a container logs is more urgent than this.
const NICENESS: i32 = 10;

/// How a rotated file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// As Docker packs a `json-file`.
    Gzip,
    /// Block by block ([`shim::local_log`]).
    Blocks,
}

impl Packing {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Blocks => "blocks",
        }
    }

    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Gzip => ".gz",
            Self::Blocks => PACKED_EXTENSION,
        }
    }
}

/// Does what the command line says.
pub(crate) fn run(mut arguments: impl Iterator<Item = OsString>) -> anyhow::Result<()> {
    let (Some(packing), Some(to)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("{PACK_ARGUMENT} wants a way to pack and a file");
    };
    let packing = [Packing::Gzip, Packing::Blocks]
        .into_iter()
        .find(|known| packing == known.name())
        .with_context(|| format!("no way to pack: {}", packing.display()))?;
    // It is only a courtesy.
    let _ = rustix::process::nice(NICENESS);
    let input = rustix::io::dup(rustix::stdio::stdin()).context("there is nothing to pack")?;
    pack(packing, input.into(), Path::new(&to)).context("cannot pack a log")
}

/// Packs a file into the file `to`.
pub(super) fn pack(packing: Packing, input: File, to: &Path) -> io::Result<()> {
    let output =
        OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(to)?;
    let output = BufWriter::new(output);
    match packing {
        Packing::Gzip => pack_gzip(input, output),
        Packing::Blocks => pack_blocks(&input, output),
    }
}

fn pack_gzip(mut input: File, output: impl Write) -> io::Result<()> {
    let mut builder = flate2::GzBuilder::new();
    if let Some(extra) = gzip_extra(&input)? {
        builder = builder.extra(extra);
    }
    let mut encoder = builder.write(output, Compression::default());
    io::copy(&mut input, &mut encoder)?;
    encoder.finish()?.flush()
}

/// What Docker puts into the header, so that a reader need not unpack what is too old for it.
fn gzip_extra(input: &File) -> io::Result<Option<Vec<u8>>> {
    let size = input.metadata()?.len();
    Ok(super::json_file::last_time(input, size)?.map(|time| {
        let mut extra = b"{\"lastTime\":\"".to_vec();
        super::json_text::push_time(&mut extra, time);
        extra.extend_from_slice(b"\"}");
        extra
    }))
}

fn pack_blocks(input: &File, mut output: impl Write) -> io::Result<()> {
    let mut index = Vec::new();
    let mut position = 0;
    let mut last = Vec::new();
    loop {
        let mut block = Vec::with_capacity(BLOCK_BYTES);
        input.take(BLOCK_BYTES as u64).read_to_end(&mut block)?;
        let Some(header) = BlockHeader::decode(&block) else { break };
        index.push(IndexEntry {
            position,
            entries_before: header.entries_before,
            latest_time: header.latest_time,
        });
        let packed = deflate(&block)?;
        let length = u32::try_from(packed.len()).map_err(io::Error::other)?;
        output.write_all(&length.to_le_bytes())?;
        output.write_all(&packed)?;
        position += 4 + packed.len() as u64;
        last = block;
    }
    for entry in &index {
        output.write_all(&entry.encode())?;
    }
    let blocks = index.len() as u64;
    output.write_all(&end_of(&last, blocks).encode())?;
    output.flush()
}

fn deflate(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// What is known at the end of a file whose last block is `block`.
fn end_of(block: &[u8], blocks: u64) -> Footer {
    let Some(header) = BlockHeader::decode(block) else {
        return Footer { blocks, entries: 0, latest_time: i64::MIN };
    };
    let mut entries = header.entries_before;
    let mut time = header.last_time;
    let mut latest_time = header.latest_time;
    let mut rest = block.get(header.first_entry as usize..).unwrap_or_default();
    while let Decoded::Entry(entry, length) = RawEntry::decode(rest) {
        entries += 1;
        time = time.wrapping_add(entry.time_delta);
        latest_time = latest_time.max(time);
        rest = &rest[length..];
    }
    Footer { blocks, entries, latest_time }
}
