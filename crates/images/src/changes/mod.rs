//! What a container has changed of its image's files: as a list, and as a layer.
//!
//! Both come from one walk through the container's own folder, an overlay's upper directory, in
//! the order of paths, beside the layers below ([`walk`]). The layer is canonical: the same
//! changes make the same bytes, and so the same digest.
//!
//! What the engine itself left there, a file or folder for something to be mounted on, is no
//! change of the container's ([`scaffold`]).

mod list;
mod scaffold;
mod walk;
mod write;

#[cfg(test)]
mod tests;

use std::io::{self, Write};

use archive::node::Xattrs;
use archive::tree::{self, TreeError, TreeWriter};
use errors::{Explain, Kind};

use crate::snapshots::Snapshot;
use crate::view;

pub(crate) use write::write_layer;

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    Modified,
    Added,
    Deleted,
}

/// A file that differs from the image's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// From the root, without a slash before it.
    pub path: Vec<u8>,
    pub kind: ChangeKind,
}

/// Why a container's files could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ChangesError {
    #[error("cannot read the container's changes")]
    Open(#[source] io::Error),
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl Explain for ChangesError {
    fn kind(&self) -> Kind {
        Kind::Internal
    }
}

/// Lists what has changed.
pub(crate) fn list(snapshot: &Snapshot) -> Result<Vec<FileChange>, ChangesError> {
    let mut list = list::List::default();
    walk::walk(snapshot, &mut list)?;
    Ok(list.changes)
}

/// Writes all files, as processes would see them if nothing were mounted anywhere.
pub(crate) fn export(snapshot: &Snapshot, output: impl Write) -> Result<(), ChangesError> {
    let layers: Vec<_> =
        std::iter::once(&snapshot.upper).chain(&snapshot.lowers).cloned().collect();
    let root = view::open_merged(&layers).map_err(ChangesError::Open)?;
    let root = root.expect("a container's own folder is a layer");
    let top = tree::top(std::os::fd::AsFd::as_fd(&root)).map_err(ChangesError::Open)?;
    let mut writer = TreeWriter::new(output, Xattrs::Portable, &tree::nothing);
    match writer.add_content(&top, b"") {
        Ok(()) => writer.finish().map(drop).map_err(|error| TreeError::Write(error).into()),
        Err(error) => {
            writer.break_off();
            Err(error.into())
        }
    }
}
