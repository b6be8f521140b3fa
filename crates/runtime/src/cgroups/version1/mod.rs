//! A hierarchy for each controller, as hosts had before the unified one.
//!
//! A folder is made only where a limit needs it. The rest (listing, freezing, killing, device
//! rules) is the unified hierarchy's, which such hosts mount beside the others; without it the
//! `freezer` and `devices` hierarchies stand in.

mod limits;
mod statistics;

use std::cell::RefCell;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use oci::runtime::{LinuxDeviceCgroup, LinuxResources};
use rustix::process::Pid;

use super::device_rules::DeviceRules;
use super::limit::{controllers_needed, is_set};
use super::unified_folder::{FREEZE_SECONDS_MAX, UnifiedFolder, folder_path, kill};
use super::{
    CgroupError, Driver, Entry, Folder, MOUNT_POINT, OutOfMemoryEvents, Statistics, SubCgroup,
    files, removal, sub_cgroup,
};

pub(super) use limits::check;

/// Where hosts with version 1 mount version 2's hierarchy.
const UNIFIED: &str = "/sys/fs/cgroup/unified";

/// Every hierarchy in which a container can have a folder. The last two carry nothing of the
/// configuration's.
const HIERARCHIES: [&str; 14] = [
    "memory",
    "cpu",
    "cpuset",
    "pids",
    "blkio",
    "hugetlb",
    "net_cls",
    "net_prio",
    "rdma",
    "devices",
    "freezer",
    "cpuacct",
    "perf_event",
    "systemd",
];

#[derive(Debug)]
pub(super) struct Version1 {
    /// The container's place below each hierarchy.
    path: PathBuf,
    unified: Option<UnifiedFolder>,
    /// Somebody else has made the folders, with the container's process in them.
    is_adopted: bool,
    /// The hierarchies that have a folder. More come with later limits.
    hierarchies: RefCell<Vec<&'static str>>,
}

impl Version1 {
    pub(super) fn create(
        path: &Path,
        resources: &LinuxResources,
        with_unified: bool,
    ) -> Result<Self, CgroupError> {
        let unified =
            with_unified.then(|| UnifiedFolder::create(folder_path(UNIFIED, path))).transpose()?;
        Self::make(path, resources, unified, false)
    }

    /// Folders that somebody else has made as far as he needs them.
    pub(super) fn adopt(
        path: &Path,
        resources: &LinuxResources,
        with_unified: bool,
    ) -> Result<Self, CgroupError> {
        let unified = with_unified.then(|| UnifiedFolder::of(folder_path(UNIFIED, path)));
        Self::make(path, resources, unified, true)
    }

    fn make(
        path: &Path,
        resources: &LinuxResources,
        unified: Option<UnifiedFolder>,
        is_adopted: bool,
    ) -> Result<Self, CgroupError> {
        let hierarchies = RefCell::default();
        let this = Self { path: path.to_owned(), unified, is_adopted, hierarchies };
        let made = this.make_folders(resources);
        if made.is_err() {
            // Nothing may be left behind; the first error is the one to tell.
            let _ = this.remove();
        }
        made.map(|()| this)
    }

    fn make_folders(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        if self.unified.is_none() {
            self.make_folder("freezer", "freezer")?;
            self.make_folder("devices", "devices")?;
            // Elsewhere the unified hierarchy counts processor time.
            if is_mounted("cpuacct") {
                self.make_folder("cpuacct", "cpuacct")?;
            }
        }
        for (field, hierarchy) in hierarchies_needed(resources) {
            self.make_folder(field, hierarchy)?;
        }
        Ok(())
    }

    pub(super) fn of(path: &Path, with_unified: bool) -> Self {
        let unified = with_unified.then(|| UnifiedFolder::of(folder_path(UNIFIED, path)));
        let hierarchies =
            HIERARCHIES.into_iter().filter(|hierarchy| folder(hierarchy, path).exists()).collect();
        let hierarchies = RefCell::new(hierarchies);
        Self { path: path.to_owned(), unified, is_adopted: false, hierarchies }
    }

    fn has_folder(&self, hierarchy: &str) -> bool {
        self.hierarchies.borrow().contains(&hierarchy)
    }

    fn folder(&self, hierarchy: &str) -> PathBuf {
        folder(hierarchy, &self.path)
    }

    /// Makes the folder in one hierarchy. Says whether it was not there before.
    fn make_folder(
        &self,
        field: &'static str,
        hierarchy: &'static str,
    ) -> Result<bool, CgroupError> {
        if self.has_folder(hierarchy) {
            return Ok(false);
        }
        if !is_mounted(hierarchy) {
            return Err(CgroupError::NoController { field, controller: hierarchy });
        }
        let path = self.folder(hierarchy);
        match files::create(&path) {
            // Some hosts mount `cpu` with `cpuacct`, and `net_cls` with `net_prio`.
            Err(CgroupError::Occupied { .. }) if self.is_adopted || self.is_in_use(&path) => {}
            result => result?,
        }
        self.hierarchies.borrow_mut().push(hierarchy);
        if hierarchy == "cpuset" {
            // A new folder has no processor and no memory, and takes no process so.
            inherit_cpuset(&path)?;
        }
        Ok(true)
    }

    /// Whether a folder is the container's own, by another name.
    fn is_in_use(&self, path: &Path) -> bool {
        let real = |path: &Path| path.canonicalize().ok();
        let hierarchies = self.hierarchies.borrow();
        hierarchies.iter().any(|known| real(&self.folder(known)) == real(path))
    }

    /// Makes the folders that new limits of a running container need, and moves it there.
    fn make_later_folders(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        for (field, hierarchy) in hierarchies_needed(resources) {
            if self.make_folder(field, hierarchy)? {
                self.move_all(hierarchy)?;
            }
        }
        Ok(())
    }

    /// Moves every process into the folder of one hierarchy, until no new one shows up.
    fn move_all(&self, hierarchy: &str) -> Result<(), CgroupError> {
        let folder = self.folder(hierarchy);
        let mut moved = Vec::new();
        loop {
            let new: Vec<Pid> =
                self.processes()?.into_iter().filter(|pid| !moved.contains(pid)).collect();
            if new.is_empty() {
                return Ok(());
            }
            for process in new {
                files::admit(&folder, process)?;
                moved.push(process);
            }
        }
    }

    /// The hierarchy that lists the processes where there is no unified one.
    fn freezer(&self) -> PathBuf {
        self.folder("freezer")
    }
}

impl Driver for Version1 {
    fn birthplace(&self) -> Option<BorrowedFd<'_>> {
        self.unified.as_ref().and_then(UnifiedFolder::birthplace)
    }

    /// Those that this process may not make are left out.
    fn make_every_folder(&self) -> Result<(), CgroupError> {
        for hierarchy in HIERARCHIES.into_iter().filter(|hierarchy| is_mounted(hierarchy)) {
            match self.make_folder("cgroupsPath", hierarchy) {
                Err(error) if !error.is_forbidden() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn admit(&self, process: Pid) -> Result<(), CgroupError> {
        self.hierarchies
            .borrow()
            .iter()
            .try_for_each(|hierarchy| files::admit(&self.folder(hierarchy), process))
    }

    fn entry(&self, sub: &SubCgroup) -> Result<Entry, CgroupError> {
        let hierarchies = self.hierarchies.borrow();
        let unified = self.unified.is_some().then_some("unified");
        sub.check(&hierarchies.iter().copied().chain(unified).collect::<Vec<_>>())?;
        let birthplace = self.unified.as_ref().map(|unified| {
            let folder = sub.below(&unified.path, "unified")?;
            sub_cgroup::open(&folder)
        });
        let folders = hierarchies.iter().map(|name| sub.below(&self.folder(name), name));
        Ok(Entry {
            birthplace: birthplace.transpose()?,
            folders: folders.collect::<Result<_, _>>()?,
            ..Entry::default()
        })
    }

    fn present_place(&self, process: Pid) -> Option<PathBuf> {
        self.unified.as_ref().and_then(|_| sub_cgroup::present_place(UNIFIED, process))
    }

    fn counts_memory_from_birth(&self) -> bool {
        false
    }

    fn set_device_rules(&self, rules: &[LinuxDeviceCgroup]) -> Result<(), CgroupError> {
        if let Some(unified) = &self.unified {
            unified.set_device_rules(rules)?;
        }
        // Where both are there, both say the same.
        if self.has_folder("devices") {
            for (name, line) in DeviceRules::new(rules).version1_lines() {
                files::write(&self.folder("devices"), name, line)?;
            }
        }
        Ok(())
    }

    fn sets_device_rules_one_by_one(&self) -> bool {
        self.has_folder("devices")
    }

    fn limit(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        self.make_later_folders(resources)?;
        limits::apply(&self.path, resources)
    }

    fn processes(&self) -> Result<Vec<Pid>, CgroupError> {
        match &self.unified {
            Some(unified) => unified.processes(),
            None => files::processes_below(&self.freezer()),
        }
    }

    fn freeze(&self) -> Result<(), CgroupError> {
        if let Some(unified) = &self.unified {
            return unified.freeze();
        }
        let freezer = self.freezer();
        let deadline = Instant::now() + Duration::from_secs(FREEZE_SECONDS_MAX);
        // A process that forks at the wrong moment keeps the state at FREEZING until it is
        // asked for again.
        while Instant::now() < deadline {
            files::write(&freezer, "freezer.state", "FROZEN")?;
            if files::read(&freezer, "freezer.state")?.trim() == "FROZEN" {
                return Ok(());
            }
            std::thread::yield_now();
        }
        files::write(&freezer, "freezer.state", "THAWED")?;
        Err(CgroupError::NotFrozen { path: freezer, seconds: FREEZE_SECONDS_MAX })
    }

    fn thaw(&self) -> Result<(), CgroupError> {
        match &self.unified {
            Some(unified) => unified.thaw(),
            None => files::write(&self.freezer(), "freezer.state", "THAWED"),
        }
    }

    fn is_frozen(&self) -> Result<bool, CgroupError> {
        match &self.unified {
            Some(unified) => unified.is_frozen(),
            None => Ok(files::read(&self.freezer(), "freezer.state")?.trim() != "THAWED"),
        }
    }

    fn kill_all(&self) -> Result<(), CgroupError> {
        if let Some(unified) = &self.unified {
            return unified.kill_all();
        }
        self.freeze()?;
        kill(&self.processes()?);
        self.thaw()
    }

    fn out_of_memory_events(&self) -> Result<Option<OutOfMemoryEvents>, CgroupError> {
        if !self.has_folder("memory") {
            return Ok(None);
        }
        OutOfMemoryEvents::version1(&self.folder("memory")).map(Some)
    }

    fn statistics(&self) -> Result<Statistics, CgroupError> {
        let unified = self.unified.as_ref().map(|unified| unified.path.as_path());
        statistics::gather(&self.path, unified, &self.processes()?)
    }

    fn folders(&self) -> Vec<Folder> {
        let unified = self
            .unified
            .iter()
            .map(|unified| Folder { hierarchy: "unified", path: unified.path.clone() });
        let hierarchies = self.hierarchies.borrow();
        let others =
            hierarchies.iter().map(|hierarchy| Folder { hierarchy, path: self.folder(hierarchy) });
        unified.chain(others).collect()
    }

    fn remove(&self) -> Result<(), CgroupError> {
        // First the hierarchy that tells when everybody has gone.
        let unified = self.unified.as_ref().map_or(Ok(()), UnifiedFolder::remove);
        // Goes on after an error, so that as little as possible is left.
        let mut result = unified;
        for hierarchy in self.hierarchies.borrow().iter() {
            result = result.and(removal::remove(&self.folder(hierarchy)));
        }
        result
    }
}

/// The folders that a container with these limits will have.
pub(super) fn folders_needed(
    path: &Path,
    resources: &LinuxResources,
    with_unified: bool,
) -> Vec<Folder> {
    let always = if with_unified { &["unified"][..] } else { &["freezer", "devices", "cpuacct"] };
    let needed = hierarchies_needed(resources).into_iter().map(|(_, hierarchy)| hierarchy);
    always
        .iter()
        .copied()
        .chain(needed)
        .map(|hierarchy| Folder { hierarchy, path: folder(hierarchy, path) })
        .collect()
}

fn is_mounted(hierarchy: &str) -> bool {
    Path::new(MOUNT_POINT).join(hierarchy).join("cgroup.procs").exists()
}

fn folder(hierarchy: &str, path: &Path) -> PathBuf {
    Path::new(MOUNT_POINT).join(hierarchy).join(path)
}

/// Takes over the processors and memories of the folder above, in each folder where they are
/// not set yet, from the top down.
fn inherit_cpuset(folder: &Path) -> Result<(), CgroupError> {
    for name in ["cpuset.cpus", "cpuset.mems"] {
        inherit_cpuset_file(folder, name)?;
    }
    Ok(())
}

fn inherit_cpuset_file(folder: &Path, name: &str) -> Result<String, CgroupError> {
    let present = files::read(folder, name)?;
    let present = present.trim();
    if !present.is_empty() {
        return Ok(present.to_owned());
    }
    let Some(above) = folder.parent().filter(|above| above.starts_with(MOUNT_POINT)) else {
        let source = io::ErrorKind::NotFound.into();
        return Err(CgroupError::Read { file: folder.join(name), source });
    };
    let inherited = inherit_cpuset_file(above, name)?;
    files::write(folder, name, &inherited)?;
    Ok(inherited)
}

/// The hierarchies that the limits need, each with the field that does.
fn hierarchies_needed(resources: &LinuxResources) -> Vec<(&'static str, &'static str)> {
    let mut needed = controllers_needed(resources, "blkio");
    if let Some(network) = resources.network() {
        if is_set(network.class_id()) {
            needed.push(("network.classID", "net_cls"));
        }
        if network.priorities().as_ref().is_some_and(|priorities| !priorities.is_empty()) {
            needed.push(("network.priorities", "net_prio"));
        }
    }
    if resources.rdma().as_ref().is_some_and(|limits| !limits.is_empty()) {
        needed.push(("rdma", "rdma"));
    }
    needed
}
