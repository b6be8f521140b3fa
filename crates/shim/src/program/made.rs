//! A container, whoever has made it: our own library, or a program that `--runtime` names.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use errors::chain;
use oci::runtime::LinuxResources;
use runtime::Cgroup;
use rustix::process::Pid;
use shim::protocol::{Failure, FailureKind};

use crate::foreign::Foreign;

/// One run of a container, by whatever makes it.
#[derive(Debug)]
pub(crate) enum Container {
    /// Our own library.
    Own(Box<runtime::Container>),
    /// A program, as `--runtime` names it.
    Foreign(Box<Foreign>),
}

impl Container {
    /// The first process, in our pid namespace.
    pub(crate) fn pid(&self) -> Pid {
        match self {
            Self::Own(container) => container.pid(),
            Self::Foreign(container) => container.pid(),
        }
    }

    /// The first process. Readable once it has ended; `waitid` it then.
    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Own(container) => container.pidfd(),
            Self::Foreign(container) => container.pidfd(),
        }
    }

    /// The container's list of processes and what it has used.
    pub(crate) fn cgroup(&self) -> &Cgroup {
        match self {
            Self::Own(container) => container.cgroup(),
            Self::Foreign(container) => container.cgroup(),
        }
    }

    /// What was done only in part, for people to read.
    pub(crate) fn warnings(&self) -> &[String] {
        match self {
            Self::Own(container) => container.warnings(),
            Self::Foreign(_) => &[],
        }
    }

    pub(crate) fn take_terminal(&mut self) -> Option<OwnedFd> {
        match self {
            Self::Own(container) => container.take_terminal(),
            Self::Foreign(container) => container.take_terminal(),
        }
    }

    /// Sends a signal to the first process.
    pub(crate) fn send(&self, signal: i32) -> io::Result<()> {
        match self {
            Self::Own(container) => linux::signals::send(container.pidfd(), signal),
            Self::Foreign(container) => container.send(signal),
        }
    }

    /// Stops every process where it stands.
    pub(crate) fn freeze(&self) -> Result<(), Failure> {
        match self {
            Self::Own(container) => container.cgroup().freeze().map_err(|error| of_cgroup(&error)),
            Self::Foreign(container) => container.freeze(),
        }
    }

    /// Lets every process go on.
    pub(crate) fn thaw(&self) -> Result<(), Failure> {
        match self {
            Self::Own(container) => container.cgroup().thaw().map_err(|error| of_cgroup(&error)),
            Self::Foreign(container) => container.thaw(),
        }
    }

    /// Sets the limits that are given.
    pub(crate) fn update(&self, resources: &LinuxResources) -> Result<(), Failure> {
        match self {
            Self::Own(container) => {
                container.cgroup().update(resources).map_err(|error| of_cgroup(&error))
            }
            Self::Foreign(container) => container.update(resources),
        }
    }

    /// Removes what is left of the container.
    pub(crate) fn delete(self) -> Result<(), Failure> {
        match self {
            Self::Own(container) => match container.delete() {
                Ok(_) => Ok(()),
                Err(error) => Err(Failure { kind: FailureKind::Internal, message: chain(&error) }),
            },
            Self::Foreign(container) => container.delete(),
        }
    }
}

fn of_cgroup(error: &runtime::CgroupError) -> Failure {
    Failure { kind: FailureKind::Internal, message: chain(error) }
}
