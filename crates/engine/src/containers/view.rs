//! A snapshot of one container, for whoever asks.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use super::ContainerId;
use super::health::HealthView;
use super::spec::ContainerSpec;
use crate::exec::ExecId;
use crate::logs::LogPlace;

/// A snapshot of one container. Cheap to clone; never changes.
#[derive(Debug, Clone)]
pub struct View {
    pub id: ContainerId,
    /// Without a slash.
    pub name: String,
    pub created_at: Timestamp,
    /// The image's id (`sha256:…`).
    pub image_id: String,
    /// The image as the user named it.
    pub image_name: String,
    pub spec: Arc<ContainerSpec>,
    /// What the front door that made it keeps with it.
    pub document: Arc<str>,
    pub state: StateView,
    /// Its connection, while it runs.
    pub attachment: Option<Arc<network::AttachmentRecord>>,
    /// How to join its network namespace (`nsenter --net=`), while it runs with one of its own.
    pub network_namespace: Option<PathBuf>,
    /// Its folder in each cgroup hierarchy, while it runs.
    pub cgroup_paths: Arc<[PathBuf]>,
    pub mounts: Arc<[MountView]>,
    pub restart_count: u32,
    /// Those that run, or are to run.
    pub execs: Vec<ExecId>,
    /// Where its log can be read.
    pub log: LogPlace,
    pub hostname_path: PathBuf,
    pub hosts_path: PathBuf,
    pub resolv_conf_path: PathBuf,
    /// Where its own changes are.
    pub upper_directory: PathBuf,
    pub work_directory: PathBuf,
}

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    Created,
    Running,
    Paused,
    Restarting,
    Removing,
    Exited,
    /// Could not be removed.
    Dead,
}

impl Phase {
    /// Docker's word for it, which is everybody's.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }

    /// Whether the container has a live process (or will have one by itself).
    pub fn is_live(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Restarting)
    }
}

/// The changing part of a container.
#[derive(Debug, Clone)]
pub struct StateView {
    pub phase: Phase,
    /// An earlier engine has begun to start it, and nobody knows yet what comes of that.
    pub is_starting: bool,
    /// 0 when none lives.
    pub pid: i32,
    pub exit_code: i32,
    pub oom_killed: bool,
    /// Entries that are missing in the log of the last run.
    pub log_entries_lost: u64,
    /// The most bytes of memory that the last run used at once, if it was killed.
    pub memory_peak: Option<u64>,
    /// Why the last start failed, or why it ended without its own doing.
    pub error: String,
    /// What to do about that.
    pub error_hint: Option<String>,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// The stop signal that its first process did not hear, so that it was killed at once.
    pub unheard_stop_signal: Option<i32>,
    /// What was found at its last look, for a container that has run with a health check.
    pub health: Option<Arc<HealthView>>,
}

/// A mount as it was resolved.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct MountView {
    pub kind: MountKind,
    /// The volume's name, for a volume.
    pub name: Option<String>,
    /// On the host; empty for a tmpfs.
    pub source: PathBuf,
    pub target: String,
    pub driver: Option<String>,
    pub mode: String,
    pub writable: bool,
    pub propagation: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum MountKind {
    Bind,
    Volume,
    Tmpfs,
}
