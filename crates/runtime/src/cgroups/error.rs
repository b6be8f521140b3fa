//! What can go wrong with a cgroup.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use errors::{Explain, Kind};

/// A cgroup could not be made, changed or asked.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    #[error("cannot create the cgroup `{path}`")]
    Create { path: PathBuf, source: io::Error },

    #[error("container's cgroup is not empty: `{path}` has a process in it already ({process})")]
    Occupied { path: PathBuf, process: i32 },

    #[error("container's cgroup unexpectedly frozen: `{path}`")]
    AlreadyFrozen { path: PathBuf },

    #[error("cannot write `{value}` to `{file}`")]
    Write { file: PathBuf, value: String, source: io::Error },

    /// The kernel, or this host's kernel, does not take a limit.
    #[error("linux.resources.{field}: cannot write `{value}` to `{file}`")]
    Limit { field: String, file: PathBuf, value: String, source: io::Error },

    #[error("cannot read `{file}`")]
    Read { file: PathBuf, source: io::Error },

    #[error("linux.resources.{field}: this host has no `{controller}` cgroup controller")]
    NoController { field: &'static str, controller: &'static str },

    #[error("linux.resources.{field}: {reason}")]
    NotPossible { field: String, reason: Cow<'static, str> },

    #[error("cannot install the device rules of the cgroup `{path}`")]
    DeviceRules { path: PathBuf, source: io::Error },

    #[error("cannot freeze the cgroup `{path}`: it has not come to rest after {seconds} s")]
    NotFrozen { path: PathBuf, seconds: u64 },

    // The words of these three are runc's.
    #[error("bad sub cgroup path: {path}")]
    BadSubPath { path: PathBuf },

    #[error("unknown controller {name}: the container has no cgroup of it")]
    UnknownController { name: String },

    #[error("error adding pid of the new process to cgroups: cannot enter `{path}`")]
    Enter { path: PathBuf, source: io::Error },

    #[error("linux.cgroupsPath: {reason}")]
    Path { reason: String },

    #[error("the container has no cgroup, since its user may not make one")]
    Absent,

    /// The words are runc's.
    #[error(
        "rootless needs no limits + no cgrouppath when no permission is granted for cgroups: the \
         container has no cgroup, since its user may not make one"
    )]
    NotDelegated,

    #[error("cannot {doing} the unit `{unit}`")]
    Systemd { doing: &'static str, unit: String, source: super::systemd::BusError },

    #[error("cannot remove the cgroup `{path}`")]
    Remove { path: PathBuf, source: io::Error },
}

impl Explain for CgroupError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotPossible { .. }
            | Self::BadSubPath { .. }
            | Self::UnknownController { .. }
            | Self::Enter { .. }
            | Self::Path { .. }
            | Self::NotDelegated => Kind::Invalid,
            // The kernel's words for a value that makes no sense, such as a processor that is
            // not there.
            Self::Write { source, .. } | Self::Limit { source, .. }
                if matches!(
                    source.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::PermissionDenied
                ) || source.raw_os_error() == Some(rustix::io::Errno::RANGE.raw_os_error()) =>
            {
                Kind::Invalid
            }
            Self::NoController { .. } | Self::Absent => Kind::NotImplemented,
            Self::Occupied { .. } | Self::AlreadyFrozen { .. } => Kind::Conflict,
            Self::Create { .. }
            | Self::Write { .. }
            | Self::Limit { .. }
            | Self::Read { .. }
            | Self::DeviceRules { .. }
            | Self::NotFrozen { .. }
            | Self::Systemd { .. }
            | Self::Remove { .. } => Kind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NoController { controller, .. } => Some(format!(
                "`cat /proc/cgroups` shows the controllers of this kernel; `{controller}` must be \
                 compiled in, enabled and mounted below {}",
                super::MOUNT_POINT
            )),
            Self::Occupied { path, .. } => Some(format!(
                "it may be left of another container: `echo 1 > {}/cgroup.kill` ends it",
                path.display()
            )),
            Self::Write { file, source, .. } | Self::Limit { file, source, .. }
                if source.kind() == io::ErrorKind::ResourceBusy =>
            {
                Some(format!(
                    "`{}` is in use by more than the new limit allows, or has cgroups below it",
                    file.display()
                ))
            }
            Self::Limit { file, source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some(format!("this kernel has no `{}`", file.display()))
            }
            Self::Absent | Self::NotDelegated => Some(
                "on a host with cgroup v2, systemd delegates cgroups to its users: see \
                 `Delegate=` in systemd.resource-control(5)"
                    .to_owned(),
            ),
            Self::Write { .. }
            | Self::Limit { .. }
            | Self::Create { .. }
            | Self::Read { .. }
            | Self::NotPossible { .. }
            | Self::DeviceRules { .. }
            | Self::NotFrozen { .. }
            | Self::AlreadyFrozen { .. }
            | Self::BadSubPath { .. }
            | Self::UnknownController { .. }
            | Self::Enter { .. }
            | Self::Path { .. }
            | Self::Systemd { .. }
            | Self::Remove { .. } => None,
        }
    }
}

impl CgroupError {
    /// Whether it is this process's rights that are missing.
    pub(super) fn is_forbidden(&self) -> bool {
        match self {
            Self::Create { source, .. }
            | Self::Write { source, .. }
            | Self::DeviceRules { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            ),
            _ => false,
        }
    }
}

/// Whether an error is the kernel's `errno` about a file of a cgroup.
pub(super) fn is_errno(error: &CgroupError, errno: rustix::io::Errno) -> bool {
    match error {
        CgroupError::Write { source, .. }
        | CgroupError::Limit { source, .. }
        | CgroupError::Read { source, .. }
        | CgroupError::Create { source, .. }
        | CgroupError::Enter { source, .. }
        | CgroupError::DeviceRules { source, .. }
        | CgroupError::Remove { source, .. } => source.raw_os_error() == Some(errno.raw_os_error()),
        CgroupError::Occupied { .. }
        | CgroupError::AlreadyFrozen { .. }
        | CgroupError::BadSubPath { .. }
        | CgroupError::UnknownController { .. }
        | CgroupError::NoController { .. }
        | CgroupError::NotPossible { .. }
        | CgroupError::Path { .. }
        | CgroupError::Absent
        | CgroupError::NotDelegated
        | CgroupError::Systemd { .. }
        | CgroupError::NotFrozen { .. } => false,
    }
}
