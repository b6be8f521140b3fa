//! A probe that is a process in the container.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Instant;

use crate::container::Container;
use oci::runtime::Process as Configuration;
use runtime::ExecProcess;
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal};
use shim::protocol::{Failure, FailureKind};

use super::output::Output;
use crate::container::{self, ExecBegun};
use crate::event_loop::{EventLoop, Readiness, Token, Watched};
use crate::foreign::ExecCall;
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
    stage: Stage,
    /// Standard output and error together; `None` at its end.
    pipe: Option<Watched>,
    output: Output,
}

/// How far it has come.
#[derive(Debug)]
enum Stage {
    /// Another runtime's program was asked for the process.
    Making(ExecCall),
    Running(Process),
}

/// A process that is waited for.
#[derive(Debug)]
struct Process {
    pid: Pid,
    process: Watched,
}

/// What has become of a probe that the event loop told of.
#[derive(Debug)]
pub(crate) enum Progress {
    Pending(Box<CommandProbe>),
    Ended {
        exit_code: i32,
        output: String,
    },
    /// There is no process.
    Failed(Failure),
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
        let process: Configuration =
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
        let stage = match container::begin_exec(container, request)? {
            ExecBegun::Made(made) => Stage::watch(made, events, tokens.end)?,
            ExecBegun::Asked(mut call) => {
                call.watch(events, tokens.end).map_err(container::internal)?;
                Stage::Making(call)
            }
        };
        let pipe = events.watch(reader, tokens.output, Some(Readiness::IN));
        let pipe = pipe.map_err(container::internal)?;
        Ok(Self { stage, pipe: Some(pipe), output: Output::default() })
    }

    /// When to [`go_on`](Self::go_on) although the event loop has not told of it.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Making(call) => Some(call.deadline()),
            Stage::Running(_) => None,
        }
    }

    /// Moves on, or comes to its end.
    pub(crate) fn go_on(self: Box<Self>, events: &EventLoop, token: Token) -> Progress {
        let Self { stage, pipe, output } = *self;
        match stage {
            Stage::Making(call) => {
                match call.finish().and_then(|made| Stage::watch(made, events, token)) {
                    Ok(stage) => Progress::Pending(Box::new(Self { stage, pipe, output })),
                    Err(failure) => Progress::Failed(failure),
                }
            }
            Stage::Running(process) => match container::exit_code(process.process.as_fd()) {
                Some(exit_code) => {
                    let mut probe = Self { stage: Stage::Running(process), pipe, output };
                    probe.read_at_most(LAST_BYTES_MAX);
                    Progress::Ended { exit_code, output: probe.output.into_text() }
                }
                None => {
                    let stage = Stage::Running(process);
                    Progress::Pending(Box::new(Self { stage, pipe, output }))
                }
            },
        }
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

    /// Kills it and what it has started. Comes back with what it has said, and with what is
    /// still to be reaped.
    pub(crate) fn kill(mut self) -> (String, Option<Watched>) {
        self.read_at_most(LAST_BYTES_MAX);
        let process = match self.stage {
            Stage::Making(call) => {
                call.abandon();
                None
            }
            Stage::Running(Process { pid, process }) => {
                // It leads a session and so a group. It is not reaped yet, so the number is
                // still its own.
                let _ = rustix::process::kill_process_group(pid, Signal::KILL);
                shim::process::kill(&process);
                Some(process)
            }
        };
        (self.output.into_text(), process)
    }
}

impl Stage {
    fn watch(made: ExecProcess, events: &EventLoop, token: Token) -> Result<Self, Failure> {
        let process = events.watch(made.pidfd, token, Some(Readiness::IN));
        let process = process.map_err(container::internal)?;
        Ok(Self::Running(Process { pid: made.pid, process }))
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
