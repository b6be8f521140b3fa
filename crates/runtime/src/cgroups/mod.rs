//! A container's cgroup: its limits, and the list of its processes.
//!
//! ```text
//!   Cgroup ──▶ dyn Driver ──▶ version2   one folder in one hierarchy
//!                        ├──▶ version1   one folder in each hierarchy that carries a limit,
//!                        │               and one in the unified hierarchy if it is mounted
//!                        ├──▶ systemd    a scope; one of the two above inside
//!                        └──▶ absent     none, for an ordinary user without permission
//! ```
//!
//! **No process is moved if that can be helped.** A write to `cgroup.procs` waits for a grace
//! period of RCU, which takes 7 to 11 ms on an idle host: several times as long as everything
//! else that makes a container. A process can be *born* in a folder of version 2
//! (`CLONE_INTO_CGROUP`) for nothing. So even on a host with version 1 the container lives in
//! the unified hierarchy, which lists, freezes and kills its processes and holds its device
//! rules; a folder of version 1 is made only for a limit that somebody has set, or where the
//! caller wants the container to be found in [all](crate::Hierarchies) of them.
//!
//! `cgroupsPath` starts at the root of each hierarchy, not at this process's own cgroup; an
//! ordinary user's, if it is relative, beside his own (see [`location`]).

mod absent;
mod device_rules;
mod error;
mod files;
mod limit;
mod location;
mod out_of_memory;
mod removal;
mod statistics;
mod sub_cgroup;
mod systemd;
mod unified_folder;
mod version1;
mod version2;

use std::collections::HashMap;
use std::fmt::Debug;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use oci::runtime::{LinuxDeviceCgroup, LinuxResources};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use systemd::Systemd;

use crate::request::CgroupNeed;

pub use error::CgroupError;
pub use location::CgroupLocation;
pub use out_of_memory::OutOfMemoryEvents;
pub use statistics::{
    BlockStatistics, CpuStatistics, CpusetStatistics, HugePageStatistics, MemoryStatistics,
    MemoryUse, Pressure, Statistics, Waiting,
};
pub use sub_cgroup::SubCgroup;
pub(crate) use sub_cgroup::{Entry, is_no_place_to_live};
pub use systemd::BusError;

/// Where every host mounts its cgroups.
pub(crate) const MOUNT_POINT: &str = "/sys/fs/cgroup";

/// What a version of cgroups can do for one container.
///
/// All folders are made by the constructor of the implementation. `limit` may be called at any
/// time, with only the fields that change. Every operation but `remove` can be called again
/// with the same result.
pub(crate) trait Driver: Debug {
    /// The folder that a process can be cloned into, if there is one.
    fn birthplace(&self) -> Option<BorrowedFd<'_>>;

    /// Makes a folder also in the hierarchies that nothing of the configuration needs.
    fn make_every_folder(&self) -> Result<(), CgroupError> {
        Ok(())
    }

    /// Moves a process in, as far as being born in [`Driver::birthplace`] did not.
    fn admit(&self, process: Pid) -> Result<(), CgroupError>;

    /// Where a further process is to go.
    fn entry(&self, sub: &SubCgroup) -> Result<Entry, CgroupError>;

    /// The folder of version 2 where a process lives, which the container may have made itself.
    fn present_place(&self, process: Pid) -> Option<PathBuf>;

    /// Whether memory counts from a process's birth on, so that a small limit set at once could
    /// be used up by making the container.
    fn counts_memory_from_birth(&self) -> bool;

    /// Replaces the rules about devices.
    fn set_device_rules(&self, rules: &[LinuxDeviceCgroup]) -> Result<(), CgroupError>;

    /// Whether those rules come one by one, beginning with one that denies everything: a process
    /// that is there already could open nothing in between.
    fn sets_device_rules_one_by_one(&self) -> bool {
        false
    }

    /// Sets the limits that are given, other than device rules, and leaves the others.
    fn limit(&self, resources: &LinuxResources) -> Result<(), CgroupError>;

    fn processes(&self) -> Result<Vec<Pid>, CgroupError>;

    /// Stops every process where it stands. Comes back when they have stopped.
    fn freeze(&self) -> Result<(), CgroupError>;

    fn thaw(&self) -> Result<(), CgroupError>;

    /// Whether [`Driver::freeze`] was called last.
    fn is_frozen(&self) -> Result<bool, CgroupError>;

    /// Kills every process, however fast they fork.
    fn kill_all(&self) -> Result<(), CgroupError>;

    fn out_of_memory_events(&self) -> Result<Option<OutOfMemoryEvents>, CgroupError>;

    fn statistics(&self) -> Result<Statistics, CgroupError>;

    fn folders(&self) -> Vec<Folder>;

    /// Removes the folders, which must be empty of processes.
    fn remove(&self) -> Result<(), CgroupError>;
}

/// A container's folder in one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folder {
    /// The hierarchy's name below the mount point; empty for version 2's only one.
    pub(crate) hierarchy: &'static str,
    pub(crate) path: PathBuf,
}

/// Which versions of cgroups this host has mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Version 2 alone.
    Unified,
    /// A folder for each hierarchy of version 1, and perhaps `unified` of version 2.
    Version1 { with_unified: bool },
}

/// Who makes cgroups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CgroupManager {
    /// This library, by file.
    #[default]
    Files,
    /// systemd, the system's or for an ordinary user his own, over D-Bus. The configuration's
    /// `cgroupsPath` is `slice:prefix:name` then.
    Systemd,
}

/// A cgroup to make.
#[derive(Debug)]
pub(crate) struct CgroupRequest<'a> {
    pub(crate) manager: CgroupManager,
    pub(crate) need: CgroupNeed,
    /// The container's.
    pub(crate) id: &'a str,
    /// As configured.
    pub(crate) path: Option<&'a Path>,
    /// They say which folders are needed; none is set.
    pub(crate) resources: &'a LinuxResources,
    pub(crate) annotations: Option<&'a HashMap<String, String>>,
    /// Who is to manage what is below, on version 2.
    pub(crate) owner: Option<u32>,
}

/// The limits of a container and the list of its processes.
#[derive(Debug)]
pub struct Cgroup {
    driver: Box<dyn Driver>,
    location: CgroupLocation,
}

impl Cgroup {
    /// Makes what is needed for a container. No limit is set.
    pub(crate) fn create(request: &CgroupRequest<'_>) -> Result<Self, CgroupError> {
        check(request.resources, layout())?;
        if request.manager == CgroupManager::Systemd {
            let systemd = Systemd::create(request)?;
            let location = CgroupLocation(location::Kind::Unit(systemd.unit().clone()));
            return Ok(Self { driver: Box::new(systemd), location });
        }
        let path = location::folder(request.id, request.path);
        let can_do_without = request.need == CgroupNeed::IfAllowed;
        let created = match can_do_without && !absent::may_move_to(&path, layout()) {
            true => Err(CgroupError::Absent),
            false => create_folders(&path, request),
        };
        match created {
            Err(CgroupError::Absent) => Self::absent(request),
            Err(error) if can_do_without && error.is_forbidden() => Self::absent(request),
            result => {
                let location = CgroupLocation(location::Kind::Folder(path));
                result.map(|driver| Self { driver, location })
            }
        }
    }

    /// An ordinary user who may not make one, and asks for no limit, has lost nothing.
    fn absent(request: &CgroupRequest<'_>) -> Result<Self, CgroupError> {
        if absent::sets_limits(request.resources) {
            return Err(CgroupError::NotDelegated);
        }
        Ok(Self::at(&CgroupLocation(location::Kind::Absent)))
    }

    /// As [`Driver::set_device_rules`]; where that is forbidden, an ordinary user's container
    /// has no need of it: what it may do with devices is what its user may.
    pub(crate) fn set_device_rules_if_allowed(
        &self,
        rules: &[LinuxDeviceCgroup],
    ) -> Result<(), CgroupError> {
        match self.driver.set_device_rules(rules) {
            Err(error) if error.is_forbidden() => Ok(()),
            result => result,
        }
    }

    /// The cgroup of a container that another process made.
    pub fn at(location: &CgroupLocation) -> Self {
        let driver: Box<dyn Driver> = match &location.0 {
            location::Kind::Absent => Box::new(absent::Absent),
            location::Kind::Unit(unit) => Box::new(Systemd::of(unit.clone())),
            location::Kind::Folder(path) => match layout() {
                Layout::Unified => Box::new(version2::Version2::of(path)),
                Layout::Version1 { with_unified } => {
                    Box::new(version1::Version1::of(path, with_unified))
                }
            },
        };
        Self { driver, location: location.clone() }
    }

    /// Where it is, to come back to it by.
    pub fn location(&self) -> &CgroupLocation {
        &self.location
    }

    /// Where a further process is to go: `sub`, or where `first` lives if that is the better
    /// place.
    pub(crate) fn entry(&self, sub: &SubCgroup, first: Pid) -> Result<Entry, CgroupError> {
        match self.driver.entry(sub) {
            Err(CgroupError::Enter { source, .. })
                if *sub == SubCgroup::Default && is_no_place_to_live(&source) =>
            {
                self.entry_beside(first).ok_or(CgroupError::Enter {
                    path: self.paths().into_iter().next().unwrap_or_default(),
                    source,
                })
            }
            result => result,
        }
    }

    /// The place of a process in version 2's hierarchy, for another to be born there.
    pub(crate) fn entry_beside(&self, process: Pid) -> Option<Entry> {
        let birthplace = sub_cgroup::open(&self.driver.present_place(process)?).ok()?;
        Some(Entry { birthplace: Some(birthplace), ..Entry::default() })
    }

    /// Makes a folder in every hierarchy of version 1. After an error there is none at all.
    pub(crate) fn make_every_folder(&self) -> Result<(), CgroupError> {
        self.driver.make_every_folder().inspect_err(|_| {
            // The first error is the one to tell.
            let _ = self.driver.remove();
        })
    }

    pub(crate) fn driver(&self) -> &dyn Driver {
        &*self.driver
    }

    /// The container's folder in each hierarchy that it uses.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.driver.folders().into_iter().map(|folder| folder.path).collect()
    }

    /// Every process of the container, exec'd ones too.
    pub fn processes(&self) -> Result<Vec<Pid>, CgroupError> {
        self.driver.processes()
    }

    /// Stops every process where it stands. Comes back when they have stopped.
    pub fn freeze(&self) -> Result<(), CgroupError> {
        self.driver.freeze()
    }

    /// Lets every process go on.
    pub fn thaw(&self) -> Result<(), CgroupError> {
        self.driver.thaw()
    }

    /// Whether the processes were told to stop where they stand.
    pub fn is_frozen(&self) -> Result<bool, CgroupError> {
        self.driver.is_frozen()
    }

    /// Sends SIGKILL to every process. They may need a moment to be gone.
    pub fn kill_all(&self) -> Result<(), CgroupError> {
        self.driver.kill_all()
    }

    /// Sets the limits that are given and leaves the others.
    pub fn update(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        check(resources, layout())?;
        if let Some(rules) = resources.devices() {
            self.driver.set_device_rules(rules)?;
        }
        self.driver.limit(resources)
    }

    /// Tells of processes killed for want of memory. `None` where nobody counts them: on
    /// version 1 for a container without a memory limit.
    pub fn out_of_memory_events(&self) -> Result<Option<OutOfMemoryEvents>, CgroupError> {
        self.driver.out_of_memory_events()
    }

    /// What the container has used so far.
    pub fn statistics(&self) -> Result<Statistics, CgroupError> {
        self.driver.statistics()
    }
}

/// Refuses what makes no sense or is not possible on this host.
fn check(resources: &LinuxResources, layout: Layout) -> Result<(), CgroupError> {
    limit::check(resources)?;
    match layout {
        Layout::Unified => version2::check(resources),
        Layout::Version1 { .. } => version1::check(resources),
    }
}

fn create_folders(
    path: &Path,
    request: &CgroupRequest<'_>,
) -> Result<Box<dyn Driver>, CgroupError> {
    Ok(match layout() {
        Layout::Unified => {
            let folder = version2::Version2::create(path, request.resources)?;
            if let Some(owner) = request.owner {
                folder.hand_to(owner)?;
            }
            Box::new(folder)
        }
        Layout::Version1 { with_unified } => {
            Box::new(version1::Version1::create(path, request.resources, with_unified)?)
        }
    })
}

/// Looks which versions are mounted.
pub(crate) fn layout() -> Layout {
    if is_version2(MOUNT_POINT) {
        return Layout::Unified;
    }
    Layout::Version1 { with_unified: is_version2("/sys/fs/cgroup/unified") }
}

/// `f_type` of version 2's file system. See `statfs(2)`.
const CGROUP2_SUPER_MAGIC: u64 = 0x6367_7270;

fn is_version2(path: &str) -> bool {
    // The field's type differs between architectures.
    #[allow(clippy::unnecessary_cast)]
    rustix::fs::statfs(path)
        .is_ok_and(|file_system| file_system.f_type as u64 == CGROUP2_SUPER_MAGIC)
}
