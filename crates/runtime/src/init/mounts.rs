//! The mounts of the configuration, in its order.
//!
//! Each mount is made detached, given its attributes, and only then put in its place: at no
//! moment is it visible with fewer restrictions than asked for. The place is opened inside the
//! container's root once, and never by path again.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use linux::mounts::{Attributes, Change, Depth};
use rustix::fs::{CWD, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, FsPickFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_reconfigure, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, fspick,
    open_tree,
};

use crate::cgroups::{Folder, Layout, layout};
use crate::channel::Message;
use crate::mount_options::MountOptions;
use crate::plan::{MountKind, PlannedMount};

use super::rooted::{self, Missing};
use super::{ContainerInit, Doing as _, StepError, copy_up, labels, namespaces, privileges, root};

pub(super) fn mount_all(init: &mut ContainerInit<'_>) -> Result<(), StepError> {
    let plan = init.plan;
    for (at, mount) in plan.mounts.iter().enumerate() {
        mount_one(init, at, mount).map_err(|error| in_words(&error, at, mount))?;
    }
    Ok(())
}

fn in_words(error: &StepError, at: usize, mount: &PlannedMount<'_>) -> StepError {
    let source =
        mount.source.as_ref().map_or(String::new(), |source| format!("`{}` to ", source.display()));
    StepError::Refused(format!("mounts[{at}] {source}`{}`: {error}", mount.destination.display()))
}

fn mount_one(
    init: &mut ContainerInit<'_>,
    at: usize,
    mount: &PlannedMount<'_>,
) -> Result<(), StepError> {
    if mount.options.remount {
        return remount(init, mount);
    }
    let made = match mount.kind {
        MountKind::Bind(depth) => bind(init, at, mount, depth)?,
        MountKind::FileSystem("cgroup2") if layout() == Layout::Unified => {
            namespaces::await_cgroup(init)?;
            unified_hierarchy(init, mount)?
        }
        MountKind::Cgroup => {
            namespaces::await_cgroup(init)?;
            match layout() {
                Layout::Unified => unified_hierarchy(init, mount)?,
                Layout::Version1 { .. } => return mount_hierarchies(init, mount),
            }
        }
        MountKind::FileSystem(kind) => file_system(init, mount, kind)?,
    };
    spread(&made, &mount.options)
}

/// Changes the mount that is there already, as `mount -o remount` does: the attributes of a mount
/// become those that are given, and a file system's own options are told to it.
fn remount(init: &ContainerInit<'_>, mount: &PlannedMount<'_>) -> Result<(), StepError> {
    let place = rooted::open(init.root(), &mount.destination, OFlags::PATH)?;
    let options = &mount.options;
    let is_bind = matches!(mount.kind, MountKind::Bind(_));
    let has_own_options = !options.data.is_empty() || !options.file_system_flags.is_empty();
    if has_own_options && !is_bind {
        let flags = FsPickFlags::FSPICK_CLOEXEC | FsPickFlags::FSPICK_EMPTY_PATH;
        let context = fspick(place.as_fd(), "", flags)?;
        set_file_system_options(&context, options)?;
        fsconfig_reconfigure(&context).doing(|| root::kernel_log(&context))?;
    }
    let mut change = Change {
        set: options.attributes.set,
        clear: GIVEN_ANEW - options.attributes.set,
        propagation: None,
    };
    if let Some(asked) = options.attributes.change() {
        change.clear |= asked.clear;
    }
    linux::mounts::change(place.as_fd(), Depth::One, change)?;
    if let Some(change) = options.recursive_attributes.change() {
        linux::mounts::change(place.as_fd(), Depth::Recursive, change)?;
    }
    spread(&place, options)
}

/// What a remount takes away unless it is given again. How access times are kept stays.
const GIVEN_ANEW: Attributes = Attributes::RDONLY
    .union(Attributes::NOSUID)
    .union(Attributes::NODEV)
    .union(Attributes::NOEXEC)
    .union(Attributes::NOSYMFOLLOW);

/// How mounts and unmounts spread is set in place: it is about the place.
fn spread(made: &OwnedFd, options: &MountOptions) -> Result<(), StepError> {
    for (propagation, depth) in &options.propagation {
        let change = Change { propagation: Some(*propagation), ..Change::default() };
        linux::mounts::change(made.as_fd(), *depth, change)?;
    }
    Ok(())
}

fn bind(
    init: &mut ContainerInit<'_>,
    at: usize,
    mount: &PlannedMount<'_>,
    depth: Depth,
) -> Result<OwnedFd, StepError> {
    let source = mount.source.as_ref().expect("checked in the plan");
    let mut tree = match clone(CWD, source, depth) {
        // Root of a user namespace is nobody to the host's files.
        Err(Errno::ACCESS) if init.plan.has_user_namespace() => ask_for_mount(init, at)?,
        result => result.doing(|| format!("`{}`", source.display()))?,
    };
    if mount.mapping.is_some() {
        tree = map_ids(init, at, tree)?;
    }
    let missing = if rooted::is_directory(&tree)? { Missing::Directory } else { Missing::File };
    let place = rooted::open_or_create(init.root(), &mount.destination, missing)?;
    keep_proc_uncovered(&place, mount)?;
    restrict(&tree, &mount.options)?;
    root::attach(&tree, &place)?;
    Ok(tree)
}

/// The plan has refused what covers `/proc` by its name. Here a symlink of the image's may have
/// led there (CVE-2019-19921).
fn keep_proc_uncovered(place: &OwnedFd, mount: &PlannedMount<'_>) -> Result<(), StepError> {
    if mount.destination.starts_with("/proc") || !rooted::is_of_proc(place)? {
        return Ok(());
    }
    let shown = mount.destination.display();
    Err(StepError::Refused(format!("\"{shown}\" cannot be mounted because it is inside /proc")))
}

/// Has the parent open a mount's source.
fn ask_for_mount(init: &mut ContainerInit<'_>, at: usize) -> Result<OwnedFd, StepError> {
    // The parent speaks in this order.
    namespaces::await_cgroup(init)?;
    privileges::receive_filter(&mut init.process)?;
    init.process.channel.send(&Message::WantMount(at))?;
    match init.process.await_message()? {
        Message::Mount(tree) => Ok(tree),
        other => Err(StepError::Refused(format!("the parent answered out of turn: {other:?}"))),
    }
}

/// Has the parent map a mount: it takes rights over the file system, which a user namespace
/// does not have.
fn map_ids(init: &mut ContainerInit<'_>, at: usize, tree: OwnedFd) -> Result<OwnedFd, StepError> {
    // The parent speaks in this order.
    namespaces::await_cgroup(init)?;
    privileges::receive_filter(&mut init.process)?;
    let request = Message::MapMount(at, tree);
    init.process.channel.send(&request)?;
    init.process.expect_message(|message| matches!(message, Message::MountMapped))?;
    match request {
        Message::MapMount(_, tree) => Ok(tree),
        _ => unreachable!("it was made above"),
    }
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
    // A symlink for these is an attempt to have the kernel's own files elsewhere.
    let must_be_plain = matches!(kind, "proc" | "sysfs");
    let (place, was_there) = open_place(init.root(), &mount.destination, must_be_plain)?;
    keep_proc_uncovered(&place, mount)?;
    let covered = if was_there { Covered::Folder(&place) } else { Covered::Nothing };
    let label = labels::of_mounts(init.linux);
    let made = match make_detached(mount, kind, covered, label) {
        Err(error) if error.is(Errno::PERM) => hosts_view(mount, kind, error)?,
        result => result?,
    };
    if mount.options.copies_up {
        copy_up::copy(&place, &made)?;
    }
    let mut options = mount.options.clone();
    if mount.is_made_read_only_later {
        options.attributes.set -= Attributes::RDONLY;
    }
    restrict(&made, &options)?;
    root::attach(&made, &place)?;
    if let ("mqueue", Some(label)) = (kind, label) {
        // It takes no label as an option.
        labels::set_file_label(&made, label)?;
    }
    Ok(made)
}

/// In a user namespace, a file system that shows what belongs to the host (its network's devices
/// in `sysfs`, its message queues) cannot be mounted anew: then the host's is shown.
fn hosts_view(
    mount: &PlannedMount<'_>,
    kind: &str,
    error: StepError,
) -> Result<OwnedFd, StepError> {
    let path = match kind {
        "sysfs" => "/sys",
        "mqueue" => "/dev/mqueue",
        _ => return Err(error),
    };
    view(Path::new(path), mount)
}

/// A copy of the host's mounts at `path`, with what is below: it may be locked together.
fn view(path: &Path, mount: &PlannedMount<'_>) -> Result<OwnedFd, StepError> {
    let tree = clone(CWD, path, Depth::Recursive).doing(|| path.display().to_string())?;
    if mount.options.attributes.set.contains(Attributes::RDONLY) {
        let change = Change { set: Attributes::RDONLY, ..Change::default() };
        linux::mounts::change(tree.as_fd(), Depth::Recursive, change)?;
    }
    Ok(tree)
}

/// Version 2. Without a cgroup namespace the container sees what the host sees, and sees the
/// host's own mount: one made anew from there would reset the options of the hierarchy.
fn unified_hierarchy(
    init: &ContainerInit<'_>,
    mount: &PlannedMount<'_>,
) -> Result<OwnedFd, StepError> {
    let has_namespace = init.plan.has_cgroup_namespace();
    let (place, _) = open_place(init.root(), &mount.destination, false)?;
    let made = if has_namespace {
        match make_detached(mount, "cgroup2", Covered::Nothing, None) {
            // In a user namespace that the cgroup namespace does not belong to.
            Err(error) if error.is(Errno::PERM) || error.is(Errno::BUSY) => {
                view(own_folder(init).ok_or(error)?, mount)?
            }
            result => result?,
        }
    } else {
        view(Path::new(UNIFIED_HIERARCHY), mount)?
    };
    restrict(&made, &mount.options)?;
    root::attach(&made, &place)?;
    Ok(made)
}

/// Where hosts have it.
const UNIFIED_HIERARCHY: &str = "/sys/fs/cgroup";

fn own_folder<'a>(init: &'a ContainerInit<'_>) -> Option<&'a Path> {
    init.cgroup_folders.first().map(|folder| folder.path.as_path())
}

/// Opens the folder to mount something at, made if missing, and says whether it was there.
fn open_place(
    root: BorrowedFd<'_>,
    path: &Path,
    must_be_plain: bool,
) -> Result<(OwnedFd, bool), StepError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let found = if must_be_plain {
        rooted::open_without_symlinks(root, path, flags)
    } else {
        rooted::open(root, path, OFlags::PATH)
    };
    match found {
        Err(Errno::NOENT) => Ok((rooted::open_or_create(root, path, Missing::Directory)?, false)),
        Err(Errno::LOOP | Errno::NOTDIR) if must_be_plain => {
            Err(StepError::Refused("it must be mounted on ordinary directory".to_owned()))
        }
        result => Ok((result?, true)),
    }
}

/// What a mount covers.
#[derive(Clone, Copy)]
enum Covered<'a> {
    Folder(&'a OwnedFd),
    /// A folder that was made for it.
    Nothing,
}

fn make_detached(
    mount: &PlannedMount<'_>,
    kind: &str,
    covered: Covered<'_>,
    label: Option<&str>,
) -> Result<OwnedFd, StepError> {
    let context =
        fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).doing(|| format!("file system `{kind}`"))?;
    if let Some(source) = &mount.source {
        fsconfig_set_string(&context, "source", source)?;
    }
    if let ("tmpfs", Covered::Folder(place)) = (kind, covered)
        && !mount.options.data.iter().any(|option| option.starts_with("mode="))
    {
        // As the folder was that it covers.
        let mode = rustix::fs::fstat(place)?.st_mode & 0o7777;
        fsconfig_set_string(&context, "mode", format!("{mode:o}"))?;
    }
    set_file_system_options(&context, &mount.options)?;
    labels::set_mount_label(&context, kind, &mount.options.data, label)?;
    fsconfig_create(&context).doing(|| root::kernel_log(&context))?;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?)
}

fn set_file_system_options(context: &OwnedFd, options: &MountOptions) -> Result<(), StepError> {
    for option in &options.data {
        let set = match option.split_once('=') {
            Some((key, value)) => fsconfig_set_string(context, key, value),
            None => fsconfig_set_flag(context, option.as_str()),
        };
        set.doing(|| format!("option `{option}` {}", root::kernel_log(context)))?;
    }
    for flag in &options.file_system_flags {
        fsconfig_set_flag(context, *flag)?;
    }
    Ok(())
}

/// Version 1: a small tmpfs with the container's folder of each hierarchy in it.
fn mount_hierarchies(init: &ContainerInit<'_>, mount: &PlannedMount<'_>) -> Result<(), StepError> {
    let place = rooted::open_or_create(init.root(), &mount.destination, Missing::Directory)?;
    keep_proc_uncovered(&place, mount)?;
    let mut tmpfs = PlannedMount {
        kind: MountKind::FileSystem("tmpfs"),
        source: Some(PathBuf::from("tmpfs")),
        options: MountOptions { data: vec!["mode=755".to_owned()], ..mount.options.clone() },
        destination: mount.destination.clone(),
        mapping: None,
        is_made_read_only_later: true,
    };
    tmpfs.options.propagation.clear();
    let made =
        make_detached(&tmpfs, "tmpfs", Covered::Folder(&place), labels::of_mounts(init.linux))?;
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
        match mount_own_hierarchy(folder) {
            // One that carries more controllers than its name says: its view will do.
            Err(error) if error.is(Errno::BUSY) || error.is(Errno::INVAL) => {
                clone(CWD, &folder.path, Depth::One)?
            }
            result => result?,
        }
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
    match folder.hierarchy {
        "unified" => {}
        // It has a name and no controller.
        "systemd" => {
            fsconfig_set_flag(&context, "none")?;
            fsconfig_set_string(&context, "name", "systemd")?;
        }
        controller => fsconfig_set_flag(&context, controller)?,
    }
    fsconfig_create(&context).doing(|| root::kernel_log(&context))?;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?)
}
