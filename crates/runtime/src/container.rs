//! container.
use std::os::fd::{BorrowedFd, OwnedFd};

use errors::{Explain, Kind};
use rustix::process::Pid;

use crate::cgroups::Cgroup;
use crate::request::{CreateRequest, ExecRequest};

/// A container, created and perhaps started. Dropping it leaves it as it is.
#[derive(Debug)]
pub struct Container {}

/// A further process of a container. A child of the calling process.
#[derive(Debug)]
pub struct ExecProcess {
    pub pid: Pid,
    pub pidfd: OwnedFd,
    /// The master side, if a terminal was asked for.
    pub terminal: Option<OwnedFd>,
    pub warnings: Vec<String>,
}

/// Why a process could not be made ready or executed.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The configuration makes no sense, or asks for what this runtime does not do.
    #[error("{field}: {reason}")]
    Invalid { field: String, reason: String },
    /// `process.args[0]` is not in the container. Worded as runc does.
    #[error("{0}")]
    ProgramNotFound(String),
    /// `process.args[0]` is there, and cannot be executed. Worded as runc does.
    #[error("{0}")]
    ProgramNotExecutable(String),
    /// The user or group is not in the container.
    #[error("{0}")]
    UserNotFound(String),
    #[error("{0}")]
    Failed(String),
}
pub type StartError = CreateError;
pub type ExecError = CreateError;
pub type DeleteError = crate::cgroups::CgroupError;

impl Explain for CreateError {
    fn kind(&self) -> Kind {
        Kind::Internal
    }
}

/// Clones the container's first process and sets it up completely, up to `execve`.
pub fn create(_request: CreateRequest<'_>) -> Result<Container, CreateError> {
    unimplemented!()
}

impl Container {
    pub fn pid(&self) -> Pid {
        unimplemented!()
    }
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        unimplemented!()
    }
    /// The terminal's master side, once.
    pub fn take_terminal(&mut self) -> Option<OwnedFd> {
        unimplemented!()
    }
    /// What was done only in part, for people to read.
    pub fn warnings(&self) -> &[String] {
        unimplemented!()
    }
    /// Executes the program. Comes back once it has succeeded, or with its error.
    pub fn start(&mut self) -> Result<(), StartError> {
        unimplemented!()
    }
    pub fn exec(&self, _request: ExecRequest<'_>) -> Result<ExecProcess, ExecError> {
        unimplemented!()
    }
    pub fn cgroup(&self) -> &Cgroup {
        unimplemented!()
    }
    /// Kills what is left and removes the cgroups. Runs the `poststop` hooks.
    pub fn delete(self) -> Result<(), DeleteError> {
        unimplemented!()
    }
}
