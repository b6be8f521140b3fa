//! What a container has used, read from the kernel when somebody asks.
//!
//! Nothing runs in the background and nothing is kept: a reading is a dozen small files of the
//! container's cgroup and of its first process, read here and not by its shim, so that a
//! hundred containers wake nobody up. What is read at once is bounded by [`READERS_MAX`].
//!
//! [`version1`] and [`version2`] are the two layouts of cgroups. Under version 1 a container
//! has a folder only where it has a limit; what no folder counts is added up from its
//! processes ([`processes`]), which is less: page caches and what ended processes had are
//! not in it.

mod files;
mod host;
mod interfaces;
mod processes;
mod version1;
mod version2;

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use tokio::sync::Semaphore;

use crate::containers::errors::LookupError;
use crate::containers::spec::NetworkMode;
use crate::containers::{Phase, View, blocking};
use crate::engine::Parts;

pub use host::HostUse;

/// Readings at the same time. They compute more than they wait, so more would only take
/// threads from those who wait for the disk.
const READERS_MAX: usize = 8;

/// How often the container whose network another one shares may share a further one's.
const SHARED_NETWORKS_MAX: usize = 16;

/// What a container has used so far.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    pub at: Timestamp,
    /// 1 or 2: what of it can be known depends on that.
    pub cgroup_version: u8,
    pub cpu: CpuUse,
    pub host: HostUse,
    pub memory: MemoryUse,
    /// Processes and threads.
    pub tasks: u64,
    pub tasks_max: Option<u64>,
    pub block: Vec<BlockUse>,
    pub interfaces: Vec<InterfaceUse>,
}

/// Processor time at one moment.
#[derive(Debug, Clone, Default)]
pub struct CpuReading {
    pub at: Timestamp,
    pub cpu: CpuUse,
}

/// Processor time, in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuUse {
    pub total_ns: u64,
    pub user_ns: u64,
    pub system_ns: u64,
    /// Of each processor; empty where nobody counts them apart.
    pub each_ns: Vec<u64>,
    pub periods: u64,
    pub throttled_periods: u64,
    pub throttled_ns: u64,
}

/// Memory, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryUse {
    pub used: u64,
    pub used_max: Option<u64>,
    /// `None` if there is no limit.
    pub limit: Option<u64>,
    pub failures: u64,
    /// The kernel's own table (`memory.stat`), key by key.
    pub details: Vec<(String, u64)>,
}

/// Transfers of one block device. Where nobody tells devices apart its number is 0:0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockUse {
    pub major: u64,
    pub minor: u64,
    /// As the kernel calls it: `Read`, `Write`, `Total`.
    pub operation: String,
    pub bytes: Option<u64>,
    pub operations: Option<u64>,
}

/// What went through an interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InterfaceUse {
    /// As the container calls it.
    pub name: String,
    pub received: Traffic,
    pub sent: Traffic,
}

/// What went one way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    pub bytes: u64,
    pub packets: u64,
    pub errors: u64,
    pub dropped: u64,
}

/// Those who read, and not too many of them.
#[derive(Debug)]
pub(crate) struct Readers(Semaphore);

impl Default for Readers {
    fn default() -> Self {
        Self(Semaphore::new(READERS_MAX))
    }
}

/// Where a container is counted.
struct Sources {
    cgroup_paths: Arc<[PathBuf]>,
    pid: i32,
    /// The interfaces that the engine gave to it.
    interfaces: Vec<String>,
}

/// What a container has used; `None` while it does not run.
pub(crate) async fn usage(parts: &Arc<Parts>, name: &str) -> Result<Option<Usage>, LookupError> {
    read(parts, name, |sources| sources.usage()).await
}

/// The processor time of a container; `None` while it does not run.
pub(crate) async fn cpu(parts: &Arc<Parts>, name: &str) -> Result<Option<CpuReading>, LookupError> {
    read(parts, name, |sources| {
        let cpu = sources.layout()?.cpu();
        Some(CpuReading { at: Timestamp::now(), cpu })
    })
    .await
}

async fn read<T: Send + 'static>(
    parts: &Arc<Parts>,
    name: &str,
    work: impl FnOnce(Sources) -> Option<T> + Send + 'static,
) -> Result<Option<T>, LookupError> {
    let view = parts.registry.find(name)?.view();
    let Some(sources) = Sources::of(parts, &view) else { return Ok(None) };
    // An error would mean that the semaphore was closed, which nobody does.
    let _permit = parts.readers.0.acquire().await;
    Ok(blocking(move || work(sources)).await)
}

impl Sources {
    fn of(parts: &Parts, view: &View) -> Option<Self> {
        let runs = matches!(view.state.phase, Phase::Running | Phase::Paused);
        (runs && !view.cgroup_paths.is_empty()).then(|| Self {
            cgroup_paths: Arc::clone(&view.cgroup_paths),
            pid: view.state.pid,
            interfaces: interfaces_of(parts, view),
        })
    }

    fn layout(&self) -> Option<Layout<'_>> {
        Layout::of(&self.cgroup_paths)
    }

    /// `None` if the container has ended meanwhile, and its cgroup with it.
    fn usage(&self) -> Option<Usage> {
        let layout = self.layout()?;
        let cpu = layout.cpu();
        // Close to the container's own time, so that shares of it are right.
        let at = Timestamp::now();
        let host = host::read();
        let mut usage =
            Usage { at, cgroup_version: layout.version(), cpu, host, ..Usage::default() };
        layout.count(&mut usage);
        usage.interfaces = interfaces::read(self.pid, &self.interfaces);
        layout.is_there().then_some(usage)
    }
}

/// The interfaces of a container, or of the one whose network it shares.
fn interfaces_of(parts: &Parts, view: &View) -> Vec<String> {
    let mut own = view.attachment.clone();
    let mut mode = view.spec.network.mode.clone();
    for _ in 0..SHARED_NETWORKS_MAX {
        let NetworkMode::Container(name) = &mode else { break };
        let Ok(other) = parts.registry.find(name) else { break };
        let other = other.view();
        own.clone_from(&other.attachment);
        mode = other.spec.network.mode.clone();
    }
    own.iter().map(|attachment| attachment.interface.clone()).collect()
}

/// The two ways in which cgroups are laid out.
enum Layout<'a> {
    Version1(version1::Folders<'a>),
    Version2(&'a Path),
}

impl<'a> Layout<'a> {
    fn of(paths: &'a [PathBuf]) -> Option<Self> {
        static IS_UNIFIED: LazyLock<bool> =
            LazyLock::new(|| Path::new("/sys/fs/cgroup/cgroup.controllers").exists());
        if *IS_UNIFIED {
            return paths.first().map(|path| Self::Version2(path));
        }
        version1::Folders::of(paths).map(Self::Version1)
    }

    fn version(&self) -> u8 {
        match self {
            Self::Version1(_) => 1,
            Self::Version2(_) => 2,
        }
    }

    fn cpu(&self) -> CpuUse {
        match self {
            Self::Version1(folders) => folders.cpu(),
            Self::Version2(folder) => version2::cpu(folder),
        }
    }

    fn count(&self, usage: &mut Usage) {
        match self {
            Self::Version1(folders) => folders.count(usage),
            Self::Version2(folder) => version2::count(folder, usage),
        }
    }

    fn is_there(&self) -> bool {
        match self {
            Self::Version1(folders) => folders.are_there(),
            Self::Version2(folder) => folder.exists(),
        }
    }
}
