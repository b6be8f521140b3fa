//! Tar archives, and trees of files made into them and out of them.
//!
//! [`reader::Reader`] reads every dialect that layers come in: ustar, old V7, GNU (long names,
//! base-256 numbers, sparse files) and PAX (everything, including its three kinds of sparse
//! files). It never loses a byte: what is not the content of a file goes to a
//! [`reader::Tape`], so that the archive can be put together again.
//!
//! [`author`] writes any entry, the same bytes for the same entry; [`writer`] the plain files
//! and folders that `save` needs. [`tree`] and [`extract`] go from files to an archive and
//! back. Whoever made the files, or the archive, may be an enemy: every step in a tree is taken
//! by the kernel from a descriptor ([`place`]), never by joining paths.

pub mod author;
pub mod builder;
pub mod descent;
pub mod entry;
pub mod extract;
pub mod header;
pub mod node;
pub mod pax;
pub mod place;
pub mod reader;
pub mod sparse;
pub mod tree;
pub mod writer;

#[cfg(test)]
mod tests;

/// Archives are made of blocks of this many bytes.
pub const BLOCK_LENGTH: usize = 512;

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
