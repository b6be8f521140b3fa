//! Tar archives, as far as layers and images need them.
//!
//! [`reader::Reader`] reads every dialect that layers come in: ustar, old V7, GNU (long names,
//! base-256 numbers, sparse files) and PAX (everything, including its three kinds of sparse
//! files). It never loses a byte: what is not the content of a file goes to a
//! [`reader::Tape`], so that the archive can be put together again. [`writer`] writes plain
//! ustar, for `save`.

pub(crate) mod entry;
pub(crate) mod header;
pub(crate) mod pax;
pub(crate) mod reader;
pub(crate) mod sparse;
pub(crate) mod writer;

#[cfg(test)]
pub(crate) mod builder;
#[cfg(test)]
mod tests;

/// Archives are made of blocks of this many bytes.
pub(crate) const BLOCK_LENGTH: usize = 512;

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    #[error("cannot read the archive")]
    Read(#[source] std::io::Error),
    #[error("unexpected EOF: the archive is cut off at byte {offset}")]
    Truncated { offset: u64 },
    #[error("archive/tar: invalid tar header at byte {offset}: {reason}")]
    Header { offset: u64, reason: &'static str },
    #[error("entry {path} of the archive: {reason}")]
    Entry { path: String, reason: &'static str },
}
