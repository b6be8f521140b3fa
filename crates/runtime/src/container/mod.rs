//! A container, from its maker's side.

mod affinity;
mod agent;
mod create;
mod detour;
mod exec;
mod id_maps;
mod mapped_mounts;
mod midwife;
mod mount_sources;
mod network_devices;
mod watch;

use std::cell::RefCell;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use oci::runtime::{
    Capability, Hook, Hooks, LinuxNamespaceType, LinuxSeccomp, PosixRlimit, Process, Spec,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, waitid};

use crate::cgroups::{Cgroup, CgroupError, CgroupLocation};
use crate::channel::{Channel, Message};
use crate::error::ProcessError;
use crate::hooks::{self, State};
use crate::init::FilterSource;
use crate::plan::Treatment;
use crate::resctrl;
use crate::seccomp::{self, Filter, Rules};

use agent::{Agent, Newcomer};
use watch::Awaited;

pub use create::create;
pub use exec::ExecProcess;

/// A container could not be created; nothing of it is left.
pub type CreateError = ProcessError;
/// A container could not be started.
pub type StartError = ProcessError;
/// A further process could not be run.
pub type ExecError = ProcessError;
/// A container's cgroups could not be removed.
pub type DeleteError = CgroupError;

/// A container, created and perhaps started. Dropping it leaves it as it is.
#[derive(Debug)]
pub struct Container {
    id: String,
    /// Who answers what the filter asks.
    agent: Option<Agent>,
    state: State,
    pid: Pid,
    pidfd: OwnedFd,
    /// The root folder's device and inode.
    root: Option<(u64, u64)>,
    /// To the first process, until it runs its program.
    channel: Option<Channel>,
    terminal: Option<OwnedFd>,
    warnings: Vec<String>,
    cgroup: Cgroup,
    /// Further processes that the caller may not have waited for.
    further: RefCell<Vec<OwnedFd>>,
    /// For further processes.
    filter: KeptFilter,
    /// For further processes that say nothing of limits.
    rlimits: Vec<PosixRlimit>,
    treatment: Treatment,
    /// Its class of service, if it is to have one.
    service: Option<resctrl::Group>,
    /// The kinds of namespaces that are not the host's.
    namespaces: Vec<LinuxNamespaceType>,
    /// Whether somebody in its pid namespace may look into the host's processes there.
    is_watched: bool,
    poststart: Vec<Hook>,
    poststop: Vec<Hook>,
}

/// The seccomp filter, kept for further processes.
#[derive(Debug)]
enum KeptFilter {
    None,
    Compiled(Filter),
    /// To be compiled when it is needed.
    Rules(Box<LinuxSeccomp>),
}

/// The filter of a further process.
enum FurtherFilter<'a> {
    None,
    Compiled(&'a Filter),
    /// Compiled while the process is on its way.
    Rules(Rules<'a>),
}

impl KeptFilter {
    fn for_further_process(&self) -> Result<FurtherFilter<'_>, ProcessError> {
        Ok(match self {
            Self::None => FurtherFilter::None,
            Self::Compiled(filter) => FurtherFilter::Compiled(filter),
            Self::Rules(rules) => FurtherFilter::Rules(Rules::new(rules)?),
        })
    }
}

impl FurtherFilter<'_> {
    fn source(&self) -> FilterSource<'_> {
        match self {
            Self::None => FilterSource::None,
            Self::Compiled(filter) => {
                FilterSource::Here(filter.instructions.as_slice().into(), filter.flags)
            }
            Self::Rules(rules) => FilterSource::Parent { flags: rules.flags },
        }
    }

    /// Gives the process what it still waits for.
    fn send(&self, channel: &Channel) -> Result<(), ProcessError> {
        let Self::Rules(rules) = self else { return Ok(()) };
        let filter = seccomp::compile(rules)?;
        channel
            .send(&Message::Filter(filter.instructions))
            .map_err(ProcessError::system("speak to the process"))
    }
}

impl Container {
    /// The first process, in the caller's pid namespace.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// The first process. Readable once it has ended; `waitid` it then.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// The terminal's master side, once.
    pub fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.terminal.take()
    }

    /// What was done only in part, for people to read.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The container's limits and its list of processes.
    pub fn cgroup(&self) -> &Cgroup {
        &self.cgroup
    }

    /// The flags that the seccomp filter is installed with, for the log.
    pub fn filter_flags(&self) -> Option<u64> {
        match &self.filter {
            KeptFilter::Compiled(filter) => Some(filter.flags.bits()),
            KeptFilter::None | KeptFilter::Rules(_) => None,
        }
    }

    /// Executes the program. Comes back once it has succeeded, or with its error.
    pub fn start(&mut self) -> Result<(), StartError> {
        let Some(channel) = self.channel.take() else {
            return Err(ProcessError::invalid("start", "the container has been started before"));
        };
        self.start_over(&channel)?;
        self.run_poststart_hooks()
    }

    /// Lets the container wait at its start socket even when this process is gone: from here on
    /// somebody else knows of it.
    pub fn release(&mut self) -> Result<(), StartError> {
        match self.channel.take() {
            Some(channel) => channel
                .send(&Message::Released)
                .map_err(ProcessError::system("release the container's process")),
            None => Ok(()),
        }
    }

    /// Starts a container that waits at a socket, as one does whose maker has gone; by the other
    /// end of that socket.
    pub fn start_by_socket(&mut self, socket: OwnedFd) -> Result<(), StartError> {
        self.start_over(&Channel::over(socket))?;
        self.run_poststart_hooks()
    }

    fn start_over(&mut self, channel: &Channel) -> Result<(), ProcessError> {
        channel
            .send(&Message::Start)
            .map_err(ProcessError::system("start the container's process"))?;
        let (pid, pidfd) = (self.pid, self.pidfd.as_fd());
        // What runc says: not until its program runs is a container created.
        let introduce = |listener| self.introduce(Newcomer { pid, pidfd, listener }, "creating");
        let is_filtered = !matches!(self.filter, KeptFilter::None);
        let awaited = Awaited { channel, pid, pidfd, is_filtered, introduce: &introduce };
        let mut warnings = Vec::new();
        let result = watch::await_execution(&awaited, &mut warnings, &mut None);
        self.warnings.append(&mut warnings);
        result
    }

    /// Tells the seccomp agent of a process of this container.
    fn introduce(&self, newcomer: Newcomer<'_>, status: &str) -> Result<(), ProcessError> {
        let Some(agent) = &self.agent else {
            return Err(watch::out_of_turn(&Message::Listener(newcomer.listener)));
        };
        let pid = self.pid.as_raw_nonzero().get();
        agent.tell(newcomer, self.state.document(status, pid))
    }

    /// The container's root folder: device and inode.
    pub fn root(&self) -> Option<(u64, u64)> {
        self.root
    }

    /// The same container with its [root](Container::root) known, from which its first process
    /// may have gone elsewhere since.
    #[must_use]
    pub fn with_root(mut self, root: Option<(u64, u64)>) -> Self {
        self.root = root;
        self
    }

    /// A container that another process created, from what that one recorded.
    pub fn open(
        id: &str,
        spec: &Spec,
        bundle: &Path,
        pid: Pid,
        cgroup: &CgroupLocation,
    ) -> Result<Self, ProcessError> {
        let pidfd = pidfd_open(pid, PidfdFlags::empty())
            .map_err(|error| ProcessError::system("find the container's process")(error.into()))?;
        let rules = spec.linux().as_ref().and_then(|linux| linux.seccomp().clone());
        Ok(Self {
            id: id.to_owned(),
            agent: Agent::of(spec),
            state: State::of(id, spec, bundle),
            pid,
            pidfd,
            root: None,
            channel: None,
            terminal: None,
            warnings: Vec::new(),
            cgroup: Cgroup::at(cgroup),
            further: RefCell::default(),
            filter: rules.map_or(KeptFilter::None, |rules| KeptFilter::Rules(Box::new(rules))),
            rlimits: rlimits_of(spec.process().as_ref()),
            treatment: Treatment::of(spec.linux().as_ref()),
            service: resctrl::Group::of(id, spec)?,
            namespaces: namespaces_of(spec),
            is_watched: is_watched(spec),
            poststart: hooks_of(spec, Hooks::poststart),
            poststop: hooks_of(spec, Hooks::poststop),
        })
    }

    /// Kills what is left, waits for it, removes the cgroups and runs the `poststop` hooks.
    ///
    /// The exit status of a further process that the caller has not waited for is lost. Gives
    /// what people should be told, such as a hook that has failed: the container is gone all the
    /// same.
    pub fn delete(self) -> Result<Vec<String>, DeleteError> {
        // Whatever the first process was waiting for, it will not come.
        drop(self.channel);
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
        let killed = self.cgroup.kill_all();
        // A pid namespace ends only when all that was in it has been waited for.
        for process in self.further.take() {
            reap(process.as_fd());
        }
        reap(self.pidfd.as_fd());
        let removed = self.cgroup.driver().remove();
        let service = self.service.map_or(Ok(()), |service| service.remove());
        let state = self.state.text("stopped", 0);
        let mut warnings = run_poststop_hooks(&self.poststop, &state);
        warnings.extend(service.err().map(|error| error.to_string()));
        removed.and(killed.or_else(ignore_missing)).map(|()| warnings)
    }

    /// One that fails ends the container.
    fn run_poststart_hooks(&self) -> Result<(), ProcessError> {
        let state = self.state.text("running", self.pid.as_raw_nonzero().get());
        hooks::run("poststart", &self.poststart, &state).inspect_err(|_| {
            let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
        })
    }
}

/// Removes what is left of a container whose first process has ended: as [`Container::delete`],
/// for a container of another process's.
pub fn clean_up(
    id: &str,
    spec: &Spec,
    bundle: &Path,
    cgroup: &CgroupLocation,
) -> Result<Vec<String>, DeleteError> {
    let cgroup = Cgroup::at(cgroup);
    let killed = cgroup.kill_all().or_else(ignore_missing);
    let removed = cgroup.driver().remove().and(killed);
    let state = State::of(id, spec, bundle).text("stopped", 0);
    let mut warnings = run_poststop_hooks(&hooks_of(spec, Hooks::poststop), &state);
    let service =
        resctrl::Group::of(id, spec).and_then(|group| group.map_or(Ok(()), |group| group.remove()));
    warnings.extend(service.err().map(|error| error.to_string()));
    removed.map(|()| warnings)
}

/// Runs all of them: one that fails changes nothing, for the container is gone.
fn run_poststop_hooks(hooks: &[Hook], state: &str) -> Vec<String> {
    let failures = hooks::run_all("poststop", hooks, state);
    failures.into_iter().map(|failure| failure.to_string()).collect()
}

/// What still runs of a container whose first process has ended.
pub fn processes_left(cgroup: &CgroupLocation) -> Result<Vec<Pid>, CgroupError> {
    let processes = Cgroup::at(cgroup).processes();
    processes.or_else(|error| ignore_missing(error).map(|()| Vec::new()))
}

/// A cgroup that is gone has no processes either.
fn ignore_missing(error: CgroupError) -> Result<(), CgroupError> {
    match &error {
        CgroupError::Write { source, .. } | CgroupError::Read { source, .. }
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(())
        }
        _ => Err(error),
    }
}

/// Waits for a process that ends, and takes its exit status. One that is not the caller's
/// child is only waited for.
fn reap(pidfd: BorrowedFd<'_>) {
    loop {
        match waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED) {
            Err(Errno::INTR) => {}
            Err(Errno::CHILD) => return watch::await_end(pidfd),
            _ => return,
        }
    }
}

/// As [`reap`], but not for ever; whether it has ended.
fn reap_within(pidfd: BorrowedFd<'_>, patience: Duration) -> bool {
    let patience = Timespec::try_from(patience).expect("a few seconds are a short time");
    let mut waiting = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    let has_ended = matches!(poll(&mut waiting, Some(&patience)), Ok(1..));
    if has_ended {
        reap(pidfd);
    }
    has_ended
}

fn hooks_of(spec: &Spec, of: fn(&Hooks) -> &Option<Vec<Hook>>) -> Vec<Hook> {
    spec.hooks().as_ref().and_then(|hooks| of(hooks).clone()).unwrap_or_default()
}

fn namespaces_of(spec: &Spec) -> Vec<LinuxNamespaceType> {
    let linux = spec.linux().as_ref();
    let namespaces = linux.and_then(|linux| linux.namespaces().as_deref()).unwrap_or_default();
    namespaces.iter().map(oci::runtime::LinuxNamespace::typ).collect()
}

/// Whether a process of the host's is looked into as soon as it is in the pid namespace: by who
/// has CAP_SYS_PTRACE, which is good for what the host's user namespace has. Of a namespace that
/// is joined, nobody knows who else is in it.
fn is_watched(spec: &Spec) -> bool {
    let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_deref());
    let of = |kind| namespaces.unwrap_or_default().iter().find(|own| own.typ() == kind);
    let Some(pid) = of(LinuxNamespaceType::Pid) else { return false };
    let is_joined = pid.path().as_ref().is_some_and(|path| !path.as_os_str().is_empty());
    let capabilities = spec.process().as_ref().and_then(|process| process.capabilities().as_ref());
    let bounding = capabilities.and_then(|sets| sets.bounding().as_ref());
    let may_trace = bounding.is_some_and(|set| set.contains(&Capability::SysPtrace));
    of(LinuxNamespaceType::User).is_none() && (is_joined || may_trace)
}

fn rlimits_of(process: Option<&Process>) -> Vec<PosixRlimit> {
    process.and_then(|process| process.rlimits().clone()).unwrap_or_default()
}
