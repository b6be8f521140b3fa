//! Between the shim and the runtime library: one run of the container, and what its errors
//! are called.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use errors::chain;
use fail_points::{Point, reach};
use oci::runtime::Process;
use runtime::{CreateError, CreateRequest, ExecProcess, ExecRequest, Root};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions};
use shim::protocol::{Failure, FailureKind, Launch, RootFilesystem};

use crate::event_loop::{EventLoop, ProcessKey};
use crate::foreign::{self, ExecCall};
use crate::launch::read_configuration;
use crate::stdio::{InputEnd, Stdio, open_null};

pub(crate) use crate::made::Container;

/// What Docker puts before the runtime's words when a container does not start. Its clients
/// look for the words behind it.
const CREATE_PREFIX: &str = "failed to create task for container: failed to create shim task: \
     OCI runtime create failed: runc create failed: unable to start container process: ";

/// The same for an additional process.
const EXEC_PREFIX: &str =
    "OCI runtime exec failed: exec failed: unable to start container process: ";

/// How long an additional process may take for each step on its way to its program. Nobody else
/// is served meanwhile, and whoever asked for it gives up a little later.
const EXEC_PATIENCE: Duration = Duration::from_secs(8);

/// Sets the container up, right up to executing its program, and its streams.
pub(crate) fn create(
    launch: &Launch,
    network_namespace: Option<BorrowedFd<'_>>,
    events: &EventLoop,
) -> Result<(Container, Stdio), Failure> {
    let spec = read_configuration()?;
    let input_end = if launch.stdin_once { InputEnd::WithClient } else { InputEnd::Never };
    let is_terminal = spec.process().as_ref().and_then(Process::terminal).unwrap_or_default();
    let streams = Streams {
        key: ProcessKey::FIRST,
        is_terminal,
        has_input: launch.stdin_open,
        input_end,
        terminal_size: launch.terminal_size,
    };
    let (mut stdio, process_stdio) = streams.make(events).map_err(internal)?;
    reach(Point::StartStreams).map_err(internal)?;
    let made = match &launch.runtime {
        Some(program) => foreign::create(launch, program, &spec, network_namespace, process_stdio)
            .map(|container| Container::Foreign(Box::new(container))),
        None => create_own(launch, &spec, network_namespace, process_stdio)
            .map(|container| Container::Own(Box::new(container))),
    };
    let mut container = made?;
    if let Some(master) = container.take_terminal()
        && let Err(error) = stdio.set_terminal(master, launch.stdin_open, events)
    {
        // Its error would only hide the one that matters.
        let _ = container.delete();
        return Err(internal(error));
    }
    Ok((container, stdio))
}

fn create_own(
    launch: &Launch,
    spec: &oci::runtime::Spec,
    network_namespace: Option<BorrowedFd<'_>>,
    stdio: runtime::Stdio,
) -> Result<runtime::Container, Failure> {
    remove_volatile_mark(&launch.rootfs);
    let (id, root) = (&launch.container_id, root(&launch.rootfs));
    let request = CreateRequest {
        network_namespace,
        user: launch.user.as_deref(),
        additional_groups: &launch.additional_groups,
        ..CreateRequest::new(id, spec, Path::new("."), root, stdio)
    };
    runtime::create(request).map_err(|error| failure(CREATE_PREFIX, &error))
}

/// Executes the container's program.
pub(crate) fn start(container: &mut Container) -> Result<(), Failure> {
    match container {
        Container::Own(container) => {
            container.start().map_err(|error| failure(CREATE_PREFIX, &error))
        }
        Container::Foreign(container) => container.start(),
    }
}

/// A further process: made, or on its way.
#[derive(Debug)]
pub(crate) enum ExecBegun {
    Made(ExecProcess),
    Asked(ExecCall),
}

/// Has a further process run in the container. What it writes is not read before
/// [`connect`].
pub(crate) fn exec(
    container: &Container,
    key: ProcessKey,
    request: &shim::protocol::ExecRequest,
    events: &EventLoop,
) -> Result<(ExecBegun, Stdio), Failure> {
    let process: Process =
        serde_json::from_value(request.process.clone()).map_err(|error| Failure {
            kind: FailureKind::InvalidConfiguration,
            message: format!("cannot understand the process to execute: {error}"),
        })?;
    let streams = Streams {
        key,
        is_terminal: process.terminal().unwrap_or_default(),
        has_input: gives_input(request),
        input_end: InputEnd::WithClient,
        terminal_size: request.terminal_size,
    };
    let made = if request.attach.is_none() && !streams.is_terminal {
        streams.null()
    } else {
        streams.make(events)
    };
    let (mut stdio, process_stdio) = made.map_err(internal)?;
    let request = ExecRequest {
        user: request.user.as_deref(),
        additional_groups: &request.additional_groups,
        patience: Some(EXEC_PATIENCE),
        ..ExecRequest::new(&process, process_stdio)
    };
    let begun = begin_exec(container, request)?;
    if let ExecBegun::Asked(_) = begun {
        // It may write before the program is done, or the program may itself.
        stdio.hold(true);
    }
    Ok((begun, stdio))
}

/// Connects the streams of a process that was made.
pub(crate) fn connect(
    started: &mut ExecProcess,
    stdio: &mut Stdio,
    request: &shim::protocol::ExecRequest,
    events: &EventLoop,
) -> io::Result<()> {
    stdio.hold(false);
    if let Some(master) = started.terminal.take() {
        stdio.set_terminal(master, gives_input(request), events)?;
        if let Some((rows, columns)) = request.terminal_size {
            // Not every program heeds the size that it is told.
            stdio.resize(rows, columns)?;
        }
    }
    Ok(())
}

fn gives_input(request: &shim::protocol::ExecRequest) -> bool {
    request.attach.as_ref().is_some_and(|attach| attach.stdin)
}

/// Has a process run whose streams are made.
pub(crate) fn begin_exec(
    container: &Container,
    request: ExecRequest<'_>,
) -> Result<ExecBegun, Failure> {
    match container {
        Container::Own(container) => match container.exec(request) {
            Ok(process) => Ok(ExecBegun::Made(process)),
            Err(error) => Err(failure(EXEC_PREFIX, &error)),
        },
        Container::Foreign(container) => container.exec(request).map(ExecBegun::Asked),
    }
}

/// What streams a process is to have.
struct Streams {
    key: ProcessKey,
    is_terminal: bool,
    has_input: bool,
    input_end: InputEnd,
    terminal_size: Option<(u16, u16)>,
}

impl Streams {
    /// Our side of the streams, and the process's.
    fn make(&self, events: &EventLoop) -> io::Result<(Stdio, runtime::Stdio)> {
        if self.is_terminal {
            let stdio = Stdio::terminal(self.key, self.input_end);
            let newlines = runtime::Newlines::Translated;
            return Ok((stdio, runtime::Stdio::Terminal { size: self.terminal_size, newlines }));
        }
        let (stdio, ends) = Stdio::pipes(self.key, self.has_input, self.input_end, events)?;
        let ends = runtime::Stdio::Descriptors {
            stdin: ends.stdin,
            stdout: ends.stdout,
            stderr: ends.stderr,
        };
        Ok((stdio, ends))
    }

    /// Streams of a process to which nobody listens.
    fn null(&self) -> io::Result<(Stdio, runtime::Stdio)> {
        let ends = runtime::Stdio::Descriptors {
            stdin: open_null()?,
            stdout: open_null()?,
            stderr: open_null()?,
        };
        Ok((Stdio::silent(self.key), ends))
    }
}

fn root(rootfs: &RootFilesystem) -> Root {
    match rootfs {
        RootFilesystem::Directory { path } => Root::Directory(path.clone()),
        RootFilesystem::Overlay { lowers, upper, work, volatile } => Root::Overlay {
            lowers: lowers.clone(),
            upper: upper.clone(),
            work: work.clone(),
            volatile: *volatile,
        },
    }
}

/// An overlay that never waits for the disk leaves a mark, for after a crash of the machine
/// what it holds may be half written; the kernel refuses to mount it again. We only mount it
/// again while the machine runs, and then nothing is lost.
fn remove_volatile_mark(rootfs: &RootFilesystem) {
    if let RootFilesystem::Overlay { work, volatile: true, .. } = rootfs {
        // It is not there before the first mount. If it stays, the mount says so.
        let _ = std::fs::remove_dir_all(volatile_mark(work));
    }
}

fn volatile_mark(work: &Path) -> PathBuf {
    work.join("work/incompat/volatile")
}

/// The exit code of a process that has ended, and nothing if it has not. Reaps it.
pub(crate) fn exit_code(process: BorrowedFd<'_>) -> Option<i32> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    match rustix::io::retry_on_intr(|| rustix::process::waitid(WaitId::PidFd(process), options)) {
        Ok(status) => {
            let status = status?;
            status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal))
        }
        // Reaped by somebody else: it has ended, and nobody knows how.
        Err(Errno::CHILD) => Some(UNKNOWN_EXIT_CODE),
        Err(_) => None,
    }
}

/// Docker's exit code for an end of which nothing is known.
const UNKNOWN_EXIT_CODE: i32 = 255;

/// The exit code that Docker gives to a container that did not start.
pub(crate) fn exit_code_of_failure(kind: FailureKind) -> i32 {
    match kind {
        FailureKind::ProgramNotFound => 127,
        FailureKind::ProgramNotExecutable => 126,
        FailureKind::InvalidConfiguration
        | FailureKind::WrongPhase
        | FailureKind::NotFound
        | FailureKind::Unsupported
        | FailureKind::Internal => 128,
    }
}

fn failure(prefix: &str, error: &CreateError) -> Failure {
    let (kind, prefix) = match error {
        CreateError::ProgramNotFound(_) => (FailureKind::ProgramNotFound, prefix),
        CreateError::ProgramNotExecutable(_) => (FailureKind::ProgramNotExecutable, prefix),
        // Docker looks users up by itself, before it asks its runtime.
        CreateError::UserNotFound(_) => (FailureKind::InvalidConfiguration, ""),
        CreateError::Invalid { .. } => (FailureKind::InvalidConfiguration, prefix),
        CreateError::Step { .. }
        | CreateError::Died { .. }
        | CreateError::Hook { .. }
        | CreateError::Cgroup(_)
        | CreateError::System { .. } => (FailureKind::Internal, prefix),
    };
    Failure { kind, message: format!("{prefix}{}", chain(error)) }
}

/// A failure of ours or the host's, whatever it was about.
pub(crate) fn internal(error: impl Into<io::Error>) -> Failure {
    let error: io::Error = error.into();
    Failure { kind: FailureKind::Internal, message: error.to_string() }
}

/// A copy of the network namespace that a process is in.
pub(crate) fn network_namespace_of(pid: i32) -> io::Result<OwnedFd> {
    Ok(std::fs::File::open(format!("/proc/{pid}/ns/net"))?.into())
}

/// A copy of a container's pidfd, to be waited for on its own.
pub(crate) fn pidfd_of(container: &Container) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(container.pidfd().as_fd(), 3)?)
}
