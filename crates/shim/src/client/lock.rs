//! How it is known that a shim lives.
//!
//! The shim's standard error is a file of its run folder, on which its launcher took a lock
//! (`flock(2)`). A lock belongs to the open file, which the shim alone has open: whatever kills
//! it, the kernel takes the lock away. A shim whose container has exited for good gives it up
//! itself, although it may stay for clients that are slow to read.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::protocol::files;

/// How much of a dead shim's last words is told.
const LAST_WORDS_BYTES_MAX: u64 = 4096;

/// How long a process that was killed may take to let go of its files.
const RELEASE_TIME: Duration = Duration::from_millis(500);

/// Between two looks at a lock, of whose release nobody tells.
const PAUSE: Duration = Duration::from_millis(1);

/// Makes the file anew and locks it. `None`: a shim has it.
pub(super) fn take(folder: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(folder.join(files::LAST_WORDS))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    }
    file.set_len(0)?;
    Ok(Some(file))
}

/// Whether a shim has the lock, and so the container. It may be busy, or stopped.
pub fn is_held(folder: &Path) -> bool {
    let Ok(file) = File::open(folder.join(files::LAST_WORDS)) else { return false };
    flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
}

/// Waits for a moment until no shim has the lock; `false` if one keeps it.
pub(super) fn await_release(folder: &Path) -> io::Result<bool> {
    let file = match File::open(folder.join(files::LAST_WORDS)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    let deadline = Instant::now() + RELEASE_TIME;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => std::thread::sleep(PAUSE),
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// What a shim wrote before it died: the message of its panic.
pub(super) fn last_words(folder: &Path) -> String {
    let mut text = Vec::new();
    // Best effort: it embellishes another error.
    if let Ok(file) = File::open(folder.join(files::LAST_WORDS)) {
        let _ = file.take(LAST_WORDS_BYTES_MAX).read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = take(folder.path()).unwrap().unwrap();
        assert!(take(folder.path()).unwrap().is_none());
        assert!(!await_release(folder.path()).unwrap());
        drop(first);
        assert!(await_release(folder.path()).unwrap());
        assert!(take(folder.path()).unwrap().is_some());
    }

    #[test]
    fn where_no_shim_was_none_lives() {
        let folder = tempfile::tempdir().unwrap();
        assert!(await_release(folder.path()).unwrap());
    }
}
