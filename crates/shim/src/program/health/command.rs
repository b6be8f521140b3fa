//! A probe that is a process in the container.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use crate::container::Container;
use oci::runtime::Process;
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal};
use shim::protocol::{Failure, FailureKind};

use super::output::Output;
use crate::container;
use crate::event_loop::{EventLoop, Readiness, Token, Watched};
use crate::stdio::{open_null, set_nonblocking};

/// Bytes read at once: as many as are kept.
const READ_BYTES: usize = 4096;

/// What is read at most of one that has ended. More comes only from a child that lives on.
const LAST_BYTES_MAX: usize = 64 * 1024;

/// Bytes of the identity that is made up for it. As many as an exec's.
const ID_BYTES: usize = 32;

/// A probe that is a process.
#[derive(Debug)]
pub(crate) struct CommandProbe {
    pid: Pid,
    process: Watched,
    /// Standard output and error together; `None` at its end.
    pipe: Option<Watched>,
    output: Output,
}

/// How the event loop names its two descriptors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tokens {
    pub end: Token,
    pub output: Token,
}

/// A process to run as a probe.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Command<'a> {
    pub container_id: &'a str,
    pub process: &'a serde_json::Value,
    pub user: Option<&'a str>,
    pub additional_groups: &'a [String],
}

impl CommandProbe {
    /// Begins.
    pub(crate) fn begin(
        command: Command<'_>,
        container: &Container,
        events: &EventLoop,
        tokens: Tokens,
    ) -> Result<Self, Failure> {
        let process: Process =
            serde_json::from_value(command.process.clone()).map_err(|error| Failure {
                kind: FailureKind::InvalidConfiguration,
                message: format!("cannot understand the health check: {error}"),
            })?;
        if process.args().as_ref().is_none_or(Vec::is_empty) {
            return Err(Failure {
                kind: FailureKind::InvalidConfiguration,
                message: format!(
                    "healthcheck for container {} has no command",
                    command.container_id
                ),
            });
        }
        let (reader, stdio) = streams().map_err(container::internal)?;
        let request = runtime::ExecRequest {
            user: command.user,
            additional_groups: command.additional_groups,
            ..runtime::ExecRequest::new(&process, stdio)
        };
        let started = container::exec_probe(container, request)?;
        let watch = |descriptor, token| events.watch(descriptor, token, Some(Readiness::IN));
        let process = watch(started.pidfd, tokens.end).map_err(container::internal)?;
        let pipe = watch(reader, tokens.output).map_err(container::internal)?;
        Ok(Self { pid: started.pid, process, pipe: Some(pipe), output: Output::default() })
    }

    /// Reads what there is of its output.
    pub(crate) fn read(&mut self) {
        self.read_at_most(READ_BYTES);
    }

    fn read_at_most(&mut self, bytes_max: usize) {
        let mut buffer = [0; READ_BYTES];
        let mut total = 0;
        while let Some(pipe) = &self.pipe {
            match rustix::io::read(pipe, &mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(count) => {
                    self.output.push(&buffer[..count]);
                    total += count;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => self.pipe = None,
            }
            if total >= bytes_max {
                return;
            }
        }
    }

    /// The exit code, if it has ended. Reaps it.
    pub(crate) fn exit_code(&self) -> Option<i32> {
        container::exit_code(self.process.as_fd())
    }

    /// What it has said.
    pub(crate) fn into_output(mut self) -> String {
        self.read_at_most(LAST_BYTES_MAX);
        self.output.into_text()
    }

    /// Kills it and what it has started. Comes back with what it has said, and with what is
    /// still to be reaped.
    pub(crate) fn kill(mut self) -> (String, Watched) {
        self.read_at_most(LAST_BYTES_MAX);
        // It leads a session and so a group. It is not reaped yet, so the number is still its own.
        let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
        shim::process::kill(&self.process);
        (self.output.into_text(), self.process)
    }
}

/// Our end of its output, and its streams.
fn streams() -> io::Result<(OwnedFd, runtime::Stdio)> {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    set_nonblocking(reader.as_fd())?;
    let stderr = rustix::io::fcntl_dupfd_cloexec(&writer, 3)?;
    let stdio = runtime::Stdio::Descriptors { stdin: open_null()?, stdout: writer, stderr };
    Ok((reader, stdio))
}

/// An identity in the form of an exec's.
pub(crate) fn random_id() -> io::Result<String> {
    use std::io::Read as _;
    let mut bytes = [0; ID_BYTES];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
