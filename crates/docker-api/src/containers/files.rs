//! A container's files: what is at a path, and what has changed.

use serde::{Deserialize, Serialize};

/// The header in which an engine tells what is at a path: [`PathStat`] as JSON, in base 64.
pub const PATH_STAT_HEADER: &str = "X-Docker-Container-Path-Stat";

/// Asks our own engine for all portable extended attributes. Others take no notice.
pub const ALL_XATTRS: &str = "allXattrs";

/// What is at a path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PathStat {
    pub name: String,
    pub size: i64,
    /// As Go's `os.FileMode`: see [`FileMode`].
    pub mode: FileMode,
    pub mtime: String,
    pub link_target: String,
}

/// A file's kind and permissions, as Go has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FileMode(pub u32);

/// Go's bit, and what it stands for in `st_mode`: a kind (under the mask of kinds) or a flag.
const KINDS: [(u32, u32); 7] = [
    (GO_FOLDER, 0o040_000),
    (GO_SYMLINK, 0o120_000),
    (GO_DEVICE, 0o060_000),
    (GO_DEVICE | GO_CHARACTER_DEVICE, 0o020_000),
    (GO_PIPE, 0o010_000),
    (GO_SOCKET, 0o140_000),
    (0, 0o100_000),
];
const FLAGS: [(u32, u32); 3] = [(1 << 23, 0o4000), (1 << 22, 0o2000), (1 << 20, 0o1000)];

const GO_FOLDER: u32 = 1 << 31;
const GO_SYMLINK: u32 = 1 << 27;
const GO_DEVICE: u32 = 1 << 26;
const GO_PIPE: u32 = 1 << 25;
const GO_SOCKET: u32 = 1 << 24;
const GO_CHARACTER_DEVICE: u32 = 1 << 21;

/// The part of `st_mode` that is the kind.
const KIND_MASK: u32 = 0o170_000;

impl FileMode {
    /// From `st_mode`.
    pub fn from_unix(mode: u32) -> Self {
        let kind =
            KINDS.iter().find(|(_, unix)| mode & KIND_MASK == *unix).map_or(0, |kind| kind.0);
        let flags = FLAGS.iter().filter(|(_, unix)| mode & unix != 0).map(|(go, _)| go);
        Self(flags.fold(kind | mode & 0o777, |all, flag| all | flag))
    }

    pub fn is_folder(self) -> bool {
        self.0 & GO_FOLDER != 0
    }

    pub fn is_symlink(self) -> bool {
        self.0 & GO_SYMLINK != 0
    }

    /// What it is called if a file cannot be copied over it.
    pub fn unfit(self) -> Option<&'static str> {
        match self.0 {
            mode if mode & GO_DEVICE != 0 => Some("got a device"),
            mode if mode & (1 << 19) != 0 => Some("got an irregular file"),
            _ => None,
        }
    }
}

/// A file that differs from the image's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct FileChange {
    pub path: String,
    /// 0: changed, 1: added, 2: deleted.
    pub kind: u8,
}

/// An image was made of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CommitResponse {
    pub id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_gos() {
        let check = |unix, go| assert_eq!(FileMode::from_unix(unix).0, go, "{unix:o}");
        check(0o040_755, 2_147_484_141);
        check(0o120_777, 134_218_239);
        check(0o100_644, 420);
        check(0o104_755, (1 << 23) | 0o755);
        check(0o041_777, (1 << 31) | (1 << 20) | 0o777);
        check(0o020_666, (1 << 26) | (1 << 21) | 0o666);
    }
}
