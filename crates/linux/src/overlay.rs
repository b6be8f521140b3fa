//! Overlays: as a mount that is nowhere, and, on kernels that want all layers in one page of
//! options (before Linux 6.5), at a place.

use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

/// The folders of an overlay that can be changed.
#[derive(Debug, Clone, Copy)]
pub struct Changes<'a> {
    pub upper: &'a Path,
    pub work: &'a Path,
    /// Never wait for the disk. Needs Linux 5.10.
    pub volatile: bool,
}

/// Mounts `lowers`, the topmost first, nowhere: the mount is gone with its descriptor. Read-only
/// without `changes`.
///
/// Fails with `EINVAL` on kernels that do not take layers one by one: see [`mount_at`].
pub fn mount_detached<'a>(
    lowers: impl Iterator<Item = &'a Path>,
    changes: Option<Changes<'_>>,
) -> io::Result<OwnedFd> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for lower in lowers {
        fsconfig_set_string(context.as_fd(), "lowerdir+", lower)?;
    }
    let mut attributes = MountAttrFlags::MOUNT_ATTR_RDONLY;
    if let Some(changes) = changes {
        attributes = MountAttrFlags::empty();
        fsconfig_set_string(context.as_fd(), "upperdir", changes.upper)?;
        fsconfig_set_string(context.as_fd(), "workdir", changes.work)?;
        if changes.volatile {
            fsconfig_set_flag(context.as_fd(), "volatile")?;
        }
    } else {
        // An index would claim the layers for this mount alone, and one of them may be what a
        // running container writes to.
        fsconfig_set_string(context.as_fd(), "index", "off")?;
        // Such a container may have left files whose content is in a layer below.
        fsconfig_set_string(context.as_fd(), "metacopy", "on")?;
    }
    fsconfig_create(context.as_fd())?;
    Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// Mounts `lowers`, the topmost first, at `place`; read-only without `changes`.
///
/// Each folder is named by a descriptor, which is short and needs no quoting: a page holds
/// more than 200 of them whatever their paths. See `mount(2)` and the kernel's
/// `filesystems/overlayfs.rst`.
pub fn mount_at<'a>(
    place: &Path,
    lowers: impl Iterator<Item = &'a Path>,
    changes: Option<Changes<'_>>,
) -> io::Result<()> {
    let mut names = Names::default();
    let lowers = lowers.map(|lower| names.name(lower)).collect::<io::Result<Vec<_>>>()?;
    let mut options = format!("lowerdir={}", lowers.join(":"));
    let mut flags = MountFlags::RDONLY;
    if let Some(changes) = changes {
        flags = MountFlags::empty();
        let (upper, work) = (names.name(changes.upper)?, names.name(changes.work)?);
        write!(options, ",upperdir={upper},workdir={work}").expect("a string takes everything");
        if changes.volatile {
            options.push_str(",volatile");
        }
    }
    if options.len() >= rustix::param::page_size() {
        let message = format!("{} layers need Linux 6.5", lowers.len());
        return Err(io::Error::new(io::ErrorKind::Unsupported, message));
    }
    let options = std::ffi::CString::new(options).expect("numbers and words have no null");
    Ok(rustix::mount::mount("overlay", place, "overlay", flags, options.as_c_str())?)
}

/// Short names of folders, which hold as long as this does.
#[derive(Default)]
struct Names(Vec<OwnedFd>);

impl Names {
    fn name(&mut self, folder: &Path) -> io::Result<String> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = rustix::fs::open(folder, flags, Mode::empty())?;
        let name = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
        self.0.push(descriptor);
        Ok(name)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::mounts::in_own_namespace;

    #[test]
    fn many_layers_with_long_names_fit() {
        let root = tempfile::tempdir().unwrap();
        let folders: Vec<_> =
            (0..150).map(|n| root.path().join(format!("{n:03},:{}", "x".repeat(90)))).collect();
        for (number, folder) in folders.iter().enumerate() {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("file"), number.to_string()).unwrap();
            fs::write(folder.join(number.to_string()), "").unwrap();
        }
        let place = root.path().join("place");
        fs::create_dir(&place).unwrap();

        let seen = in_own_namespace(|| {
            mount_at(&place, folders.iter().map(AsRef::as_ref), None)?;
            Ok((fs::read_to_string(place.join("file"))?, fs::read_dir(&place)?.count()))
        });

        assert_eq!(seen.unwrap(), ("0".to_owned(), 151));
        assert_eq!(fs::read_dir(&place).unwrap().count(), 0, "it is mounted for nobody else");
    }
}
