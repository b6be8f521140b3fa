//! `linux.maskedPaths` and `linux.readonlyPaths`: files of the kernel that a container must
//! not see, or not change.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use linux::mounts::{Attributes, Change, Depth};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount,
    fsopen,
};

use super::{ContainerInit, StepError, devices, labels, mounts, root, rooted};

pub(super) fn hide(init: &mut ContainerInit<'_>) -> Result<(), StepError> {
    devices::make_read_only(init)?;
    let mut empty = None;
    let masked = init.linux.masked_paths().as_deref().unwrap_or_default();
    for (at, path) in masked.iter().enumerate() {
        // One cover is enough.
        if masked[..at].contains(path) {
            continue;
        }
        mask(init, Path::new(path), &mut empty).doing_path(path)?;
    }
    for path in init.linux.readonly_paths().iter().flatten() {
        protect(init, Path::new(path)).doing_path(path)?;
    }
    Ok(())
}

/// Covers a file with the null device, a folder with an empty one.
fn mask(
    init: &ContainerInit<'_>,
    path: &Path,
    empty: &mut Option<OwnedFd>,
) -> Result<(), StepError> {
    let place = match rooted::open(init.root(), path, OFlags::PATH) {
        // Nothing to hide.
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        result => result?,
    };
    if rooted::is_directory(&place)? {
        return mask_folder(init, &place, empty);
    }
    let null = init.null_device.as_ref().expect("it is opened by an earlier step");
    Ok(root::attach(&clone_of(null)?, &place)?)
}

/// One empty file system covers all folders: made for the first, and shown at the others.
fn mask_folder(
    init: &ContainerInit<'_>,
    place: &OwnedFd,
    empty: &mut Option<OwnedFd>,
) -> Result<(), StepError> {
    if let Some(empty) = empty {
        return Ok(root::attach(&clone_of(empty)?, place)?);
    }
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "nr_blocks", "1")?;
    labels::set_mount_label(&context, "tmpfs", &[], labels::of_mounts(init.linux))?;
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY;
    let made = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    root::attach(&made, place)?;
    *empty = Some(made);
    Ok(())
}

fn clone_of(mount: &OwnedFd) -> Result<OwnedFd, StepError> {
    Ok(mounts::clone(mount.as_fd(), Path::new(""), Depth::One)?)
}

/// Covers a path with itself, read-only.
fn protect(init: &ContainerInit<'_>, path: &Path) -> Result<(), StepError> {
    let place = match rooted::open(init.root(), path, OFlags::PATH) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        result => result?,
    };
    let cover = mounts::clone(place.as_fd(), Path::new(""), Depth::Recursive)?;
    let change = Change { set: Attributes::RDONLY, ..Change::default() };
    linux::mounts::change(cover.as_fd(), Depth::Recursive, change)?;
    Ok(root::attach(&cover, &place)?)
}

/// Adds the path to an error.
trait DoingPath {
    fn doing_path(self, path: &str) -> Result<(), StepError>;
}

impl DoingPath for Result<(), StepError> {
    fn doing_path(self, path: &str) -> Result<(), StepError> {
        self.map_err(|error| StepError::Refused(format!("`{path}`: {error}")))
    }
}
