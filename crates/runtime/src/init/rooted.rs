//! Paths inside a container's root, resolved by the kernel as the container would.
//!
//! Whoever controls the root file system can make any component a symlink to the host, and can
//! swap it between a check and a use. So nothing here checks: each path is opened in one step
//! with `RESOLVE_IN_ROOT`, and all that follows happens on the descriptor.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, openat, openat2, readlinkat};
use rustix::io::Errno;

/// Attempts before a path that keeps changing is reported as an error.
const ATTEMPTS_MAX: u32 = 32;

/// Symlinks to follow that lead to something not there yet, as the kernel's own limit.
const DANGLING_SYMLINKS_MAX: u32 = 40;

/// What to make of a path that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Directory,
    File,
}

/// Opens `path` as a process whose root is `root` would see it.
pub(super) fn open(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
) -> rustix::io::Result<OwnedFd> {
    open_resolving(root, path, flags, ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
}

/// As [`open`], but fails with `ELOOP` at any symlink.
pub(super) fn open_without_symlinks(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
) -> rustix::io::Result<OwnedFd> {
    open_resolving(root, path, flags, ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS)
}

fn open_resolving(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: OFlags,
    resolve: ResolveFlags,
) -> rustix::io::Result<OwnedFd> {
    for _ in 0..ATTEMPTS_MAX {
        // EAGAIN: a rename raced with `..`, and the kernel asks us to look again.
        match openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}

/// Opens `path` in `root` as a mere place, and makes what is missing of it: folders on the way
/// and, at its end, a folder or an empty file.
///
/// A symlink to something that is not there is followed, and its target made: images have
/// `/etc/resolv.conf` as such a symlink.
pub(super) fn open_or_create(
    root: BorrowedFd<'_>,
    path: &Path,
    missing: Missing,
) -> io::Result<OwnedFd> {
    match open(root, path, OFlags::PATH) {
        Err(Errno::NOENT) => {}
        result => return Ok(result?),
    }
    let mut path = path.to_owned();
    for _ in 0..DANGLING_SYMLINKS_MAX {
        match create(root, &path, missing)? {
            Created::All(place) => return Ok(place),
            Created::DanglingSymlink(target) => path = target,
        }
    }
    Err(Errno::LOOP.into())
}

enum Created {
    All(OwnedFd),
    /// The same place by another path, with one symlink less.
    DanglingSymlink(PathBuf),
}

fn create(root: BorrowedFd<'_>, path: &Path, missing: Missing) -> io::Result<Created> {
    let components: Vec<Component<'_>> = path.components().collect();
    let mut above = open(root, Path::new("/"), OFlags::PATH)?;
    let mut done = PathBuf::from("/");
    for (at, component) in components.iter().enumerate() {
        let is_last = at + 1 == components.len();
        done.push(component);
        match open(root, &done, OFlags::PATH) {
            Ok(found) => {
                above = found;
                continue;
            }
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let Component::Normal(name) = component else { return Err(Errno::NOENT.into()) };
        let made = if is_last && missing == Missing::File {
            create_file(above.as_fd(), name)
        } else {
            mkdirat(&above, *name, Mode::from_raw_mode(0o755))
        };
        match made {
            Ok(()) => above = open(root, &done, OFlags::PATH)?,
            // It is there, and yet its target is not.
            Err(Errno::EXIST) => {
                let target = readlinkat(&above, *name, Vec::new())?;
                done.pop();
                let mut other = done.join(OsStr::from_bytes(target.to_bytes()));
                other.extend(&components[at + 1..]);
                return Ok(Created::DanglingSymlink(other));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Created::All(above))
}

fn create_file(above: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<()> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(above, name, flags, Mode::from_raw_mode(0o644)).map(drop)
}

/// Opens the file `name` of the folder `above` as a mere place, and makes an empty one if there
/// is none. Nothing is opened for good: an image may have a FIFO there, or a device.
pub(super) fn open_or_create_file(
    above: BorrowedFd<'_>,
    name: &OsStr,
) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = match openat(above, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => {
            create_file(above, name)?;
            openat(above, name, flags, Mode::empty())?
        }
        result => result?,
    };
    let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&place)?.st_mode);
    // It is opened itself, and not what it leads to; and is no place for a mount.
    if kind == rustix::fs::FileType::Symlink { Err(Errno::LOOP) } else { Ok(place) }
}

/// Splits a path into the folder above, opened (and made if missing), and its last name.
pub(super) fn open_parent<'p>(
    root: BorrowedFd<'_>,
    path: &'p Path,
) -> io::Result<(OwnedFd, &'p OsStr)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let above = path.parent().unwrap_or(Path::new("/"));
    Ok((open_or_create(root, above, Missing::Directory)?, name))
}

/// Whether a descriptor is of a folder.
pub(super) fn is_directory(fd: impl AsFd) -> io::Result<bool> {
    let status = rustix::fs::fstat(fd)?;
    Ok(rustix::fs::FileType::from_raw_mode(status.st_mode) == rustix::fs::FileType::Directory)
}

/// `f_type` of procfs. See `statfs(2)`.
const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// Whether a descriptor is of one of the kernel's files in `/proc`.
pub(super) fn is_of_proc(fd: impl AsFd) -> rustix::io::Result<bool> {
    // The field's type differs between architectures.
    #[allow(clippy::unnecessary_cast)]
    Ok(rustix::fs::fstatfs(fd)?.f_type as u64 == PROC_SUPER_MAGIC)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn root() -> (tempfile::TempDir, OwnedFd) {
        let folder = tempfile::tempdir().unwrap();
        let fd = fs::File::open(folder.path()).unwrap().into();
        (folder, fd)
    }

    #[test]
    fn what_is_missing_is_made_inside() {
        let (folder, root) = root();
        open_or_create(root.as_fd(), Path::new("/a/b/c"), Missing::Directory).unwrap();
        open_or_create(root.as_fd(), Path::new("d/e"), Missing::File).unwrap();
        assert!(folder.path().join("a/b/c").is_dir());
        assert!(folder.path().join("d/e").is_file());
    }

    #[test]
    fn dangling_symlinks_lead_to_new_files_inside() {
        let (folder, root) = root();
        fs::create_dir(folder.path().join("etc")).unwrap();
        symlink("../run/stub/resolv.conf", folder.path().join("etc/resolv.conf")).unwrap();
        symlink("/../../far/away", folder.path().join("out")).unwrap();

        open_or_create(root.as_fd(), Path::new("/etc/resolv.conf"), Missing::File).unwrap();
        open_or_create(root.as_fd(), Path::new("/out/there"), Missing::Directory).unwrap();

        assert!(folder.path().join("run/stub/resolv.conf").is_file());
        assert!(folder.path().join("far/away/there").is_dir());
        assert!(!Path::new("/far").exists());
    }

    #[test]
    fn symlinks_that_lead_in_circles_are_given_up() {
        let (folder, root) = root();
        symlink("b", folder.path().join("a")).unwrap();
        symlink("a", folder.path().join("b")).unwrap();
        let error = open_or_create(root.as_fd(), Path::new("/a"), Missing::Directory).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::LOOP.raw_os_error()));
    }

    #[test]
    fn parents_do_not_lead_out() {
        let (folder, root) = root();
        open_or_create(root.as_fd(), Path::new("/../../x"), Missing::Directory).unwrap();
        assert!(folder.path().join("x").is_dir());
    }
}
