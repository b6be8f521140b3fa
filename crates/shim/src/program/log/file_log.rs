//! A log in files, whatever their format.

use std::fs::File;
use std::io;
use std::path::Path;

use shim::protocol::LogFiles;

use super::files::Files;
use super::lines::Entry;
use super::pack::Packing;
use super::{Sink, Source};

/// What is gathered at most before it is written.
const BATCH_BYTES_MAX: usize = 512 << 10;

/// How entries are written into a file.
pub(super) trait Format {
    const PACKING: Packing;

    /// Goes on with a file of `size` bytes; says how many of them belong to whole entries.
    fn resume(&mut self, file: &File, size: u64) -> io::Result<u64>;

    /// The next entry is the first of a file, which is the live one of these.
    fn begin_file(&mut self, files: &Files);

    /// Adds an entry to a batch that will be written at `position`.
    fn push(&mut self, source: Source, entry: &Entry<'_>, batch: &mut Vec<u8>, position: u64);

    /// What was added is in the file.
    fn written(&mut self, path: &Path, file: &File);
}

/// A log in files.
#[derive(Debug)]
pub(crate) struct FileLog<F> {
    files: Files,
    format: F,
    batch: Vec<u8>,
    batch_entries: u64,
    last_time: i64,
    /// Entries of the first time get the second. A file's entries are all later than those of
    /// the file before (but for a clock that was set back): that is how a reader tells which
    /// comes next.
    postponed: Option<(i64, i64)>,
    lost: u64,
}

impl<F: Format> FileLog<F> {
    /// Goes on with the file that is there, or begins one.
    pub(super) fn open(settings: &LogFiles, mut format: F) -> io::Result<Self> {
        let mut files = Files::open(settings, F::PACKING)?;
        if files.size() > 0 {
            resume(&mut files, &mut format)?;
        }
        Ok(Self {
            files,
            format,
            batch: Vec::new(),
            batch_entries: 0,
            last_time: i64::MIN,
            postponed: None,
            lost: 0,
        })
    }

    /// Entries that could not be written.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// Gives memory back that only a busy log needs.
    pub(super) fn rest(&mut self) {
        self.batch = Vec::new();
    }

    /// Waits for what is still being packed.
    pub(super) fn close(self) {
        self.files.close();
    }

    fn rotate(&mut self) {
        self.flush();
        // If it fails, the log goes on in the file that is too large.
        if self.files.rotate().is_ok() {
            self.format.begin_file(&self.files);
            let from = self.postponed.map_or(self.last_time, |(from, _)| from);
            self.postponed = Some((from, self.last_time.saturating_add(1)));
        }
    }

    fn time_of(&mut self, entry: &Entry<'_>) -> i64 {
        match self.postponed {
            Some((from, to)) if entry.unix_nanoseconds == from => to,
            Some(_) => {
                self.postponed = None;
                entry.unix_nanoseconds
            }
            None => entry.unix_nanoseconds,
        }
    }
}

impl<F: Format> Sink for FileLog<F> {
    fn push(&mut self, source: Source, entry: &Entry<'_>) {
        if self.files.is_full(self.batch.len()) {
            self.rotate();
        } else if self.batch.len() >= BATCH_BYTES_MAX {
            self.flush();
        }
        let unix_nanoseconds = self.time_of(entry);
        self.last_time = unix_nanoseconds;
        let entry = Entry { unix_nanoseconds, ..*entry };
        self.format.push(source, &entry, &mut self.batch, self.files.size());
        self.batch_entries += 1;
    }

    fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        if self.files.append(&self.batch).is_ok() {
            self.format.written(self.files.path(), self.files.file());
        } else {
            self.lost += self.batch_entries;
            // What the format believes to have written is not there.
            let _ = resume(&mut self.files, &mut self.format);
        }
        self.batch.clear();
        self.batch_entries = 0;
    }
}

/// An entry that was cut off by a crash would spoil the next one.
fn resume(files: &mut Files, format: &mut impl Format) -> io::Result<()> {
    let whole = format.resume(files.file(), files.size())?;
    if whole < files.size() { files.cut(whole) } else { Ok(()) }
}
