//! Being told when the kernel kills a process of a container for want of memory.

use std::fs::File;
use std::io::Seek as _;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{EventfdFlags, PollFlags, eventfd};

use super::{CgroupError, files};

/// Tells of processes killed for want of memory. Wait for [`poll_flags`] on it, then [`take`].
///
/// [`poll_flags`]: OutOfMemoryEvents::poll_flags
/// [`take`]: OutOfMemoryEvents::take
#[derive(Debug)]
pub struct OutOfMemoryEvents {
    /// The file with the count: `memory.oom_control` or `memory.events`.
    count: File,
    name: PathBuf,
    /// Version 1 signals here; version 2 at the file itself.
    signal: Option<OwnedFd>,
    seen: u64,
}

impl AsFd for OutOfMemoryEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signal.as_ref().map_or_else(|| self.count.as_fd(), |signal| signal.as_fd())
    }
}

impl OutOfMemoryEvents {
    /// Listens at a memory folder of version 1.
    pub(super) fn version1(folder: &Path) -> Result<Self, CgroupError> {
        let name = folder.join("memory.oom_control");
        let error = |source| CgroupError::Read { file: name.clone(), source };
        let count = File::open(&name).map_err(error)?;
        let signal = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|source| error(source.into()))?;
        let registration = format!("{} {}", signal.as_raw_fd(), count.as_raw_fd());
        files::write(folder, "cgroup.event_control", registration)?;
        Ok(Self { count, name, signal: Some(signal), seen: 0 })
    }

    /// Listens at a folder of version 2.
    pub(super) fn version2(folder: &Path) -> Result<Self, CgroupError> {
        let name = folder.join("memory.events");
        let count =
            File::open(&name).map_err(|source| CgroupError::Read { file: name.clone(), source })?;
        Ok(Self { count, name, signal: None, seen: 0 })
    }

    /// The events to wait for: readable on version 1, priority (`EPOLLPRI`) on version 2.
    pub fn poll_flags(&self) -> PollFlags {
        if self.signal.is_some() { PollFlags::IN } else { PollFlags::PRI }
    }

    /// Processes killed since the last call. Clears the readiness.
    ///
    /// Version 1 signals before it kills: the count may follow a moment later, and is certain
    /// once the process has ended. So ask again at the container's end.
    pub fn take(&mut self) -> Result<u64, CgroupError> {
        if let Some(signal) = &self.signal {
            let mut counter = [0; 8];
            // Would block: nothing was signalled, and the count is read all the same.
            let _ = rustix::io::read(signal, &mut counter);
        }
        let text = self.count.rewind().and_then(|()| std::io::read_to_string(&self.count));
        let text = match text {
            Ok(text) => text,
            // The cgroup has been removed, which is signalled as well.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error()) => {
                return Ok(0);
            }
            Err(source) => return Err(CgroupError::Read { file: self.name.clone(), source }),
        };
        let total = files::value_of(&text, "oom_kill").unwrap_or(0);
        let new = total.saturating_sub(self.seen);
        self.seen = total;
        Ok(new)
    }
}
