//! Cloning a container into a user namespace of somebody else's.
//!
//! The container's other namespaces have to belong to that one, so whoever clones it has to be
//! in it; and from there is no way back. So a process in between goes there, clones the
//! container as a child of its own parent, and ends.
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
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::plan::Plan;

use super::reap;

/// Clones as `linux::process::clone_process` does, in the namespaces that `plan` joins.
pub(super) fn clone(
    plan: &Plan<'_>,
    network: Option<BorrowedFd<'_>>,
    birthplace: Option<BorrowedFd<'_>>,
) -> io::Result<Cloned> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    match clone_process(Namespaces::empty(), None)? {
        Cloned::Child => {
            drop(reader);
            match join_all(plan, network).and_then(|()| clone_sibling(plan.new, birthplace)) {
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
