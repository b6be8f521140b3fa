//! Why something about a container failed: one enum an operation.
//!
//! Wording that scripts match on is Docker's, to the letter.

use std::io;

use errors::{Explain, Kind};

use super::view::Phase;

/// A name or id that means no container, or more than one.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LookupError {
    #[error("No such container: {name}")]
    NotFound { name: String },
    #[error("multiple IDs found with provided prefix: {prefix}")]
    Ambiguous { prefix: String },
    #[error("invalid name or ID supplied: \"\"")]
    Empty,
}

impl Explain for LookupError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound { .. } => Kind::NotFound,
            Self::Ambiguous { .. } | Self::Empty => Kind::Invalid,
        }
    }
}

/// A container was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    #[error(
        "Conflict. The container name \"/{name}\" is already in use by container \"{holder}\". \
         You have to remove (or rename) that container to be able to reuse that name."
    )]
    NameTaken { name: String, holder: String },
    #[error("Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")]
    InvalidName { name: String },
    /// A container that this one refers to. Not `NotFound`: that is about the image, and
    /// clients try to pull it then.
    #[error(transparent)]
    Other(LookupError),
    #[error("could not get container for {container}")]
    LinkNotFound { container: String, source: LookupError },
    #[error(
        "conflicting options: host type networking can't be used with links. This would result \
         in undefined behavior"
    )]
    LinkToHost,
    #[error("No such image: {image}")]
    ImageGone { image: String },
    #[error(transparent)]
    Mount(#[from] MountError),
    #[error(transparent)]
    Volume(#[from] crate::volumes::VolumeError),
    #[error("invalid seccomp profile: {reason}")]
    SeccompProfile { reason: String },
    #[error("cannot make the container's file system")]
    Snapshot { source: images::SnapshotError },
    #[error("cannot make {path}")]
    Folder { path: std::path::PathBuf, source: io::Error },
    #[error("cannot record the container")]
    Record { source: crate::metadata::MetadataError },
}

impl Explain for CreateError {
    fn kind(&self) -> Kind {
        match self {
            Self::NameTaken { .. } => Kind::Conflict,
            Self::InvalidName { .. } | Self::SeccompProfile { .. } => Kind::Invalid,
            Self::Other(_) | Self::LinkNotFound { .. } | Self::LinkToHost => Kind::Invalid,
            Self::ImageGone { .. } => Kind::NotFound,
            Self::Mount(error) => error.kind(),
            Self::Volume(error) => error.kind(),
            Self::Snapshot { .. } | Self::Folder { .. } | Self::Record { .. } => Kind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NameTaken { name, .. } => Some(format!(
                "`wharf rm -f {name}` removes the other one, `wharf rename {name} …` keeps it"
            )),
            Self::Mount(error) => error.hint(),
            Self::Volume(error) => error.hint(),
            _ => None,
        }
    }
}

/// A mount that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    #[error("invalid mount config for type \"bind\": bind source path does not exist: {path}")]
    SourceMissing { path: String },
    #[error("Duplicate mount point: {target}")]
    Duplicate { target: String },
    #[error("error while creating mount source path '{path}'")]
    MakeSource { path: String, source: io::Error },
    #[error("path {path} is mounted on {mountpoint} but it is not a {wanted} mount")]
    Propagation { path: String, mountpoint: String, wanted: String },
    #[error("cannot access path {path} in volume {volume}")]
    Subpath { path: String, volume: String, source: io::Error },
    #[error("cannot fill volume {volume} from the image's {path}")]
    Fill { volume: String, path: String, source: io::Error },
}

impl Explain for MountError {
    fn kind(&self) -> Kind {
        match self {
            Self::SourceMissing { .. } | Self::Duplicate { .. } | Self::Subpath { .. } => {
                Kind::Invalid
            }
            Self::MakeSource { .. } | Self::Propagation { .. } | Self::Fill { .. } => {
                Kind::Internal
            }
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::SourceMissing { path } => {
                Some(format!("make it first, or use `-v {path}:…`, which makes a missing folder"))
            }
            Self::Propagation { path, .. } => {
                Some(format!("`mount --make-rshared {path}` on the host makes it one"))
            }
            _ => None,
        }
    }
}

/// A container did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error("cannot start a paused container, try unpause instead")]
    IsPaused,
    #[error("container is marked for removal and cannot be started")]
    IsRemoving,
    #[error(transparent)]
    Mount(#[from] MountError),
    #[error(transparent)]
    Volume(#[from] crate::volumes::VolumeError),
    #[error("failed to set up container networking")]
    Network { source: network::AttachError },
    #[error("joining network namespace of container")]
    JoinedNetworkNotFound { source: LookupError },
    #[error("cannot join {what} of a non running container: {container}")]
    JoinedNotRunning { what: &'static str, container: String },
    #[error("Cannot link to a non running container: /{child} AS /{parent}/{alias}")]
    LinkNotRunning { child: String, parent: String, alias: String },
    #[error("container {container} not attached to default bridge network")]
    LinkNotAttached { container: String },
    #[error("could not select device driver {driver:?} with capabilities: {capabilities}")]
    NoDeviceDriver { driver: String, capabilities: String },
    #[error("unknown or invalid runtime name: {name}")]
    UnknownRuntime { name: String },
    #[error(
        "failed to create task for container: failed to start shim: failed to resolve runtime \
         path: runtime {name:?} binary not installed {program:?}: file does not exist"
    )]
    ForeignRuntime { name: String, program: String },
    #[error("CDI device injection failed: unresolvable CDI devices {names}")]
    NoSuchCdiDevice { names: String },
    #[error("cannot join IPC namespace of container {container}: it is not shareable")]
    IpcNotShareable { container: String },
    /// The container's own fault, in the words of its runtime.
    #[error("{}", failure.message)]
    Runtime { failure: shim::protocol::Failure },
    #[error("cannot prepare the container's {what}")]
    Prepare { what: &'static str, source: io::Error },
    #[error("{reason}")]
    InvalidConfiguration { reason: String },
    #[error("cannot start the container's supervisor")]
    Launch { source: shim::client::LaunchError },
    #[error(
        "container {id} cannot start: its files have been copied for {seconds} s, and still are"
    )]
    FilesInUse { id: String, seconds: u64 },
    #[error("the daemon is stopping")]
    ShuttingDown,
}

impl Explain for StartError {
    fn kind(&self) -> Kind {
        use shim::protocol::FailureKind;
        match self {
            Self::Lookup(error) => error.kind(),
            Self::IsPaused
            | Self::IsRemoving
            | Self::JoinedNotRunning { .. }
            | Self::FilesInUse { .. } => Kind::Conflict,
            Self::Mount(error) => error.kind(),
            Self::Volume(error) => error.kind(),
            Self::Network { source } => source.kind(),
            Self::IpcNotShareable { .. }
            | Self::InvalidConfiguration { .. }
            | Self::UnknownRuntime { .. } => Kind::Invalid,
            Self::Runtime { failure } => match failure.kind {
                FailureKind::ProgramNotFound
                | FailureKind::ProgramNotExecutable
                | FailureKind::InvalidConfiguration => Kind::Invalid,
                _ => Kind::Internal,
            },
            Self::Prepare { .. }
            | Self::Launch { .. }
            | Self::JoinedNetworkNotFound { .. }
            | Self::LinkNotRunning { .. }
            | Self::LinkNotAttached { .. }
            | Self::NoDeviceDriver { .. }
            | Self::NoSuchCdiDevice { .. }
            | Self::ForeignRuntime { .. } => Kind::Internal,
            Self::ShuttingDown => Kind::Unavailable,
        }
    }

    fn hint(&self) -> Option<String> {
        use shim::protocol::FailureKind;
        match self {
            Self::Mount(error) => error.hint(),
            Self::Volume(error) => error.hint(),
            Self::Network { source } => source.hint(),
            Self::LinkNotRunning { child, .. } => Some(format!("`wharf start {child}` first")),
            Self::NoDeviceDriver { .. } | Self::NoSuchCdiDevice { .. } => Some(
                "no device drivers can be added yet; `--device /dev/…` gives a container one device"
                    .to_owned(),
            ),
            Self::Runtime { failure } if failure.kind == FailureKind::ProgramNotFound => Some(
                "the program must be in the container's image; an absolute path avoids its $PATH"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// Something about a container could not be done: stop, kill, pause, rename and the like.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("cannot kill container: {container}: container {id} is not running")]
    KillNotRunning { container: String, id: String },
    #[error("container {id} is not running")]
    NotRunning { id: String },
    #[error("Container {id} is not paused")]
    NotPaused { id: String },
    #[error("Container {id} is already paused")]
    AlreadyPaused { id: String },
    #[error("Container {id} is restarting, wait until the container is running")]
    IsRestarting { id: String },
    #[error("Container {id} is paused, unpause the container before exec")]
    IsPaused { id: String },
    #[error("Container {id} is marked for removal and cannot be renamed or used")]
    IsRemoving { id: String },
    #[error(
        "Error when allocating new name: Conflict. The container name \"/{name}\" is already in use by container \"{holder}\". \
         You have to remove (or rename) that container to be able to reuse that name."
    )]
    NameTaken { name: String, holder: String },
    #[error(
        "Error when allocating new name: Invalid container name (/{name}), only \
         [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    )]
    InvalidName { name: String },
    #[error("Renaming a container with the same name as its current name")]
    SameName,
    #[error("Invalid detach keys ({keys}) provided")]
    DetachKeys { keys: String },
    #[error("NotFound: process does not exist {id}: not found")]
    ExecGone { id: String },
    #[error("container {named} is paused, unpause the container before attach")]
    AttachPaused { named: String },
    #[error("container {named} is restarting, wait until the container is running")]
    AttachRestarting { named: String },
    #[error("{reason}")]
    Invalid { reason: String },
    /// `ps` does not know what it was asked for.
    #[error("{reason}")]
    ProcessTable { reason: String },
    #[error("Invalid escape keys ({keys}) provided")]
    EscapeKeys { keys: String },
    #[error("container {id} did not end within {seconds} s of SIGKILL: waiting for {what}")]
    Stuck { id: String, seconds: u64, what: String },
    #[error("container {id} has no time for this: it is being {doing}, and was for {seconds} s")]
    Busy { id: String, seconds: u64, doing: &'static str },
    #[error("{}", failure.message)]
    Shim { failure: shim::protocol::Failure },
    #[error("container {id} runs under the supervisor of another build, which cannot do that")]
    OtherBuild { id: String },
    #[error("cannot reach the supervisor of container {id}")]
    ShimUnreachable { id: String, source: shim::client::CallError },
    #[error("cannot reach the supervisor of container {id}")]
    ShimConnect { id: String, source: shim::client::ConnectError },
    #[error("cannot record the container")]
    Record { source: crate::metadata::MetadataError },
    #[error("cannot read what container {id} runs")]
    Processes { id: String, source: io::Error },
}

impl Explain for ControlError {
    fn kind(&self) -> Kind {
        match self {
            Self::Lookup(error) => error.kind(),
            Self::Start(error) => error.kind(),
            Self::KillNotRunning { .. }
            | Self::NotRunning { .. }
            | Self::NotPaused { .. }
            | Self::AlreadyPaused { .. }
            | Self::IsRestarting { .. }
            | Self::IsPaused { .. }
            | Self::IsRemoving { .. }
            | Self::NameTaken { .. }
            | Self::AttachPaused { .. }
            | Self::AttachRestarting { .. } => Kind::Conflict,
            Self::ExecGone { .. } => Kind::NotFound,
            Self::InvalidName { .. }
            | Self::SameName
            | Self::DetachKeys { .. }
            | Self::ProcessTable { .. }
            | Self::EscapeKeys { .. }
            | Self::Invalid { .. } => Kind::Invalid,
            Self::OtherBuild { .. } => Kind::NotImplemented,
            Self::Shim { .. }
            | Self::ShimUnreachable { .. }
            | Self::ShimConnect { .. }
            | Self::Record { .. }
            | Self::Stuck { .. }
            | Self::Busy { .. }
            | Self::Processes { .. } => Kind::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        matches!(self, Self::OtherBuild { .. }).then(|| {
            "restart the container to have it run under the present build's supervisor".to_owned()
        })
    }
}

/// A container was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error(
        "cannot remove container \"{name}\": container is {}: stop the container before removing \
         or force remove", phase.name()
    )]
    IsLive { name: String, phase: Phase },
    #[error("cannot remove container \"{name}\": container is paused and must be unpaused first")]
    IsPaused { name: String },
    #[error("removal of container {id} is already in progress")]
    InProgress { id: String },
    #[error("cannot remove container \"{name}\": could not kill container")]
    Kill { name: String, source: Box<ControlError> },
    #[error("cannot remove the files of container \"{name}\"")]
    Files { name: String, source: io::Error },
    #[error("cannot remove the file system of container \"{name}\"")]
    Snapshot { name: String, source: images::SnapshotError },
    #[error("cannot remove the volumes of container \"{name}\"")]
    Volume { name: String, source: Box<crate::volumes::VolumeError> },
    #[error("cannot record the removal")]
    Record { source: crate::metadata::MetadataError },
}

impl Explain for RemoveError {
    fn kind(&self) -> Kind {
        match self {
            Self::Lookup(error) => error.kind(),
            Self::IsLive { .. } | Self::IsPaused { .. } | Self::InProgress { .. } => Kind::Conflict,
            Self::Kill { .. }
            | Self::Files { .. }
            | Self::Snapshot { .. }
            | Self::Volume { .. }
            | Self::Record { .. } => Kind::Internal,
        }
    }
}

/// An exec failed.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    #[error("No such exec instance: {id}")]
    NotFound { id: String },
    #[error(transparent)]
    Container(#[from] ControlError),
    #[error("exec command {id} is already running")]
    AlreadyRunning { id: String },
    #[error("exec command {id} has already run")]
    HasRun { id: String },
    #[error("{}", failure.message)]
    Runtime { failure: shim::protocol::Failure },
    #[error("No exec command specified")]
    NoCommand,
}

impl Explain for ExecError {
    fn kind(&self) -> Kind {
        use shim::protocol::FailureKind;
        match self {
            Self::NotFound { .. } => Kind::NotFound,
            Self::Container(error) => error.kind(),
            Self::AlreadyRunning { .. } | Self::HasRun { .. } => Kind::Conflict,
            Self::NoCommand => Kind::Invalid,
            Self::Runtime { failure } => match failure.kind {
                FailureKind::ProgramNotFound
                | FailureKind::ProgramNotExecutable
                | FailureKind::InvalidConfiguration => Kind::Invalid,
                FailureKind::WrongPhase => Kind::Conflict,
                _ => Kind::Internal,
            },
        }
    }
}
