//! A client that is still running: following a log, attached to a container.

use std::io::{Read, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};

use crate::outcome::Outcome;
use crate::patience::eventually;

/// A client that is still running. It is killed when the story drops it.
#[derive(Debug)]
pub struct Client {
    command: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Stream,
    stderr: Stream,
}

impl Client {
    /// Starts `command`, which a complaint will call `shown`. Its standard input stays
    /// open until [`Client::ends_input`].
    pub(crate) fn start(mut command: Command, shown: &str) -> Self {
        command.stdin(Stdio::piped());
        Self::start_with_stdin(command, shown)
    }

    /// As [`Client::start`], with the standard input that `command` has already.
    pub(crate) fn start_with_stdin(mut command: Command, shown: &str) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{shown}: {error}"));
        let stdout = Stream::read(child.stdout.take().expect("stdout is a pipe"));
        let stderr = Stream::read(child.stderr.take().expect("stderr is a pipe"));
        let stdin = child.stdin.take();
        Self { command: shown.to_owned(), child, stdin, stdout, stderr }
    }

    /// Waits until the standard output contains `part`.
    #[track_caller]
    pub fn shows(&self, part: &str) -> &Self {
        self.has("stdout", &self.stdout, part);
        self
    }

    /// Waits until the standard error contains `part`.
    #[track_caller]
    pub fn complains_of(&self, part: &str) -> &Self {
        self.has("stderr", &self.stderr, part);
        self
    }

    #[track_caller]
    fn has(&self, name: &str, stream: &Stream, part: &str) {
        let mut ended = false;
        eventually(&format!("{part:?} in the {name} of `{}`", self.command), || {
            if stream.text().contains(part) {
                return Some(());
            }
            // Looked at one turn late: the last words come before the end is noted.
            assert!(!ended, "`{}` ended without {part:?}: {:?}", self.command, stream.text());
            ended = stream.is_over();
            None
        });
    }

    /// What it has written to its standard output so far.
    pub fn output(&self) -> String {
        self.stdout.text()
    }

    /// Types `text`.
    pub fn types(&mut self, text: impl AsRef<[u8]>) -> &mut Self {
        let stdin = self.stdin.as_mut().expect("the input has not been ended");
        stdin.write_all(text.as_ref()).expect("the client reads its input");
        stdin.flush().expect("the client reads its input");
        self
    }

    /// Ends the standard input, as Ctrl-D or the end of a pipe does.
    pub fn ends_input(&mut self) -> &mut Self {
        self.stdin = None;
        self
    }

    /// Sends the client itself a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the client is running");
    }

    /// Whether the client has ended.
    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_some()
    }

    /// Waits for the client to end by itself.
    #[track_caller]
    pub fn finish(mut self) -> Outcome {
        let what = format!("the end of `{}`", self.command);
        let status = eventually(&what, || self.child.try_wait().expect("it is our child"));
        let what = format!("the end of the output of `{}`", self.command);
        eventually(&what, || (self.stdout.is_over() && self.stderr.is_over()).then_some(()));
        let signalled = status.signal().map(|signal| 128 + signal);
        Outcome {
            command: self.command.clone(),
            status: status.code().or(signalled).expect("it exited or was killed"),
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
        }
    }

    /// Kills the client with SIGKILL.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // It may have ended by itself, which is all that is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.end();
    }
}

/// What came out of a pipe so far, read by a thread so that the writer never waits.
#[derive(Debug)]
pub(crate) struct Stream {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Stream {
    pub(crate) fn read(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&bytes);
        let reader = std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            // A terminal's other end reports its closing as an error: the end as well.
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                lock(&shared).extend_from_slice(&buffer[..count]);
            }
        });
        Self { bytes, reader }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.bytes)).into_owned()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.reader.is_finished()
    }
}

fn lock(bytes: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}
