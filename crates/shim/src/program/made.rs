//! A container, whoever has made it: our own library, or a program that `--runtime` names.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use errors::chain;
use oci::runtime::LinuxResources;
use runtime::Cgroup;
use rustix::process::Pid;
use shim::protocol::{Failure, FailureKind};

use crate::foreign::{Call, Foreign, ProgramError};

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
    pub(crate) fn send(&self, signal: i32) -> Begun<io::Error> {
        match self {
            Self::Own(_) => self.send_directly(signal).map(|()| None),
            // Nothing is to come between a process and its end.
            Self::Foreign(_) if signal == SIGKILL => self.send_directly(signal).map(|()| None),
            Self::Foreign(container) => match container.send(signal) {
                Ok(call) => Ok(Some(call)),
                Err(_) => self.send_directly(signal).map(|()| None),
            },
        }
    }

    /// As [`send`](Self::send), whatever has made the container.
    pub(crate) fn send_directly(&self, signal: i32) -> io::Result<()> {
        linux::signals::send(self.pidfd(), signal)
    }

    /// Stops every process where it stands.
    pub(crate) fn freeze(&self) -> Begun<Failure> {
        match self {
            Self::Own(container) => done(container.cgroup().freeze()),
            Self::Foreign(container) => asked(container.freeze()),
        }
    }

    /// Lets every process go on.
    pub(crate) fn thaw(&self) -> Begun<Failure> {
        match self {
            Self::Own(container) => done(container.cgroup().thaw()),
            Self::Foreign(container) => asked(container.thaw()),
        }
    }

    /// Sets the limits that are given.
    pub(crate) fn update(&self, resources: &LinuxResources) -> Begun<Failure> {
        match self {
            Self::Own(container) => done(container.cgroup().update(resources)),
            Self::Foreign(container) => container.update(resources).map(Some),
        }
    }

    /// Ends what is left of the container, whose first process has ended. `None`: not all of it
    /// is gone, and [`delete`](Self::delete) does the rest.
    pub(crate) fn ask_to_delete(&self) -> Option<Call> {
        match self {
            Self::Own(_) => None,
            Self::Foreign(container) => container.ask_to_delete().ok(),
        }
    }

    /// As if the program had deleted the container, which it has not.
    pub(crate) fn forget(self) {
        if let Self::Foreign(container) = self {
            container.forget();
        }
    }

    /// Removes what is left of the container.
    pub(crate) fn delete(self) -> Result<(), Failure> {
        match self {
            Self::Own(container) => match container.delete() {
                Ok(_) => Ok(()),
                Err(error) => Err(Failure { kind: FailureKind::Internal, message: chain(&error) }),
            },
            Self::Foreign(container) => container.delete().map_err(|error| error.with_prefix("")),
        }
    }
}

/// What was asked for is done, or a program was asked to do it.
type Begun<E> = Result<Option<Call>, E>;

/// `SIGKILL`, which is 9 on every architecture.
pub(crate) const SIGKILL: i32 = 9;

fn done(outcome: Result<(), runtime::CgroupError>) -> Begun<Failure> {
    outcome.map(|()| None).map_err(|error| of_cgroup(&error))
}

fn asked(call: Result<Call, ProgramError>) -> Begun<Failure> {
    call.map(Some).map_err(|error| error.with_prefix(""))
}

fn of_cgroup(error: &runtime::CgroupError) -> Failure {
    Failure { kind: FailureKind::Internal, message: chain(error) }
}
