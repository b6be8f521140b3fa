//! The unified hierarchy alone: one folder a container, every controller in it.

mod controllers;
mod delegation;
mod limits;
mod statistics;

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use oci::runtime::{LinuxDeviceCgroup, LinuxResources};
use rustix::process::Pid;

use super::unified_folder::{UnifiedFolder, folder_path};
use super::{
    CgroupError, Driver, Entry, Folder, MOUNT_POINT, OutOfMemoryEvents, Statistics, SubCgroup,
    sub_cgroup,
};

pub(super) use limits::{check, swap_limit, weight_of_shares};
pub(super) use statistics::cpu as cpu_statistics;

#[derive(Debug)]
pub(super) struct Version2 {
    folder: UnifiedFolder,
}

impl Version2 {
    pub(super) fn create(path: &Path, resources: &LinuxResources) -> Result<Self, CgroupError> {
        controllers::enable(path, resources)?;
        let folder = UnifiedFolder::create(folder_path(MOUNT_POINT, path))?;
        Ok(Self { folder })
    }

    /// A folder that somebody else has made, with the container's process in it.
    pub(super) fn adopt(path: &Path, resources: &LinuxResources) -> Result<Self, CgroupError> {
        controllers::enable(path, resources)?;
        Ok(Self::of(path))
    }

    /// Hands the folder down to a user: the files that the kernel means for that.
    pub(super) fn hand_to(&self, user: u32) -> Result<(), CgroupError> {
        delegation::hand_to(self.path(), user)
    }

    pub(super) fn of(path: &Path) -> Self {
        Self { folder: UnifiedFolder::of(folder_path(MOUNT_POINT, path)) }
    }

    fn path(&self) -> &Path {
        &self.folder.path
    }
}

impl Driver for Version2 {
    fn birthplace(&self) -> Option<BorrowedFd<'_>> {
        self.folder.birthplace()
    }

    fn admit(&self, _process: Pid) -> Result<(), CgroupError> {
        Ok(())
    }

    fn entry(&self, sub: &SubCgroup) -> Result<Entry, CgroupError> {
        sub.check(&[])?;
        let birthplace = sub_cgroup::open(&sub.below(self.path(), "")?)?;
        Ok(Entry { birthplace: Some(birthplace), ..Entry::default() })
    }

    fn present_place(&self, process: Pid) -> Option<PathBuf> {
        sub_cgroup::present_place(MOUNT_POINT, process)
    }

    fn counts_memory_from_birth(&self) -> bool {
        true
    }

    fn set_device_rules(&self, rules: &[LinuxDeviceCgroup]) -> Result<(), CgroupError> {
        self.folder.set_device_rules(rules)
    }

    fn limit(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        limits::apply(self.path(), resources)
    }

    fn processes(&self) -> Result<Vec<Pid>, CgroupError> {
        self.folder.processes()
    }

    fn freeze(&self) -> Result<(), CgroupError> {
        self.folder.freeze()
    }

    fn thaw(&self) -> Result<(), CgroupError> {
        self.folder.thaw()
    }

    fn is_frozen(&self) -> Result<bool, CgroupError> {
        self.folder.is_frozen()
    }

    fn kill_all(&self) -> Result<(), CgroupError> {
        self.folder.kill_all()
    }

    fn out_of_memory_events(&self) -> Result<Option<OutOfMemoryEvents>, CgroupError> {
        if !self.path().join("memory.events").exists() {
            return Ok(None);
        }
        OutOfMemoryEvents::version2(self.path()).map(Some)
    }

    fn statistics(&self) -> Result<Statistics, CgroupError> {
        statistics::gather(self.path(), &self.processes()?)
    }

    fn folders(&self) -> Vec<Folder> {
        vec![Folder { hierarchy: "", path: self.folder.path.clone() }]
    }

    fn remove(&self) -> Result<(), CgroupError> {
        self.folder.remove()
    }
}
