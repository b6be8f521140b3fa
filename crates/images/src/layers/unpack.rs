//! From an archive to a layer's folder.
//!
//! Three threads share the work: one decompresses, one hashes, one makes files. The folder is
//! a draft in `unfinished`, and goes with its [`Unpacked`] unless that is adopted.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufRead};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use archive::TarError;
use archive::reader::{End, Reader};
use oci::Digest;

use crate::compression::{DecompressError, decompress};
use crate::folders::Folders;
use crate::layers::ArchiveError;
use crate::layers::apply::{Applier, Unsettled};
use crate::layers::recipe::RecipeWriter;
use crate::pipeline::{self, PIECES_WAITING, Piece, PieceReader};
use crate::removal::remove_tree;

/// A folder in `unfinished`. It goes when this does.
#[derive(Debug)]
pub(crate) struct Draft {
    path: PathBuf,
}

impl Draft {
    pub(crate) fn create(folders: &Folders) -> io::Result<Self> {
        let path = folders.unfinished_path();
        DirBuilder::new().mode(0o710).create(&path)?;
        Ok(Self { path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Whatever stays goes when the store is next opened.
        if let Err(error) = remove_tree(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot delete a draft");
        }
    }
}

/// An archive that was unpacked, and belongs to no image yet.
#[derive(Debug)]
pub(crate) struct Unpacked {
    pub(crate) draft: Draft,
    pub(crate) diff_id: Digest,
    /// Bytes of the archive, decompressed.
    pub(crate) archive_size: u64,
    /// Bytes of the files.
    pub(crate) size: u64,
    pub(crate) unsettled: Unsettled,
    /// Whether the archive had its end mark.
    pub(crate) is_marked: bool,
}

/// Unpacks an archive, which may be compressed.
pub(crate) fn unpack<'a>(
    folders: &Folders,
    archive: impl BufRead + Send + 'a,
) -> Result<Unpacked, ArchiveError> {
    let draft = Draft::create(folders).map_err(ArchiveError::Write)?;
    let (to_hash, hashed) = sync_channel(PIECES_WAITING);
    let (to_apply, applied) = sync_channel(PIECES_WAITING);
    let (digest, archive_size, outcome) = thread::scope(|scope| {
        let reader =
            pipeline::spawn(scope, "decompress", move || read_all(archive, &to_hash, &to_apply))?;
        let hasher = pipeline::spawn(scope, "hash", move || pipeline::hash(&hashed))?;
        let outcome = apply_all(draft.path(), PieceReader::new(applied.into_iter()));
        let archive_size = pipeline::join(reader);
        Ok((pipeline::join(hasher), archive_size, outcome))
    })
    .map_err(ArchiveError::Write)?;
    // What is wrong with the input explains what the applier made of it, so it is told first.
    let archive_size = archive_size?;
    let (size, unsettled, is_marked) = outcome.map_err(explain)?;
    Ok(Unpacked { draft, diff_id: digest, archive_size, size, unsettled, is_marked })
}

/// Decompresses, and hands each piece to the two others. Answers with the bytes in all.
fn read_all(
    archive: impl BufRead + Send,
    to_hash: &SyncSender<Piece>,
    to_apply: &SyncSender<io::Result<Piece>>,
) -> Result<u64, ArchiveError> {
    let mut input = match decompress(archive) {
        Ok(input) => input,
        Err(error) => {
            // Silence would look like an empty archive.
            let _ = to_apply.send(Err(io::Error::other("the archive cannot be decompressed")));
            return Err(error);
        }
    };
    let mut length = 0;
    loop {
        match pipeline::read_piece(&mut *input) {
            Ok(piece) if piece.is_empty() => return Ok(length),
            Ok(piece) => {
                length += piece.len() as u64;
                let piece = Arc::new(piece);
                // Whoever hung up has a better error to tell.
                if to_hash.send(Arc::clone(&piece)).is_err() || to_apply.send(Ok(piece)).is_err() {
                    return Ok(length);
                }
            }
            Err(error) => {
                let _ = to_apply.send(Err(error));
                return Ok(length);
            }
        }
    }
}

/// Tells a damaged compression from a failure to read.
pub(crate) fn explain(error: ArchiveError) -> ArchiveError {
    match error {
        ArchiveError::Read(error)
            if error
                .get_ref()
                .is_some_and(<dyn std::error::Error + Send + Sync>::is::<DecompressError>) =>
        {
            ArchiveError::Decompress(error)
        }
        other => other,
    }
}

/// Makes the files and writes the recipe.
fn apply_all(draft: &Path, archive: impl BufRead) -> Result<(u64, Unsettled, bool), ArchiveError> {
    let recipe = RecipeWriter::create(&draft.join("recipe.zst")).map_err(ArchiveError::Write)?;
    let root = make_root(&draft.join("fs")).map_err(ArchiveError::Write)?;
    let mut applier = Applier::new(root, draft.join("replaced"));
    let mut reader = Reader::new(archive, recipe);
    while let Some(entry) = reader.next_entry()? {
        applier.apply(&entry, &mut reader)?;
    }
    let is_marked = reader.end() == End::Marked;
    reader.into_tape().finish().map_err(ArchiveError::Write)?;
    let (size, unsettled) = applier.finish()?;
    Ok((size, unsettled, is_marked))
}

/// The root of the tree, as it is if the archive does not say otherwise.
fn make_root(path: &Path) -> io::Result<OwnedFd> {
    fs::create_dir(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(File::open(path)?.into())
}

impl Unpacked {
    /// Refuses an archive that just ends. For those that no digest vouches for.
    pub(crate) fn require_mark(self) -> Result<Self, ArchiveError> {
        if self.is_marked {
            Ok(self)
        } else {
            Err(TarError::Truncated { offset: self.archive_size }.into())
        }
    }
}
