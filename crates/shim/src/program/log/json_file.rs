//! Docker's `json-file`: one JSON object a line, `{"log":"…\n","stream":"stdout","time":"…"}`.
//!
//! Whoever looks for a time in such a file bisects it, for lines are in the order of their
//! times. They are not when the clock is set back. Where that happened is noted beside the log,
//! in `<name>.jumps`: a line with the file's inode number, the offset from which times are in
//! order again, and the time of the file's first line. An inode number may be used again for a
//! later file, which then begins otherwise; and a rotation drops what was noted of files that
//! are gone.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::Source;
use super::file_log::Format;
use super::files::{FILE_MODE, Files, ignore_missing};
use super::json_text;
use super::lines::Entry;
use super::pack::Packing;

/// How much earlier than the one before an entry may be without counting as a jump. Parts of a
/// long line bear the time of its first part. Readers begin so much earlier.
const SLACK_NANOSECONDS: i64 = 1_000_000_000;

/// Jumps that are noted. A clock that does worse makes times useless anyway.
const JUMPS_MAX: u32 = 1000;

/// What is looked at when the end of a file is sought: the longest line, and more.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// Docker's `json-file`.
#[derive(Debug)]
pub(crate) struct JsonFile {
    /// What stands between an entry's text and its time.
    suffixes: [Vec<u8>; 2],
    /// The time that was written last, and its text.
    time: (i64, Vec<u8>),
    latest_time: i64,
    jumps: Vec<u64>,
    jumps_left: u32,
}

impl JsonFile {
    pub(super) fn new(attributes: &[(String, String)]) -> Self {
        let suffixes = ["stdout", "stderr"].map(|name| {
            let mut suffix = format!("\",\"stream\":\"{name}\"").into_bytes();
            if !attributes.is_empty() {
                suffix.extend_from_slice(b",\"attrs\":");
                suffix.extend_from_slice(&json_text::attributes(attributes));
            }
            suffix.extend_from_slice(b",\"time\":\"");
            suffix
        });
        Self {
            suffixes,
            time: (i64::MIN, Vec::new()),
            latest_time: i64::MIN,
            jumps: Vec::new(),
            jumps_left: JUMPS_MAX,
        }
    }

    fn push_time(&mut self, time: i64, out: &mut Vec<u8>) {
        // What was read at once is of the same time.
        if self.time.0 != time {
            self.time.0 = time;
            self.time.1.clear();
            json_text::push_time(&mut self.time.1, time);
        }
        out.extend_from_slice(&self.time.1);
    }

    fn watch_clock(&mut self, time: i64, position: u64) {
        if time < self.latest_time.saturating_sub(SLACK_NANOSECONDS) && self.jumps_left > 0 {
            self.jumps_left -= 1;
            self.jumps.push(position);
            self.latest_time = time;
        } else {
            self.latest_time = self.latest_time.max(time);
        }
    }
}

impl Format for JsonFile {
    const PACKING: Packing = Packing::Gzip;

    fn resume(&mut self, file: &File, size: u64) -> io::Result<u64> {
        let whole = end_of_lines(file, size)?;
        self.latest_time = last_time(file, whole)?.unwrap_or(i64::MIN);
        Ok(whole)
    }

    fn begin_file(&mut self, files: &Files) {
        // What is left too long costs a reader time, and hides nothing.
        let _ = forget_jumps(files.path(), &files.inodes());
    }

    fn push(&mut self, source: Source, entry: &Entry<'_>, batch: &mut Vec<u8>, position: u64) {
        self.watch_clock(entry.unix_nanoseconds, position + batch.len() as u64);
        batch.extend_from_slice(b"{\"log\":\"");
        json_text::push_line(batch, entry.text);
        if entry.is_end {
            batch.extend_from_slice(b"\\n");
        }
        let suffix = match source {
            Source::Stdout => &self.suffixes[0],
            Source::Stderr => &self.suffixes[1],
        };
        batch.extend_from_slice(suffix);
        self.push_time(entry.unix_nanoseconds, batch);
        batch.extend_from_slice(b"\"}\n");
    }

    fn written(&mut self, path: &Path, file: &File) {
        if !self.jumps.is_empty() {
            // Without the note, a reader may begin too late.
            let _ = note_jumps(path, file, &self.jumps);
            self.jumps.clear();
        }
    }
}

fn note_jumps(path: &Path, file: &File, jumps: &[u64]) -> io::Result<()> {
    let metadata = file.metadata()?;
    let inode = metadata.ino();
    // Older readers know lines without it only, but one that reads this as well is at hand.
    let first = first_time(file, metadata.len())?.map_or(String::new(), |time| format!(" {time}"));
    let text: String =
        jumps.iter().map(|position| format!("{inode} {position}{first}\n")).collect();
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(FILE_MODE)
        .open(notes(path))?
        .write_all(text.as_bytes())
}

/// Drops what was noted of files that are not among these.
fn forget_jumps(path: &Path, inodes: &[u64]) -> io::Result<()> {
    let path = notes(path);
    let text = match std::fs::read_to_string(&path) {
        // So it is nearly always.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        text => text?,
    };
    let is_kept = |line: &&str| {
        let inode = line.split(' ').next().and_then(|inode| inode.parse().ok());
        inode.is_some_and(|inode| inodes.contains(&inode))
    };
    let kept: String = text.split_inclusive('\n').filter(is_kept).collect();
    if kept.len() == text.len() {
        return Ok(());
    }
    if kept.is_empty() {
        return ignore_missing(std::fs::remove_file(path));
    }
    // In one step, for somebody may be reading.
    let mut next = path.clone().into_os_string();
    next.push(".next");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(FILE_MODE);
    options.open(&next)?.write_all(kept.as_bytes())?;
    std::fs::rename(next, path)
}

fn notes(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".jumps");
    name.into()
}

/// The time of a file's first line.
fn first_time(file: &File, size: u64) -> io::Result<Option<i64>> {
    let mut bytes = vec![0; usize::try_from(size.min(LINE_BYTES_MAX)).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, 0)?;
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    Ok(time_in(&bytes[..end]))
}

/// Where the last whole line of a file ends.
fn end_of_lines(file: &File, size: u64) -> io::Result<u64> {
    let (start, bytes) = read_end(file, size)?;
    let end = bytes.iter().rposition(|byte| *byte == b'\n').map(|index| start + index as u64 + 1);
    // A file without any is none of ours: it is left as it is.
    Ok(end.unwrap_or(size))
}

/// The time of the last of a file's lines, which all are whole.
pub(super) fn last_time(file: &File, size: u64) -> io::Result<Option<i64>> {
    let (_, bytes) = read_end(file, size)?;
    Ok(time_in(&bytes))
}

/// The last time in some lines.
fn time_in(bytes: &[u8]) -> Option<i64> {
    const KEY: &[u8] = b"\"time\":\"";
    let index = bytes.windows(KEY.len()).rposition(|window| window == KEY)?;
    json_text::parse_time(&bytes[index + KEY.len()..])
}

fn read_end(file: &File, size: u64) -> io::Result<(u64, Vec<u8>)> {
    let start = size.saturating_sub(LINE_BYTES_MAX);
    let mut bytes = vec![0; usize::try_from(size - start).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, start)?;
    Ok((start, bytes))
}
