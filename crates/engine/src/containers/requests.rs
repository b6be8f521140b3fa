//! What can be asked of the engine about containers.

use std::os::fd::OwnedFd;
use std::time::Duration;

use super::ContainerId;
use super::spec::{ContainerSpec, Limits, RestartPolicy};

/// A container to make.
#[derive(Debug)]
pub struct CreateContainer {
    /// `None`: one is made up.
    pub name: Option<String>,
    /// The image's id, resolved.
    pub image_id: String,
    /// The image as the user named it.
    pub image_name: String,
    pub spec: ContainerSpec,
    /// What the front door wants back with each [`View`](super::View). Opaque to the engine.
    pub document: String,
}

/// A container was made.
#[derive(Debug, Clone)]
pub struct Created {
    pub id: ContainerId,
    pub warnings: Vec<String>,
}

/// What came of a request that may have nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Changed,
    /// It was where the caller wants it already.
    AlreadyThere,
}

/// How to stop.
#[derive(Debug, Clone, Default)]
pub struct StopOptions {
    /// Instead of the container's own stop signal: a number.
    pub signal: Option<i32>,
    /// Instead of the container's own; `Duration::MAX`: wait for ever.
    pub grace: Option<Duration>,
}

/// How to remove.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveOptions {
    /// Kill it first if it runs.
    pub force: bool,
    /// Its anonymous volumes as well.
    pub volumes: bool,
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitCondition {
    /// Back at once if it does not run.
    NotRunning,
    NextExit,
    Removed,
}

/// The end that was waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitResult {
    pub exit_code: i32,
    pub error: Option<String>,
}

/// A client's raw connection, after the front door has said all it has to say on it.
#[derive(Debug)]
pub struct ClientStream {
    pub socket: OwnedFd,
    /// What the client sent before the connection was handed over.
    pub early_input: Vec<u8>,
}

/// Which streams a client wants, and how.
#[derive(Debug, Clone, Default)]
pub struct AttachStreams {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// `None`: Docker's ctrl-p ctrl-q. In Docker's spelling: `ctrl-x,a`.
    pub detach_keys: Option<String>,
    /// First send what was logged so far.
    pub logs: bool,
    /// Stay attached after that.
    pub stream: bool,
}

/// What to change in a live container.
#[derive(Debug, Clone, Default)]
pub struct UpdateContainer {
    /// Fields that are `None` stay as they are.
    pub limits: Limits,
    pub restart: Option<RestartPolicy>,
    /// The document as it is after the change.
    pub document: Option<String>,
}

/// Processes of a container, as `ps` shows them.
#[derive(Debug, Clone)]
pub struct ProcessTable {
    pub titles: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// What a prune took away.
#[derive(Debug, Clone, Default)]
pub struct Pruned {
    pub names: Vec<String>,
    pub bytes: u64,
}

/// Which objects a prune is about.
#[derive(Debug, Clone, Default)]
pub struct PruneFilter {
    /// Only what was made before this.
    pub until: Option<jiff::Timestamp>,
    /// Only with these labels: key, and value if it matters.
    pub labels: Vec<(String, Option<String>)>,
    /// Not with these.
    pub labels_absent: Vec<(String, Option<String>)>,
}
