//! Reading Docker's `json-file`: a JSON object a line, with its time at its end.
//!
//! Lines are in the order of their times, so a time is looked for by bisecting the file. Where
//! the clock was set back, the writer notes it (`<name>.jumps`): between two such places lines
//! are in order, and each such piece is bisected on its own.
//!
//! A packed file (`.gz`) has to be unpacked before it can be read, into a file without a name.
//! Its header has the time of its last line, so what is too old is left packed.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use jiff::Timestamp;
use serde::Deserialize;

use super::LogEntry;
use super::entry::nanoseconds;
use super::file::{READ_BYTES, inode};

/// How much earlier than the one before a line may be without being noted. See the writer.
const SLACK_NANOSECONDS: i64 = 1_000_000_000;

/// Of so much it is not worth to halve it again.
const BISECT_BYTES_MIN: u64 = 16 << 10;

/// The longest line that is believed.
const LINE_BYTES_MAX: usize = 4 << 20;

/// What is read at first in search of a line.
const PROBE_BYTES: usize = 4096;

/// What is read at once in search of lines from the end.
const CHUNK_BYTES: u64 = 64 << 10;

/// A file of Docker's format.
#[derive(Debug)]
pub(super) struct JsonFile {
    state: State,
    folder: PathBuf,
    /// Offsets from which times are in order again.
    jumps: Vec<u64>,
    /// Where the first line begins that was not taken yet.
    taken: u64,
    /// What was read from there on.
    buffer: Vec<u8>,
    /// What is read belongs to something that is too long for a line, and began here. It is
    /// passed over up to the next line feed.
    skipped_from: Option<u64>,
}

#[derive(Debug)]
enum State {
    Plain(File),
    /// With the time of its last line, if the packer has noted it.
    Packed(File, Option<i64>),
}

impl JsonFile {
    pub(super) fn plain(file: File, path: &Path) -> io::Result<Self> {
        let jumps = read_jumps(path, &file)?;
        Ok(Self::new(State::Plain(file), path, jumps))
    }

    pub(super) fn packed(file: File, path: &Path) -> Self {
        let decoder = GzDecoder::new(&file);
        let last_time = decoder.header().and_then(|header| extra_time(header.extra()?));
        Self::new(State::Packed(file, last_time), path, Vec::new())
    }

    fn new(state: State, path: &Path, jumps: Vec<u64>) -> Self {
        let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
        Self { state, folder, jumps, taken: 0, buffer: Vec::new(), skipped_from: None }
    }

    /// Unpacks it, if that was not done yet.
    fn file(&mut self) -> io::Result<&File> {
        if let State::Packed(packed, _) = &self.state {
            let unpacked = unpack(packed, &self.folder)?;
            self.state = State::Plain(unpacked);
        }
        match &self.state {
            State::Plain(file) => Ok(file),
            State::Packed(..) => unreachable!("it was unpacked just now"),
        }
    }

    fn go_to(&mut self, position: u64) {
        self.taken = position;
        self.buffer.clear();
        self.skipped_from = None;
    }

    pub(super) fn seek_time(&mut self, since: i64) -> io::Result<()> {
        if matches!(self.state, State::Packed(_, Some(last)) if last < since) {
            // Nothing of it is wanted. It stays packed, and is as good as empty.
            self.state = State::Plain(unnamed(&self.folder)?);
            return Ok(());
        }
        let since = since.saturating_sub(SLACK_NANOSECONDS);
        let jumps = std::mem::take(&mut self.jumps);
        let file = self.file()?;
        let size = file.metadata()?.len();
        let mut start = 0;
        let mut found = size;
        for end in jumps.iter().copied().chain([size]) {
            let end = end.min(size);
            let position = bisect(file, start, end, since)?;
            if position < end {
                found = position;
                break;
            }
            start = end;
        }
        self.jumps = jumps;
        self.go_to(found);
        Ok(())
    }

    pub(super) fn may_begin_after(&mut self, since: i64) -> io::Result<bool> {
        if matches!(self.state, State::Packed(_, Some(last)) if last < since) {
            return Ok(false);
        }
        if !self.jumps.is_empty() {
            return Ok(true);
        }
        let file = self.file()?;
        let size = file.metadata()?.len();
        let first = line_from(file, 0, size)?.map(|line| line.time);
        // A file without a line says nothing.
        Ok(first.is_none_or(|time| time >= since.saturating_sub(SLACK_NANOSECONDS)))
    }

    pub(super) fn last_time(&mut self) -> io::Result<Option<i64>> {
        if let State::Packed(_, last @ Some(_)) = self.state {
            return Ok(last);
        }
        let file = self.file()?;
        let size = file.metadata()?.len();
        let start = size.saturating_sub(LINE_BYTES_MAX as u64);
        let mut bytes = vec![0; (size - start) as usize];
        file.read_exact_at(&mut bytes, start)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        Ok(bytes[..whole].rsplit(|byte| *byte == b'\n').find_map(time_of))
    }

    pub(super) fn seek_tail(&mut self, wanted: u64) -> io::Result<u64> {
        let file = self.file()?;
        let (position, found) = last_lines(file, wanted)?;
        self.go_to(position);
        Ok(found)
    }

    pub(super) fn read(&mut self, entries: &mut Vec<LogEntry>) -> io::Result<bool> {
        let (mut taken, mut had) = (self.taken, self.buffer.len());
        let mut skipped_from = self.skipped_from;
        let mut buffer = std::mem::take(&mut self.buffer);
        let file = self.file()?;
        let position = taken + had as u64;
        buffer.resize(had + READ_BYTES, 0);
        let mut count = read_at(file, &mut buffer[had..], position)?;
        buffer.truncate(had + count);
        let line_start = skipped_from.unwrap_or(taken);
        if count == 0 && line_start < position && file.metadata()?.len() < position {
            // The end was cut off, for it was not a whole line. What comes now is read anew.
            (taken, had, skipped_from) = (line_start, 0, None);
            buffer.clear();
            buffer.resize(READ_BYTES, 0);
            count = read_at(file, &mut buffer, taken)?;
            buffer.truncate(count);
        }
        if skipped_from.is_some() {
            let feed = buffer.iter().position(|byte| *byte == b'\n');
            let skipped = feed.map_or(buffer.len(), |index| index + 1);
            if feed.is_some() {
                skipped_from = None;
            }
            buffer.drain(..skipped);
            taken += skipped as u64;
        }
        // What was there before has no line feed.
        let whole = buffer[had..].iter().rposition(|byte| *byte == b'\n');
        let whole = whole.map_or(0, |index| had + index + 1);
        let lines = buffer[..whole].split(|byte| *byte == b'\n');
        // A line that was spoilt by a crash of its writer is passed over.
        entries.extend(lines.filter(|line| !line.is_empty()).filter_map(|line| parse(line).ok()));
        buffer.drain(..whole);
        taken += whole as u64;
        if buffer.len() > LINE_BYTES_MAX {
            // Not a line, but garbage: a crash of the host can leave any number of zeros.
            skipped_from = Some(taken);
            taken += buffer.len() as u64;
            buffer = Vec::new();
        }
        (self.taken, self.buffer, self.skipped_from) = (taken, buffer, skipped_from);
        Ok(count > 0)
    }
}

/// A line's place and time.
struct Line {
    start: u64,
    /// Where the next one begins.
    end: u64,
    time: i64,
}

/// The beginning of a line before which every line is earlier than `since`, near the first
/// that is not; `end` if there is none. Both `start` and `end` are beginnings of lines.
///
/// Between lines there may be garbage of any length, which has to be read to be passed over.
fn bisect(file: &File, start: u64, end: u64, since: i64) -> io::Result<u64> {
    let (mut low, mut high) = (start, end);
    while high - low > BISECT_BYTES_MIN {
        let middle = low + (high - low) / 2;
        match line_after(file, middle, high)? {
            Some(line) if line.time < since => low = line.end,
            // Not the line's beginning: there may be garbage before it, which would be halved
            // and read again and again.
            Some(_) | None => high = middle,
        }
    }
    // The rest, line by line.
    while let Some(line) = line_from(file, low, end)? {
        if line.time >= since {
            return Ok(line.start);
        }
        low = line.end;
    }
    Ok(end)
}

/// The first line that begins after `position` and ends before `end`.
fn line_after(file: &File, position: u64, end: u64) -> io::Result<Option<Line>> {
    match find_line_feed(file, position, end)? {
        Some(feed) => line_from(file, feed + 1, end),
        None => Ok(None),
    }
}

/// The first line from `start` on, where one begins, that has a time.
fn line_from(file: &File, mut start: u64, end: u64) -> io::Result<Option<Line>> {
    while start < end {
        let Some(feed) = find_line_feed(file, start, end)? else { break };
        // The end of garbage may be a line: whoever wrote it did not know what it follows.
        let from = start.max(feed.saturating_sub(LINE_BYTES_MAX as u64));
        let mut bytes = vec![0; (feed - from) as usize];
        file.read_exact_at(&mut bytes, from)?;
        if let Some(time) = time_of(&bytes) {
            return Ok(Some(Line { start, end: feed + 1, time }));
        }
        start = feed + 1;
    }
    Ok(None)
}

fn find_line_feed(file: &File, position: u64, end: u64) -> io::Result<Option<u64>> {
    let mut bytes = vec![0; PROBE_BYTES];
    let mut from = position;
    while from < end {
        let wanted = bytes.len().min(usize::try_from(end - from).unwrap_or(usize::MAX));
        let count = read_at(file, &mut bytes[..wanted], from)?;
        if count == 0 {
            return Ok(None);
        }
        if let Some(index) = bytes[..count].iter().position(|byte| *byte == b'\n') {
            return Ok(Some(from + index as u64));
        }
        from += count as u64;
        bytes.resize(READ_BYTES, 0);
    }
    Ok(None)
}

/// The time at the end of a line.
fn time_of(line: &[u8]) -> Option<i64> {
    const KEY: &[u8] = b"\"time\":\"";
    let start = line.windows(KEY.len()).rposition(|window| window == KEY)? + KEY.len();
    let text = line[start..].split(|byte| *byte == b'"').next()?;
    Some(nanoseconds(std::str::from_utf8(text).ok()?.parse().ok()?))
}

/// Where the last `wanted` lines begin, and how many there are, if fewer.
fn last_lines(file: &File, wanted: u64) -> io::Result<(u64, u64)> {
    let end = file.metadata()?.len();
    if wanted == 0 {
        return Ok((end, 0));
    }
    let (mut position, mut found) = (end, 0);
    let mut chunk = vec![0; CHUNK_BYTES as usize];
    while position > 0 {
        let length = position.min(CHUNK_BYTES);
        position -= length;
        let bytes = &mut chunk[..length as usize];
        file.read_exact_at(bytes, position)?;
        for (index, _) in bytes.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let after = position + index as u64 + 1;
            // The last line feed ends the last line, and begins none.
            if after == end {
                continue;
            }
            found += 1;
            if found == wanted {
                return Ok((after, wanted));
            }
        }
    }
    Ok((0, if end == 0 { 0 } else { found + 1 }))
}

fn read_at(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, position) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn unpack(packed: &File, folder: &Path) -> io::Result<File> {
    let mut unpacked = unnamed(folder)?;
    io::Seek::rewind(&mut &*packed)?;
    let mut decoder = GzDecoder::new(packed);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match decoder.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => unpacked.write_all(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // What was unpacked is good, and the log's other files are not damaged.
            Err(error) => {
                tracing::warn!(%error, "a packed file of a log is damaged; its rest is left out");
                break;
            }
        }
    }
    Ok(unpacked)
}

/// A file that goes with its descriptor.
fn unnamed(folder: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::TMPFILE.bits().cast_signed();
    OpenOptions::new().read(true).write(true).custom_flags(flags).mode(0o600).open(folder)
}

/// What Docker notes in a packed file's header: `{"lastTime":"…"}`.
fn extra_time(extra: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Extra {
        last_time: Timestamp,
    }
    let extra: Extra = serde_json::from_slice(extra).ok()?;
    Some(nanoseconds(extra.last_time))
}

/// What was noted of a file. None is the rule.
fn read_jumps(path: &Path, file: &File) -> io::Result<Vec<u64>> {
    let mut name = path.as_os_str().to_owned();
    name.push(".jumps");
    let mut text = String::new();
    if File::open(name).and_then(|mut file| file.read_to_string(&mut text)).is_err() {
        return Ok(Vec::new());
    }
    let own = inode(file)?;
    let of_inode = text.lines().filter_map(|line| line.split_once(' '));
    let of_inode: Vec<&str> =
        of_inode.filter(|(of, _)| of.parse() == Ok(own)).map(|(_, noted)| noted).collect();
    if of_inode.is_empty() {
        return Ok(Vec::new());
    }
    let first = line_from(file, 0, file.metadata()?.len())?.map(|line| line.time);
    // An inode number may have been that of an older file, which began with another time. What
    // earlier writers noted does not say.
    let position = |noted: &str| match noted.split_once(' ') {
        Some((position, time)) if time.parse().ok() == first => position.parse().ok(),
        Some(_) => None,
        None => noted.parse().ok(),
    };
    let mut jumps: Vec<u64> = of_inode.into_iter().filter_map(position).collect();
    jumps.sort_unstable();
    Ok(jumps)
}

/// A line as it is in the file.
#[derive(Deserialize)]
struct Text {
    #[serde(default)]
    log: String,
    #[serde(default)]
    stream: String,
    #[serde(default)]
    attrs: serde_json::Map<String, serde_json::Value>,
    time: Timestamp,
}

/// Reads a line without its line feed.
fn parse(line: &[u8]) -> io::Result<LogEntry> {
    let line: Text = serde_json::from_slice(line)?;
    let text = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    Ok(LogEntry {
        at: line.time,
        is_stderr: line.stream == "stderr",
        text: line.log.into_bytes(),
        attributes: line.attrs.into_iter().map(|(key, value)| (key, text(value))).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_own_lines_are_read() {
        let line = br#"{"log":"a\u003cb\n","stream":"stderr","attrs":{"k":"v"},"time":"2026-01-02T03:04:05.000000006Z"}"#;
        let entry = parse(line).unwrap();
        assert_eq!(entry.text, b"a<b\n");
        assert!(entry.is_stderr);
        assert_eq!(entry.attributes, [("k".to_owned(), "v".to_owned())]);
        assert_eq!(entry.at.to_string(), "2026-01-02T03:04:05.000000006Z");
        assert_eq!(time_of(line), Some(nanoseconds(entry.at)));
    }

    #[test]
    fn half_a_line_is_an_error() {
        assert!(parse(br#"{"log":"a"#).is_err());
    }

    /// Reads all there is, and says how much was kept in memory for it.
    fn read_all(file: &mut JsonFile) -> (Vec<String>, usize) {
        let (mut entries, mut kept) = (Vec::new(), 0);
        while file.read(&mut entries).unwrap() {
            kept = kept.max(file.buffer.len());
        }
        let texts = entries.into_iter().map(|entry| String::from_utf8(entry.text).unwrap());
        (texts.collect(), kept)
    }

    #[test]
    fn garbage_without_an_end_is_not_gathered() {
        use std::io::Seek as _;
        let line = |text: &str| {
            format!("{{\"log\":\"{text}\",\"time\":\"2026-01-02T03:04:05Z\"}}\n").into_bytes()
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, line("a")).unwrap();
        let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
        let garbage_at = writer.seek(io::SeekFrom::End(0)).unwrap();
        // A hole is zeros, and takes no room.
        writer.set_len(16 << 20).unwrap();
        let mut file = JsonFile::plain(File::open(&path).unwrap(), &path).unwrap();
        let (texts, kept) = read_all(&mut file);
        assert_eq!(texts, ["a"]);
        assert!(kept <= LINE_BYTES_MAX, "{kept}");

        // The writer may cut it off, and go on.
        writer.set_len(garbage_at).unwrap();
        writer.seek(io::SeekFrom::End(0)).unwrap();
        assert!(read_all(&mut file).0.is_empty());
        writer.write_all(&line("b")).unwrap();
        assert_eq!(read_all(&mut file).0, ["b"]);

        // Or go on behind it.
        writer.set_len(16 << 20).unwrap();
        writer.seek(io::SeekFrom::End(0)).unwrap();
        writer.write_all(&[b"\n", &line("c")[..]].concat()).unwrap();
        let (texts, kept) = read_all(&mut file);
        assert_eq!(texts, ["c"]);
        assert!(kept <= LINE_BYTES_MAX, "{kept}");
    }

    #[test]
    fn a_time_is_found_behind_garbage() {
        use std::io::Seek as _;
        let line = |second: u32| {
            let (minute, second) = (second / 60, second % 60);
            format!(
                "{{\"log\":\"{minute}:{second}\",\"time\":\"2026-01-02T03:{minute:02}:{second:02}Z\"}}\n"
            )
        };
        let lines = |range: std::ops::Range<u32>| range.map(line).collect::<String>();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let mut writer = File::create(&path).unwrap();
        writer.write_all(lines(0..1000).as_bytes()).unwrap();
        let garbage_end = writer.stream_position().unwrap() + (24 << 20);
        writer.set_len(garbage_end).unwrap();
        writer.seek(io::SeekFrom::End(0)).unwrap();
        writer.write_all(b"\n").unwrap();
        writer.write_all(lines(1000..2000).as_bytes()).unwrap();

        for second in [0_u32, 500, 999, 1000, 1500, 1999] {
            let since = nanoseconds("2026-01-02T03:00:00Z".parse().unwrap())
                + i64::from(second) * SLACK_NANOSECONDS;
            let mut file = JsonFile::plain(File::open(&path).unwrap(), &path).unwrap();
            file.seek_time(since).unwrap();
            let (texts, _) = read_all(&mut file);
            let text = |second: u32| format!("{}:{}", second / 60, second % 60);
            // One second of slack, and not all that is before.
            let expected: Vec<_> = (second.saturating_sub(1)..2000).map(text).collect();
            assert_eq!(texts, expected, "since {second}");
        }
    }

    #[test]
    fn what_was_noted_of_an_older_file_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let line =
            |second: u32| format!("{{\"log\":\"\",\"time\":\"2026-01-02T03:04:0{second}Z\"}}\n");
        std::fs::write(&path, [line(5), line(6)].concat()).unwrap();
        let file = File::open(&path).unwrap();
        let own = inode(&file).unwrap();
        let first = nanoseconds("2026-01-02T03:04:05Z".parse().unwrap());
        let notes =
            format!("{own} 30 {}\n{own} 20 {first}\n{own} 10\n1 5\n1 6 {first}\n", first - 1);
        std::fs::write(path.with_extension("jumps"), notes).unwrap();
        assert_eq!(read_jumps(&path, &file).unwrap(), [10, 20]);
    }

    #[test]
    fn lines_longer_than_a_chunk_are_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let long = "x".repeat(3 * CHUNK_BYTES as usize) + "\n";
        std::fs::write(&path, format!("a\n{long}b\n")).unwrap();
        let file = File::open(path).unwrap();
        assert_eq!(last_lines(&file, 2).unwrap(), (2, 2));
        assert_eq!(last_lines(&file, 9).unwrap(), (0, 3));
        assert_eq!(last_lines(&file, 0).unwrap().1, 0);
    }
}
