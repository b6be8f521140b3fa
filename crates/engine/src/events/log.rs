//! The newest events on disk: two files of lines, one that grows and the one before it.
//!
//! A position counts bytes from the beginning of the older file that was there when the log
//! was opened, over both files and over every change of files: it says where to go on,
//! however long ago one was there. What has been thrown away meanwhile is skipped.
//!
//! Nothing here waits for the disk. After a crash of the host the last lines may be missing or
//! torn; what is not whole is cut off, and a line that makes no sense is passed over.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::Event;

/// The file that grows.
const CURRENT: &str = "events.jsonl";

/// The one before it.
const PREVIOUS: &str = "events.1.jsonl";

/// The one that will grow next, until the others have made room for it.
const NEXT: &str = "events.next.jsonl";

/// How long a file grows: some ten thousand events.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Bytes read at once. Nearly every line is shorter.
const READ_BYTES: usize = 64 << 10;

/// How every line begins, before its time.
const LINE_START: &[u8] = b"{\"at\":";

/// What is on disk.
#[derive(Debug)]
pub(super) struct Log {
    folder: PathBuf,
    previous: Option<Segment>,
    current: Segment,
    /// The disk is full, or worse: said once, until it is better.
    is_failing: bool,
}

/// A file, and the positions that are in it.
#[derive(Debug, Clone)]
struct Segment {
    file: Arc<File>,
    start: u64,
    length: u64,
}

impl Segment {
    fn end(&self) -> u64 {
        self.start + self.length
    }
}

impl Log {
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let previous = match File::open(folder.join(PREVIOUS)) {
            Ok(file) => {
                Some(Segment { start: 0, length: file.metadata()?.len(), file: file.into() })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let start = previous.as_ref().map_or(0, Segment::end);
        let file = open_current(folder)?;
        let length = whole_lines(&file)?;
        if length != file.metadata()?.len() {
            file.set_len(length)?;
        }
        let current = Segment { file: file.into(), start, length };
        Ok(Self { folder: folder.to_owned(), previous, current, is_failing: false })
    }

    /// Writes an event and says where it ends. A failure costs the past, and not the present:
    /// those who listen hear of the event all the same.
    pub(super) fn append(&mut self, event: &Event) -> Option<u64> {
        let mut line = serde_json::to_vec(event).expect("an event has string keys only");
        line.push(b'\n');
        match self.write(&line) {
            Ok(()) => {
                self.is_failing = false;
                Some(self.current.end())
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_failing, true) {
                    tracing::warn!(%error, "cannot keep events for later");
                }
                None
            }
        }
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let length = line.len() as u64;
        if self.current.length > 0 && self.current.length + length > FILE_BYTES_MAX {
            self.begin_file()?;
        }
        let written = (&*self.current.file).write_all(line);
        match written {
            Ok(()) => self.current.length += length,
            // Half a line would spoil the next one.
            Err(_) => self.current.file.set_len(self.current.length)?,
        }
        written
    }

    /// Changes files. What fails here is tried again with the next event, so that each step
    /// must be good for a second time.
    fn begin_file(&mut self) -> io::Result<()> {
        // A new file is what there may be no room or no descriptor for. It comes first: as long
        // as there is none, the others stay what they are.
        let path = self.folder.join(NEXT);
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
        file.set_len(0)?;
        match fs::rename(self.folder.join(CURRENT), self.folder.join(PREVIOUS)) {
            // It is called so already, or somebody has removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed?,
        }
        fs::rename(path, self.folder.join(CURRENT))?;
        let next = Segment { start: self.current.end(), length: 0, file: file.into() };
        self.previous = Some(std::mem::replace(&mut self.current, next));
        Ok(())
    }

    /// What is there now, to be read beside whoever writes. It stays readable when the files
    /// change.
    pub(super) fn reader(&self) -> Reader {
        Reader { segments: self.previous.iter().chain([&self.current]).cloned().collect() }
    }
}

fn open_current(folder: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).open(folder.join(CURRENT))
}

/// The length of a file without what follows its last whole line.
fn whole_lines(file: &File) -> io::Result<u64> {
    let mut end = file.metadata()?.len();
    let mut buffer = vec![0; READ_BYTES];
    while end > 0 {
        let start = end.saturating_sub(READ_BYTES as u64);
        let piece = &mut buffer[..usize::try_from(end - start).unwrap_or(READ_BYTES)];
        file.read_exact_at(piece, start)?;
        if let Some(at) = piece.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Reads a log as it was at one moment.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    segments: Vec<Segment>,
}

impl Reader {
    /// Where the oldest event begins.
    pub(super) fn start(&self) -> u64 {
        self.segments.first().map_or(0, |segment| segment.start)
    }

    /// Where the next event will begin.
    pub(super) fn end(&self) -> u64 {
        self.segments.last().map_or(0, Segment::end)
    }

    /// Some events from a position on that are not older than `since`, and where to go on.
    /// Without events, that is the end.
    pub(super) fn read(&self, mut position: u64, since: Option<Timestamp>) -> (Vec<Event>, u64) {
        let since = since.map(Timestamp::as_nanosecond);
        loop {
            let Some((lines, start)) = self.lines(position) else { return (Vec::new(), position) };
            let mut end = start;
            let mut events = Vec::new();
            for line in lines.split_inclusive(|byte| *byte == b'\n') {
                end += line.len() as u64;
                let is_old =
                    || since.is_some_and(|since| time_of(line).is_some_and(|at| at < since));
                if !is_old()
                    && let Ok(event) = serde_json::from_slice::<Event>(line)
                {
                    events.push(Event { position: Some(end), ..event });
                }
            }
            position = end;
            if !events.is_empty() {
                return (events, position);
            }
        }
    }

    /// Whole lines from a position on, and where they begin: later, if what was there is
    /// gone. `None` at the end.
    fn lines(&self, position: u64) -> Option<(Vec<u8>, u64)> {
        let segment = self.segments.iter().find(|segment| position < segment.end())?;
        let start = position.max(segment.start);
        let left = segment.end() - start;
        let mut size = READ_BYTES as u64;
        loop {
            let mut bytes = vec![0; usize::try_from(size.min(left)).ok()?];
            segment.file.read_exact_at(&mut bytes, start - segment.start).ok()?;
            if let Some(at) = bytes.iter().rposition(|byte| *byte == b'\n') {
                bytes.truncate(at + 1);
                return Some((bytes, start));
            }
            if size >= left {
                return None;
            }
            size *= 2;
        }
    }

    pub(super) fn runs(&self) -> HashSet<(String, String, Timestamp)> {
        let mut runs = HashSet::new();
        let mut position = 0;
        loop {
            let (events, next) = self.read(position, None);
            if events.is_empty() {
                return runs;
            }
            position = next;
            let told = events.into_iter();
            runs.extend(told.filter_map(|event| Some((event.id, event.action, event.run?))));
        }
    }
}

/// The time of a line, without reading the rest of it.
fn time_of(line: &[u8]) -> Option<i128> {
    let rest = line.strip_prefix(LINE_START)?;
    let digits = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}
