//! Cloning a process into a user namespace that is there already.
//!
//! A container's other namespaces have to belong to that one, so whoever clones it has to be
//! in it; and from there is no way back. So a process in between goes there, clones the
//! container as a child of its own parent, and ends.
//!
//! The same goes for what an ordinary user does with a container's pid namespace: its right over
//! that is one within a user namespace, and does not lead back to the host's.
//!
//! ```text
//!   parent ──clone──▶ midwife: joins all, and the user namespace last ─┐
//!      └──────────────── CLONE_PARENT ─────────────────▶ container ◀───┘
//! ```

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use linux::namespaces::Namespaces;
use linux::process::{Cloned, clone_process, clone_sibling};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{DumpableBehavior, Pid, PidfdFlags, pidfd_open, set_dumpable_behavior};
use rustix::thread::{
    LinkNameSpaceType, ThreadNameSpaceType, move_into_link_name_space, move_into_thread_name_spaces,
};

use crate::plan::Plan;

use super::reap;

/// Clones a container as `linux::process::clone_process` does, in the namespaces that `plan`
/// joins.
pub(super) fn clone(
    plan: &Plan<'_>,
    network: Option<BorrowedFd<'_>>,
    birthplace: Option<BorrowedFd<'_>>,
) -> io::Result<Cloned> {
    clone_after(|| join_all(plan, network), plan.new, birthplace)
}

/// Clones a further process in those `namespaces` of `container` from which there is no way
/// back. `memory_score` is set on the way, as it cannot be any more later.
pub(super) fn clone_further(
    container: BorrowedFd<'_>,
    namespaces: ThreadNameSpaceType,
    memory_score: Option<i32>,
    birthplace: Option<BorrowedFd<'_>>,
) -> io::Result<Cloned> {
    let join = || {
        if let Some(score) = memory_score {
            // Where it is forbidden, the process itself notices and says so.
            let _ = std::fs::write("/proc/self/oom_score_adj", score.to_string());
        }
        // Nobody in there may look into this process.
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        Ok(move_into_thread_name_spaces(container, namespaces)?)
    };
    clone_after(join, Namespaces::empty(), birthplace)
}

fn clone_after(
    join: impl FnOnce() -> io::Result<()>,
    new: Namespaces,
    birthplace: Option<BorrowedFd<'_>>,
) -> io::Result<Cloned> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    match clone_process(Namespaces::empty(), None)? {
        Cloned::Child => {
            drop(reader);
            match join().and_then(|()| clone_sibling(new, birthplace)) {
                Ok(Cloned::Child) => Ok(Cloned::Child),
                Ok(Cloned::Parent { child, .. }) => report(&writer, child.as_raw_nonzero().get()),
                Err(error) => {
                    let number = error.raw_os_error().unwrap_or(Errno::IO.raw_os_error());
                    report(&writer, -number)
                }
            }
        }
        Cloned::Parent { pidfd: midwife, .. } => {
            drop(writer);
            let result = hear(&reader);
            reap(midwife.as_fd());
            let child = result?;
            // It cannot have been reaped by anyone else: it is this process's own child.
            Ok(Cloned::Parent { child, pidfd: pidfd_open(child, PidfdFlags::empty())? })
        }
    }
}

/// Joins everything: what is the host's with the host's rights, what belongs to the user
/// namespace with that one's.
fn join_all(plan: &Plan<'_>, network: Option<BorrowedFd<'_>>) -> io::Result<()> {
    // Nobody in there may look into this process.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let is_user = |kind| kind == LinkNameSpaceType::User;
    let joined = plan.joined.iter().map(|namespace| (namespace.fd.as_fd(), namespace.kind));
    let network = network.map(|network| (network, LinkNameSpaceType::Network));
    let (users, others): (Vec<_>, Vec<_>) =
        joined.chain(network).partition(|(_, kind)| is_user(*kind));
    let mut later = Vec::new();
    for (namespace, kind) in others {
        match move_into_link_name_space(namespace, Some(kind)) {
            Err(Errno::PERM) => later.push((namespace, kind)),
            result => result?,
        }
    }
    for (namespace, kind) in users.into_iter().chain(later) {
        move_into_link_name_space(namespace, Some(kind))?;
    }
    Ok(())
}

/// Tells the parent the child's number, or a negative error, and ends.
fn report(writer: &OwnedFd, number: i32) -> ! {
    // If the parent has gone, nobody is left to be told.
    let _ = rustix::io::write(writer, &number.to_ne_bytes());
    linux::process::exit(0)
}

fn hear(reader: &OwnedFd) -> io::Result<Pid> {
    let mut bytes = [0; size_of::<i32>()];
    let length = rustix::io::retry_on_intr(|| rustix::io::read(reader, &mut bytes))?;
    if length != bytes.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let number = i32::from_ne_bytes(bytes);
    Pid::from_raw(number.max(0)).ok_or_else(|| io::Error::from_raw_os_error(-number))
}
