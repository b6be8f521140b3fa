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

mod configuration;
mod program;
mod root;
mod strangers;
mod terminal;

pub(crate) use self::strangers::reap as reap_strangers;

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use oci::runtime::{LinuxResources, Spec};
use runtime::{Cgroup, CgroupLocation, ExecProcess, ExecRequest, Stdio};
use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;
use shim::protocol::{Failure, FailureKind, Launch};

use self::program::Program;
use self::terminal::TerminalSocket;

/// What Docker puts before the program's words when a container does not start.
const CREATE_PREFIX: &str =
    "failed to create task for container: failed to create shim task: OCI runtime create failed: ";

/// The same for a container whose program could not be executed.
const START_PREFIX: &str = "failed to create task for container: OCI runtime start failed: ";

/// The same for an additional process.
const EXEC_PREFIX: &str = "OCI runtime exec failed: ";

/// The configuration, the root and the program's own files, in the run folder.
const BUNDLE: &str = "bundle";

/// Where the program writes the number of a process.
const PID_FILE: &str = "bundle/pid";

/// Where an additional process is described.
const PROCESS_FILE: &str = "bundle/process.json";

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
    let terminal = TerminalSocket::for_streams(&stdio).map_err(internal)?;
    let bundle = std::env::current_dir().map_err(internal)?.join(BUNDLE);
    let mut words = vec!["create".into(), "--bundle".into(), bundle.into_os_string()];
    words.extend(["--pid-file".into(), program::own_path(PID_FILE)]);
    words.extend(terminal.iter().flat_map(TerminalSocket::flags));
    words.push(launch.container_id.clone().into());
    let made = program.run(&words, Some(stdio), None);
    let made = made.map_err(|error| error.with_prefix(CREATE_PREFIX));
    let opened = made.and_then(|()| read_process());
    let (pid, pidfd) = match opened {
        Ok(opened) => opened,
        Err(failure) => {
            // There may be half of one. The error that counts is the first.
            let _ = program.delete();
            return Err(failure);
        }
    };
    let cgroup = Cgroup::at(&CgroupLocation::by_file(&launch.container_id, spec));
    let terminal = terminal.map(TerminalSocket::receive).transpose().map_err(internal);
    match terminal {
        Ok(terminal) => Ok(Foreign { program, pid, pidfd, cgroup, terminal }),
        Err(failure) => {
            let _ = program.delete();
            Err(failure)
        }
    }
}

/// The process whose number the program has written.
fn read_process() -> Result<(Pid, OwnedFd), Failure> {
    let text = std::fs::read_to_string(PID_FILE).map_err(internal)?;
    let pid = text.trim().parse().ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| internal(io::Error::other("the runtime told no process")))?;
    let pidfd = shim::process::open(pid).map_err(internal)?;
    Ok((pid, pidfd))
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
        self.program.of_container("start").map_err(|error| error.with_prefix(START_PREFIX))
    }

    pub(crate) fn exec(&self, request: ExecRequest<'_>) -> Result<ExecProcess, Failure> {
        let root = self.open_root().map_err(internal)?;
        let process = configuration::process(&request, root.as_fd())?;
        let stdio = request.stdio;
        std::fs::write(PROCESS_FILE, process.to_string()).map_err(internal)?;
        let terminal = TerminalSocket::for_streams(&stdio).map_err(internal)?;
        let mut words = vec!["exec".into(), "--detach".into()];
        words.extend(["--process".into(), program::own_path(PROCESS_FILE)]);
        words.extend(["--pid-file".into(), program::own_path(PID_FILE)]);
        words.extend(terminal.iter().flat_map(TerminalSocket::flags));
        words.push(self.program.container().into());
        let made = self.program.run(&words, Some(stdio), None);
        made.map_err(|error| error.with_prefix(EXEC_PREFIX))?;
        let (pid, pidfd) = read_process()?;
        let terminal = terminal.map(TerminalSocket::receive).transpose().map_err(internal)?;
        Ok(ExecProcess { pid, pidfd, terminal, warnings: Vec::new() })
    }

    fn open_root(&self) -> io::Result<OwnedFd> {
        let path = format!("/proc/{}/root", self.pid.as_raw_nonzero());
        Ok(rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// A program may have the process somewhere else than here: it is asked first.
    pub(crate) fn send(&self, signal: i32) -> io::Result<()> {
        let words = ["kill".into(), self.program.container().into(), signal.to_string().into()];
        match self.program.run(&words, None, None) {
            Ok(()) => Ok(()),
            Err(_) => linux::signals::send(self.pidfd(), signal),
        }
    }

    pub(crate) fn freeze(&self) -> Result<(), Failure> {
        self.program.of_container("pause").map_err(|error| error.with_prefix(""))
    }

    pub(crate) fn thaw(&self) -> Result<(), Failure> {
        self.program.of_container("resume").map_err(|error| error.with_prefix(""))
    }

    pub(crate) fn update(&self, resources: &LinuxResources) -> Result<(), Failure> {
        let text = serde_json::to_vec(resources).map_err(internal)?;
        let words = ["update", "--resources", "-", self.program.container()].map(Into::into);
        self.program.run(&words, None, Some(&text)).map_err(|error| error.with_prefix(""))
    }

    /// Ends what is left, and has the program forget the container.
    pub(crate) fn delete(self) -> Result<(), Failure> {
        // Without a pid namespace of its own the container may have left processes.
        let _ = self.cgroup.kill_all();
        self.program.delete().map_err(|error| error.with_prefix(""))
    }
}

fn internal(error: impl Into<io::Error>) -> Failure {
    Failure { kind: FailureKind::Internal, message: error.into().to_string() }
}
