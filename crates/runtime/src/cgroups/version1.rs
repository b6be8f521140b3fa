//! A hierarchy for each controller, as hosts had before the unified one.
//!
//! A folder is made only where a limit needs it. The rest (listing, freezing, killing, device
//! rules) is the unified hierarchy's, which such hosts mount beside the others; without it the
//! `freezer` and `devices` hierarchies stand in.

use std::cell::RefCell;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use oci::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxDeviceCgroup, LinuxMemory, LinuxNetwork, LinuxRdma, LinuxResources,
};
use rustix::process::Pid;

use super::device_rules::DeviceRules;
use super::statistics::{BlockStatistics, CpuStatistics, MemoryStatistics, details};
use super::unified_folder::{FREEZE_SECONDS_MAX, UnifiedFolder, folder_path, kill};
use super::version2::cpu_statistics;
use super::{CgroupError, Driver, Folder, MOUNT_POINT, OutOfMemoryEvents, Statistics, files};

/// Every hierarchy that can carry something of the configuration's.
const HIERARCHIES: [&str; 12] = [
    "memory", "cpu", "cpuset", "pids", "blkio", "hugetlb", "net_cls", "net_prio", "rdma",
    "devices", "freezer", "cpuacct",
];

#[derive(Debug)]
pub(super) struct Version1 {
    /// The container's place below each hierarchy.
    path: PathBuf,
    unified: Option<UnifiedFolder>,
    /// The hierarchies that have a folder. More come with later limits.
    hierarchies: RefCell<Vec<&'static str>>,
}

impl Version1 {
    pub(super) fn create(
        path: &Path,
        resources: &LinuxResources,
        with_unified: bool,
    ) -> Result<Self, CgroupError> {
        let unified = with_unified
            .then(|| UnifiedFolder::create(folder_path("/sys/fs/cgroup/unified", path)))
            .transpose()?;
        let this = Self { path: path.to_owned(), unified, hierarchies: RefCell::new(Vec::new()) };
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
        }
        for (field, hierarchy) in hierarchies_needed(resources) {
            self.make_folder(field, hierarchy)?;
        }
        Ok(())
    }

    pub(super) fn open(path: &Path, with_unified: bool) -> Result<Self, CgroupError> {
        let unified = with_unified
            .then(|| UnifiedFolder::open(folder_path("/sys/fs/cgroup/unified", path)))
            .transpose()?;
        let hierarchies =
            HIERARCHIES.into_iter().filter(|hierarchy| folder(hierarchy, path).exists()).collect();
        Ok(Self { path: path.to_owned(), unified, hierarchies: RefCell::new(hierarchies) })
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
        if !Path::new(MOUNT_POINT).join(hierarchy).join("cgroup.procs").exists() {
            return Err(CgroupError::NoController { field, controller: hierarchy });
        }
        let path = self.folder(hierarchy);
        files::create(&path)?;
        self.hierarchies.borrow_mut().push(hierarchy);
        if hierarchy == "cpuset" {
            // A new folder has no processor and no memory, and takes no process so.
            inherit_cpuset(&path)?;
        }
        Ok(true)
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
                admit(&folder, process)?;
                moved.push(process);
            }
        }
    }

    fn set(&self, hierarchy: &str, name: &str, value: impl ToString) -> Result<(), CgroupError> {
        files::write(&self.folder(hierarchy), name, value)
    }

    fn limit_memory(&self, memory: &LinuxMemory) -> Result<(), CgroupError> {
        let set = |name, value: i64| self.set("memory", name, value);
        let limit = memory.limit().filter(|limit| *limit != 0);
        let swap = memory.swap().filter(|swap| *swap != 0);
        if let Some(limit) = limit.filter(|_| memory.check_before_update() == Some(true)) {
            let used = files::read_number(&self.folder("memory"), "memory.usage_in_bytes");
            if u64::try_from(limit).is_ok_and(|limit| used.unwrap_or(0) > limit) {
                let reason = "more than that is in use";
                return Err(CgroupError::NotPossible { field: "memory.limit".to_owned(), reason });
            }
        }
        match (limit, swap) {
            (Some(limit), Some(swap)) => self.limit_memory_and_swap(limit, swap)?,
            (Some(limit), None) => set("memory.limit_in_bytes", limit)?,
            (None, Some(swap)) => set("memory.memsw.limit_in_bytes", swap)?,
            (None, None) => {}
        }
        if let Some(reservation) = memory.reservation().filter(|bytes| *bytes != 0) {
            set("memory.soft_limit_in_bytes", reservation)?;
        }
        if let Some(limit) = memory.kernel_tcp().filter(|bytes| *bytes != 0) {
            set("memory.kmem.tcp.limit_in_bytes", limit)?;
        }
        if let Some(swappiness) = memory.swappiness() {
            self.set("memory", "memory.swappiness", swappiness)?;
        }
        if memory.disable_oom_killer() == Some(true) {
            set("memory.oom_control", 1)?;
        }
        Ok(())
    }

    /// At no moment may the limit of memory and swap together be the smaller one.
    fn limit_memory_and_swap(&self, limit: i64, swap: i64) -> Result<(), CgroupError> {
        let folder = self.folder("memory");
        if !folder.join("memory.memsw.limit_in_bytes").exists() {
            return self.set("memory", "memory.limit_in_bytes", limit);
        }
        let present = files::read_number(&folder, "memory.memsw.limit_in_bytes").unwrap_or(0);
        let is_more = swap < 0 || u64::try_from(swap).is_ok_and(|swap| swap > present);
        let mut writes = [("memory.limit_in_bytes", limit), ("memory.memsw.limit_in_bytes", swap)];
        if is_more {
            writes.reverse();
        }
        writes.into_iter().try_for_each(|(name, value)| self.set("memory", name, value))
    }

    fn limit_cpu(&self, cpu: &LinuxCpu) -> Result<(), CgroupError> {
        let set = |name, value: i128| self.set("cpu", name, value);
        if let Some(shares) = cpu.shares().filter(|shares| *shares != 0) {
            set("cpu.shares", shares.into())?;
        }
        if let Some(period) = cpu.period().filter(|period| *period != 0) {
            // A shorter period may be refused while the old quota stands; then the quota goes
            // first and the period is tried again below.
            if set("cpu.cfs_period_us", period.into()).is_err() {
                set("cpu.cfs_quota_us", -1)?;
                set("cpu.cfs_period_us", period.into())?;
            }
        }
        if let Some(quota) = cpu.quota().filter(|quota| *quota != 0) {
            set("cpu.cfs_quota_us", quota.into())?;
        }
        if let Some(burst) = cpu.burst() {
            set("cpu.cfs_burst_us", burst.into())?;
        }
        if let Some(idle) = cpu.idle() {
            set("cpu.idle", idle.into())?;
        }
        if let Some(period) = cpu.realtime_period().filter(|period| *period != 0) {
            set("cpu.rt_period_us", period.into())?;
        }
        if let Some(runtime) = cpu.realtime_runtime().filter(|runtime| *runtime != 0) {
            set("cpu.rt_runtime_us", runtime.into())?;
        }
        if let Some(cpus) = cpu.cpus().as_ref().filter(|cpus| !cpus.is_empty()) {
            self.set("cpuset", "cpuset.cpus", cpus)?;
        }
        if let Some(memories) = cpu.mems().as_ref().filter(|memories| !memories.is_empty()) {
            self.set("cpuset", "cpuset.mems", memories)?;
        }
        Ok(())
    }

    fn limit_block(&self, block: &LinuxBlockIo) -> Result<(), CgroupError> {
        let folder = self.folder("blkio");
        let weight_file =
            if folder.join("blkio.weight").exists() { "blkio.weight" } else { "blkio.bfq.weight" };
        if let Some(weight) = block.weight().filter(|weight| *weight != 0) {
            self.set("blkio", weight_file, weight)?;
        }
        if let Some(weight) = block.leaf_weight().filter(|weight| *weight != 0) {
            self.set("blkio", "blkio.leaf_weight", weight)?;
        }
        for device in block.weight_device().iter().flatten() {
            let numbers = format!("{}:{}", device.major(), device.minor());
            if let Some(weight) = device.weight() {
                self.set("blkio", &format!("{weight_file}_device"), format!("{numbers} {weight}"))?;
            }
            if let Some(weight) = device.leaf_weight() {
                self.set("blkio", "blkio.leaf_weight_device", format!("{numbers} {weight}"))?;
            }
        }
        let throttles = [
            ("blkio.throttle.read_bps_device", block.throttle_read_bps_device()),
            ("blkio.throttle.write_bps_device", block.throttle_write_bps_device()),
            ("blkio.throttle.read_iops_device", block.throttle_read_iops_device()),
            ("blkio.throttle.write_iops_device", block.throttle_write_iops_device()),
        ];
        for (name, devices) in throttles {
            for device in devices.iter().flatten() {
                let line = format!("{}:{} {}", device.major(), device.minor(), device.rate());
                self.set("blkio", name, line)?;
            }
        }
        Ok(())
    }

    fn limit_network(&self, network: &LinuxNetwork) -> Result<(), CgroupError> {
        if let Some(class) = network.class_id().filter(|class| *class != 0) {
            self.set("net_cls", "net_cls.classid", class)?;
        }
        for priority in network.priorities().iter().flatten() {
            let line = format!("{} {}", priority.name(), priority.priority());
            self.set("net_prio", "net_prio.ifpriomap", line)?;
        }
        Ok(())
    }

    /// The hierarchy that lists the processes where there is no unified one.
    fn freezer(&self) -> PathBuf {
        self.folder("freezer")
    }

    fn memory_statistics(&self) -> Result<MemoryStatistics, CgroupError> {
        let folder = self.folder("memory");
        let Some(used) = files::read_number(&folder, "memory.usage_in_bytes") else {
            let used = super::statistics::resident_bytes(&self.processes()?);
            return Ok(MemoryStatistics { used, ..MemoryStatistics::default() });
        };
        let limit = files::read_number(&folder, "memory.limit_in_bytes");
        Ok(MemoryStatistics {
            used,
            used_max: files::read_number(&folder, "memory.max_usage_in_bytes"),
            // No limit is a number near the largest, rounded down to pages.
            limit: limit.filter(|limit| *limit < u64::MAX >> 2),
            failures: files::read_number(&folder, "memory.failcnt").unwrap_or(0),
            details: details(&files::read(&folder, "memory.stat")?),
        })
    }

    fn cpu_statistics(&self) -> Result<CpuStatistics, CgroupError> {
        let mut cpu = match &self.unified {
            Some(unified) => cpu_statistics(&unified.path)?,
            None => CpuStatistics::default(),
        };
        if self.has_folder("cpuacct") {
            cpu.total_ns =
                files::read_number(&self.folder("cpuacct"), "cpuacct.usage").unwrap_or(0);
        }
        if self.has_folder("cpu") {
            let text = files::read(&self.folder("cpu"), "cpu.stat")?;
            let value = |key| files::value_of(&text, key).unwrap_or(0);
            cpu.periods = value("nr_periods");
            cpu.throttled_periods = value("nr_throttled");
            cpu.throttled_ns = value("throttled_time");
        }
        Ok(cpu)
    }
}

impl Driver for Version1 {
    fn birthplace(&self) -> Option<BorrowedFd<'_>> {
        self.unified.as_ref().map(UnifiedFolder::as_fd)
    }

    fn admit(&self, process: Pid) -> Result<(), CgroupError> {
        self.hierarchies
            .borrow()
            .iter()
            .try_for_each(|hierarchy| admit(&self.folder(hierarchy), process))
    }

    fn counts_memory_from_birth(&self) -> bool {
        false
    }

    fn set_device_rules(&self, rules: &[LinuxDeviceCgroup]) -> Result<(), CgroupError> {
        if let Some(unified) = &self.unified {
            return unified.set_device_rules(rules);
        }
        for (name, line) in DeviceRules::new(rules).version1_lines() {
            self.set("devices", name, line)?;
        }
        Ok(())
    }

    fn limit(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        if resources.unified().as_ref().is_some_and(|unified| !unified.is_empty()) {
            let reason = "this host has cgroup v1";
            return Err(CgroupError::NotPossible { field: "unified".to_owned(), reason });
        }
        self.make_later_folders(resources)?;
        if let Some(memory) = resources.memory() {
            self.limit_memory(memory)?;
        }
        if let Some(cpu) = resources.cpu() {
            self.limit_cpu(cpu)?;
        }
        if let Some(pids) = resources.pids().filter(|pids| pids.limit() != 0) {
            if pids.limit() > 0 {
                self.set("pids", "pids.max", pids.limit())?;
            } else if self.has_folder("pids") {
                self.set("pids", "pids.max", "max")?;
            }
        }
        if let Some(block) = resources.block_io() {
            self.limit_block(block)?;
        }
        for page in resources.hugepage_limits().iter().flatten() {
            let name = format!("hugetlb.{}.limit_in_bytes", page.page_size());
            self.set("hugetlb", &name, page.limit())?;
        }
        if let Some(network) = resources.network() {
            self.limit_network(network)?;
        }
        for (device, limit) in resources.rdma().iter().flatten() {
            self.set("rdma", "rdma.max", rdma_line(device, limit))?;
        }
        Ok(())
    }

    fn processes(&self) -> Result<Vec<Pid>, CgroupError> {
        match &self.unified {
            Some(unified) => unified.processes(),
            None => files::processes(&self.freezer()),
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
        let pids = self.folder("pids");
        Ok(Statistics {
            cpu: self.cpu_statistics()?,
            memory: self.memory_statistics()?,
            tasks: match files::read_number(&pids, "pids.current") {
                Some(tasks) => tasks,
                None => super::statistics::tasks(&self.processes()?),
            },
            tasks_max: files::read_number(&pids, "pids.max"),
            block: block_statistics(&self.folder("blkio")),
        })
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
        let unified = self.unified.as_ref().map_or(Ok(()), UnifiedFolder::remove);
        // Goes on after an error, so that as little as possible is left.
        let mut result = unified;
        for hierarchy in self.hierarchies.borrow().iter() {
            result = result.and(files::remove(&self.folder(hierarchy)));
        }
        result
    }
}

fn folder(hierarchy: &str, path: &Path) -> PathBuf {
    Path::new(MOUNT_POINT).join(hierarchy).join(path)
}

fn admit(folder: &Path, process: Pid) -> Result<(), CgroupError> {
    match files::write(folder, "cgroup.procs", process.as_raw_nonzero()) {
        // It has ended by itself meanwhile.
        Err(CgroupError::Write { source, .. })
            if source.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) =>
        {
            Ok(())
        }
        result => result,
    }
}

/// `device hca_handle=… hca_object=…`.
pub(super) fn rdma_line(device: &str, limit: &LinuxRdma) -> String {
    let number = |number: Option<u32>| number.map_or("max".to_owned(), |number| number.to_string());
    format!(
        "{device} hca_handle={} hca_object={}",
        number(limit.hca_handles()),
        number(limit.hca_objects())
    )
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
    let mut needed = Vec::new();
    if let Some(memory) = resources.memory() {
        let is_set = |limit: Option<i64>| limit.is_some_and(|limit| limit != 0);
        if is_set(memory.limit())
            || is_set(memory.swap())
            || is_set(memory.reservation())
            || is_set(memory.kernel_tcp())
            || memory.swappiness().is_some()
            || memory.disable_oom_killer() == Some(true)
        {
            needed.push(("memory", "memory"));
        }
    }
    if let Some(cpu) = resources.cpu() {
        let is_set = |limit: Option<u64>| limit.is_some_and(|limit| limit != 0);
        let is_set_signed = |limit: Option<i64>| limit.is_some_and(|limit| limit != 0);
        if is_set(cpu.shares())
            || is_set_signed(cpu.quota())
            || is_set(cpu.period())
            || is_set(cpu.burst())
            || is_set_signed(cpu.idle())
            || is_set_signed(cpu.realtime_runtime())
            || is_set(cpu.realtime_period())
        {
            needed.push(("cpu", "cpu"));
        }
        let is_given = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        if is_given(cpu.cpus()) || is_given(cpu.mems()) {
            needed.push(("cpu.cpus", "cpuset"));
        }
    }
    if resources.pids().is_some_and(|pids| pids.limit() > 0) {
        needed.push(("pids", "pids"));
    }
    if resources.block_io().as_ref().is_some_and(|block| *block != LinuxBlockIo::default()) {
        needed.push(("blockIO", "blkio"));
    }
    if resources.hugepage_limits().as_ref().is_some_and(|limits| !limits.is_empty()) {
        needed.push(("hugepageLimits", "hugetlb"));
    }
    if let Some(network) = resources.network() {
        if network.class_id().is_some_and(|class| class != 0) {
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

/// `blkio.throttle.*`: `8:0 Read 4096` a line.
fn block_statistics(folder: &Path) -> Vec<BlockStatistics> {
    let mut list = Vec::new();
    for (name, is_bytes) in
        [("blkio.throttle.io_service_bytes", true), ("blkio.throttle.io_serviced", false)]
    {
        for line in files::read(folder, name).unwrap_or_default().lines() {
            let mut words = line.split(' ');
            let (Some(device), Some(key), Some(value)) = (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let Some(at) = BlockStatistics::of_device(&mut list, device) else { continue };
            let value = value.parse().unwrap_or(0);
            match (key, is_bytes) {
                ("Read", true) => list[at].read_bytes = value,
                ("Write", true) => list[at].written_bytes = value,
                ("Read", false) => list[at].reads = value,
                ("Write", false) => list[at].writes = value,
                _ => {}
            }
        }
    }
    list
}
