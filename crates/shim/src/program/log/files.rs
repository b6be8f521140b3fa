//! The files of a log, and their rotation.
//!
//! A file that has reached its limit is renamed to `<name>.1` before the next entry, that one
//! to `.2` and so on. Rotated files may be packed, in a process of their own: it takes a
//! moment, and memory that this process would keep. Nobody waits for it. A file that is
//! rotated while the one before is still being packed stays as it is, so a file's number may
//! belong to a packed file or to a plain one.
//!
//! A rotation that fails (no room, no descriptor, a file system that is read-only now) changes
//! as little as possible and is tried again with the next entry: the new file is there before
//! anything moves, and the oldest one goes only if there is no free number.
//!
//! Nothing is synced to the disk: a log line is not worth a container's speed.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use shim::protocol::LogFiles;

use super::pack::{PACK_ARGUMENT, Packing};

/// As Docker makes its log files.
pub(super) const FILE_MODE: u32 = 0o640;

/// Where a packed file grows until it is whole.
const UNFINISHED: &str = ".packing";

/// The next live file, before the present one has moved out of its way.
const NEXT: &str = ".next";

/// A log's files, of which the live one is open.
#[derive(Debug)]
pub(crate) struct Files {
    settings: LogFiles,
    packing: Packing,
    file: File,
    size: u64,
    packer: Option<Packer>,
}

/// Packs a rotated file.
#[derive(Debug)]
struct Packer {
    child: Child,
    /// The file's number, which grows with each rotation.
    number: u32,
}

impl Files {
    pub(super) fn open(settings: &LogFiles, packing: Packing) -> io::Result<Self> {
        let file = match open_file(&settings.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Of a driver that has a folder of its own.
                settings.path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
                open_file(&settings.path)?
            }
            other => other?,
        };
        let size = file.metadata()?.len();
        Ok(Self { settings: settings.clone(), packing, file, size, packer: None })
    }

    pub(super) fn path(&self) -> &Path {
        &self.settings.path
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Of every file that is not packed.
    pub(super) fn inodes(&self) -> Vec<u64> {
        // There may be as many as somebody thought of, but none is behind the first gap.
        let rotated = (1..self.settings.files_max)
            .take_while(|number| self.is_taken(*number).unwrap_or(false))
            .map(|number| numbered(&self.settings.path, number, ""));
        let paths = std::iter::once(self.settings.path.clone()).chain(rotated);
        paths.filter_map(|path| Some(std::fs::metadata(path).ok()?.ino())).collect()
    }

    /// Bytes in the live file.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Forgets what comes after `size` bytes.
    pub(super) fn cut(&mut self, size: u64) -> io::Result<()> {
        self.file.set_len(size)?;
        self.size = size;
        Ok(())
    }

    /// Whether the next entry belongs into a new file, when `pending` bytes are still to be
    /// written into this one.
    pub(super) fn is_full(&self, pending: usize) -> bool {
        let size = self.size + pending as u64;
        self.settings.size_max.is_some_and(|max| size >= max)
    }

    /// Writes all of it, or nothing.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(bytes);
        match written {
            Ok(()) => self.size += bytes.len() as u64,
            // A part may have been written. Half an entry would spoil the next one.
            Err(_) => drop(self.file.set_len(self.size)),
        }
        written
    }

    /// Moves the live file out of the way, with those before it, and begins a new one.
    pub(super) fn rotate(&mut self) -> io::Result<()> {
        self.finish_packing();
        let next = suffixed(&self.settings.path, NEXT);
        let file = open_file(&next)?;
        let oldest = self.settings.files_max.saturating_sub(1);
        // Somebody may have removed the live file: then there is nothing to make room for.
        let moves = oldest > 0 && self.settings.path.try_exists()?;
        let path = self.settings.path.clone();
        if moves {
            self.free_first(oldest)?;
            std::fs::rename(&path, numbered(&path, 1, ""))?;
        }
        // Readers may be at work in a file that is replaced, so it is not cut but left to them.
        if let Err(error) = std::fs::rename(&next, &path) {
            if moves {
                let _ = std::fs::rename(numbered(&path, 1, ""), &path);
            }
            return Err(error);
        }
        self.file = file;
        self.size = 0;
        if moves {
            self.pack_next();
        }
        Ok(())
    }

    /// Makes the number 1 free. Files move up to the first free number only: should a rotation
    /// have failed half-way, the next one goes on there, and pushes nothing out.
    fn free_first(&mut self, oldest: u32) -> io::Result<()> {
        let mut free = 1;
        while free <= oldest && self.is_taken(free)? {
            free += 1;
        }
        if free > oldest {
            self.remove(oldest)?;
            free = oldest;
        }
        (1..free).rev().try_for_each(|number| self.move_up(number))
    }

    /// The extensions of rotated files.
    fn extensions(&self) -> impl Iterator<Item = &'static str> + use<> {
        let packed = self.settings.compress.then(|| self.packing.extension());
        std::iter::once("").chain(packed)
    }

    fn is_taken(&self, number: u32) -> io::Result<bool> {
        for extension in self.extensions() {
            if numbered(&self.settings.path, number, extension).try_exists()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn remove(&mut self, number: u32) -> io::Result<()> {
        for extension in self.extensions() {
            ignore_missing(std::fs::remove_file(numbered(&self.settings.path, number, extension)))?;
        }
        // What becomes of its packing is thrown away.
        self.packer_follows(number);
        Ok(())
    }

    fn move_up(&mut self, number: u32) -> io::Result<()> {
        let path = &self.settings.path;
        for extension in self.extensions() {
            let from = numbered(path, number, extension);
            ignore_missing(std::fs::rename(from, numbered(path, number + 1, extension)))?;
        }
        self.packer_follows(number);
        Ok(())
    }

    /// The file of this number has the next one now.
    fn packer_follows(&mut self, number: u32) {
        if let Some(packer) = self.packer.as_mut().filter(|packer| packer.number == number) {
            packer.number += 1;
        }
    }

    fn pack_next(&mut self) {
        if self.packer.is_none() && self.settings.compress {
            let path = &self.settings.path;
            let to = suffixed(path, UNFINISHED);
            let child = spawn_packer(self.packing, &numbered(path, 1, ""), &to);
            // If it cannot be packed, it stays as it is.
            self.packer = child.ok().map(|child| Packer { child, number: 1 });
        }
    }

    /// Puts what was packed in the place of the plain file, if it is ready.
    fn finish_packing(&mut self) {
        if let Some(packer) = &mut self.packer
            && let Some(packed) = packer.child.try_wait().transpose()
        {
            let is_whole = packed.is_ok_and(|status| status.success());
            let number = packer.number;
            self.packer = None;
            self.replace_by_packed(number, is_whole);
        }
    }

    fn replace_by_packed(&self, number: u32, is_whole: bool) {
        let path = &self.settings.path;
        let plain = numbered(path, number, "");
        let packed = numbered(path, number, self.packing.extension());
        let unfinished = suffixed(path, UNFINISHED);
        // It may have gone, as the oldest, in the meantime.
        let done = if is_whole && plain.exists() {
            std::fs::rename(&unfinished, packed).and_then(|()| std::fs::remove_file(plain))
        } else {
            std::fs::remove_file(unfinished)
        };
        // The log is whole in either case, for the plain file goes last.
        drop(done);
    }

    /// Waits for what is still being packed.
    pub(super) fn close(mut self) {
        if let Some(packer) = &mut self.packer {
            // It can only fail if there is nothing to wait for.
            let _ = packer.child.wait();
        }
        self.finish_packing();
    }
}

pub(super) fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(FILE_MODE).open(path)
}

/// A rotated file's name, counted from the youngest.
fn numbered(path: &Path, number: u32, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}{extension}"));
    name.into()
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

pub(super) fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// The file is handed over open: it may be called otherwise by the time the packer runs.
fn spawn_packer(packing: Packing, from: &Path, to: &Path) -> io::Result<Child> {
    Command::new("/proc/self/exe")
        .args([PACK_ARGUMENT, packing.name()])
        .arg(to)
        .stdin(File::open(from)?)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}
