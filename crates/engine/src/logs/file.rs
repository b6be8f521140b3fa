//! One file of a log, whatever its format.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;

use super::LogEntry;
use super::json_file::JsonFile;
use super::local::Local;

/// What is read of a file at once, before it is made sense of.
pub(super) const READ_BYTES: usize = 64 << 10;

/// One file of a log, and how far it was read.
///
/// A live file grows while it is read. After a crash of its writer it may also lose its end, if
/// that was not a whole entry.
#[derive(Debug)]
pub(super) enum LogFile {
    JsonFile(JsonFile),
    Local(Local),
}

impl LogFile {
    /// Goes to where entries of `since` or later begin, or somewhat before that.
    pub(super) fn seek_time(&mut self, since: i64) -> io::Result<()> {
        match self {
            Self::JsonFile(file) => file.seek_time(since),
            Self::Local(file) => file.seek_time(since),
        }
    }

    /// Whether files older than this one may have entries of `since` or later.
    pub(super) fn may_begin_after(&mut self, since: i64) -> io::Result<bool> {
        match self {
            Self::JsonFile(file) => file.may_begin_after(since),
            Self::Local(file) => file.may_begin_after(since),
        }
    }

    /// Goes to the last `wanted` entries; says how many there are, if fewer.
    pub(super) fn seek_tail(&mut self, wanted: u64) -> io::Result<u64> {
        match self {
            Self::JsonFile(file) => file.seek_tail(wanted),
            Self::Local(file) => file.seek_tail(wanted),
        }
    }

    /// The time of the last entry; of the latest, if that is known instead.
    pub(super) fn last_time(&mut self) -> io::Result<Option<i64>> {
        match self {
            Self::JsonFile(file) => file.last_time(),
            Self::Local(file) => file.last_time(),
        }
    }

    /// Adds the next entries to `entries`. `false`: there are no more at present.
    pub(super) fn read(&mut self, entries: &mut Vec<LogEntry>) -> io::Result<bool> {
        match self {
            Self::JsonFile(file) => file.read(entries),
            Self::Local(file) => file.read(entries),
        }
    }
}

/// Tells a file from every other, whatever it is called.
pub(super) fn inode(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.ino())
}

/// Where a row of `count` things, ordered by `is_before`, has its first that is not.
pub(super) fn partition(
    count: u64,
    mut is_before: impl FnMut(u64) -> io::Result<bool>,
) -> io::Result<u64> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_before(middle)? {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}
