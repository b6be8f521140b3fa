//! cgroups.
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use oci::runtime::LinuxResources;
use rustix::process::Pid;

#[derive(Debug)]
pub struct Cgroup {}

#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} the cgroup `{path}`")]
pub struct CgroupError {
    pub(crate) doing: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) source: std::io::Error,
}

/// Tells of processes killed for want of memory.
#[derive(Debug)]
pub struct OutOfMemoryEvents {
    fd: OwnedFd,
}

impl AsFd for OutOfMemoryEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl OutOfMemoryEvents {
    /// The events to wait for: readable on version 1, "priority" (`POLLPRI`) on version 2.
    pub fn poll_flags(&self) -> rustix::event::PollFlags {
        rustix::event::PollFlags::IN
    }

    /// Processes killed since the last call. Clears the readiness.
    pub fn take(&mut self) -> Result<u64, CgroupError> {
        unimplemented!()
    }
}

#[derive(Debug, Clone, Default)]
pub struct Statistics {}

impl Cgroup {
    /// The container's folder in each hierarchy.
    pub fn paths(&self) -> Vec<PathBuf> {
        unimplemented!()
    }
    /// Every process of the container, exec'd ones too.
    pub fn processes(&self) -> Result<Vec<Pid>, CgroupError> {
        unimplemented!()
    }
    pub fn freeze(&self) -> Result<(), CgroupError> {
        unimplemented!()
    }
    pub fn thaw(&self) -> Result<(), CgroupError> {
        unimplemented!()
    }
    pub fn kill_all(&self) -> Result<(), CgroupError> {
        unimplemented!()
    }
    pub fn update(&self, _resources: &LinuxResources) -> Result<(), CgroupError> {
        unimplemented!()
    }
    /// `None` if the container has no memory limit, on a host where that means no count.
    pub fn out_of_memory_events(&self) -> Result<Option<OutOfMemoryEvents>, CgroupError> {
        unimplemented!()
    }
    pub fn statistics(&self) -> Result<Statistics, CgroupError> {
        unimplemented!()
    }
}
