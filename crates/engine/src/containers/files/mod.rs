//! A container's files, for whoever copies them in and out.
//!
//! [`Root`] is the container's file system as its own processes see it: of one that runs, the
//! live one; of one that does not, its overlay with its volumes, mounted where nobody else is.
//! [`path`] finds things in it. Both are safe from a container that changes its files while we
//! look: no path is resolved but by the kernel, in one step, within the root.

mod copy;
mod path;
mod root;

use std::io;

use archive::extract::ExtractError;
use archive::tree::TreeError;
use errors::{Explain, Kind};
use jiff::Timestamp;

pub use copy::{CopyIn, CopyOut};
pub(crate) use copy::{read, stat, write};
pub(crate) use root::{FilesLock, PATIENCE as FILES_PATIENCE};

use super::errors::LookupError;

/// What is at a path of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStat {
    /// The path's last part.
    pub name: String,
    pub size: u64,
    /// As in `struct stat`: the kind and the permissions.
    pub mode: u32,
    pub modified: Option<Timestamp>,
    /// Where a symlink leads in the end; empty for anything else.
    pub link_target: String,
}

/// Why files were not copied.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error(transparent)]
    Volume(#[from] crate::volumes::VolumeError),
    // Docker's words, from here...
    #[error("Could not find the file {path} in container {container}")]
    NotFound { path: String, container: String },
    #[error("lstat {path}: {reason}")]
    Path { path: String, reason: String },
    #[error("extraction point is not a directory")]
    NotFolder,
    #[error("mounted volume is marked read-only")]
    ReadOnlyVolume,
    #[error("container rootfs is marked read-only")]
    ReadOnlyRoot,
    #[error("unable to find user {user}: no matching entries in passwd file")]
    NoSuchUser { user: String },
    #[error("unable to find group {group}: no matching entries in group file")]
    NoSuchGroup { group: String },
    // ... to here.
    #[error(
        "the files of container {id} are in use: {seconds} s have passed, and somebody copies them still"
    )]
    InUse { id: String, seconds: u64 },
    #[error("container {id} is restarting, wait until the container is running")]
    IsRestarting { id: String },
    #[error("container {id} is marked for removal and its files cannot be copied")]
    IsRemoving { id: String },
    #[error("cannot open the file system of container {id}")]
    Open { id: String, source: io::Error },
    #[error("cannot mount {source_path} at {target} of container {id}")]
    Mount { id: String, source_path: String, target: String, source: io::Error },
    #[error(transparent)]
    Archive(TreeError),
    #[error(transparent)]
    Extract(ExtractError),
    /// The archive's compression is at fault.
    #[error(transparent)]
    Decompress(images::ArchiveError),
}

impl Explain for FilesError {
    fn kind(&self) -> Kind {
        match self {
            Self::Lookup(error) => error.kind(),
            Self::Volume(error) => error.kind(),
            Self::Decompress(error) => error.kind(),
            Self::NotFound { .. } => Kind::NotFound,
            Self::NotFolder
            | Self::ReadOnlyVolume
            | Self::ReadOnlyRoot
            | Self::NoSuchUser { .. }
            | Self::NoSuchGroup { .. } => Kind::Invalid,
            Self::InUse { .. } | Self::IsRestarting { .. } | Self::IsRemoving { .. } => {
                Kind::Conflict
            }
            Self::Path { .. }
            | Self::Open { .. }
            | Self::Mount { .. }
            | Self::Archive(_)
            | Self::Extract(_) => Kind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotFolder => Some(
                "an archive goes into a folder: name the folder, and give the file its name in \
                 the archive"
                    .to_owned(),
            ),
            Self::ReadOnlyVolume | Self::ReadOnlyRoot => {
                Some("files can be copied from it, but not into it".to_owned())
            }
            Self::Decompress(error) => error.hint(),
            Self::Mount { .. } => {
                Some("what the container mounts has gone from the host".to_owned())
            }
            _ => None,
        }
    }
}
