//! Descriptors that whoever started this process opened for it (`sd_listen_fds(3)`).

use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// The first descriptor after standard input, output and error.
const FIRST: RawFd = 3;

/// Whether they were taken: a second owner would close them under the first.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes the `count` descriptors from 3 on, and closes them for programs that this process
/// starts. Must be called before this process opens anything of its own, and works once.
pub fn take_descriptors(count: u32) -> io::Result<Vec<OwnedFd>> {
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Err(io::Error::other("the inherited descriptors were taken already"));
    }
    let count = RawFd::try_from(count).map_err(|_| io::ErrorKind::InvalidInput)?;
    let end = FIRST.checked_add(count).ok_or(io::ErrorKind::InvalidInput)?;
    (FIRST..end).map(take).collect()
}

fn take(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: `fcntl` with `F_SETFD` reads no memory of ours, and fails on a number that is
    // no open descriptor.
    if unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, as `fcntl` has just said, and nothing else owns it: it was opened by
    // another program before this one began, and `TAKEN` lets this function run once.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
