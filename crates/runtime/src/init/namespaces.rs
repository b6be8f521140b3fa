//! Leaving the host's namespaces, and waiting for the parent at the right moments.

use std::ffi::CString;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use rustix::process::{DumpableBehavior, set_dumpable_behavior, setsid};
use rustix::thread::{
    LinkNameSpaceType, ThreadNameSpaceType, move_into_link_name_space, move_into_thread_name_spaces,
};

use linux::namespaces::Namespaces;
use linux::process::Cloned;

use crate::channel::{Channel, Message};
use crate::hooks::State;
use crate::request::Keyring;

use super::{
    ChildStdio, ContainerInit, Doing as _, JoinInit, ProcessInit, StepError, Wait, labels,
    privileges,
};

pub(super) fn close_foreign_descriptors(init: &mut ContainerInit<'_>) -> Result<(), StepError> {
    let mut kept = init.process.descriptors();
    kept.extend(init.network_namespace);
    kept.extend(init.plan.joined.iter().map(|namespace| namespace.fd.as_fd()));
    leave_descriptors(&kept, init.process.preserved_descriptors)?;
    // An ordinary user cannot map the users of a process that is out of reach; it will be once
    // they are mapped. Nobody else is in its user namespace by then.
    let is_mapped_by_user = init.plan.new.contains(Namespaces::USER) && !init.plan.is_made_by_root;
    if is_mapped_by_user { Ok(()) } else { become_unreachable() }
}

pub(super) fn close_foreign_descriptors_to_join(init: &mut JoinInit<'_>) -> Result<(), StepError> {
    let mut kept = init.process.descriptors();
    kept.push(init.container);
    leave_descriptors(&kept, init.process.preserved_descriptors)?;
    become_unreachable()
}

fn leave_descriptors(kept: &[BorrowedFd<'_>], preserved: u32) -> Result<(), StepError> {
    linux::process::close_descriptors_from(FIRST_AFTER_STDIO + preserved, kept)?;
    linux::process::reset_signals();
    Ok(())
}

/// From here on no process of the container can read this one's memory or descriptors, or
/// reach this program's file through it, until `execve` lifts the ban.
fn become_unreachable() -> Result<(), StepError> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

impl ProcessInit<'_> {
    /// What this process needs of what it inherited.
    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let mut kept = vec![self.channel.as_fd()];
        if let ChildStdio::Descriptors(streams) = &self.stdio {
            kept.extend(streams.iter().map(|stream| stream.as_fd()));
        }
        if let Wait::Socket(socket) = &self.wait {
            kept.push(socket.as_fd());
        }
        kept
    }
}

/// Joins the namespaces that the configuration names by path. Those of processes were the
/// parent's business: they are for a process's children only.
pub(super) fn join(init: &mut ContainerInit<'_>) -> Result<(), StepError> {
    let is_left_to_us = !init.plan.is_joined_by_parent(LinkNameSpaceType::Network);
    if let Some(network) = init.network_namespace.filter(|_| is_left_to_us) {
        move_into_link_name_space(network, Some(LinkNameSpaceType::Network))
            .doing(|| "the network namespace".to_owned())?;
    }
    for namespace in &init.plan.joined {
        if !init.plan.is_joined_by_parent(namespace.kind) {
            super::join_namespace(namespace)?;
        }
    }
    Ok(())
}

/// In a new user namespace nobody is anybody until the parent has written the mappings.
pub(super) fn become_root(init: &mut ContainerInit<'_>) -> Result<(), StepError> {
    if !init.plan.has_user_namespace() {
        return Ok(());
    }
    if init.plan.new.contains(Namespaces::USER) {
        init.process.expect_message(|message| matches!(message, Message::UsersMapped))?;
    }
    become_namespace_root()
}

fn become_namespace_root() -> Result<(), StepError> {
    use rustix::process::{Gid, Uid};
    // A namespace without a root is one in which this process stays who it is.
    let unless_unknown = |result| match result {
        Err(Errno::INVAL) => Ok(()),
        result => result,
    };
    unless_unknown(rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT))?;
    unless_unknown(rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT))?;
    // Changing the ids has made it dumpable or not as the kernel saw fit.
    become_unreachable()
}

/// A session and a keyring of its own: no terminal of the host's, no keys of the host's.
pub(super) fn start_session(init: &mut ContainerInit<'_>) -> Result<(), StepError> {
    setsid()?;
    if let Some(keyring) = labels::with_labelled_keys(&init.process, join_keyring)? {
        // Whoever may search it can join it: that is how a further process finds it by its name.
        // In a user namespace that process is somebody else to the kernel.
        let is_own_user = !init.plan.has_user_namespace();
        let searcher = if is_own_user { USER_SEARCH } else { OTHER_SEARCH };
        linux::process::set_keyring_permissions(keyring, KEYRING_PERMISSIONS | searcher)?;
    }
    Ok(())
}

pub(super) fn start_session_to_join(init: &mut JoinInit<'_>) -> Result<(), StepError> {
    setsid()?;
    join_keyring(&init.process).map(drop)
}

/// What the kernel gives a new keyring: everything to its possessor; view, read and link to its
/// user. See `keyctl_setperm(3)`.
const KEYRING_PERMISSIONS: u32 = 0x3f13_0000;
const USER_SEARCH: u32 = 0x8_0000;
const OTHER_SEARCH: u32 = 0x8;

/// Joins the container's keyring, if it is to have one. It is named as runc does it.
fn join_keyring(process: &ProcessInit<'_>) -> Result<Option<i32>, StepError> {
    if process.keyring == Keyring::Inherited {
        return Ok(None);
    }
    let name = CString::new(format!("_ses.{}", process.id)).map_err(|_| Errno::INVAL)?;
    match linux::process::join_keyring(&name) {
        Ok(keyring) => Ok(Some(keyring)),
        Err(error) => match Errno::from_io_error(&error) {
            // A kernel without keyrings, or a user with no more room for them, has no secret there.
            Some(Errno::NOSYS | Errno::DQUOT | Errno::PERM) => Ok(None),
            _ => Err(error.into()),
        },
    }
}

pub(super) fn bring_up_loopback(init: &mut ContainerInit<'_>) -> Result<(), StepError> {
    if init.plan.new.contains(Namespaces::NETWORK) {
        linux::loopback::bring_up()?;
    }
    Ok(())
}

pub(super) fn set_host_name(init: &mut ContainerInit<'_>) -> Result<(), StepError> {
    if let Some(name) = init.spec.hostname().as_ref().filter(|name| !name.is_empty()) {
        rustix::system::sethostname(name.as_bytes())?;
    }
    if let Some(name) = init.spec.domainname().as_ref().filter(|name| !name.is_empty()) {
        rustix::system::setdomainname(name.as_bytes()).doing(|| "the domain name".to_owned())?;
    }
    Ok(())
}

/// Waits until the parent has made the cgroup and moved this process there; then makes it the
/// root of a cgroup namespace, if one is asked for.
pub(super) fn await_cgroup(init: &mut ContainerInit<'_>) -> Result<(), StepError> {
    if init.is_cgroup_ready {
        return Ok(());
    }
    init.process.expect_message(|message| matches!(message, Message::CgroupReady))?;
    init.is_cgroup_ready = true;
    if init.plan.has_new_cgroup_namespace {
        linux::namespaces::unshare(Namespaces::CGROUP)?;
    }
    Ok(())
}

pub(super) fn await_cgroup_to_join(init: &mut JoinInit<'_>) -> Result<(), StepError> {
    init.process.expect_message(|message| matches!(message, Message::CgroupReady))
}

/// The hooks of the host run while this process waits; those of the container run here.
pub(super) fn await_hooks(init: &mut ContainerInit<'_>) -> Result<(), StepError> {
    let Some(hooks) = init.spec.hooks() else { return Ok(()) };
    if init.plan.has_host_hooks {
        // The parent speaks in this order, and hooks expect the cgroup to be there.
        await_cgroup(init)?;
        privileges::receive_filter(&mut init.process)?;
        init.process.channel.send(&Message::HooksDue)?;
        init.process.expect_message(|message| matches!(message, Message::HooksDone))?;
    }
    let hooks = hooks.create_container().as_deref().unwrap_or_default();
    if hooks.is_empty() {
        return Ok(());
    }
    // Where hooks written for runc expect to be.
    rustix::process::fchdir(init.root())?;
    let state = State::of(init.process.id, init.spec, init.bundle).text("creating", own_pid());
    crate::hooks::run("createContainer", hooks, &state)
        .map_err(|error| StepError::Refused(error.to_string()))
}

/// This process's number as the container sees it.
fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

pub(super) fn join_container(init: &mut JoinInit<'_>) -> Result<(), StepError> {
    // It would lead out of the container.
    let proc = init.process.host_proc.take().expect("it is opened by an earlier step");
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let path = format!("{}/root", init.container_pid.as_raw_nonzero());
    let root = match openat(&proc, path, flags, Mode::empty()) {
        // What an ordinary user may not see: see [`enter_root`] for what is missed.
        Err(Errno::ACCESS | Errno::PERM) if init.has_user_namespace => None,
        result => Some(result?),
    };
    drop(proc);
    if !init.namespaces.is_empty() {
        move_into_thread_name_spaces(init.container, init.namespaces)?;
    }
    if let Some(root) = root {
        enter_root(init, &root)?;
    }
    if init.has_user_namespace {
        become_namespace_root()?;
    }
    Ok(())
}

/// A process joins a pid namespace for its children only: so a child takes this one's place.
pub(super) fn be_born_inside(init: &mut JoinInit<'_>) -> Result<(), StepError> {
    if !init.namespaces.contains(ThreadNameSpaceType::PROCESS_ID) {
        return Ok(());
    }
    match linux::process::clone_sibling(Namespaces::empty(), None)? {
        Cloned::Child => {
            init.process.expect_message(|message| matches!(message, Message::BirthNoted))
        }
        Cloned::Parent { child, .. } => {
            init.process.channel.send(&Message::Born(child))?;
            linux::process::exit(0)
        }
    }
}

/// Joining a mount namespace leads to its lowest root. On a host that runs from within a
/// change of root (an initial file system that was never left, say), that is not where the
/// container is, and the container's own process knows better.
fn enter_root(init: &JoinInit<'_>, root: &OwnedFd) -> Result<(), StepError> {
    let identity = |status: rustix::fs::Stat| (status.st_dev, status.st_ino);
    let here = identity(rustix::fs::stat("/")?);
    let known = init.container_root.map_or_else(|| rustix::fs::fstat(root).map(identity), Ok)?;
    if here != known {
        rustix::process::fchdir(root)?;
        rustix::process::chroot(".")?;
    }
    Ok(())
}

pub(super) fn close_on_execution(process: &mut ProcessInit<'_>) -> Result<(), StepError> {
    let end = FIRST_AFTER_STDIO + process.preserved_descriptors;
    linux::process::keep_on_execute(FIRST_AFTER_STDIO, end)?;
    Ok(linux::process::close_on_execute_from(end)?)
}

/// The descriptor after the standard streams.
const FIRST_AFTER_STDIO: u32 = 3;

/// SIGHUP, SIGINT, SIGQUIT and SIGTERM, by which people and engines end processes.
const ENDING_SIGNALS: [i32; 4] = [1, 2, 3, 15];

/// The first process of a container is ready here, and waits to be started.
pub(super) fn await_start(process: &mut ProcessInit<'_>) -> Result<(), StepError> {
    if matches!(process.wait, Wait::None) {
        return Ok(());
    }
    if matches!(process.wait, Wait::Socket(_)) {
        // Whoever created it may end it again as any process, though no program of the
        // container's listens yet.
        ENDING_SIGNALS.iter().try_for_each(|signal| linux::signals::end_at(*signal))?;
    }
    process.channel.send(&Message::Ready)?;
    if let Wait::Socket(socket) = &process.wait {
        // A maker that is killed before it has noted this container down takes it along:
        // nobody would know that there is something to start.
        process.expect_message(|message| matches!(message, Message::Released))?;
        let connection = accept_with(socket, SocketFlags::CLOEXEC)?;
        process.channel = Channel::over(connection);
    }
    process.wait = Wait::None;
    process.expect_message(|message| matches!(message, Message::Start))?;
    if process.program.is_none() {
        return Err(StepError::Refused("process: is missing".to_owned()));
    }
    Ok(())
}

/// These are programs of the container's.
pub(super) fn run_start_hooks(process: &mut ProcessInit<'_>) -> Result<(), StepError> {
    let Some(start) = &process.start_hooks else { return Ok(()) };
    // As with runc: its hooks of this point have always had what the program has.
    let state = start.state.text("created", own_pid());
    crate::hooks::run_with(&process.environment, "startContainer", &start.hooks, &state)
        .map_err(|error| StepError::Refused(error.to_string()))
}

impl ProcessInit<'_> {
    /// Waits for one message of the parent, and for no other.
    pub(super) fn expect_message(
        &self,
        is_expected: fn(&Message) -> bool,
    ) -> Result<(), StepError> {
        let message = self.await_message()?;
        if is_expected(&message) {
            return Ok(());
        }
        Err(StepError::Refused(format!("the parent answered out of turn: {message:?}")))
    }
}
