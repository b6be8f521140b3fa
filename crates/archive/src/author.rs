//! Writes archives of anything: POSIX headers, and PAX records for what does not fit them.
//!
//! The same entries make the same bytes, for ever: layers are named by the digest of their
//! archive. So nothing of the writer's own (time, process, owner's names) is in it, and records
//! come in a fixed order.

use std::io::{self, Write};

use crate::BLOCK_LENGTH;
use crate::entry::{Entry, Kind, Time};

/// The largest size or time that fits a header in octal.
const OCTAL_MAX: u64 = 0o777_7777_7777;

/// The largest owner that fits.
const OWNER_MAX: u32 = 0o777_7777;

/// The longest path that fits.
const PATH_LENGTH_MAX: usize = 100;

/// What a PAX header calls itself. Readers take no notice.
const PAX_PATH: &[u8] = b"././@PaxHeader";

/// An archive that is being written.
#[derive(Debug)]
pub struct Author<W> {
    output: W,
    /// Bytes of the present file's content that were announced and not written yet.
    left: u64,
    /// Bytes after it, up to the next block.
    padding: usize,
}

impl<W: Write> Author<W> {
    pub fn new(output: W) -> Self {
        Self { output, left: 0, padding: 0 }
    }

    /// Writes what an entry is. A file's content has to follow by [`Self::content`]: all of it,
    /// holes included.
    pub fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        self.end_content()?;
        let records = records(entry);
        if !records.is_empty() {
            let mut header = Fields::new(PAX_PATH, b'x');
            header.number(100, 8, 0o644);
            header.number(124, 12, records.len() as u64);
            self.output.write_all(&header.seal())?;
            self.output.write_all(&records)?;
            self.output.write_all(&zeros(padding(records.len() as u64)))?;
        }
        self.output.write_all(&header(entry).seal())?;
        let size = stored_size(&entry.kind);
        self.left = size;
        self.padding = padding(size);
        Ok(())
    }

    /// Bytes of content that are still wanted.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Writes some content. More than was announced is left out: a file may grow while it is
    /// read.
    pub fn content(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.output.write_all(&bytes[..length])?;
        self.left -= length as u64;
        Ok(())
    }

    /// Writes the end mark.
    pub fn finish(mut self) -> io::Result<W> {
        self.end_content()?;
        self.output.write_all(&[0; 2 * BLOCK_LENGTH])?;
        self.output.flush()?;
        Ok(self.output)
    }

    /// Ends in the middle of a block.
    pub fn break_off(mut self) -> io::Result<()> {
        self.end_content()?;
        self.output.write_all(b"broken off")?;
        self.output.flush()
    }

    /// Fills up what was announced: a file may shrink while it is read.
    fn end_content(&mut self) -> io::Result<()> {
        while self.left > 0 {
            let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(64 << 10);
            self.output.write_all(&zeros(length))?;
            self.left -= length as u64;
        }
        self.output.write_all(&zeros(std::mem::take(&mut self.padding)))
    }
}

fn zeros(length: usize) -> Vec<u8> {
    vec![0; length]
}

fn padding(size: u64) -> usize {
    usize::try_from(size.next_multiple_of(BLOCK_LENGTH as u64) - size).unwrap_or_default()
}

fn stored_size(kind: &Kind) -> u64 {
    match kind {
        Kind::File { size, .. } => *size,
        _ => 0,
    }
}

/// A folder's path ends with a slash.
fn written_path(entry: &Entry) -> Vec<u8> {
    let mut path = entry.path.clone();
    if entry.kind == Kind::Directory && !path.ends_with(b"/") {
        path.push(b'/');
    }
    path
}

fn link_target(kind: &Kind) -> &[u8] {
    match kind {
        Kind::Symlink { target } | Kind::HardLink { target } => target,
        _ => b"",
    }
}

fn header(entry: &Entry) -> Fields {
    let (type_flag, device) = match &entry.kind {
        Kind::File { .. } => (b'0', (0, 0)),
        Kind::HardLink { .. } => (b'1', (0, 0)),
        Kind::Symlink { .. } => (b'2', (0, 0)),
        Kind::CharacterDevice { major, minor } => (b'3', (*major, *minor)),
        Kind::BlockDevice { major, minor } => (b'4', (*major, *minor)),
        Kind::Directory => (b'5', (0, 0)),
        Kind::Fifo => (b'6', (0, 0)),
    };
    let mut fields = Fields::new(&written_path(entry), type_flag);
    fields.number(100, 8, u64::from(entry.mode & 0o7777));
    fields.number(108, 8, u64::from(entry.uid.min(OWNER_MAX)));
    fields.number(116, 8, u64::from(entry.gid.min(OWNER_MAX)));
    fields.number(124, 12, stored_size(&entry.kind).min(OCTAL_MAX));
    fields.number(136, 12, u64::try_from(entry.modified.seconds).unwrap_or(0).min(OCTAL_MAX));
    fields.text(157, PATH_LENGTH_MAX, link_target(&entry.kind));
    fields.number(329, 8, device.0.into());
    fields.number(337, 8, device.1.into());
    fields
}

/// The PAX records of what does not fit the header.
fn records(entry: &Entry) -> Vec<u8> {
    let mut records = Vec::new();
    let path = written_path(entry);
    if !fits(&path) {
        record(&mut records, b"path", &path);
    }
    let link = link_target(&entry.kind);
    if !fits(link) {
        record(&mut records, b"linkpath", link);
    }
    let size = stored_size(&entry.kind);
    if size > OCTAL_MAX {
        record(&mut records, b"size", size.to_string().as_bytes());
    }
    for (key, owner) in [("uid", entry.uid), ("gid", entry.gid)] {
        if owner > OWNER_MAX {
            record(&mut records, key.as_bytes(), owner.to_string().as_bytes());
        }
    }
    let time = entry.modified;
    if time.nanoseconds != 0 || !u64::try_from(time.seconds).is_ok_and(|time| time <= OCTAL_MAX) {
        record(&mut records, b"mtime", time_text(time).as_bytes());
    }
    let mut xattrs: Vec<_> = entry.xattrs.iter().collect();
    xattrs.sort_unstable();
    for (name, value) in xattrs {
        record(&mut records, &[b"SCHILY.xattr.", name.as_slice()].concat(), value);
    }
    records
}

/// Whether everybody reads this from a header: short, and in ASCII.
fn fits(path: &[u8]) -> bool {
    path.len() <= PATH_LENGTH_MAX && path.is_ascii()
}

/// Decimals count away from zero: half a second before 1970 is `-0.5`.
fn time_text(time: Time) -> String {
    let (sign, seconds, nanoseconds) = match (time.seconds, time.nanoseconds) {
        (seconds @ 0.., nanoseconds) => ("", seconds.unsigned_abs(), nanoseconds),
        (seconds, 0) => ("-", seconds.unsigned_abs(), 0),
        (seconds, nanoseconds) => ("-", seconds.unsigned_abs() - 1, 1_000_000_000 - nanoseconds),
    };
    if nanoseconds == 0 {
        return format!("{sign}{seconds}");
    }
    let text = format!("{sign}{seconds}.{nanoseconds:09}");
    text.trim_end_matches('0').to_owned()
}

/// `length key=value\n`, where the length counts itself.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length.to_string().len() + rest != length {
        length += 1;
    }
    records.extend_from_slice(format!("{length} ").as_bytes());
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// A header under construction.
struct Fields([u8; BLOCK_LENGTH]);

impl Fields {
    fn new(path: &[u8], type_flag: u8) -> Self {
        let mut fields = Self([0; BLOCK_LENGTH]);
        fields.text(0, PATH_LENGTH_MAX, path);
        for (start, length) in [(100, 8), (108, 8), (116, 8), (124, 12), (136, 12)] {
            fields.number(start, length, 0);
        }
        fields.0[156] = type_flag;
        fields.text(257, 8, b"ustar\x0000");
        fields.number(329, 8, 0);
        fields.number(337, 8, 0);
        fields
    }

    /// As much as fits; the rest is in a record.
    fn text(&mut self, start: usize, length: usize, text: &[u8]) {
        let length = text.len().min(length);
        self.0[start..start + length].copy_from_slice(&text[..length]);
    }

    /// In octal, with a NUL behind it.
    fn number(&mut self, start: usize, length: usize, number: u64) {
        let text = format!("{number:0width$o}\0", width = length - 1);
        self.text(start, length, text.as_bytes());
    }

    fn seal(mut self) -> [u8; BLOCK_LENGTH] {
        self.0[148..156].copy_from_slice(b"        ");
        let sum: u32 = self.0.iter().copied().map(u32::from).sum();
        self.text(148, 8, format!("{sum:06o}\0 ").as_bytes());
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::{NoTape, Reader};

    fn entry(path: &str, kind: Kind) -> Entry {
        Entry {
            path: path.as_bytes().to_vec(),
            kind,
            mode: 0o644,
            uid: 1,
            gid: 2,
            modified: Time { seconds: 1_700_000_000, nanoseconds: 0 },
            accessed: None,
            xattrs: Vec::new(),
        }
    }

    fn file(path: &str, size: u64) -> Entry {
        entry(path, Kind::File { size, fragments: None })
    }

    /// What the reader makes of an archive of one entry.
    fn read_back(entry: &Entry) -> Entry {
        let mut author = Author::new(Vec::new());
        author.entry(entry).unwrap();
        let archive = author.finish().unwrap();
        let mut reader = Reader::new(&archive[..], NoTape);
        let read = reader.next_entry().unwrap().unwrap();
        assert!(reader.next_entry().unwrap().is_none());
        read
    }

    #[test]
    fn what_is_written_is_read_back() {
        let long = "x/".repeat(120);
        let mut odd = file(&format!("{long}\u{fc}"), 3);
        odd.uid = 3_000_000;
        odd.gid = u32::MAX - 1;
        odd.mode = 0o4755;
        odd.modified = Time { seconds: -2, nanoseconds: 750_000_000 };
        odd.xattrs = vec![(b"user.a".to_vec(), b"\0\n=".to_vec())];
        let mut bytes = entry("", Kind::Fifo);
        bytes.path = vec![0xff, b'/', 0xfe];
        for entry in [
            file("plain", 0),
            odd,
            bytes,
            entry("link", Kind::Symlink { target: b"/etc/passwd".to_vec() }),
            entry("long", Kind::HardLink { target: long.into_bytes() }),
            entry("tty", Kind::CharacterDevice { major: 4, minor: 1_048_575 }),
            entry("disk", Kind::BlockDevice { major: 8, minor: 1 }),
        ] {
            assert_eq!(read_back(&entry), entry);
        }
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_does_not_spoil_the_archive() {
        let mut author = Author::new(Vec::new());
        author.entry(&file("grown", 2)).unwrap();
        author.content(b"abc").unwrap();
        author.entry(&file("shrunk", 3)).unwrap();
        author.content(b"a").unwrap();
        author.entry(&entry("last", Kind::Directory)).unwrap();
        let archive = author.finish().unwrap();

        let mut reader = Reader::new(&archive[..], NoTape);
        let mut contents = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            contents.push((entry.display(), reader.content().unwrap().to_vec()));
        }
        let expected = [("grown", &b"ab"[..]), ("shrunk", b"a\0\0"), ("last/", b"")];
        assert_eq!(contents, expected.map(|(path, text)| (path.to_owned(), text.to_vec())));
    }

    #[test]
    fn sizes_over_eight_gibibytes_have_a_record() {
        let entry = file("large", 9 << 30);
        let mut author = Author::new(Vec::new());
        author.entry(&entry).unwrap();
        let mut reader = Reader::new(&author.output[..], NoTape);
        assert_eq!(reader.next_entry().unwrap().unwrap(), entry);
    }
}
