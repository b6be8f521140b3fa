//! The container's log file, as Docker's `json-file` driver writes it.
//!
//! One JSON object a line: `{"log":"…\n","stream":"stdout","time":"…"}`. A file that has
//! reached its limit is renamed to `<name>.1` before the next entry, that one to `.2` and so
//! on. Nothing is synced to the disk: a log line is not worth a container's speed.
//!
//! An error of the disk loses lines and nothing else: the container must not stop for it.

mod json_text;
mod lines;

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use shim::protocol::LogSettings;

use self::lines::{Entry, LineCutter};
use crate::clock::unix_nanoseconds;

/// As Docker makes its log files.
const FILE_MODE: u32 = 0o640;

/// The argument with which this program compresses a rotated file and ends.
pub(crate) const COMPRESS_ARGUMENT: &str = "--compress-log";

/// Which of a process's two outputs something was written to. The number is that of Docker's
/// stream frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Stdout = 1,
    Stderr = 2,
}

/// The log of one container.
#[derive(Debug)]
pub(crate) struct JsonLog {
    path: PathBuf,
    file: File,
    size: u64,
    rotation: Option<Rotation>,
    stdout: Stream,
    stderr: Stream,
}

#[derive(Debug)]
struct Rotation {
    size_max: u64,
    files_max: u32,
    compress: bool,
    /// Compresses the file that was rotated last.
    compressor: Option<Child>,
}

/// One of the two outputs.
#[derive(Debug)]
struct Stream {
    cutter: LineCutter,
    /// What stands between an entry's text and its time.
    suffix: Vec<u8>,
}

impl Stream {
    fn new(name: &str, attributes: &[(String, String)]) -> Self {
        let mut suffix = format!("\",\"stream\":\"{name}\"").into_bytes();
        if !attributes.is_empty() {
            suffix.extend_from_slice(b",\"attrs\":");
            suffix.extend_from_slice(&json_text::attributes(attributes));
        }
        suffix.extend_from_slice(b",\"time\":\"");
        Self { cutter: LineCutter::default(), suffix }
    }
}

impl JsonLog {
    /// Opens the log that `settings` describe; `None` if there is to be none.
    pub(crate) fn open(settings: &LogSettings) -> io::Result<Option<Self>> {
        let LogSettings::JsonFile { path, size_max, files_max, compress, attributes } = settings
        else {
            return Ok(None);
        };
        let file = open_file(path)?;
        let size = file.metadata()?.len();
        Ok(Some(Self {
            path: path.clone(),
            file,
            size,
            rotation: size_max.map(|size_max| Rotation {
                size_max,
                files_max: *files_max,
                compress: *compress,
                compressor: None,
            }),
            stdout: Stream::new("stdout", attributes),
            stderr: Stream::new("stderr", attributes),
        }))
    }

    /// Logs what was read of one output.
    pub(crate) fn write(&mut self, source: Source, bytes: &[u8]) {
        self.with_stream(source, |stream, sink| {
            let Stream { cutter, suffix } = stream;
            cutter.cut(bytes, unix_nanoseconds, |entry| sink.push(entry, suffix));
        });
    }

    /// Logs what is left of lines that were not ended.
    pub(crate) fn finish(&mut self) {
        for source in [Source::Stdout, Source::Stderr] {
            self.with_stream(source, |stream, sink| {
                let Stream { cutter, suffix } = stream;
                cutter.finish(unix_nanoseconds, |entry| sink.push(entry, suffix));
            });
        }
    }

    /// Waits for what is still being compressed.
    pub(crate) fn close(self) {
        if let Some(mut compressor) = self.rotation.and_then(|rotation| rotation.compressor) {
            // It can only fail if there is nothing to wait for.
            let _ = compressor.wait();
        }
    }

    fn with_stream(&mut self, source: Source, body: impl FnOnce(&mut Stream, &mut Sink<'_>)) {
        let stream = match source {
            Source::Stdout => &mut self.stdout,
            Source::Stderr => &mut self.stderr,
        };
        let mut sink = Sink {
            path: &self.path,
            file: &mut self.file,
            size: &mut self.size,
            rotation: self.rotation.as_mut(),
            batch: Vec::new(),
        };
        body(stream, &mut sink);
        sink.flush();
    }
}

/// Where entries go: gathered, and written with one call.
struct Sink<'a> {
    path: &'a Path,
    file: &'a mut File,
    size: &'a mut u64,
    rotation: Option<&'a mut Rotation>,
    batch: Vec<u8>,
}

impl Sink<'_> {
    fn push(&mut self, entry: &Entry<'_>, suffix: &[u8]) {
        self.rotate_if_full();
        self.batch.extend_from_slice(b"{\"log\":\"");
        json_text::push_line(&mut self.batch, entry.text);
        if entry.is_end {
            self.batch.extend_from_slice(b"\\n");
        }
        self.batch.extend_from_slice(suffix);
        json_text::push_time(&mut self.batch, entry.unix_nanoseconds);
        self.batch.extend_from_slice(b"\"}\n");
    }

    fn rotate_if_full(&mut self) {
        let size = *self.size + self.batch.len() as u64;
        if self.rotation.as_ref().is_none_or(|rotation| size < rotation.size_max) {
            return;
        }
        self.flush();
        let Some(rotation) = self.rotation.as_mut() else { return };
        // If it fails, the log goes on in the file that is too large.
        if let Ok(file) = rotate(self.path, rotation) {
            *self.file = file;
            *self.size = 0;
        }
    }

    fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        match self.file.write_all(&self.batch) {
            Ok(()) => *self.size += self.batch.len() as u64,
            // A part may have been written. Half an entry would spoil the next one.
            Err(_) => drop(self.file.set_len(*self.size)),
        }
        self.batch.clear();
    }
}

fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(FILE_MODE).open(path)
}

/// Moves the file out of the way, with those before it, and opens a new one.
fn rotate(path: &Path, rotation: &mut Rotation) -> io::Result<File> {
    // The last one may still be read by its compressor; its name is needed now.
    if let Some(mut compressor) = rotation.compressor.take() {
        compressor.wait()?;
    }
    if rotation.files_max < 2 {
        // Readers may be at work in the old file, so it is not cut but left to them.
        std::fs::remove_file(path)?;
        return open_file(path);
    }
    let extension = if rotation.compress { ".gz" } else { "" };
    for number in (1..rotation.files_max - 1).rev() {
        let from = numbered(path, number, extension);
        match std::fs::rename(&from, numbered(path, number + 1, extension)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let rotated = numbered(path, 1, "");
    std::fs::rename(path, &rotated)?;
    if rotation.compress {
        rotation.compressor = spawn_compressor(&rotated).ok();
    }
    open_file(path)
}

/// A rotated file's name, counted from the youngest.
fn numbered(path: &Path, number: u32, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}{extension}"));
    name.into()
}

/// Compresses in a process of its own: it takes a moment, and memory that this process would
/// keep.
fn spawn_compressor(path: &Path) -> io::Result<Child> {
    Command::new("/proc/self/exe")
        .arg(COMPRESS_ARGUMENT)
        .arg(path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

/// Compresses a rotated file to `<name>.gz`, and removes it.
pub(crate) fn compress(path: &Path) -> io::Result<()> {
    let named = |extension: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(extension);
        PathBuf::from(name)
    };
    let (unfinished, finished) = (named(".gz.tmp"), named(".gz"));
    let output = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(&unfinished)?;
    let mut encoder = flate2::write::GzEncoder::new(output, flate2::Compression::default());
    io::copy(&mut File::open(path)?, &mut encoder)?;
    encoder.finish()?;
    std::fs::rename(unfinished, finished)?;
    std::fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(path: &Path, size_max: Option<u64>, files_max: u32) -> LogSettings {
        LogSettings::JsonFile {
            path: path.to_owned(),
            size_max,
            files_max,
            compress: false,
            attributes: vec![("tag".to_owned(), "a&b".to_owned())],
        }
    }

    /// The text with each time replaced, as it differs each time.
    fn without_times(text: &str) -> String {
        text.lines()
            .map(|line| {
                line.split_once("\"time\"").expect("every entry has one").0.to_owned() + "\n"
            })
            .collect()
    }

    #[test]
    fn both_streams_are_logged_line_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = JsonLog::open(&settings(&path, None, 1)).unwrap().unwrap();
        log.write(Source::Stdout, b"one\ntw");
        log.write(Source::Stderr, b"err\n");
        log.write(Source::Stdout, b"o\nrest");
        log.finish();

        assert_eq!(
            without_times(&std::fs::read_to_string(path).unwrap()),
            "{\"log\":\"one\\n\",\"stream\":\"stdout\",\"attrs\":{\"tag\":\"a\\u0026b\"},\n\
             {\"log\":\"err\\n\",\"stream\":\"stderr\",\"attrs\":{\"tag\":\"a\\u0026b\"},\n\
             {\"log\":\"two\\n\",\"stream\":\"stdout\",\"attrs\":{\"tag\":\"a\\u0026b\"},\n\
             {\"log\":\"rest\",\"stream\":\"stdout\",\"attrs\":{\"tag\":\"a\\u0026b\"},\n"
        );
    }

    #[test]
    fn a_full_file_moves_on_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = JsonLog::open(&settings(&path, Some(1), 3)).unwrap().unwrap();
        log.write(Source::Stdout, b"1\n2\n3\n4\n");

        let entry = |name: &str| {
            let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
            text.split('"').nth(3).unwrap().to_owned()
        };
        assert_eq!([entry("log"), entry("log.1"), entry("log.2")], ["4\\n", "3\\n", "2\\n"]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn with_one_file_it_starts_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = JsonLog::open(&settings(&path, Some(1), 1)).unwrap().unwrap();
        log.write(Source::Stdout, b"1\n2\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_later_shim_appends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for _ in 0..2 {
            let mut log = JsonLog::open(&settings(&path, None, 1)).unwrap().unwrap();
            log.write(Source::Stdout, b"again\n");
        }
        assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 2);
    }

    #[test]
    fn a_rotated_file_is_compressed_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.1");
        std::fs::write(&path, "text\n".repeat(1000)).unwrap();
        compress(&path).unwrap();

        assert!(!path.exists());
        let packed = File::open(folder.path().join("log.1.gz")).unwrap();
        let text = io::read_to_string(flate2::read::GzDecoder::new(packed)).unwrap();
        assert_eq!(text, "text\n".repeat(1000));
    }
}
