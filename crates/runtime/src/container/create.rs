//! Creating a container: one clone, while the parent makes the cgroup.
//!
//! ```text
//!   parent: plan ─ unified folder ─ clone ─┬─ cgroup, device rules ─ limits ──┬─ Container
//!   child:                                 └─ namespaces ─ root ─ mounts … ───┘ (waits)
//! ```

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use fail_points::{Point, reach};
use linux::namespaces::Namespaces;
use linux::process::{Cloned, clone_process};
use oci::runtime::Hooks;
use rustix::process::Pid;
use rustix::thread::LinkNameSpaceType;

use crate::cgroups::{Cgroup, CgroupError, CgroupRequest};
use crate::channel::{Channel, Message};
use crate::error::ProcessError;
use crate::hooks::State;
use crate::init::{
    self, ChildStdio, ContainerInit, FilterSource, Identity, ProcessInit, StartHooks, Wait,
};
use crate::plan::Plan;
use crate::request::{CgroupNeed, CreateRequest, Hierarchies, Stdio};
use crate::resctrl;
use crate::seccomp::Filter;
use crate::{hooks, seccomp};

use super::agent::Agent;
use super::detour::Detour;
use super::id_maps;
use super::mount_sources;
use super::{
    Container, CreateError, KeptFilter, affinity, hooks_of, is_watched, mapped_mounts, midwife,
    namespaces_of, network_devices, reap, rlimits_of, watch,
};

/// Clones the container's first process and sets it up completely, up to `execve`.
///
/// The calling process must have one thread only. After an error nothing is left.
pub fn create(request: CreateRequest<'_>) -> Result<Container, CreateError> {
    check_preserved(request.preserved_descriptors)?;
    let has_network_namespace = request.network_namespace.is_some();
    let plan = Plan::new(request.spec, request.bundle, has_network_namespace)?;
    if !plan.has_user_namespace() && !plan.is_made_by_root {
        let reason = "whoever is not root needs one of type `user`";
        return Err(ProcessError::invalid("linux.namespaces", reason));
    }
    let cgroup = Cgroup::create(&CgroupRequest {
        manager: request.cgroup_manager,
        need: request.cgroup_need,
        id: request.id,
        path: plan.linux.cgroups_path().as_deref(),
        resources: &plan.resources,
        annotations: request.spec.annotations().as_ref(),
        owner: plan.cgroup_owner(),
    })?;
    if request.hierarchies == Hierarchies::All {
        cgroup.make_every_folder()?;
    }
    let cloned = reach(Point::StartCgroup)
        .map_err(ProcessError::system("make the cgroup"))
        .and_then(|()| clone_child(request, &plan, &cgroup));
    match cloned {
        Ok(birth) => birth.into_container(&plan, cgroup),
        Err(error) => {
            // The first error is the one to tell.
            let _ = cgroup.driver().remove();
            Err(error)
        }
    }
}

/// What the caller says it holds open for the program has to be there before this process opens
/// anything of its own, which would get such a number.
pub(super) fn check_preserved(count: u32) -> Result<(), ProcessError> {
    const FIRST_AFTER_STDIO: u32 = 3;
    let end = FIRST_AFTER_STDIO.saturating_add(count);
    match linux::process::first_closed_descriptor(FIRST_AFTER_STDIO, end) {
        None => Ok(()),
        Some(closed) => {
            let reason = format!("descriptor {closed} (of {count}) is not open");
            Err(ProcessError::invalid("preserve-fds", reason))
        }
    }
}

/// The first process, not yet ready.
struct Birth<'a> {
    id: &'a str,
    spec: &'a oci::runtime::Spec,
    bundle: &'a std::path::Path,
    cgroup_need: CgroupNeed,
    network: Option<BorrowedFd<'a>>,
    pid: Pid,
    pidfd: OwnedFd,
    channel: Channel,
}

fn clone_child<'a>(
    request: CreateRequest<'a>,
    plan: &Plan<'_>,
    cgroup: &Cgroup,
) -> Result<Birth<'a>, ProcessError> {
    let (channel, child_channel) =
        Channel::pair().map_err(ProcessError::system("make a channel to the process"))?;
    let birthplace = cgroup.driver().birthplace();
    // The root of a user namespace comes back to no pid namespace of the host's.
    let has_no_way_back =
        plan.joins(LinkNameSpaceType::ProcessID) && linux::namespaces::is_in_user_namespace();
    let (detour, cloned) = if plan.joins_user_namespace() || has_no_way_back {
        (Detour::default(), midwife::clone(plan, request.network_namespace, birthplace))
    } else {
        let detour = take_detour(plan, request.network_namespace)
            .map_err(ProcessError::system("join the configured namespaces"))?;
        (detour, clone_process(plan.new, birthplace))
    };
    if let Ok(Cloned::Child) = cloned {
        // This is the container's first process. It never comes back.
        std::mem::forget(detour);
        std::mem::forget(channel);
        become_container(request, plan, cgroup, child_channel);
    }
    detour.leave().map_err(ProcessError::system("come back to the own namespaces"))?;
    match cloned.map_err(ProcessError::system("clone the container's process"))? {
        Cloned::Parent { child: pid, pidfd } => {
            let network = request.network_namespace;
            let CreateRequest { id, spec, bundle, cgroup_need, .. } = request;
            Ok(Birth { id, spec, bundle, cgroup_need, network, pid, pidfd, channel })
        }
        Cloned::Child => unreachable!("handled above"),
    }
}

/// Joins what the child cannot join itself.
fn take_detour(plan: &Plan<'_>, network: Option<BorrowedFd<'_>>) -> io::Result<Detour> {
    let mut detour = Detour::default();
    for namespace in &plan.joined {
        if plan.is_joined_by_parent(namespace.kind) {
            detour.join(namespace.fd.as_fd(), namespace.kind)?;
        }
    }
    if let Some(network) = network.filter(|_| plan.is_joined_by_parent(LinkNameSpaceType::Network))
    {
        detour.join(network, LinkNameSpaceType::Network)?;
    }
    Ok(detour)
}

fn become_container(
    request: CreateRequest<'_>,
    plan: &Plan<'_>,
    cgroup: &Cgroup,
    channel: Channel,
) -> ! {
    let start_hooks = hooks_of(request.spec, Hooks::start_container);
    let start_hooks = (!start_hooks.is_empty()).then(|| StartHooks {
        hooks: start_hooks,
        state: State::of(request.id, request.spec, request.bundle),
    });
    let process = ProcessInit {
        channel,
        id: request.id,
        process: plan.process,
        rlimits: plan.process.rlimits().as_deref().unwrap_or_default(),
        treatment: std::borrow::Cow::Borrowed(&plan.treatment),
        user: request.user,
        additional_groups: request.additional_groups,
        stdio: child_stdio(request.stdio, plan.process),
        keyring: request.keyring,
        preserved_descriptors: request.preserved_descriptors,
        filter: match &plan.seccomp {
            Some(rules) => FilterSource::Parent { flags: rules.flags },
            None => FilterSource::None,
        },
        wait: request.start_socket.map_or(Wait::Parent, Wait::Socket),
        start_hooks,
        host_proc: None,
        identity: Identity::default(),
        environment: Vec::new(),
        program: None,
        has_working_directory: false,
    };
    init::run_container(ContainerInit {
        process,
        spec: request.spec,
        linux: plan.linux,
        plan,
        bundle: request.bundle,
        root_source: &request.root,
        change_root: request.change_root,
        network_namespace: request.network_namespace,
        cgroup_folders: cgroup.driver().folders(),
        root: None,
        is_cgroup_ready: false,
        null_device: None,
    })
}

/// The streams as the child is to get them. A size given takes the place of the configured.
pub(super) fn child_stdio(stdio: Stdio, process: &oci::runtime::Process) -> ChildStdio {
    match stdio {
        Stdio::Descriptors { stdin, stdout, stderr } => {
            ChildStdio::Descriptors([stdin, stdout, stderr])
        }
        Stdio::Terminal { size, newlines } => ChildStdio::Terminal {
            newlines,
            size: size.or_else(|| {
                let size = process.console_size()?;
                let short = |number: u64| u16::try_from(number).unwrap_or(u16::MAX);
                Some((short(size.height()), short(size.width())))
            }),
        },
    }
}

impl Birth<'_> {
    /// Sees the child through to where it waits. After an error nothing of it is left.
    fn into_container(self, plan: &Plan<'_>, cgroup: Cgroup) -> Result<Container, ProcessError> {
        let mut warnings = Vec::new();
        let mut terminal = None;
        let ready = self.accompany(plan, &cgroup, &mut warnings, &mut terminal);
        let filter = match ready {
            Ok(filter) => filter,
            Err(error) => {
                let kill = rustix::process::Signal::KILL;
                let _ = rustix::process::pidfd_send_signal(&self.pidfd, kill);
                reap(self.pidfd.as_fd());
                let _ = cgroup.driver().remove();
                if let Ok(Some(service)) = resctrl::Group::of(self.id, self.spec) {
                    let _ = service.remove();
                }
                self.run_poststop_hooks();
                return Err(error);
            }
        };
        Ok(Container {
            id: self.id.to_owned(),
            agent: Agent::of(self.spec),
            state: State::of(self.id, self.spec, self.bundle),
            pid: self.pid,
            root: root_of(self.pid),
            pidfd: self.pidfd,
            channel: Some(self.channel),
            terminal,
            warnings,
            cgroup,
            further: RefCell::default(),
            filter: filter.map_or(KeptFilter::None, KeptFilter::Compiled),
            rlimits: rlimits_of(self.spec.process().as_ref()),
            treatment: plan.treatment.clone(),
            service: resctrl::Group::of(self.id, self.spec)?,
            namespaces: namespaces_of(self.spec),
            is_watched: is_watched(self.spec),
            poststart: hooks_of(self.spec, Hooks::poststart),
            poststop: hooks_of(self.spec, Hooks::poststop),
        })
    }

    fn accompany(
        &self,
        plan: &Plan<'_>,
        cgroup: &Cgroup,
        warnings: &mut Vec<String>,
        terminal: &mut Option<OwnedFd>,
    ) -> Result<Option<Filter>, ProcessError> {
        if plan.new.contains(Namespaces::USER) {
            id_maps::write(self.pid, plan.user_mappings, plan.group_mappings)?;
            self.say(&Message::UsersMapped)?;
        }
        let driver = cgroup.driver();
        let has_rules_first = driver.sets_device_rules_one_by_one();
        if has_rules_first {
            self.set_device_rules(plan, cgroup)?;
        }
        reach(Point::StartCloned).map_err(ProcessError::system("clone the process"))?;
        driver.admit(self.pid)?;
        reach(Point::StartAdmitted).map_err(ProcessError::system("admit the process"))?;
        affinity::reset(self.pid);
        if let Some(service) = resctrl::Group::of(self.id, self.spec)? {
            service.make(self.spec)?;
            service.admit(self.pid)?;
        }
        network_devices::give(plan, self.pid, self.network)?;
        self.say(&Message::CgroupReady)?;
        // All of this happens while the child mounts its root.
        let filter = plan.seccomp.as_ref().map(seccomp::compile).transpose()?;
        if let Some(filter) = &filter {
            self.say(&Message::Filter(filter.instructions.clone()))?;
        }
        if !has_rules_first {
            self.set_device_rules(plan, cgroup)?;
        }
        if !driver.counts_memory_from_birth() {
            driver.limit(&plan.resources)?;
        }
        self.await_ready(plan, warnings, terminal)?;
        reach(Point::StartReady).map_err(ProcessError::system("hear of the process"))?;
        if driver.counts_memory_from_birth() {
            // What setting up has taken is freed by now or counts; before, it could have
            // run into a small limit.
            driver.limit(&plan.resources)?;
        }
        Ok(filter)
    }

    fn set_device_rules(&self, plan: &Plan<'_>, cgroup: &Cgroup) -> Result<(), CgroupError> {
        let rules = plan.resources.devices().as_deref().unwrap_or_default();
        match self.cgroup_need {
            CgroupNeed::Always => cgroup.driver().set_device_rules(rules),
            CgroupNeed::IfAllowed => cgroup.set_device_rules_if_allowed(rules),
        }
    }

    fn await_ready(
        &self,
        plan: &Plan<'_>,
        warnings: &mut Vec<String>,
        terminal: &mut Option<OwnedFd>,
    ) -> Result<(), ProcessError> {
        loop {
            let message =
                self.channel.receive().map_err(ProcessError::system("hear of the process"))?;
            match message {
                None => return Err(watch::death_of(self.pidfd.as_fd())),
                Some(Message::Ready) => return Ok(()),
                Some(Message::Warning(text)) => warnings.push(text),
                Some(Message::Terminal(master)) => *terminal = Some(master),
                Some(Message::Failed(failure)) => return Err(failure.into()),
                Some(Message::MapMount(at, tree)) => {
                    mapped_mounts::map(plan, self.pid, at, tree.as_fd())?;
                    self.say(&Message::MountMapped)?;
                }
                Some(Message::WantMount(at)) => {
                    self.say(&Message::Mount(mount_sources::open(plan, at)?))?;
                }
                Some(Message::HooksDue) => {
                    self.run_hooks()?;
                    self.say(&Message::HooksDone)?;
                }
                Some(other) => return Err(watch::out_of_turn(&other)),
            }
        }
    }

    #[allow(deprecated)]
    /// The container's life has ended, if early: see the specification's `runtime.md`, steps 3
    /// to 5 and 13.
    fn run_poststop_hooks(&self) {
        let hooks = hooks_of(self.spec, Hooks::poststop);
        let state = State::of(self.id, self.spec, self.bundle).text("stopped", 0);
        // The error that ended it is the one to tell.
        let _ = hooks::run_all("poststop", &hooks, &state);
    }

    fn run_hooks(&self) -> Result<(), ProcessError> {
        let pid = self.pid.as_raw_nonzero().get();
        let state = State::of(self.id, self.spec, self.bundle);
        // What is left of a time when they ran at the start: to them it is created.
        let prestart = hooks_of(self.spec, Hooks::prestart);
        hooks::run("prestart", &prestart, &state.text("created", pid))?;
        let create_runtime = hooks_of(self.spec, Hooks::create_runtime);
        hooks::run("createRuntime", &create_runtime, &state.text("creating", pid))
    }

    fn say(&self, message: &Message) -> Result<(), ProcessError> {
        self.channel.send(message).map_err(ProcessError::system("speak to the process"))
    }
}

/// The root folder of a process: device and inode.
fn root_of(pid: Pid) -> Option<(u64, u64)> {
    let status = rustix::fs::stat(format!("/proc/{}/root", pid.as_raw_nonzero())).ok()?;
    Some((status.st_dev, status.st_ino))
}
