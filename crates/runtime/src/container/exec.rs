//! A further process in a container.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use linux::namespaces::Namespaces;
use linux::process::{Cloned, clone_process};
use oci::runtime::{ExecCPUAffinity, LinuxNamespaceType};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, waitid};
use rustix::thread::{LinkNameSpaceType, ThreadNameSpaceType};

use crate::cgroups::{CgroupError, Entry, SubCgroup, is_no_place_to_live};
use crate::channel::{Channel, Message};
use crate::error::ProcessError;
use crate::init::{self, FilterSource, Identity, JoinInit, ProcessInit, Wait};
use crate::plan;
use crate::request::ExecRequest;

use super::agent::Newcomer;
use super::create::{check_preserved, child_stdio};
use super::detour::Detour;
use super::watch::Awaited;
use super::{Container, ExecError, FurtherFilter, affinity, midwife, reap, reap_within, watch};

/// A further process of a container. A child of the calling process.
#[derive(Debug)]
pub struct ExecProcess {
    pub pid: Pid,
    pub pidfd: OwnedFd,
    /// The master side, if a terminal was asked for.
    pub terminal: Option<OwnedFd>,
    /// What was done only in part, for people to read.
    pub warnings: Vec<String>,
}

/// A further process on its way, from its maker's side.
struct Further<'a> {
    channel: Channel,
    entry: Entry,
    affinity: Option<&'a ExecCPUAffinity>,
    filter: &'a FurtherFilter<'a>,
    /// Another process takes its place when it has joined everything else.
    is_born_late: bool,
}

impl Container {
    /// Runs a further process in the container. Comes back once it runs its program.
    ///
    /// It has the container's namespaces, cgroup and filter, and the rights of its own
    /// configuration.
    pub fn exec(&self, request: ExecRequest<'_>) -> Result<ExecProcess, ExecError> {
        check_preserved(request.preserved_descriptors)?;
        plan::check_process("process", request.process)?;
        let (channel, child_channel) =
            Channel::pair().map_err(ProcessError::system("make a channel to the process"))?;
        if let Some(patience) = request.patience {
            channel
                .set_patience(patience)
                .map_err(ProcessError::system("set a deadline for the process"))?;
        }
        let filter = self.filter.for_further_process()?;
        let mut entry = self.cgroup.entry(&request.sub_cgroup, self.pid)?;
        // An ordinary user has no way back from a detour: neither from another user namespace,
        // nor, as the root of one, to a pid namespace of the host's.
        let joins_user_namespace =
            self.has_user_namespace() && !rustix::process::geteuid().is_root();
        let is_escorted = joins_user_namespace
            || (self.has_pid_namespace() && linux::namespaces::is_in_user_namespace());
        // In the pid namespace it is seen by whoever is there, so it gets there last; which takes
        // one more clone, and so is for those alone who would be seen.
        let is_born_late = self.is_watched && !is_escorted;
        let takes_detour = !is_escorted && !is_born_late;
        let detour = if takes_detour { self.enter_pid_namespace()? } else { Detour::default() };
        let affinity = request.process.exec_cpu_affinity().clone();
        // It may be born in the cgroup: what it has before, it has from this process.
        let confined = affinity::take_initial(affinity.as_ref())?;
        let score = request.process.oom_score_adj();
        let cloned = self.clone_into(&mut entry, &request.sub_cgroup, |birthplace| {
            if is_escorted {
                let namespaces = self.namespaces_to_escort(joins_user_namespace);
                midwife::clone_further(self.pidfd.as_fd(), namespaces, score, birthplace)
            } else {
                clone_process(Namespaces::empty(), birthplace)
            }
        });
        if let Ok(Cloned::Child) = cloned {
            // This is the new process. It never comes back.
            std::mem::forget((detour, confined));
            std::mem::forget(channel);
            let mut namespaces: ThreadNameSpaceType =
                self.namespaces.iter().map(|kind| join_flag(*kind)).collect();
            // The kernel refuses to have it joined twice.
            namespaces
                .set(ThreadNameSpaceType::USER, self.has_user_namespace() && !joins_user_namespace);
            namespaces.set(ThreadNameSpaceType::PROCESS_ID, is_born_late);
            self.become_process(request, child_channel, filter.source(), namespaces);
        }
        drop(confined);
        detour.leave().map_err(ProcessError::system("come back to the own namespaces"))?;
        drop((child_channel, request));
        match cloned? {
            Cloned::Parent { child: pid, pidfd } => {
                let further = Further {
                    channel,
                    entry,
                    affinity: affinity.as_ref(),
                    filter: &filter,
                    is_born_late,
                };
                self.accompany(pid, pidfd, &further)
            }
            Cloned::Child => unreachable!("handled above"),
        }
    }

    fn has_user_namespace(&self) -> bool {
        self.namespaces.contains(&LinuxNamespaceType::User)
    }

    fn has_pid_namespace(&self) -> bool {
        self.namespaces.contains(&LinuxNamespaceType::Pid)
    }

    /// Those that cannot be joined by a process that is to come back.
    fn namespaces_to_escort(&self, joins_user_namespace: bool) -> ThreadNameSpaceType {
        let mut namespaces = ThreadNameSpaceType::empty();
        namespaces.set(ThreadNameSpaceType::USER, joins_user_namespace);
        namespaces.set(ThreadNameSpaceType::PROCESS_ID, self.has_pid_namespace());
        namespaces
    }

    /// The second attempt is for a container that has become a tree of cgroups: its own is a
    /// branch now, which the kernel finds busy.
    fn clone_into(
        &self,
        entry: &mut Entry,
        sub: &SubCgroup,
        clone: impl Fn(Option<BorrowedFd<'_>>) -> io::Result<Cloned>,
    ) -> Result<Cloned, ProcessError> {
        match clone(entry.birthplace()) {
            Err(error) if is_no_place_to_live(&error) => {
                let beside = match sub {
                    SubCgroup::Default => self.cgroup.entry_beside(self.pid),
                    SubCgroup::Everywhere(_) | SubCgroup::Of(_) => None,
                };
                let path = self.cgroup.paths().into_iter().next().unwrap_or_default();
                let busy = CgroupError::Enter { path, source: error };
                *entry = beside.ok_or(busy)?;
                clone(entry.birthplace())
            }
            cloned => cloned,
        }
        .map_err(ProcessError::system("clone a process"))
    }

    fn enter_pid_namespace(&self) -> Result<Detour, ProcessError> {
        let mut detour = Detour::default();
        if self.has_pid_namespace() {
            detour
                .join(self.pidfd.as_fd(), LinkNameSpaceType::ProcessID)
                .map_err(ProcessError::system("join the container's pid namespace"))?;
        }
        Ok(detour)
    }

    fn become_process(
        &self,
        request: ExecRequest<'_>,
        channel: Channel,
        filter: FilterSource<'_>,
        namespaces: ThreadNameSpaceType,
    ) -> ! {
        let process = ProcessInit {
            channel,
            id: &self.id,
            process: request.process,
            rlimits: request.process.rlimits().as_ref().unwrap_or(&self.rlimits),
            treatment: std::borrow::Cow::Borrowed(&self.treatment),
            user: request.user,
            additional_groups: request.additional_groups,
            stdio: child_stdio(request.stdio, request.process),
            keyring: request.keyring,
            preserved_descriptors: request.preserved_descriptors,
            filter,
            wait: Wait::None,
            start_hooks: None,
            host_proc: None,
            identity: Identity::default(),
            environment: Vec::new(),
            program: None,
            has_working_directory: false,
        };
        init::run_join(JoinInit {
            process,
            container: self.pidfd.as_fd(),
            container_pid: self.pid,
            container_root: self.root,
            namespaces,
            has_user_namespace: self.has_user_namespace(),
        })
    }

    fn accompany(
        &self,
        pid: Pid,
        pidfd: OwnedFd,
        further: &Further<'_>,
    ) -> Result<ExecProcess, ProcessError> {
        let Further { channel, entry, affinity, filter, is_born_late } = further;
        let mut process = ExecProcess { pid, pidfd, terminal: None, warnings: Vec::new() };
        let admitted = entry.admit(pid).map_err(ProcessError::from);
        let admitted = admitted
            .and_then(|()| self.service.as_ref().map_or(Ok(()), |service| service.admit(pid)))
            .and_then(|()| affinity::set_final(pid, *affinity));
        let result = admitted.and_then(|()| {
            channel
                .send(&Message::CgroupReady)
                .map_err(ProcessError::system("speak to the process"))?;
            if *is_born_late {
                await_birth(channel, &mut process)?;
            }
            // Meanwhile the process joins the container.
            filter.send(channel)?;
            let (pid, pidfd) = (process.pid, process.pidfd.as_fd());
            let is_filtered = !matches!(filter, FurtherFilter::None);
            let introduce = |listener| self.introduce(Newcomer { pid, pidfd, listener }, "running");
            let awaited = Awaited { channel, pid, pidfd, is_filtered, introduce: &introduce };
            watch::await_execution(&awaited, &mut process.warnings, &mut process.terminal)
        });
        if result.is_err() {
            let _ = rustix::process::pidfd_send_signal(&process.pidfd, Signal::KILL);
            // A frozen one does not notice that it was killed; it is reaped with the container.
            if !reap_within(process.pidfd.as_fd(), DEATH_PATIENCE) {
                self.remember(&process.pidfd)?;
            }
        }
        result.map_err(say_what_hangs)?;
        self.remember(&process.pidfd)?;
        Ok(process)
    }

    /// Keeps track of what is still to be waited for.
    fn remember(&self, pidfd: &OwnedFd) -> Result<(), ProcessError> {
        let pidfd = pidfd.try_clone().map_err(ProcessError::system("keep the process's pidfd"))?;
        let mut further = self.further.borrow_mut();
        further.retain(|process| is_unreaped(process.as_fd()));
        further.push(pidfd);
        Ok(())
    }
}

/// A step for which patience has run out.
fn say_what_hangs(error: ProcessError) -> ProcessError {
    match error {
        ProcessError::System { source, .. } if source.kind() == io::ErrorKind::WouldBlock => {
            let doing = "bring the process to its program in time: the container is frozen, or a \
                         file system of it does not answer";
            ProcessError::System { doing, source: io::ErrorKind::TimedOut.into() }
        }
        other => other,
    }
}

/// How long a process that was killed on its way may take to be gone.
const DEATH_PATIENCE: Duration = Duration::from_secs(1);

/// Waits until a process that is to take the first one's place has done so.
fn await_birth(channel: &Channel, process: &mut ExecProcess) -> Result<(), ProcessError> {
    let child = loop {
        match channel.receive().map_err(ProcessError::system("hear of the process"))? {
            None => return Err(watch::death_of(process.pidfd.as_fd())),
            Some(Message::Born(child)) => break child,
            Some(Message::Warning(text)) => process.warnings.push(text),
            Some(Message::Failed(failure)) => return Err(failure.into()),
            Some(other) => return Err(watch::out_of_turn(&other)),
        }
    };
    // It cannot have been reaped by anyone else: it is this process's own child.
    let pidfd = pidfd_open(child, PidfdFlags::empty())
        .map_err(|error| ProcessError::system("find the process")(error.into()))?;
    reap(process.pidfd.as_fd());
    (process.pid, process.pidfd) = (child, pidfd);
    channel.send(&Message::BirthNoted).map_err(ProcessError::system("speak to the process"))
}

/// Whether a child is still to be waited for.
fn is_unreaped(pidfd: BorrowedFd<'_>) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    waitid(WaitId::PidFd(pidfd), options).is_ok()
}

/// The flag for joining by a pidfd. The pid namespace is joined by the parent, beforehand.
fn join_flag(kind: LinuxNamespaceType) -> ThreadNameSpaceType {
    match kind {
        LinuxNamespaceType::Mount => ThreadNameSpaceType::MOUNT,
        LinuxNamespaceType::Cgroup => ThreadNameSpaceType::CONTROL_GROUP,
        LinuxNamespaceType::Uts => ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME,
        LinuxNamespaceType::Ipc => ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION,
        LinuxNamespaceType::User => ThreadNameSpaceType::USER,
        LinuxNamespaceType::Network => ThreadNameSpaceType::NETWORK,
        LinuxNamespaceType::Time => ThreadNameSpaceType::TIME,
        LinuxNamespaceType::Pid => ThreadNameSpaceType::empty(),
    }
}
