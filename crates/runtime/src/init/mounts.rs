//! The mounts of the configuration, in its order.
//!
//! Each mount is made detached, given its attributes, and only then put in its place: at no
//! moment is it visible with fewer restrictions than asked for. The place is opened inside the
//! container's root once, and never by path again.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use linux::mounts::{Attributes, Change, Depth};
use rustix::fs::{CWD, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, open_tree,
};

use crate::cgroups::{Folder, Layout, layout};
use crate::mount_options::MountOptions;
use crate::plan::{MountKind, PlannedMount};

use super::rooted::{self, Missing};
use super::{ContainerInit, Doing as _, StepError, copy_up, namespaces, root};

pub(super) fn mount_all(init: &mut ContainerInit<'_>) -> Result<(), StepError> {
    let plan = init.plan;
    for (at, mount) in plan.mounts.iter().enumerate() {
        mount_one(init, mount).map_err(|error| in_words(&error, at, mount))?;
    }
    Ok(())
}

fn in_words(error: &StepError, at: usize, mount: &PlannedMount<'_>) -> StepError {
    let source =
        mount.source.as_ref().map_or(String::new(), |source| format!("`{}` to ", source.display()));
    StepError::Refused(format!("mounts[{at}] {source}`{}`: {error}", mount.destination.display()))
}

fn mount_one(init: &mut ContainerInit<'_>, mount: &PlannedMount<'_>) -> Result<(), StepError> {
    let made = match mount.kind {
        MountKind::Bind(depth) => bind(init, mount, depth)?,
        MountKind::Cgroup => {
            namespaces::await_cgroup(init)?;
            match layout() {
                Layout::Unified => file_system(init, mount, "cgroup2")?,
                Layout::Version1 { .. } => return mount_hierarchies(init, mount),
            }
        }
        MountKind::FileSystem(kind) => file_system(init, mount, kind)?,
    };
    spread(&made, &mount.options)
}

/// How mounts and unmounts spread is set in place: it is about the place.
fn spread(made: &OwnedFd, options: &MountOptions) -> Result<(), StepError> {
    for (propagation, depth) in &options.propagation {
        let change = Change { propagation: Some(*propagation), ..Change::default() };
        linux::mounts::change(made.as_fd(), *depth, change)?;
    }
    Ok(())
}

fn bind(
    init: &ContainerInit<'_>,
    mount: &PlannedMount<'_>,
    depth: Depth,
) -> Result<OwnedFd, StepError> {
    let source = mount.source.as_ref().expect("checked in the plan");
    let tree = clone(CWD, source, depth).doing(|| format!("`{}`", source.display()))?;
    let missing = if rooted::is_directory(&tree)? { Missing::Directory } else { Missing::File };
    let place = rooted::open_or_create(init.root(), &mount.destination, missing)?;
    restrict(&tree, &mount.options)?;
    root::attach(&tree, &place)?;
    Ok(tree)
}

/// A copy of what is mounted at a path, detached.
pub(super) fn clone(
    folder: BorrowedFd<'_>,
    path: &Path,
    depth: Depth,
) -> rustix::io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if path.as_os_str().is_empty() {
        flags |= OpenTreeFlags::AT_EMPTY_PATH;
    }
    if depth == Depth::Recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(folder, path, flags)
}

fn restrict(mount: &OwnedFd, options: &MountOptions) -> Result<(), StepError> {
    if let Some(change) = options.attributes.change() {
        linux::mounts::change(mount.as_fd(), Depth::One, change)?;
    }
    if let Some(change) = options.recursive_attributes.change() {
        linux::mounts::change(mount.as_fd(), Depth::Recursive, change)?;
    }
    Ok(())
}

fn file_system(
    init: &ContainerInit<'_>,
    mount: &PlannedMount<'_>,
    kind: &str,
) -> Result<OwnedFd, StepError> {
    let place = match kind {
        // A symlink here is an attempt to have the kernel's own files elsewhere.
        "proc" | "sysfs" => open_plain_folder(init.root(), &mount.destination)?,
        _ => rooted::open_or_create(init.root(), &mount.destination, Missing::Directory)?,
    };
    let made = make_detached(mount, kind, &place)?;
    if mount.options.copies_up {
        copy_up::copy(&place, &made)?;
    }
    let mut options = mount.options.clone();
    if mount.is_made_read_only_later {
        options.attributes.set -= Attributes::RDONLY;
    }
    restrict(&made, &options)?;
    root::attach(&made, &place)?;
    Ok(made)
}

fn open_plain_folder(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, StepError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    match rooted::open_without_symlinks(root, path, flags) {
        Err(rustix::io::Errno::NOENT) => {
            Ok(rooted::open_or_create(root, path, Missing::Directory)?)
        }
        Err(rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR) => {
            Err(StepError::Refused("it has to be a plain folder of the image".to_owned()))
        }
        result => Ok(result?),
    }
}

fn make_detached(
    mount: &PlannedMount<'_>,
    kind: &str,
    place: &OwnedFd,
) -> Result<OwnedFd, StepError> {
    let context =
        fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).doing(|| format!("file system `{kind}`"))?;
    if let Some(source) = &mount.source {
        fsconfig_set_string(&context, "source", source)?;
    }
    for option in &mount.options.data {
        let set = match option.split_once('=') {
            Some((key, value)) => fsconfig_set_string(&context, key, value),
            None => fsconfig_set_flag(&context, option.as_str()),
        };
        set.doing(|| format!("option `{option}` {}", root::kernel_log(&context)))?;
    }
    if kind == "tmpfs" && !mount.options.data.iter().any(|option| option.starts_with("mode=")) {
        // As the folder was that it covers.
        let mode = rustix::fs::fstat(place)?.st_mode & 0o7777;
        fsconfig_set_string(&context, "mode", format!("{mode:o}"))?;
    }
    for flag in &mount.options.file_system_flags {
        fsconfig_set_flag(&context, *flag)?;
    }
    fsconfig_create(&context).doing(|| root::kernel_log(&context))?;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?)
}

/// Version 1: a small tmpfs with the container's folder of each hierarchy in it.
fn mount_hierarchies(init: &ContainerInit<'_>, mount: &PlannedMount<'_>) -> Result<(), StepError> {
    let place = rooted::open_or_create(init.root(), &mount.destination, Missing::Directory)?;
    let mut tmpfs = PlannedMount {
        kind: MountKind::FileSystem("tmpfs"),
        source: Some(PathBuf::from("tmpfs")),
        options: MountOptions { data: vec!["mode=755".to_owned()], ..mount.options.clone() },
        destination: mount.destination.clone(),
        is_made_read_only_later: true,
    };
    tmpfs.options.propagation.clear();
    let made = make_detached(&tmpfs, "tmpfs", &place)?;
    let later = tmpfs.options.attributes;
    tmpfs.options.attributes.set -= Attributes::RDONLY;
    restrict(&made, &tmpfs.options)?;
    root::attach(&made, &place)?;
    for folder in &init.cgroup_folders {
        mount_hierarchy(init, mount, folder, &made)
            .map_err(|error| StepError::Refused(format!("`{}`: {error}", folder.hierarchy)))?;
    }
    if let Some(change) = later.change() {
        linux::mounts::change(made.as_fd(), Depth::One, change)?;
    }
    spread(&made, &mount.options)
}

fn mount_hierarchy(
    init: &ContainerInit<'_>,
    mount: &PlannedMount<'_>,
    folder: &Folder,
    tmpfs: &OwnedFd,
) -> Result<(), StepError> {
    let name = Path::new(folder.hierarchy);
    let place = rooted::open_or_create(tmpfs.as_fd(), name, Missing::Directory)?;
    // In a cgroup namespace of its own the container's folder is the root of the hierarchy.
    let made = if init.plan.has_new_cgroup_namespace {
        mount_own_hierarchy(folder)?
    } else {
        clone(CWD, &folder.path, Depth::One)?
    };
    restrict(&made, &mount.options)?;
    Ok(root::attach(&made, &place)?)
}

fn mount_own_hierarchy(folder: &Folder) -> Result<OwnedFd, StepError> {
    let kind = if folder.hierarchy == "unified" { "cgroup2" } else { "cgroup" };
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", "cgroup")?;
    if kind == "cgroup" {
        fsconfig_set_flag(&context, folder.hierarchy)?;
    }
    fsconfig_create(&context).doing(|| root::kernel_log(&context))?;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?)
}
