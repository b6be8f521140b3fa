//! Sources of bind mounts that only the container's maker can reach.
//!
//! The first process of a container with a user namespace is nobody to the host's files, and a
//! folder that is closed to others keeps it out. Who configured the mount wants it shown all
//! the same, so the maker opens it, with its own rights.

use std::os::fd::{AsFd as _, OwnedFd};

use linux::mounts::{Change, Depth, Propagation};
use rustix::fs::CWD;
use rustix::mount::{OpenTreeFlags, open_tree};

use crate::error::ProcessError;
use crate::plan::{MountKind, Plan};

/// A detached copy of what the mount of number `at` is to show.
pub(super) fn open(plan: &Plan<'_>, at: usize) -> Result<OwnedFd, ProcessError> {
    let mount = plan.mounts.get(at);
    let Some((MountKind::Bind(depth), Some(source))) =
        mount.map(|mount| (mount.kind, mount.source.as_ref()))
    else {
        let how = format!("it asked for the source of mounts[{at}], which has none");
        return Err(ProcessError::Died { how });
    };
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if depth == Depth::Recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let tree = open_tree(CWD, source, flags).map_err(std::io::Error::from);
    tree.and_then(keep_from_spreading).map_err(|error| {
        let reason = format!("`{}`: {error}", source.display());
        ProcessError::invalid(format!("mounts[{at}].source"), reason)
    })
}

/// As the kernel has the mounts of a new user namespace: what the container mounts on them, or
/// unmounts, is not seen on the host, though these here come from the host's own.
fn keep_from_spreading(tree: OwnedFd) -> std::io::Result<OwnedFd> {
    let change = Change { propagation: Some(Propagation::Slave), ..Change::default() };
    linux::mounts::change(tree.as_fd(), Depth::Recursive, change)?;
    Ok(tree)
}
