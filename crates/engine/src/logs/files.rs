//! A log's files, from the oldest to the live one, and where reading begins.
//!
//! Rotation renames `x.log` to `x.log.1`, that to `x.log.2` and so on; any of them but the live
//! one may be packed.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use shim::local_log::PACKED_EXTENSION;

use super::file::{LogFile, inode};
use super::json_file::JsonFile;
use super::local::Local;
use super::place::Format;

/// Rotated files that are looked for. Docker allows as many as one likes; whoever wants more
/// history than this wants another driver.
const ROTATED_MAX: u32 = 1000;

/// How often the files are looked for while they are rotated faster than that. What is found then
/// may have a gap, so this is more than two seconds.
const LOOKS_MAX: u32 = 220;

/// How much longer to wait each time before the files are looked for again.
const LOOK_PAUSE: Duration = Duration::from_millis(1);

/// After so many times it is not longer any more.
const LOOK_PAUSES_MAX: u32 = 10;

/// Where a container's log is.
#[derive(Debug, Clone)]
pub(super) struct LogFiles {
    pub(super) format: Format,
    pub(super) path: PathBuf,
}

/// A file that was found under one of the log's names.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) file: LogFile,
    pub(super) inode: u64,
}

/// What of a log is wanted, as far as it decides where to begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beginning {
    /// Only so many of the last entries.
    pub(super) tail: Option<u64>,
    /// Nanoseconds since the epoch.
    pub(super) since: Option<i64>,
}

impl LogFiles {
    /// The files to read, in order, each positioned where reading begins. The live one is last.
    pub(super) fn open(&self, beginning: Beginning) -> io::Result<VecDeque<Found>> {
        self.between_rotations(|| self.look_back_to(beginning))
    }

    /// The files that come after the one that is called `inode` and whose last entry is of
    /// `last_time`.
    pub(super) fn after(&self, inode: u64, last_time: i64) -> io::Result<VecDeque<Found>> {
        self.between_rotations(|| self.look_back_after(inode, last_time))
    }

    /// Looks again if the files were renamed in the meantime: one may have been seen twice then,
    /// or at another's place.
    fn between_rotations(
        &self,
        look: impl Fn() -> io::Result<VecDeque<Found>>,
    ) -> io::Result<VecDeque<Found>> {
        let live = || std::fs::metadata(&self.path).ok().map(|metadata| metadata.ino());
        for attempt in 1..LOOKS_MAX {
            let before = live();
            let found = look()?;
            // The live file is renamed last of all, so the others are looked at as well, and
            // before it: see [`has_hole`](Self::has_hole).
            let is_still = !has_twins(&found) && !self.has_hole();
            if is_still && before.is_some() && live() == before {
                return Ok(found);
            }
            std::thread::sleep(LOOK_PAUSE * attempt.min(LOOK_PAUSES_MAX));
        }
        look()
    }

    /// Whether a number has no file though a later one has: they are being renamed.
    ///
    /// While they are, one number is free, and that goes down from the oldest file's to the live
    /// one's. So this goes down as well: whoever went up could pass it by without seeing it. What
    /// keeps ahead of us leaves at the bottom, and the live file is another one then.
    fn has_hole(&self) -> bool {
        let exists = |number| {
            let packed = numbered(&self.path, number, self.format.packed_extension());
            numbered(&self.path, number, "").exists() || packed.exists()
        };
        let is_end = |number: &u32| !exists(*number) && !exists(number + 1);
        let oldest = (1..=ROTATED_MAX).find(is_end).map_or(ROTATED_MAX, |end| end - 1);
        (1..=oldest).rev().any(|number| !exists(number))
    }

    fn look_back_to(&self, beginning: Beginning) -> io::Result<VecDeque<Found>> {
        let mut files = VecDeque::new();
        let mut left = beginning.tail;
        for number in 0..=ROTATED_MAX {
            // The live file belongs to the list even when nothing of it is wanted: it is where
            // following goes on.
            if left == Some(0) && number > 0 {
                break;
            }
            let Some(mut found) = self.find(number)? else {
                // Between two renames there may be no live file.
                if number == 0 {
                    continue;
                }
                break;
            };
            let mut is_last = false;
            if let Some(wanted) = &mut left {
                *wanted -= found.file.seek_tail(*wanted)?;
            } else if let Some(since) = beginning.since {
                is_last = !found.file.may_begin_after(since)?;
                found.file.seek_time(since)?;
            }
            files.push_front(found);
            if is_last {
                break;
            }
        }
        Ok(files)
    }

    fn look_back_after(&self, inode: u64, last_time: i64) -> io::Result<VecDeque<Found>> {
        let mut files = VecDeque::new();
        for number in 0..=ROTATED_MAX {
            let Some(mut found) = self.find(number)? else {
                if number == 0 {
                    continue;
                }
                break;
            };
            if found.inode == inode {
                break;
            }
            // Files' times grow from one to the next. One that was packed since it was read has
            // another inode, but no later entry.
            if found.file.last_time()?.is_some_and(|time| time <= last_time) {
                break;
            }
            files.push_front(found);
        }
        Ok(files)
    }

    fn find(&self, number: u32) -> io::Result<Option<Found>> {
        if let Some(file) = open_if_there(&numbered(&self.path, number, ""))? {
            let inode = inode(&file)?;
            let file = match self.format {
                Format::JsonFile => LogFile::JsonFile(JsonFile::plain(file, &self.path)?),
                Format::Local => LogFile::Local(Local::plain(file)),
            };
            return Ok(Some(Found { file, inode }));
        }
        if number == 0 {
            return Ok(None);
        }
        let packed = numbered(&self.path, number, self.format.packed_extension());
        let Some(file) = open_if_there(&packed)? else {
            return Ok(None);
        };
        let inode = inode(&file)?;
        let file = match self.format {
            Format::JsonFile => LogFile::JsonFile(JsonFile::packed(file, &self.path)),
            Format::Local => LogFile::Local(Local::packed(file)),
        };
        Ok(Some(Found { file, inode }))
    }
}

impl Format {
    fn packed_extension(self) -> &'static str {
        match self {
            Self::JsonFile => ".gz",
            Self::Local => PACKED_EXTENSION,
        }
    }
}

/// Whether a file was seen under two names.
fn has_twins(files: &VecDeque<Found>) -> bool {
    let inodes: HashSet<u64> = files.iter().map(|found| found.inode).collect();
    inodes.len() < files.len()
}

fn open_if_there(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn numbered(path: &Path, number: u32, extension: &str) -> PathBuf {
    match number {
        0 => path.to_owned(),
        _ => {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{number}{extension}"));
            name.into()
        }
    }
}

#[cfg(test)]
mod tests;
