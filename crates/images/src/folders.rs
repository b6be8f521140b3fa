//! The folders of a data root that are the store's.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use oci::Digest;

use crate::removal::Remover;

/// Where everything is.
#[derive(Debug)]
pub(crate) struct Folders {
    blobs: PathBuf,
    layers: PathBuf,
    snapshots: PathBuf,
    unfinished: PathBuf,
    /// How many names in `unfinished` were handed out.
    handed_out: AtomicU64,
    pub(crate) remover: Remover,
}

impl Folders {
    /// Names the folders of `root`, and makes those that are missing.
    pub(crate) fn open(root: &Path) -> Result<Self, (PathBuf, io::Error)> {
        let folders = Self {
            blobs: root.join("content/blobs/sha256"),
            layers: root.join("layers"),
            snapshots: root.join("snapshots"),
            unfinished: root.join("unfinished"),
            handed_out: AtomicU64::new(0),
            remover: Remover::default(),
        };
        for folder in [&folders.blobs, &folders.layers, &folders.snapshots, &folders.unfinished] {
            // Images have setuid programs, which are not for the host's users.
            let made = DirBuilder::new().recursive(true).mode(0o710).create(folder);
            made.map_err(|error| (folder.clone(), error))?;
        }
        Ok(folders)
    }

    /// The file of a blob.
    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs.join(digest.hex())
    }

    pub(crate) fn blobs(&self) -> &Path {
        &self.blobs
    }

    /// The folder of a layer.
    pub(crate) fn layer(&self, chain_id: &Digest) -> PathBuf {
        self.layers.join(chain_id.hex())
    }

    pub(crate) fn layers(&self) -> &Path {
        &self.layers
    }

    pub(crate) fn snapshots(&self) -> &Path {
        &self.snapshots
    }

    pub(crate) fn unfinished(&self) -> &Path {
        &self.unfinished
    }

    /// Removes what earlier processes left in `unfinished`, soon. To be called before anything
    /// is made there.
    pub(crate) fn remove_unfinished(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.unfinished)? {
            let entry = entry?;
            // Until it is gone its name is taken.
            let number = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
            if let Some(number) = number {
                self.handed_out.fetch_max(number.saturating_add(1), Ordering::Relaxed);
            }
            self.remover.remove_later(entry.path());
        }
        Ok(())
    }

    /// A path that nobody has, for something that is not yet, or no longer, in its place.
    pub(crate) fn unfinished_path(&self) -> PathBuf {
        let number = self.handed_out.fetch_add(1, Ordering::Relaxed);
        self.unfinished.join(number.to_string())
    }

    /// Takes what is at `path` out of its place in one step, and removes it soon. That nothing
    /// is there is no error.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        let grave = self.unfinished_path();
        match fs::rename(path, &grave) {
            Ok(()) => {
                self.remover.remove_later(grave);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}
