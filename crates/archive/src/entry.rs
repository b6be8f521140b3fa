//! What an archive says of one file.

use crate::sparse::Fragment;

/// One file, folder, link or device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As it stands in the archive: it may be absolute, or climb.
    pub path: Vec<u8>,
    pub kind: Kind,
    /// Permissions, with setuid, setgid and sticky bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub modified: Time,
    pub accessed: Option<Time>,
    /// In the archive's order.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    File {
        /// Bytes that it has once unpacked.
        size: u64,
        /// Where its content goes, if not all of it stands in the archive.
        fragments: Option<Vec<Fragment>>,
    },
    Directory,
    Symlink {
        target: Vec<u8>,
    },
    /// Another name for the file at a path of the archive.
    HardLink {
        target: Vec<u8>,
    },
    CharacterDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
    Fifo,
}

/// A moment, in seconds since 1970 and nanoseconds after them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    pub seconds: i64,
    pub nanoseconds: u32,
}

impl Entry {
    /// The path, for messages.
    pub fn display(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }
}
