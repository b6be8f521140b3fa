//! The container's root file system: mounted here, in the container's own mount namespace, so
//! that it goes when the namespace goes.

use std::ffi::OsString;
use std::io::Read as _;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use linux::mounts::{Attributes, Change, Depth, Propagation};
use linux::overlay::Changes;
use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxAttributes, StatxFlags, openat2, statx,
};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
    move_mount, open_tree, unmount,
};
use rustix::process::{chdir, chroot, fchdir, pivot_root};

use crate::request::{ChangeRoot, Root};

use super::rooted::{self, Missing};
use super::{ContainerInit, Doing as _, StepError};

/// No mount made from here on is seen on the host, unless the configuration wants it.
pub(super) fn detach(init: &mut ContainerInit<'_>) -> Result<(), StepError> {
    if !init.plan.has_own_mounts() {
        // It is the host's business how they spread.
        return Ok(());
    }
    let (propagation, depth) =
        match init.plan.root_propagation.unwrap_or((Propagation::Slave, Depth::Recursive)) {
            // The root has still to be bound: it is made so when it is in its place.
            (Propagation::Unbindable, depth) => (Propagation::Private, depth),
            other => other,
        };
    let root = open_place(Path::new("/"))?;
    linux::mounts::change(
        root.as_fd(),
        depth,
        Change { propagation: Some(propagation), ..Change::default() },
    )?;
    Ok(())
}

pub(super) fn mount(init: &mut ContainerInit<'_>) -> Result<(), StepError> {
    let (tree, place) = match init.root_source {
        Root::Directory(path) => (clone_tree(path)?, path.clone()),
        Root::Overlay { lowers, upper, work, volatile } => {
            let overlay = Overlay { lowers, upper, work, volatile: *volatile };
            // Any place will do that the host has anyway; in this namespace the overlay's own
            // upper folder is in nobody's way.
            if !takes_layers_one_by_one() {
                overlay.mount_at(upper)?;
                init.root = Some(open_place(upper)?);
                return Ok(());
            }
            (overlay.mount_detached()?, upper.clone())
        }
    };
    let target = open_place(&place).doing(|| place.display().to_string())?;
    let stays_shared = |(kind, depth)| {
        kind == Propagation::Shared || (kind != Propagation::Slave && depth == Depth::One)
    };
    if init.plan.root_propagation.is_some_and(stays_shared) {
        keep_from_spreading(&place)?;
        // A shared mount cannot become the root; it is shared again once it has.
        let change = Change { propagation: Some(Propagation::Private), ..Change::default() };
        linux::mounts::change(tree.as_fd(), Depth::One, change)?;
    }
    if !init.plan.has_own_mounts() {
        // What is mounted in it is not to appear in the folder that it covers as well.
        let change = Change { propagation: Some(Propagation::Private), ..Change::default() };
        linux::mounts::change(tree.as_fd(), Depth::Recursive, change)?;
    }
    attach(&tree, &target)?;
    init.root = Some(tree);
    Ok(())
}

/// Puts a detached mount at a place.
pub(super) fn attach(mount: &OwnedFd, place: &OwnedFd) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", place, "", flags)
}

fn open_place(path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}

/// A copy of the mounts at `path`, to be put elsewhere. Not through symlinks: whoever has made
/// the folder could have it lead to the host's own files.
fn clone_tree(path: &Path) -> Result<OwnedFd, StepError> {
    if path.parent().is_none() {
        return Err(StepError::Refused("root.path: it is the host's own root".to_owned()));
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
        Err(Errno::LOOP) => {
            let text =
                format!("root.path: `{}` is a symlink, or leads through one", path.display());
            return Err(StepError::Refused(text));
        }
        result => result.doing(|| path.display().to_string())?,
    };
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_EMPTY_PATH;
    open_tree(&folder, "", flags).doing(|| path.display().to_string())
}

/// On a host whose mounts are shared, and with a configuration that keeps them so, the root
/// itself would appear on the host, were the mount below it not private.
fn keep_from_spreading(place: &Path) -> Result<(), StepError> {
    let mut place: PathBuf = place.to_owned();
    loop {
        let status = statx(CWD, &place, AtFlags::empty(), StatxFlags::BASIC_STATS)?;
        if status.stx_attributes.contains(StatxAttributes::MOUNT_ROOT) || !place.pop() {
            break;
        }
    }
    let change = Change { propagation: Some(Propagation::Private), ..Change::default() };
    linux::mounts::change(open_place(&place)?.as_fd(), Depth::One, change)?;
    Ok(())
}

/// Whether the kernel's overlay takes its layers one by one, which it does from 6.5 on. An
/// older one accepts the option, and refuses the whole afterwards.
fn takes_layers_one_by_one() -> bool {
    const SINCE: (u32, u32) = (6, 5);
    let names = rustix::system::uname();
    let release = names.release().to_string_lossy();
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
    let mut number = || numbers.next().and_then(|digits| digits.parse::<u32>().ok());
    (number().unwrap_or(0), number().unwrap_or(0)) >= SINCE
}

struct Overlay<'a> {
    lowers: &'a [PathBuf],
    upper: &'a Path,
    work: &'a Path,
    volatile: bool,
}

impl Overlay<'_> {
    /// Layer by layer, so that no page of options limits their number. Needs Linux 6.5.
    fn mount_detached(&self) -> Result<OwnedFd, StepError> {
        let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        self.configure(&context)?;
        fsconfig_create(&context).doing(|| kernel_log(&context))?;
        Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?)
    }

    fn configure(&self, context: &OwnedFd) -> Result<(), StepError> {
        for lower in self.lowers {
            fsconfig_set_string(context, "lowerdir+", lower)
                .doing(|| self.explain(context, lower))?;
        }
        fsconfig_set_string(context, "upperdir", self.upper)
            .doing(|| self.explain(context, self.upper))?;
        fsconfig_set_string(context, "workdir", self.work)
            .doing(|| self.explain(context, self.work))?;
        if self.volatile {
            fsconfig_set_flag(context, "volatile")?;
        }
        Ok(())
    }

    fn explain(&self, context: &OwnedFd, path: &Path) -> String {
        let said = kernel_log(context);
        if said.is_empty() { format!("`{}`", path.display()) } else { said }
    }

    /// All in one page of options, as before Linux 6.5.
    fn mount_at(&self, place: &Path) -> Result<(), StepError> {
        let lowers = self.lowers.iter().map(PathBuf::as_path);
        let changes = Changes { upper: self.upper, work: self.work, volatile: self.volatile };
        Ok(linux::overlay::mount_at(place, lowers, Some(changes))?)
    }
}

/// What the kernel has to say about a mount that it refused.
pub(super) fn kernel_log(context: &OwnedFd) -> String {
    let mut said = Vec::new();
    let mut line = [0; 512];
    while let Ok(length) = rustix::io::read(context, &mut line) {
        let text = String::from_utf8_lossy(&line[..length]);
        // `e ` is an error, `w ` a warning, `i ` information.
        if let Some(error) = text.strip_prefix("e ") {
            said.push(error.trim_end().to_owned());
        }
    }
    said.join("; ")
}

/// Makes the container's root the root, and lets go of the host's.
pub(super) fn enter(init: &mut ContainerInit<'_>) -> Result<(), StepError> {
    match init.change_root {
        // The mounts stay on the host, as with runc: it is what such a configuration asks for.
        _ if !init.plan.has_own_mounts() => {
            let_go_of_host(init);
            change_root(init)
        }
        ChangeRoot::Pivot => pivot(init),
        ChangeRoot::Chroot => move_over_root(init),
    }
}

fn pivot(init: &mut ContainerInit<'_>) -> Result<(), StepError> {
    let host = open_place(Path::new("/"))?;
    fchdir(init.root())?;
    // The old root ends up on top of the new one: see `pivot_root(2)`, "pivot_root(., .)".
    pivot_root(".", ".")?;
    fchdir(&host)?;
    if init.plan.root_propagation.is_some() {
        // Unmounting must not spread to the host either.
        let change = Change { propagation: Some(Propagation::Slave), ..Change::default() };
        linux::mounts::change(host.as_fd(), Depth::Recursive, change)?;
    }
    let_go_of_host(init);
    unmount(".", UnmountFlags::DETACH)?;
    chdir("/")?;
    spread_root(init)
}

/// Nothing of the host's may stay reachable through what was open before.
fn let_go_of_host(init: &mut ContainerInit<'_>) {
    init.process.host_proc = None;
    init.null_device = None;
}

fn spread_root(init: &ContainerInit<'_>) -> Result<(), StepError> {
    if let Some((propagation, depth)) = init.plan.root_propagation {
        let change = Change { propagation: Some(propagation), ..Change::default() };
        linux::mounts::change(init.root(), depth, change)?;
    }
    Ok(())
}

/// Covers the host's root with the container's.
fn move_over_root(init: &mut ContainerInit<'_>) -> Result<(), StepError> {
    remove_kernel_file_systems(init)?;
    let host = open_place(Path::new("/"))?;
    let root = init.root.as_ref().expect("it is mounted by an earlier step");
    attach(root, &host)?;
    let_go_of_host(init);
    change_root(init)
}

fn change_root(init: &ContainerInit<'_>) -> Result<(), StepError> {
    fchdir(init.root())?;
    chroot(".")?;
    chdir("/")?;
    spread_root(init)
}

/// The host's mounts stay in this namespace. A whole view of the kernel's own files among them
/// would let the container mount another one, without what its own hides: so they go, as with
/// runc.
fn remove_kernel_file_systems(init: &ContainerInit<'_>) -> Result<(), StepError> {
    let proc = init.process.host_proc.as_ref().expect("it is opened by an earlier step");
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(proc, "self/mountinfo", flags, Mode::empty())?;
    let mut mounts = String::new();
    std::fs::File::from(file).read_to_string(&mut mounts)?;
    let root =
        rustix::fs::readlinkat(proc, format!("self/fd/{}", init.root().as_raw_fd()), Vec::new())?;
    let root = PathBuf::from(OsString::from_vec(root.into_bytes()));
    let places = mounts.lines().filter_map(kernel_file_system);
    for place in places.filter(|place| !place.starts_with(&root)) {
        remove_mount(&place).doing(|| place.display().to_string())?;
    }
    Ok(())
}

fn remove_mount(place: &Path) -> std::io::Result<()> {
    let there = match open_place(place) {
        // It was below one that has gone.
        Err(Errno::NOENT) => return Ok(()),
        result => result?,
    };
    // Unmounting must not spread to the host.
    let change = Change { propagation: Some(Propagation::Slave), ..Change::default() };
    match linux::mounts::change(there.as_fd(), Depth::Recursive, change) {
        // No mount any more: it was below one that has gone.
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => return Ok(()),
        result => result?,
    }
    drop(there);
    match unmount(place, UnmountFlags::DETACH) {
        // A user namespace may not uncover what its maker has mounted.
        Err(Errno::INVAL | Errno::PERM) => {
            rustix::mount::mount(c"tmpfs", place, c"tmpfs", MountFlags::empty(), None)?;
        }
        result => result?,
    }
    Ok(())
}

/// The place of a whole `proc` or `sysfs`, by its line of `/proc/self/mountinfo`: see `proc(5)`.
fn kernel_file_system(line: &str) -> Option<PathBuf> {
    let (mount, kind) = line.split_once(" - ")?;
    let mut fields = mount.split(' ').skip(3);
    let is_whole = fields.next() == Some("/");
    let is_kernels = kind.starts_with("proc ") || kind.starts_with("sysfs ");
    fields.next().filter(|_| is_whole && is_kernels).map(without_escapes)
}

/// A path of mountinfo, in which a blank is `\040`.
fn without_escapes(text: &str) -> PathBuf {
    let mut parts = text.split('\\');
    let mut bytes: Vec<u8> = parts.next().unwrap_or_default().into();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.extend(code);
        bytes.extend(&part.as_bytes()[if code.is_some() { 3 } else { 0 }..]);
    }
    PathBuf::from(OsString::from_vec(bytes))
}

pub(super) fn make_working_directory(init: &mut ContainerInit<'_>) -> Result<(), StepError> {
    let path = init.process.process.cwd();
    match rooted::open_or_create(init.root(), path, Missing::Directory) {
        // A read-only root without the folder: entering it will say so.
        Err(error) if error.raw_os_error() == Some(Errno::ROFS.raw_os_error()) => Ok(()),
        result => result.map(drop).doing(|| format!("`{}`", path.display())),
    }
}

pub(super) fn make_read_only(init: &mut ContainerInit<'_>) -> Result<(), StepError> {
    if init.plan.is_root_read_only {
        let change = Change { set: Attributes::RDONLY, ..Change::default() };
        linux::mounts::change(init.root(), Depth::One, change)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_file_systems_are_told_from_others() {
        let find = |line| kernel_file_system(line).map(|path| path.display().to_string());
        let proc = r"22 26 0:21 / /a\040b/proc rw,nosuid shared:5 - proc proc rw";
        assert_eq!(find(proc), Some("/a b/proc".to_owned()));
        assert_eq!(find("23 26 0:22 / /sys rw - sysfs sysfs rw"), Some("/sys".to_owned()));
        assert_eq!(find("23 26 0:22 /fs /sys/fs rw - sysfs sysfs rw"), None);
        assert_eq!(find("24 26 8:1 / / rw master:1 - ext4 /dev/root rw"), None);
    }
}
