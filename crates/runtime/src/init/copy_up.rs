//! `tmpcopyup`: filling a fresh tmpfs with what it will cover.

use std::ffi::CStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags,
    chownat, fchmod, fgetxattr, flistxattr, fsetxattr, mkdirat, mknodat, openat, readlinkat,
    statat, symlinkat, utimensat,
};

use super::{Doing as _, StepError};

/// How many folders deep a copy goes.
const DEPTH_MAX: u32 = 256;

/// Copies what is in `from` to `to`, with owners, modes, times and attributes; `to` itself
/// gets those of `from`.
pub(super) fn copy(from: &OwnedFd, to: &OwnedFd) -> Result<(), StepError> {
    // `from` may be open as a mere place.
    let from =
        openat(from, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let to = openat(to, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    copy_folder(from.as_fd(), to.as_fd(), DEPTH_MAX)
}

fn copy_folder(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: u32) -> Result<(), StepError> {
    if depth == 0 {
        return Err(StepError::Refused("the tree to copy is too deep".to_owned()));
    }
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        copy_entry(from, to, name, depth).map_err(|error| match error {
            StepError::Plain(source) => {
                StepError::Doing { doing: format!("copy `{}`", name.to_string_lossy()), source }
            }
            other => other,
        })?;
    }
    copy_attributes(from, to)?;
    let status = rustix::fs::fstat(from)?;
    rustix::fs::fchown(to, Some(Uid::from_raw(status.st_uid)), Some(Gid::from_raw(status.st_gid)))?;
    fchmod(to, Mode::from_raw_mode(status.st_mode & 0o7777))?;
    rustix::fs::futimens(to, &times(&status))?;
    Ok(())
}

fn copy_entry(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    name: &CStr,
    depth: u32,
) -> Result<(), StepError> {
    let status = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let mode = Mode::from_raw_mode(status.st_mode & 0o7777);
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match FileType::from_raw_mode(status.st_mode) {
        FileType::Directory => {
            mkdirat(to, name, Mode::from_raw_mode(0o700))?;
            let from =
                openat(from, name, flags | OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
            let to = openat(to, name, flags | OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
            return copy_folder(from.as_fd(), to.as_fd(), depth - 1);
        }
        FileType::RegularFile => copy_file(from, to, name)?,
        FileType::Symlink => symlinkat(readlinkat(from, name, Vec::new())?.as_c_str(), to, name)?,
        kind => mknodat(to, name, kind, mode, status.st_rdev)?,
    }
    let (user, group) = (Uid::from_raw(status.st_uid), Gid::from_raw(status.st_gid));
    chownat(to, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(status.st_mode) != FileType::Symlink {
        // After the owner, whose change takes set-user-id bits away.
        rustix::fs::chmodat(to, name, mode, AtFlags::empty())?;
    }
    utimensat(to, name, &times(&status), AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

fn copy_file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr) -> Result<(), StepError> {
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut source =
        std::fs::File::from(openat(from, name, flags | OFlags::RDONLY, Mode::empty())?);
    let new = flags | OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let mut copy = std::fs::File::from(openat(to, name, new, Mode::from_raw_mode(0o600))?);
    std::io::copy(&mut source, &mut copy).doing(|| format!("copy `{}`", name.to_string_lossy()))?;
    copy_attributes(source.as_fd(), copy.as_fd())
}

/// Copies the extended attributes that a tmpfs can hold.
fn copy_attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), StepError> {
    let Ok(length) = flistxattr(from, &mut [0_u8; 0]) else { return Ok(()) };
    let mut names = vec![0; length];
    let length = flistxattr(from, &mut names)?;
    for name in names[..length].split_inclusive(|byte| *byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        let mut value = vec![0; fgetxattr(from, name, &mut [0_u8; 0])?];
        let length = fgetxattr(from, name, &mut value)?;
        match fsetxattr(to, name, &value[..length], XattrFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn times(status: &Stat) -> Timestamps {
    // The types of the fields differ between architectures.
    #[allow(clippy::unnecessary_cast)]
    let time = |seconds, nanoseconds| Timespec { tv_sec: seconds as _, tv_nsec: nanoseconds as _ };
    Timestamps {
        last_access: time(status.st_atime, status.st_atime_nsec),
        last_modification: time(status.st_mtime, status.st_mtime_nsec),
    }
}
