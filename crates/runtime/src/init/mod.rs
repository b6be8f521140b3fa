//! From `clone` to `execve`: how a process becomes a container's.
//!
//! [`ContainerInit::STEPS`] makes the container around its first process, [`JoinInit::STEPS`] takes a
//! further process into it, and [`ProcessInit::STEPS`] makes either the process that was asked for.
//! The lists are the whole recipe, in order, and the order is the hard part: each says why a
//! step stands where it stands.
//!
//! This code runs in a child cloned from a single-threaded parent. It may allocate, but it must
//! not start a thread and never returns to its parent's code. What fails is told to the parent
//! over the [`Channel`](crate::channel::Channel), with the step's name.

mod copy_up;
mod devices;
mod hidden_files;
mod identity;
mod kernel_parameters;
mod labels;
mod limits;
mod mounts;
mod namespaces;
mod privileges;
mod program;
mod root;
mod rooted;
mod scheduling;
mod terminal;
mod time;
mod user_database;

use std::borrow::Cow;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use linux::seccomp::{FilterFlags, Instruction};
use oci::runtime::{Linux, PosixRlimit, Process, Spec};

use rustix::process::Pid;

use crate::cgroups::Folder;
use crate::channel::{Channel, Failure, FailureKind, Message};
use crate::hooks::State;
use crate::plan::{JoinedNamespace, Plan, Treatment};
use crate::request::{ChangeRoot, Keyring, Newlines, Root};

pub use identity::{UserIds, find_user};
pub(crate) use user_database::Identity;

/// A container in the making, seen by its first process.
pub(crate) struct ContainerInit<'a> {
    pub(crate) process: ProcessInit<'a>,
    pub(crate) spec: &'a Spec,
    pub(crate) linux: &'a Linux,
    pub(crate) plan: &'a Plan<'a>,
    pub(crate) bundle: &'a Path,
    pub(crate) root_source: &'a Root,
    pub(crate) change_root: ChangeRoot,
    pub(crate) network_namespace: Option<BorrowedFd<'a>>,
    pub(crate) cgroup_folders: Vec<Folder>,
    /// The container's root folder, once it is mounted.
    pub(crate) root: Option<OwnedFd>,
    /// Whether the parent has said that the cgroup is ready.
    pub(crate) is_cgroup_ready: bool,
    /// The host's `/dev/null`, to hide files with.
    pub(crate) null_device: Option<OwnedFd>,
}

/// A further process of a container that is there already.
pub(crate) struct JoinInit<'a> {
    pub(crate) process: ProcessInit<'a>,
    /// The container's first process.
    pub(crate) container: BorrowedFd<'a>,
    pub(crate) container_pid: Pid,
    /// The container's root folder, where it is known: device and inode.
    pub(crate) container_root: Option<(u64, u64)>,
    /// The kinds of namespaces to join. That of processes is among them only if this process is
    /// not in it yet.
    pub(crate) namespaces: rustix::thread::ThreadNameSpaceType,
    pub(crate) has_user_namespace: bool,
}

/// A process on its way to the program that was asked for.
pub(crate) struct ProcessInit<'a> {
    pub(crate) channel: Channel,
    /// The container's.
    pub(crate) id: &'a str,
    pub(crate) process: &'a Process,
    pub(crate) rlimits: &'a [PosixRlimit],
    /// The container's, of all of its processes.
    pub(crate) treatment: Cow<'a, Treatment>,
    pub(crate) user: Option<&'a str>,
    pub(crate) additional_groups: &'a [String],
    pub(crate) stdio: ChildStdio,
    pub(crate) keyring: Keyring,
    /// How many descriptors from 3 on are the program's.
    pub(crate) preserved_descriptors: u32,
    pub(crate) filter: FilterSource<'a>,
    pub(crate) wait: Wait,
    pub(crate) start_hooks: Option<StartHooks>,
    /// The host's `/proc`, which the container's owner cannot have prepared.
    pub(crate) host_proc: Option<OwnedFd>,
    pub(crate) identity: Identity,
    pub(crate) environment: Vec<String>,
    pub(crate) program: Option<program::Program>,
    pub(crate) has_working_directory: bool,
}

/// Hooks to run in the container right before its program.
pub(crate) struct StartHooks {
    pub(crate) hooks: Vec<oci::runtime::Hook>,
    pub(crate) state: State,
}

/// The standard streams as the child gets them.
pub(crate) enum ChildStdio {
    Descriptors([OwnedFd; 3]),
    /// A terminal to open, of this size (rows, columns).
    Terminal {
        size: Option<(u16, u16)>,
        newlines: Newlines,
    },
    /// They are in place.
    Connected,
}

/// Where the seccomp filter comes from.
pub(crate) enum FilterSource<'a> {
    None,
    /// The parent is still compiling it, and will send it.
    Parent {
        flags: FilterFlags,
    },
    Here(Cow<'a, [Instruction]>, FilterFlags),
}

/// What a process waits for before it runs its program.
pub(crate) enum Wait {
    /// Nothing: it goes on.
    None,
    /// For its parent.
    Parent,
    /// For whoever connects to this socket.
    Socket(OwnedFd),
}

/// One step, with the name that an error message gives it.
pub(crate) struct Step<T> {
    pub(crate) name: &'static str,
    run: fn(&mut T) -> Result<(), StepError>,
}

const fn step<T>(name: &'static str, run: fn(&mut T) -> Result<(), StepError>) -> Step<T> {
    Step { name, run }
}

impl ContainerInit<'_> {
    /// Makes the container.
    const STEPS: [Step<Self>; 22] = [
        // First, so that nothing later can reach a file of the parent's through `/proc/self/fd`.
        step("close the host's descriptors", namespaces::close_foreign_descriptors),
        step("keep the host's /proc", |init| limits::open_host_proc(&mut init.process)),
        step("adjust the out-of-memory score", |init| {
            limits::adjust_memory_score(&mut init.process)
        }),
        step("join namespaces", namespaces::join),
        step("enter the user namespace", namespaces::become_root),
        // It belongs to the user namespace, which has to be there first.
        step("enter the time namespace", time::enter),
        step("start a session", namespaces::start_session),
        step("bring up the loopback interface", namespaces::bring_up_loopback),
        step("set the host name", namespaces::set_host_name),
        // Through the host's /proc: the container's own may be anything its image says.
        step("set kernel parameters", kernel_parameters::set),
        step("detach from the host's mounts", root::detach),
        step("mount the root file system", root::mount),
        step("mount the container's file systems", mounts::mount_all),
        step("make the devices", devices::make),
        // Both kinds see the host's files and the container's namespaces.
        step("run the hooks", namespaces::await_hooks),
        step("open the terminal", terminal::open_for_container),
        // After the devices and the terminal, which need these places writable and visible.
        step("hide kernel files", hidden_files::hide),
        step("make the working directory", root::make_working_directory),
        step("make the root read-only", root::make_read_only),
        // Through the host's /proc, and right before that is gone: whatever this process executes
        // from here on is confined.
        step("confine the program", |init| labels::confine(&init.process)),
        // The last for which the host's files are in reach.
        step("change root", root::enter),
        // Whoever has not waited for it before does so now: no user code runs outside of it.
        step("enter the cgroup", namespaces::await_cgroup),
    ];
}

impl JoinInit<'_> {
    /// Takes a process into a container.
    const STEPS: [Step<Self>; 9] = [
        step("close the host's descriptors", namespaces::close_foreign_descriptors_to_join),
        step("keep the host's /proc", |init| limits::open_host_proc(&mut init.process)),
        // While the host's /proc is in reach.
        step("adjust the out-of-memory score", |init| {
            limits::adjust_memory_score(&mut init.process)
        }),
        step("enter the cgroup", namespaces::await_cgroup_to_join),
        // So is this.
        step("confine the program", |init| labels::confine(&init.process)),
        step("join the container", namespaces::join_container),
        // Nothing of the host's is in reach any more for whoever looks at a process there.
        step("be born in the pid namespace", namespaces::be_born_inside),
        step("start a session", namespaces::start_session_to_join),
        step("open the terminal", |init| terminal::open_to_join(&mut init.process)),
    ];
}

impl ProcessInit<'_> {
    /// Makes the process what was asked for, up to and including its program.
    const STEPS: [Step<Self>; 15] = [
        step("find the user", identity::find),
        step("connect the standard streams", terminal::connect),
        // Raising a limit takes privileges.
        step("set the resource limits", limits::set_resource_limits),
        // So do a real-time class and a nice value below the parent's.
        step("set the scheduling", scheduling::set),
        // Root can enter what the user cannot, and the other way round on some network file
        // systems: so it is tried on both sides of the change of user.
        step("enter the working directory", program::enter_working_directory),
        step("change the user", privileges::change_user),
        step("enter the working directory", program::enter_working_directory_as_user),
        // As the user: whether a program can be executed is a question of who asks.
        step("find the program", program::find),
        step("receive the seccomp filter", privileges::receive_filter),
        // Nothing of the caller's gets into the program, whatever flags it was opened with.
        step("keep descriptors from the program", namespaces::close_on_execution),
        step("wait for the start", namespaces::await_start),
        step("set the capabilities", privileges::set_capabilities),
        // Under the filter, which may allow next to nothing, only what cannot come before.
        step("install the seccomp filter", privileges::install_filter),
        // They have no more rights than the program, as with runc.
        step("run the startContainer hooks", namespaces::run_start_hooks),
        step("execute the program", program::execute),
    ];
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StepError {
    #[error("{0}")]
    ProgramNotFound(String),
    #[error("{0}")]
    ProgramNotExecutable(String),
    #[error("{0}")]
    UserNotFound(String),
    /// What was being done, where the step's own name does not say enough.
    #[error("{doing}: {source}")]
    Doing { doing: String, source: io::Error },
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Plain(io::Error),
    /// The parent has gone. Nobody is there to be told.
    #[error("the parent has gone")]
    Orphaned,
}

impl StepError {
    /// Whether the kernel has refused with this error.
    fn is(&self, error: rustix::io::Errno) -> bool {
        match self {
            Self::Doing { source, .. } | Self::Plain(source) => {
                source.raw_os_error() == Some(error.raw_os_error())
            }
            Self::ProgramNotFound(_)
            | Self::ProgramNotExecutable(_)
            | Self::UserNotFound(_)
            | Self::Refused(_)
            | Self::Orphaned => false,
        }
    }
}

impl From<rustix::io::Errno> for StepError {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Plain(error.into())
    }
}

impl From<io::Error> for StepError {
    fn from(error: io::Error) -> Self {
        Self::Plain(error)
    }
}

/// Adds what was being done to an error.
pub(crate) trait Doing<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, StepError>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T, StepError> {
        self.map_err(|error| StepError::Doing { doing: what(), source: error.into() })
    }
}

/// Becomes a container's first process. Does not return.
pub(crate) fn run_container(mut init: ContainerInit<'_>) -> ! {
    run_steps(&ContainerInit::STEPS, &mut init, |init| &init.process.channel);
    run_process(init.process)
}

/// Becomes a further process of a container. Does not return.
pub(crate) fn run_join(mut init: JoinInit<'_>) -> ! {
    run_steps(&JoinInit::STEPS, &mut init, |init| &init.process.channel);
    run_process(init.process)
}

fn run_process(mut process: ProcessInit<'_>) -> ! {
    run_steps(&ProcessInit::STEPS, &mut process, |process| &process.channel);
    unreachable!("the last step executes the program")
}

/// The status of a process that could not become what it should. Its parent knows why.
const EXIT_FAILED: i32 = 127;

/// Runs every step, or ends the process at the first that fails and says which it was.
fn run_steps<T>(steps: &[Step<T>], state: &mut T, channel: fn(&T) -> &Channel) {
    for step in steps {
        if let Err(error) = (step.run)(state) {
            if !matches!(error, StepError::Orphaned) {
                // If the parent has gone meanwhile, nobody is left to be told.
                let _ = channel(state).send_failure(failure(step.name, &error));
            }
            linux::process::exit(EXIT_FAILED);
        }
    }
}

fn failure(step: &'static str, error: &StepError) -> Failure {
    let kind = match error {
        StepError::ProgramNotFound(_) => FailureKind::ProgramNotFound,
        StepError::ProgramNotExecutable(_) => FailureKind::ProgramNotExecutable,
        StepError::UserNotFound(_) => FailureKind::UserNotFound,
        StepError::Doing { .. }
        | StepError::Refused(_)
        | StepError::Plain(_)
        | StepError::Orphaned => FailureKind::Step(step.to_owned()),
    };
    Failure { kind, text: error.to_string() }
}

impl ContainerInit<'_> {
    /// The container's root folder.
    fn root(&self) -> BorrowedFd<'_> {
        self.root.as_ref().expect("the step `mount the root file system` came before").as_fd()
    }
}

impl ProcessInit<'_> {
    fn warn(&self, text: String) -> Result<(), StepError> {
        Ok(self.channel.send(&Message::Warning(text))?)
    }

    /// The next message of the parent, which has to be there.
    fn await_message(&self) -> Result<Message, StepError> {
        self.channel.await_message().map_err(|_| StepError::Orphaned)
    }
}

/// A namespace to join, with its kind for error messages.
pub(crate) fn join_namespace(namespace: &JoinedNamespace) -> Result<(), StepError> {
    rustix::thread::move_into_link_name_space(namespace.fd.as_fd(), Some(namespace.kind))
        .doing(|| format!("`{}`", namespace.path.display()))
}
