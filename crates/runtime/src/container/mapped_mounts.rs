//! Id-mapped mounts. The container's first process makes each mount, detached, in its place
//! among the others, and sends it here: who maps a file system's owners needs rights over it.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use linux::namespaces::Namespaces;
use linux::process::{Cloned, clone_process};
use oci::runtime::LinuxIdMapping;
use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;

use crate::error::ProcessError;
use crate::plan::{MountMapping, Plan};

use super::id_maps::lines;
use super::reap;

/// Maps the mount of number `at`, for the container whose first process is `container`.
pub(super) fn map(
    plan: &Plan<'_>,
    container: Pid,
    at: usize,
    tree: BorrowedFd<'_>,
) -> Result<(), ProcessError> {
    let mapping = plan.mounts.get(at).and_then(|mount| mount.mapping);
    let mapping = mapping.ok_or_else(|| ProcessError::Died {
        how: format!("it asked for a mapping of mounts[{at}], which has none"),
    })?;
    let field = |error: io::Error| {
        ProcessError::invalid(format!("mounts[{at}].uidMappings"), in_words(&error))
    };
    let (namespace, depth) = match mapping {
        MountMapping::Containers(depth) => (user_namespace_of(container), depth),
        MountMapping::Own { users, groups, depth } => (user_namespace(users, groups), depth),
    };
    let namespace = namespace.map_err(field)?;
    linux::mounts::map_ids(tree, depth, namespace.as_fd()).map_err(field)
}

fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::InvalidInput => {
            format!("this kernel or file system has no id-mapped mounts ({error})")
        }
        io::ErrorKind::PermissionDenied => {
            format!("no rights over the file system, or over the ids, to map it ({error})")
        }
        _ => error.to_string(),
    }
}

/// A user namespace that is good for its mappings alone.
fn user_namespace(users: &[LinuxIdMapping], groups: &[LinuxIdMapping]) -> io::Result<OwnedFd> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    match clone_process(Namespaces::USER, None)? {
        Cloned::Child => {
            drop(writer);
            // Until it is no longer needed.
            let _ = rustix::io::read(&reader, &mut [0; 1]);
            linux::process::exit(0)
        }
        Cloned::Parent { child, pidfd } => {
            let folder = format!("/proc/{}", child.as_raw_nonzero());
            let namespace = std::fs::write(format!("{folder}/gid_map"), lines(groups))
                .and_then(|()| std::fs::write(format!("{folder}/uid_map"), lines(users)))
                .and_then(|()| user_namespace_of(child));
            drop(writer);
            reap(pidfd.as_fd());
            namespace
        }
    }
}

fn user_namespace_of(process: Pid) -> io::Result<OwnedFd> {
    let path = format!("/proc/{}/ns/user", process.as_raw_nonzero());
    Ok(rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}
