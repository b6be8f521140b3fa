//! Our standard streams and a hijacked connection, copied into each other.

use std::io::{self, Read as _, Write as _};
use std::sync::mpsc::{self, Sender};
use std::thread;

use docker_api::client::{Hijacked, Side};

use super::demultiplex::demultiplex;
use crate::failure::Failure;
use crate::terminal::{DetachKeys, Detector, RawMode};

/// How the copying ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The other side has closed.
    Closed,
    /// The user typed the keys that detach.
    Detached,
}

/// Which streams are joined, and how.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    pub(crate) stdin: bool,
    pub(crate) stdout: bool,
    pub(crate) stderr: bool,
    /// One raw stream instead of frames.
    pub(crate) tty: bool,
    /// The user's own keys to detach; empty for the usual ones.
    pub(crate) detach_keys: String,
}

impl Streams {
    /// Joins the streams until the container's end of them closes or the user detaches.
    pub(crate) fn join(&self, hijacked: Hijacked) -> Result<Ended, Failure> {
        let (reader, writer) = hijacked.split()?;
        let raw_mode = (self.stdin && self.tty).then(RawMode::enter).transpose()?;
        if !self.stdin {
            // Nothing will come, so that a container that reads finds the end.
            let _ = writer.close_write();
            self.copy_output(reader)?;
            return Ok(Ended::Closed);
        }
        let detector = self.tty.then(|| Detector::new(self.keys()));
        let (ends, first_end) = mpsc::channel();
        spawn("input", ends.clone(), move || copy_input(writer, detector))?;
        if self.stdout || self.stderr {
            let streams = self.clone();
            spawn("output", ends, move || {
                streams.copy_output(reader).map(|()| Some(Ended::Closed))
            })?;
        } else {
            drop(ends);
        }
        let mut end = Ended::Closed;
        for result in first_end {
            // The end of our input is not the end: output may still come.
            if let Some(ended) = result? {
                end = ended;
                break;
            }
        }
        drop(raw_mode);
        Ok(end)
    }

    fn keys(&self) -> DetachKeys {
        if self.detach_keys.is_empty() {
            return DetachKeys::usual();
        }
        DetachKeys::parse(&self.detach_keys).unwrap_or_else(|| {
            crate::output::warn("invalid detach escape keys, using default");
            DetachKeys::usual()
        })
    }

    fn copy_output(&self, reader: Side) -> io::Result<()> {
        if self.tty {
            return if self.stdout || self.stderr { copy(reader) } else { Ok(()) };
        }
        // Written as it comes: a line buffer would hold back a prompt.
        let mut stdout = Unbuffered::stdout(self.stdout);
        let mut stderr = Unbuffered::stderr(self.stderr);
        demultiplex(reader, &mut stdout, &mut stderr)
    }
}

/// Copies our input to the engine, and what it says to our output, until it has nothing to say
/// any more.
pub(crate) fn relay(hijacked: Hijacked) -> Result<(), Failure> {
    let (reader, writer) = hijacked.split()?;
    // Its end is not the end: the engine may still be answering.
    let (ends, _) = mpsc::channel();
    spawn("input", ends, move || copy_input(writer, None))?;
    Ok(copy(reader)?)
}

fn spawn(
    name: &str,
    ends: Sender<io::Result<Option<Ended>>>,
    work: impl FnOnce() -> io::Result<Option<Ended>> + Send + 'static,
) -> io::Result<()> {
    let work = move || {
        // Nobody listens any more if the other direction has ended.
        let _ = ends.send(work());
    };
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

fn copy_input(mut writer: Side, mut detector: Option<Detector>) -> io::Result<Option<Ended>> {
    let stdin = io::stdin();
    let mut buffer = vec![0; 32 << 10];
    loop {
        let length = match rustix::io::read(&stdin, &mut buffer[..]) {
            Ok(length) => length,
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        if length == 0 {
            let _ = writer.close_write();
            return Ok(None);
        }
        let typed = &buffer[..length];
        let sent = match &mut detector {
            None => writer.write_all(typed),
            Some(detector) => {
                let (passed, detached) = detector.filter(typed);
                let sent = writer.write_all(&passed);
                if detached {
                    return Ok(Some(Ended::Detached));
                }
                sent
            }
        };
        // The container has closed its input; what it still has to say comes anyway.
        if sent.is_err() {
            return Ok(None);
        }
    }
}

/// Copies a raw stream to the standard output.
fn copy(mut reader: Side) -> io::Result<()> {
    let mut stdout = Unbuffered::stdout(true);
    let mut buffer = vec![0; 32 << 10];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => stdout.write_all(&buffer[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// A standard stream without a buffer, or nowhere.
pub(crate) struct Unbuffered(Option<Target>);

enum Target {
    Stdout,
    Stderr,
}

impl Unbuffered {
    pub(crate) fn stdout(is_wanted: bool) -> Self {
        Self(is_wanted.then_some(Target::Stdout))
    }

    pub(crate) fn stderr(is_wanted: bool) -> Self {
        Self(is_wanted.then_some(Target::Stderr))
    }
}

impl io::Write for Unbuffered {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = match self.0 {
            None => return Ok(buffer.len()),
            Some(Target::Stdout) => rustix::io::write(io::stdout(), buffer),
            Some(Target::Stderr) => rustix::io::write(io::stderr(), buffer),
        };
        written.map_err(Into::into)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
