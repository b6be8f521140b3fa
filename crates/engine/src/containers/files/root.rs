//! A container's file system, as its own processes see it.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use archive::node::Node;
use archive::place;
use linux::mounts::{Attributes, Change, Depth, Propagation, in_own_namespace};
use linux::overlay::{self, Changes};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, StatFs};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags};
use rustix::process::{Pid, PidfdFlags};

use super::FilesError;
use crate::containers::bundle::same_path;
use crate::containers::view::{MountKind, MountView, Phase, View};
use crate::engine::Parts;

/// Held by whoever has the file system of a container mounted that does not run: a start, which
/// would mount it a second time, waits for that.
pub(crate) type FilesLock = Arc<tokio::sync::Mutex<()>>;

/// How long a start waits for a copy, and a copy for another one.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Good for finding things in a folder, and nothing else.
const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Kinds of file systems that the kernel makes up (`linux/magic.h`). Their files have no size
/// before they are read, some never end, and writing to them is no copying.
const KERNEL_FILE_SYSTEMS: [i64; 14] = [
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x1cd1,      // devpts
    0x1980_0202, // mqueue
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0xcafe_4a11, // bpf
    0x6165_676c, // pstore
    0xde5e_81e4, // efivarfs
    0x6265_6570, // configfs
    0x4249_4e4d, // binfmt_misc
];

/// A container's root.
#[derive(Debug)]
pub(crate) struct Root {
    folder: OwnedFd,
    /// Keeps what was mounted for us alone where it is.
    _namespace: Option<OwnedFd>,
    /// Before the lock, for fields are dropped in order: the next copy finds volumes that are
    /// either still mounted or not mounted any more, and none that is about to be taken down.
    _volumes: Option<HeldVolumes>,
    _lock: Option<tokio::sync::OwnedMutexGuard<()>>,
    /// The container's `/dev`, whose devices are the kernel's and not the image's.
    devices: Option<(u64, u64)>,
}

impl Root {
    /// Opens the root of a container. `lock` is its lock, taken if it does not run.
    pub(crate) fn open(
        parts: &Arc<Parts>,
        view: &View,
        lowers: &[std::path::PathBuf],
        lock: Option<tokio::sync::OwnedMutexGuard<()>>,
    ) -> Result<Self, FilesError> {
        let cannot = |source| FilesError::Open { id: view.id.to_string(), source };
        let mut volumes = None;
        let (folder, namespace) = match view.state.phase {
            Phase::Running | Phase::Paused => {
                (open_live(view.state.pid, view.id.as_str()).map_err(cannot)?, None)
            }
            _ => {
                volumes = Some(HeldVolumes::take(parts, view)?);
                let (folder, namespace) = mount(view, lowers)?;
                (folder, Some(namespace))
            }
        };
        let devices = match namespace {
            Some(_) => None,
            None => Node::open(folder.as_fd(), b"dev").ok().filter(Node::is_folder),
        };
        let devices = devices.map(|node| node.identity());
        Ok(Self { folder, _namespace: namespace, _lock: lock, _volumes: volumes, devices })
    }

    pub(crate) fn folder(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }

    /// Whether a folder is shown as empty to those who come from above: what is in it is the
    /// kernel's.
    pub(crate) fn hides(&self, node: &Node) -> bool {
        node.is_folder()
            && (Some(node.identity()) == self.devices || is_kernels(node.handle.as_fd()))
    }
}

/// Copies so far.
static COPIES: AtomicU64 = AtomicU64::new(0);

/// Volumes that are mounted for a copy.
#[derive(Debug)]
struct HeldVolumes {
    parts: Arc<Parts>,
    mounts: Arc<[MountView]>,
    user: String,
}

impl HeldVolumes {
    fn take(parts: &Arc<Parts>, view: &View) -> Result<Self, FilesError> {
        // Each copy counts: of two of one container the first must not take down what the second
        // uses.
        let number = COPIES.fetch_add(1, Ordering::Relaxed);
        let user = format!("copy {number} of {}", view.id);
        parts.volumes.take(&view.mounts, &user)?;
        Ok(Self { parts: Arc::clone(parts), mounts: Arc::clone(&view.mounts), user })
    }
}

impl Drop for HeldVolumes {
    fn drop(&mut self) {
        self.parts.volumes.release(&self.mounts, &self.user);
    }
}

/// Whether a file is one that the kernel makes up.
pub(super) fn is_kernels(file: BorrowedFd<'_>) -> bool {
    let magic = rustix::fs::fstatfs(file).map(|StatFs { f_type, .. }| f_type);
    magic.is_ok_and(|magic| KERNEL_FILE_SYSTEMS.contains(&magic))
}

/// The root of a container that runs, through its first process.
fn open_live(pid: i32, id: &str) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or(Errno::SRCH)?;
    let process = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    let number = pid.as_raw_nonzero();
    let root = rustix::fs::open(format!("/proc/{number}/root"), FOLDER, Mode::empty())?;
    // The process may have ended, and another one may have its number, on the host. So this one
    // has to be in the container's control group, now that its root is open, and alive still.
    let groups = std::fs::read_to_string(format!("/proc/{number}/cgroup"))?;
    if has_ended(&process)? || !groups.contains(id) {
        return Err(Errno::SRCH.into());
    }
    Ok(root)
}

fn has_ended(process: &OwnedFd) -> io::Result<bool> {
    let mut waiting = [PollFd::new(process, PollFlags::IN)];
    Ok(rustix::event::poll(&mut waiting, Some(&Timespec::default()))? > 0)
}

/// Mounts the overlay of a container that does not run, with its volumes, in a mount namespace
/// that nobody else is in. It goes with the two descriptors.
fn mount(view: &View, lowers: &[std::path::PathBuf]) -> Result<(OwnedFd, OwnedFd), FilesError> {
    let mut refused = None;
    let mounted = in_own_namespace(|| {
        let changes =
            Changes { upper: &view.upper_directory, work: &view.work_directory, volatile: false };
        // Opened before the overlay covers anything.
        let mounts = sources(view).map_err(|error| remember(&mut refused, error))?;
        let place = &view.upper_directory;
        mount_overlay(place, lowers, changes)?;
        let root = rustix::fs::open(place, FOLDER, Mode::empty())?;
        for mount in &mounts {
            mount.put(root.as_fd()).map_err(|source| {
                remember(&mut refused, cannot_mount(view, mount.source, mount.target, source))
            })?;
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let namespace = rustix::fs::open("/proc/thread-self/ns/mnt", flags, Mode::empty())?;
        Ok((root, namespace))
    });
    mounted.map_err(|source| {
        refused.unwrap_or_else(|| FilesError::Open { id: view.id.to_string(), source })
    })
}

/// Mounts an overlay at a place of this thread's own mount namespace.
fn mount_overlay(
    place: &Path,
    lowers: &[std::path::PathBuf],
    changes: Changes<'_>,
) -> io::Result<()> {
    let lowers = || lowers.iter().map(std::path::PathBuf::as_path);
    match overlay::mount_detached(lowers(), Some(changes)) {
        // Before Linux 6.5 layers could not be given one by one.
        Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => {
            overlay::mount_at(place, lowers(), Some(changes))
        }
        mount => {
            let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
            Ok(rustix::mount::move_mount(mount?.as_fd(), "", rustix::fs::CWD, place, flags)?)
        }
    }
}

/// Keeps the better error for later.
fn remember(place: &mut Option<FilesError>, error: FilesError) -> io::Error {
    *place = Some(error);
    io::ErrorKind::Other.into()
}

fn cannot_mount(view: &View, source_path: &Path, target: &str, source: io::Error) -> FilesError {
    FilesError::Mount {
        id: view.id.to_string(),
        source_path: source_path.display().to_string(),
        target: target.to_owned(),
        source,
    }
}

/// Something of the host's, on its way into the container.
struct Mount<'a> {
    source: &'a Path,
    target: &'a str,
    tree: OwnedFd,
    is_folder: bool,
}

/// What is to be mounted, a path before what is below it.
fn sources(view: &View) -> Result<Vec<Mount<'_>>, FilesError> {
    let mut own: Vec<&MountView> =
        view.mounts.iter().filter(|mount| mount.kind != MountKind::Tmpfs).collect();
    own.sort_by_key(|mount| mount.target.matches('/').count());
    let mut mounts = Vec::new();
    for mount in own {
        let opened = clone_tree(&mount.source, mount.writable);
        let (tree, is_folder) =
            opened.map_err(|error| cannot_mount(view, &mount.source, &mount.target, error))?;
        mounts.push(Mount { source: &mount.source, target: &mount.target, tree, is_folder });
    }
    for (source, target) in [
        (&view.resolv_conf_path, "/etc/resolv.conf"),
        (&view.hostname_path, "/etc/hostname"),
        (&view.hosts_path, "/etc/hosts"),
    ] {
        let is_taken = view.mounts.iter().any(|mount| same_path(&mount.target, target));
        // They are made at the first start.
        if !is_taken && source.exists() {
            let (tree, is_folder) = clone_tree(source, true)
                .map_err(|error| cannot_mount(view, source, target, error))?;
            mounts.push(Mount { source, target, tree, is_folder });
        }
    }
    Ok(mounts)
}

/// A copy of a mount, and whether it is a folder's.
fn clone_tree(source: &Path, writable: bool) -> io::Result<(OwnedFd, bool)> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    let tree = rustix::mount::open_tree(rustix::fs::CWD, source, flags)?;
    let set = if writable { Attributes::empty() } else { Attributes::RDONLY };
    let change = Change { set, propagation: Some(Propagation::Private), ..Change::default() };
    linux::mounts::change(tree.as_fd(), Depth::Recursive, change)?;
    let stat = rustix::fs::fstat(&tree)?;
    let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    Ok((tree, is_folder))
}

impl Mount<'_> {
    /// Puts it in its place, which is made if it is missing.
    fn put(&self, root: BorrowedFd<'_>) -> io::Result<()> {
        let place = find_or_make(root, self.target.as_bytes(), self.is_folder)?;
        let flags =
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        Ok(rustix::mount::move_mount(self.tree.as_fd(), "", place.as_fd(), "", flags)?)
    }
}

fn find_or_make(root: BorrowedFd<'_>, path: &[u8], is_folder: bool) -> io::Result<OwnedFd> {
    let path = place::clean(path).ok_or(Errno::INVAL)?;
    let found =
        place::open_at(root, if path.is_empty() { b"." } else { &path }, OFlags::PATH, IN_ROOT);
    match found {
        Err(Errno::NOENT) => {}
        other => return Ok(other?),
    }
    let (parent, name) = place::split(&path);
    let parent = find_or_make(root, parent, true)?;
    if is_folder {
        rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755))?;
    } else {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o755))?;
    }
    Ok(place::open_at(root, &path, OFlags::PATH, IN_ROOT)?)
}

/// As for a process whose root it is.
pub(super) const IN_ROOT: ResolveFlags = ResolveFlags::IN_ROOT;
