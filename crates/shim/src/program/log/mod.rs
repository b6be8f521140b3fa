//! Where a container's output goes beside attached clients.
//!
//! ```text
//!  stdout ─▶ LineCutter ─┐           ┌─▶ FileLog<JsonFile> ─▶ Files (rotation, packing)
//!                        ├─▶ Entry ──┼─▶ FileLog<Local> ────▶ Files
//!  stderr ─▶ LineCutter ─┘           └─▶ Remote (queue) ────▶ journald, syslog, fluentd
//!                                        and a FileLog<Local> for `logs` to read
//! ```
//!
//! An error of a disk or a peer loses entries, which are counted, and nothing else: the
//! container must not stop for it.

mod file_log;
mod files;
mod json_file;
mod json_text;
mod lines;
mod local;
mod pack;
mod remote;
mod scan;
#[cfg(test)]
mod tests;

use std::io;
use std::time::Instant;

use shim::protocol::{LogFiles, LogSettings};

pub(crate) use self::pack::{PACK_ARGUMENT, run as pack_file};

use self::file_log::FileLog;
use self::json_file::JsonFile;
use self::lines::{Entry, LineCutter};
use self::local::Local;
use self::remote::Remote;
use crate::clock::unix_nanoseconds;
use crate::event_loop::{EventLoop, Readiness};

/// Which of a process's two outputs something was written to. The number is that of Docker's
/// stream frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Stdout = 1,
    Stderr = 2,
}

/// Takes entries.
trait Sink {
    fn push(&mut self, source: Source, entry: &Entry<'_>);

    /// What was pushed goes on its way.
    fn flush(&mut self);
}

/// The log of one container.
#[derive(Debug)]
pub(crate) struct Log {
    stdout: LineCutter,
    stderr: LineCutter,
    driver: Driver,
}

#[derive(Debug)]
enum Driver {
    JsonFile(FileLog<JsonFile>),
    Local(FileLog<Local>),
    Remote(Box<RemoteWithCopy>),
}

#[derive(Debug)]
struct RemoteWithCopy {
    remote: Remote,
    copy: Option<FileLog<Local>>,
}

impl Sink for RemoteWithCopy {
    fn push(&mut self, source: Source, entry: &Entry<'_>) {
        self.remote.push(source, entry);
        if let Some(copy) = &mut self.copy {
            copy.push(source, entry);
        }
    }

    fn flush(&mut self) {
        self.remote.flush();
        if let Some(copy) = &mut self.copy {
            copy.flush();
        }
    }
}

impl Log {
    /// Opens the log that `settings` describe; `None` if there is to be none.
    pub(crate) fn open(settings: &LogSettings, events: &EventLoop) -> io::Result<Option<Self>> {
        let driver = match settings {
            LogSettings::None => return Ok(None),
            LogSettings::JsonFile { path, size_max, files_max, compress, attributes } => {
                let files = LogFiles {
                    path: path.clone(),
                    size_max: *size_max,
                    files_max: *files_max,
                    compress: *compress,
                };
                Driver::JsonFile(FileLog::open(&files, JsonFile::new(attributes))?)
            }
            LogSettings::Local(files) => Driver::Local(FileLog::open(files, Local::new())?),
            LogSettings::Remote(settings) => {
                let remote = Remote::open(settings, events)?;
                let copy = settings.copy.as_ref();
                let copy = copy.map(|files| FileLog::open(files, Local::new())).transpose()?;
                Driver::Remote(Box::new(RemoteWithCopy { remote, copy }))
            }
        };
        Ok(Some(Self { stdout: LineCutter::default(), stderr: LineCutter::default(), driver }))
    }

    /// Logs what was read of one output.
    pub(crate) fn write(&mut self, source: Source, bytes: &[u8]) {
        let cutter = match source {
            Source::Stdout => &mut self.stdout,
            Source::Stderr => &mut self.stderr,
        };
        match &mut self.driver {
            Driver::JsonFile(sink) => write(sink, cutter, source, bytes),
            Driver::Local(sink) => write(sink, cutter, source, bytes),
            Driver::Remote(sink) => write(&mut **sink, cutter, source, bytes),
        }
    }

    /// Logs what is left of lines that were not ended.
    pub(crate) fn finish(&mut self) {
        for (source, cutter) in
            [(Source::Stdout, &mut self.stdout), (Source::Stderr, &mut self.stderr)]
        {
            match &mut self.driver {
                Driver::JsonFile(sink) => finish(sink, cutter, source),
                Driver::Local(sink) => finish(sink, cutter, source),
                Driver::Remote(sink) => finish(&mut **sink, cutter, source),
            }
        }
    }

    /// Whether so much waits for a peer that the container should wait as well.
    pub(crate) fn is_full(&self) -> bool {
        self.remote().is_some_and(Remote::is_full)
    }

    /// How much of an output should be read at once at most, if that matters.
    pub(crate) fn read_bytes_max(&self) -> Option<usize> {
        self.remote().and_then(Remote::read_bytes_max)
    }

    /// Something happened on the way to the peer.
    pub(crate) fn ready(&mut self, readiness: Readiness) {
        if let Some(remote) = self.remote_mut() {
            remote.ready(readiness);
        }
    }

    /// When something has to be done about the peer, if nothing happens.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.remote()?.deadline()
    }

    pub(crate) fn handle_deadline(&mut self, now: Instant) {
        if let Some(remote) = self.remote_mut() {
            remote.handle_deadline(now);
        }
    }

    /// Whether entries wait for the peer.
    pub(crate) fn is_delivering(&self) -> bool {
        self.remote().is_some_and(Remote::is_delivering)
    }

    /// Entries that were lost: the disk was full, or the peer too slow or gone.
    pub(crate) fn lost(&self) -> u64 {
        match &self.driver {
            Driver::JsonFile(log) => log.lost(),
            Driver::Local(log) => log.lost(),
            Driver::Remote(both) => both.remote.lost(),
        }
    }

    /// Gives memory back that only a busy log needs.
    pub(crate) fn rest(&mut self) {
        match &mut self.driver {
            Driver::JsonFile(log) => log.rest(),
            Driver::Local(log) => log.rest(),
            Driver::Remote(both) => both.copy.as_mut().map_or((), FileLog::rest),
        }
    }

    /// Waits for what is still being packed.
    pub(crate) fn close(self) {
        match self.driver {
            Driver::JsonFile(log) => log.close(),
            Driver::Local(log) => log.close(),
            Driver::Remote(both) => both.copy.map_or((), FileLog::close),
        }
    }

    fn remote(&self) -> Option<&Remote> {
        match &self.driver {
            Driver::Remote(both) => Some(&both.remote),
            Driver::JsonFile(_) | Driver::Local(_) => None,
        }
    }

    fn remote_mut(&mut self) -> Option<&mut Remote> {
        match &mut self.driver {
            Driver::Remote(both) => Some(&mut both.remote),
            Driver::JsonFile(_) | Driver::Local(_) => None,
        }
    }
}

fn write(sink: &mut impl Sink, cutter: &mut LineCutter, source: Source, bytes: &[u8]) {
    cutter.cut(bytes, unix_nanoseconds(), |entry| sink.push(source, entry));
    sink.flush();
}

fn finish(sink: &mut impl Sink, cutter: &mut LineCutter, source: Source) {
    cutter.finish(unix_nanoseconds(), |entry| sink.push(source, entry));
    sink.flush();
}
