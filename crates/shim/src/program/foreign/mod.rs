//! A container that a program of somebody else's makes: one with runc's command line, as
//! `--runtime` names it.
//!
//! ```text
//!  create --bundle … --pid-file …    the program sets the container up, and leaves
//!  start                             … executes its first process, and leaves
//!  exec --detach --pid-file …        … makes a further process, and leaves
//!  kill, pause, resume, update       … and leaves
//!  delete --force
//! ```
//!
//! The shim is the nearest subreaper, so the processes that the program leaves behind become
//! its children: it waits for them as it waits for its own. Their streams are the program's.
//!
//! What our library does inside the container is to be there before such a program is run: see
//! [`root`] for the file system, [`configuration`] for the rest. All of it is in the run folder
//! or in the shim's own mount namespace, so nothing of it outlives the shim but the container
//! itself, and that is ended by its cgroup.

mod call;
mod configuration;
mod error;
mod exec;
mod files;
mod program;
mod root;
mod strangers;
mod terminal;

pub(crate) use self::call::Call;
pub(crate) use self::error::ProgramError;
pub(crate) use self::exec::ExecCall;
pub(crate) use self::strangers::reap as reap_strangers;

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use oci::runtime::{LinuxResources, Spec};
use runtime::{Cgroup, CgroupLocation, ExecRequest, Stdio};
use rustix::process::Pid;
use shim::protocol::{Failure, FailureKind, Launch};

use self::files::{CallFiles, own_path};
use self::program::{Program, Streams};
use self::terminal::TerminalSocket;

/// What Docker puts before the program's words when a container does not start.
const CREATE_PREFIX: &str =
    "failed to create task for container: failed to create shim task: OCI runtime create failed: ";

/// The same for a container whose program could not be executed.
const START_PREFIX: &str = "failed to create task for container: OCI runtime start failed: ";

/// The configuration, the root and the program's own files, in the run folder.
const BUNDLE: &str = "bundle";

/// A container of a program's.
#[derive(Debug)]
pub(crate) struct Foreign {
    program: Program,
    pid: Pid,
    pidfd: OwnedFd,
    cgroup: Cgroup,
    terminal: Option<OwnedFd>,
}

/// Has the program set a container up, right up to executing its first process.
pub(crate) fn create(
    launch: &Launch,
    program: &Path,
    spec: &Spec,
    network_namespace: Option<BorrowedFd<'_>>,
    stdio: Stdio,
) -> Result<Foreign, Failure> {
    // Whoever the program leaves behind is ours to wait for.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(internal)?;
    let program = Program::new(launch, program);
    root::mount(&launch.rootfs).map_err(internal)?;
    configuration::write(launch, network_namespace)?;
    let made = make(&program, stdio);
    // It knows the folders that there are, and the program has made them.
    let cgroup = Cgroup::at(&CgroupLocation::by_file(&launch.container_id, spec));
    match made {
        Ok((pid, pidfd, terminal)) => Ok(Foreign { program, pid, pidfd, cgroup, terminal }),
        Err(failure) => {
            // There may be half of one. The error that counts is the first.
            let _ = delete(&program, &cgroup);
            Err(failure)
        }
    }
}

/// Has the program make the container's first process. Comes with the terminal, if it has one.
fn make(program: &Program, stdio: Stdio) -> Result<(Pid, OwnedFd, Option<OwnedFd>), Failure> {
    let files = CallFiles::new();
    let pid_file = files.pid();
    let terminal = TerminalSocket::for_streams(&stdio, files.terminal()).map_err(internal)?;
    let bundle = std::env::current_dir().map_err(internal)?.join(BUNDLE);
    let mut words = vec!["create".into(), "--bundle".into(), bundle.into_os_string()];
    words.extend(["--pid-file".into(), own_path(&pid_file)]);
    words.extend(terminal.iter().flat_map(TerminalSocket::flags));
    words.push(program.container().into());
    let streams = Streams { process: Some(stdio), ..Streams::default() };
    let call = program.begin(&words, files, streams);
    let call = call.map_err(|error| error.with_prefix(CREATE_PREFIX))?;
    let (pid, pidfd) = call.wait_for_process(CREATE_PREFIX)?;
    let terminal = terminal.map(TerminalSocket::receive).transpose().map_err(internal)?;
    Ok((pid, pidfd, terminal))
}

/// Ends what is left, and waits until the program has forgotten the container.
fn delete(program: &Program, cgroup: &Cgroup) -> Result<(), ProgramError> {
    // Without a pid namespace of its own the container may have left processes.
    let _ = cgroup.kill_all();
    let deleted = program.ask_to_delete().and_then(Call::wait);
    if deleted.is_err() {
        forget(cgroup);
    }
    deleted
}

/// Removes what the program knows of the container, which would be in the way of the next run,
/// and the cgroups.
fn forget(cgroup: &Cgroup) {
    // Whatever of it is there: the program may have done half of the work.
    let _ = std::fs::remove_dir_all(program::STATE);
    for path in cgroup.paths() {
        let _ = std::fs::remove_dir(path);
    }
}

impl Foreign {
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    pub(crate) fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    pub(crate) fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.terminal.take()
    }

    pub(crate) fn start(&mut self) -> Result<(), Failure> {
        let started = self.program.ask("start").and_then(Call::wait);
        started.map_err(|error| error.with_prefix(START_PREFIX))
    }

    pub(crate) fn exec(&self, request: ExecRequest<'_>) -> Result<ExecCall, Failure> {
        ExecCall::begin(&self.program, self.pid, request)
    }

    /// A program may have the process somewhere else than here: it is asked.
    pub(crate) fn send(&self, signal: i32) -> Result<Call, ProgramError> {
        let words = ["kill", self.program.container(), &signal.to_string()].map(OsString::from);
        self.program.begin(&words, CallFiles::new(), Streams::default())
    }

    pub(crate) fn freeze(&self) -> Result<Call, ProgramError> {
        self.program.ask("pause")
    }

    pub(crate) fn thaw(&self) -> Result<Call, ProgramError> {
        self.program.ask("resume")
    }

    pub(crate) fn update(&self, resources: &LinuxResources) -> Result<Call, Failure> {
        let text = serde_json::to_vec(resources).map_err(internal)?;
        let words = ["update", "--resources", "-", self.program.container()].map(Into::into);
        let streams = Streams { input: &text, ..Streams::default() };
        let call = self.program.begin(&words, CallFiles::new(), streams);
        call.map_err(|error| error.with_prefix(""))
    }

    /// Ends what is left, and has the program forget the container.
    pub(crate) fn ask_to_delete(&self) -> Result<Call, ProgramError> {
        let _ = self.cgroup.kill_all();
        self.program.ask_to_delete()
    }

    /// As [`ask_to_delete`](Self::ask_to_delete), and waits for it.
    pub(crate) fn delete(self) -> Result<(), ProgramError> {
        delete(&self.program, &self.cgroup)
    }

    /// The program has failed to delete the container: what it would have removed goes.
    pub(crate) fn forget(self) {
        forget(&self.cgroup);
    }
}

/// The process whose number the program has written.
fn read_process(file: &str) -> io::Result<(Pid, OwnedFd)> {
    let text = match std::fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read?,
    };
    let pid = text.trim().parse().ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| io::Error::other("the runtime told no process"))?;
    Ok((pid, shim::process::open(pid)?))
}

fn internal(error: impl Into<io::Error>) -> Failure {
    Failure { kind: FailureKind::Internal, message: error.into().to_string() }
}
