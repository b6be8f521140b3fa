//! The unified hierarchy alone: one folder a container, every controller in it.

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use oci::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxDeviceCgroup, LinuxMemory, LinuxNetwork, LinuxResources,
};
use rustix::process::Pid;

use super::statistics::{BlockStatistics, CpuStatistics, MemoryStatistics, details};
use super::unified_folder::{UnifiedFolder, folder_path};
use super::{CgroupError, Driver, Folder, MOUNT_POINT, OutOfMemoryEvents, Statistics, files};

/// Switched on for every container, since their figures are asked for (`docker stats`) even
/// where there is no limit.
const CONTROLLERS_WANTED: [&str; 4] = ["cpu", "io", "memory", "pids"];

#[derive(Debug)]
pub(super) struct Version2 {
    folder: UnifiedFolder,
}

impl Version2 {
    pub(super) fn create(path: &Path, resources: &LinuxResources) -> Result<Self, CgroupError> {
        enable_controllers(path, resources)?;
        let folder = UnifiedFolder::create(folder_path(MOUNT_POINT, path))?;
        Ok(Self { folder })
    }

    pub(super) fn open(path: &Path) -> Result<Self, CgroupError> {
        Ok(Self { folder: UnifiedFolder::open(folder_path(MOUNT_POINT, path))? })
    }

    fn path(&self) -> &Path {
        &self.folder.path
    }

    fn set(&self, name: &str, value: impl ToString) -> Result<(), CgroupError> {
        files::write(self.path(), name, value)
    }

    fn limit_memory(&self, memory: &LinuxMemory) -> Result<(), CgroupError> {
        if memory.swappiness().is_some() {
            return Err(not_possible("memory.swappiness", "cgroup v2 has no such setting"));
        }
        if memory.disable_oom_killer() == Some(true) {
            return Err(not_possible("memory.disableOOMKiller", "cgroup v2 has no such setting"));
        }
        if let Some(limit) = memory.limit().filter(|_| memory.check_before_update() == Some(true)) {
            self.check_usage(limit)?;
        }
        if let Some(swap) = swap_limit(memory)? {
            // A host without swap has no such file, and nothing to limit.
            if self.path().join("memory.swap.max").exists() {
                self.set("memory.swap.max", swap)?;
            }
        }
        if let Some(limit) = memory.limit().filter(|limit| *limit != 0) {
            self.set("memory.max", or_max(limit))?;
        }
        if let Some(reservation) = memory.reservation().filter(|bytes| *bytes != 0) {
            self.set("memory.low", or_max(reservation))?;
        }
        Ok(())
    }

    fn check_usage(&self, limit: i64) -> Result<(), CgroupError> {
        let used = files::read_number(self.path(), "memory.current").unwrap_or(0);
        if u64::try_from(limit).is_ok_and(|limit| limit != 0 && used > limit) {
            return Err(not_possible("memory.limit", "more than that is in use"));
        }
        Ok(())
    }

    fn limit_cpu(&self, cpu: &LinuxCpu) -> Result<(), CgroupError> {
        if cpu.realtime_runtime().is_some_and(|runtime| runtime != 0)
            || cpu.realtime_period().is_some_and(|period| period != 0)
        {
            return Err(not_possible("cpu.realtimeRuntime", "cgroup v2 has no such limit"));
        }
        if let Some(idle) = cpu.idle() {
            self.set("cpu.idle", idle)?;
        }
        if let Some(shares) = cpu.shares().filter(|shares| *shares != 0) {
            self.set("cpu.weight", weight_of_shares(shares))?;
        }
        if let Some(burst) = cpu.burst() {
            self.set("cpu.max.burst", burst)?;
        }
        let quota = cpu.quota().filter(|quota| *quota != 0);
        let period = cpu.period().filter(|period| *period != 0);
        if quota.is_some() || period.is_some() {
            let quota = quota.map_or("max".to_owned(), or_max);
            match period {
                Some(period) => self.set("cpu.max", format!("{quota} {period}"))?,
                None => self.set("cpu.max", quota)?,
            }
        }
        if let Some(cpus) = cpu.cpus().as_ref().filter(|cpus| !cpus.is_empty()) {
            self.set("cpuset.cpus", cpus)?;
        }
        if let Some(memories) = cpu.mems().as_ref().filter(|memories| !memories.is_empty()) {
            self.set("cpuset.mems", memories)?;
        }
        Ok(())
    }

    fn limit_block(&self, block: &LinuxBlockIo) -> Result<(), CgroupError> {
        if block.leaf_weight().is_some_and(|weight| weight != 0) {
            return Err(not_possible("blockIO.leafWeight", "cgroup v2 has no such setting"));
        }
        if let Some(weight) = block.weight().filter(|weight| *weight != 0) {
            self.set_block_weight("", weight)?;
        }
        for device in block.weight_device().iter().flatten() {
            if let Some(weight) = device.weight() {
                let prefix = format!("{}:{} ", device.major(), device.minor());
                self.set_block_weight(&prefix, weight)?;
            }
        }
        let throttles = [
            ("rbps", block.throttle_read_bps_device()),
            ("wbps", block.throttle_write_bps_device()),
            ("riops", block.throttle_read_iops_device()),
            ("wiops", block.throttle_write_iops_device()),
        ];
        for (key, devices) in throttles {
            for device in devices.iter().flatten() {
                let rate =
                    if device.rate() == 0 { "max".to_owned() } else { device.rate().to_string() };
                let line = format!("{}:{} {key}={rate}", device.major(), device.minor());
                self.set("io.max", line)?;
            }
        }
        Ok(())
    }

    /// BFQ takes the weight as it is; the other schedulers have a scale of their own.
    fn set_block_weight(&self, prefix: &str, weight: u16) -> Result<(), CgroupError> {
        if self.path().join("io.bfq.weight").exists() {
            return self.set("io.bfq.weight", format!("{prefix}{weight}"));
        }
        let weight = 1 + (u64::from(weight).saturating_sub(10)) * 9999 / 990;
        let prefix = if prefix.is_empty() { "default " } else { prefix };
        self.set("io.weight", format!("{prefix}{weight}"))
    }
}

impl Driver for Version2 {
    fn birthplace(&self) -> Option<BorrowedFd<'_>> {
        Some(self.folder.as_fd())
    }

    fn admit(&self, _process: Pid) -> Result<(), CgroupError> {
        Ok(())
    }

    fn counts_memory_from_birth(&self) -> bool {
        true
    }

    fn set_device_rules(&self, rules: &[LinuxDeviceCgroup]) -> Result<(), CgroupError> {
        self.folder.set_device_rules(rules)
    }

    fn limit(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        let classified =
            |network: &LinuxNetwork| network.class_id().is_some() || network.priorities().is_some();
        if resources.network().as_ref().is_some_and(classified) {
            return Err(not_possible("network", "cgroup v2 has no such setting"));
        }
        if let Some(memory) = resources.memory() {
            self.limit_memory(memory)?;
        }
        if let Some(cpu) = resources.cpu() {
            self.limit_cpu(cpu)?;
        }
        if let Some(pids) = resources.pids() {
            self.set("pids.max", or_max(if pids.limit() == 0 { -1 } else { pids.limit() }))?;
        }
        if let Some(block) = resources.block_io() {
            self.limit_block(block)?;
        }
        for page in resources.hugepage_limits().iter().flatten() {
            self.set(&format!("hugetlb.{}.max", page.page_size()), page.limit())?;
        }
        for (device, limit) in resources.rdma().iter().flatten() {
            self.set("rdma.max", super::version1::rdma_line(device, limit))?;
        }
        for (name, value) in resources.unified().iter().flatten() {
            if name.contains('/') {
                let reason = "a file of the cgroup is meant";
                return Err(CgroupError::NotPossible { field: format!("unified.{name}"), reason });
            }
            for line in value.lines() {
                self.set(name, line)?;
            }
        }
        Ok(())
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
        Ok(Statistics {
            cpu: cpu_statistics(self.path())?,
            memory: self.memory_statistics()?,
            tasks: match files::read_number(self.path(), "pids.current") {
                Some(tasks) => tasks,
                None => super::statistics::tasks(&self.processes()?),
            },
            tasks_max: files::read_number(self.path(), "pids.max"),
            block: block_statistics(self.path()),
        })
    }

    fn folders(&self) -> Vec<Folder> {
        vec![Folder { hierarchy: "", path: self.folder.path.clone() }]
    }

    fn remove(&self) -> Result<(), CgroupError> {
        self.folder.remove()
    }
}

impl Version2 {
    fn memory_statistics(&self) -> Result<MemoryStatistics, CgroupError> {
        let Some(used) = files::read_number(self.path(), "memory.current") else {
            let used = super::statistics::resident_bytes(&self.processes()?);
            return Ok(MemoryStatistics { used, ..MemoryStatistics::default() });
        };
        Ok(MemoryStatistics {
            used,
            used_max: files::read_number(self.path(), "memory.peak"),
            limit: files::read_number(self.path(), "memory.max"),
            failures: files::read_keyed(self.path(), "memory.events", "max").unwrap_or(0),
            details: details(&files::read(self.path(), "memory.stat")?),
        })
    }
}

/// Processor time of a folder of version 2, counted even without the `cpu` controller.
pub(super) fn cpu_statistics(folder: &Path) -> Result<CpuStatistics, CgroupError> {
    let text = files::read(folder, "cpu.stat")?;
    let value = |key| files::value_of(&text, key).unwrap_or(0);
    Ok(CpuStatistics {
        total_ns: value("usage_usec") * 1000,
        user_ns: value("user_usec") * 1000,
        system_ns: value("system_usec") * 1000,
        periods: value("nr_periods"),
        throttled_periods: value("nr_throttled"),
        throttled_ns: value("throttled_usec") * 1000,
    })
}

/// `io.stat`: `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …` a line.
fn block_statistics(folder: &Path) -> Vec<BlockStatistics> {
    let mut list = Vec::new();
    for line in files::read(folder, "io.stat").unwrap_or_default().lines() {
        let mut words = line.split(' ');
        let device = words.next().unwrap_or_default();
        let Some(at) = BlockStatistics::of_device(&mut list, device) else { continue };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let value = value.parse().unwrap_or(0);
            match key {
                "rbytes" => list[at].read_bytes = value,
                "wbytes" => list[at].written_bytes = value,
                "rios" => list[at].reads = value,
                "wios" => list[at].writes = value,
                _ => {}
            }
        }
    }
    list
}

/// Switches the controllers on in every folder above the container's.
fn enable_controllers(path: &Path, resources: &LinuxResources) -> Result<(), CgroupError> {
    let mut folder = PathBuf::from(MOUNT_POINT);
    let available = files::read(&folder, "cgroup.controllers")?;
    let available: Vec<&str> = available.split_whitespace().collect();
    let mut wanted: Vec<&str> =
        CONTROLLERS_WANTED.into_iter().filter(|wanted| available.contains(wanted)).collect();
    for (field, controller) in controllers_needed(resources) {
        if !available.contains(&controller) {
            return Err(CgroupError::NoController { field, controller });
        }
        if !wanted.contains(&controller) {
            wanted.push(controller);
        }
    }
    let above = path.parent().unwrap_or(Path::new(""));
    for name in std::iter::once(None).chain(above.iter().map(Some)) {
        if let Some(name) = name {
            folder.push(name);
            files::create_shared(&folder)?;
        }
        enable(&folder, &wanted)?;
    }
    Ok(())
}

/// Adds to `cgroup.subtree_control` what is not there yet.
fn enable(folder: &Path, wanted: &[&str]) -> Result<(), CgroupError> {
    let present = files::read(folder, "cgroup.subtree_control")?;
    let present: Vec<&str> = present.split_whitespace().collect();
    let missing: Vec<String> = wanted
        .iter()
        .filter(|wanted| !present.contains(wanted))
        .map(|wanted| format!("+{wanted}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    files::write(folder, "cgroup.subtree_control", missing.join(" "))
}

/// The controllers that the limits ask for, each with the field that does.
fn controllers_needed(resources: &LinuxResources) -> Vec<(&'static str, &'static str)> {
    let mut needed = Vec::new();
    if resources.memory().is_some_and(|memory| memory.limit().is_some()) {
        needed.push(("memory", "memory"));
    }
    if let Some(cpu) = resources.cpu() {
        if cpu.quota().is_some() || cpu.shares().is_some() {
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
        needed.push(("blockIO", "io"));
    }
    if resources.hugepage_limits().as_ref().is_some_and(|limits| !limits.is_empty()) {
        needed.push(("hugepageLimits", "hugetlb"));
    }
    if resources.rdma().as_ref().is_some_and(|limits| !limits.is_empty()) {
        needed.push(("rdma", "rdma"));
    }
    needed
}

/// A limit as version 2 writes it: a negative one is none.
fn or_max(limit: i64) -> String {
    if limit < 0 { "max".to_owned() } else { limit.to_string() }
}

/// The configuration counts memory and swap together, version 2 swap alone.
fn swap_limit(memory: &LinuxMemory) -> Result<Option<String>, CgroupError> {
    let Some(both) = memory.swap().filter(|both| *both != 0) else { return Ok(None) };
    if both < 0 {
        return Ok(Some("max".to_owned()));
    }
    match memory.limit() {
        Some(limit) if limit > 0 && both >= limit => Ok(Some((both - limit).to_string())),
        Some(limit) if limit > 0 => {
            Err(not_possible("memory.swap", "it includes the memory limit and is smaller"))
        }
        _ => Err(not_possible("memory.swap", "it needs a memory limit as well")),
    }
}

/// Shares go from 2 to 262144 with 1024 in the middle, weights from 1 to 10000.
fn weight_of_shares(shares: u64) -> u64 {
    let shares = shares.clamp(2, 262_144);
    1 + (shares - 2) * 9999 / 262_142
}

fn not_possible(field: &str, reason: &'static str) -> CgroupError {
    CgroupError::NotPossible { field: field.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use oci::runtime::LinuxMemoryBuilder;

    use super::*;

    #[test]
    fn shares_become_weights() {
        assert_eq!(weight_of_shares(2), 1);
        assert_eq!(weight_of_shares(1024), 39);
        assert_eq!(weight_of_shares(262_144), 10_000);
    }

    #[test]
    fn swap_is_what_goes_beyond_memory() {
        let memory = LinuxMemoryBuilder::default().limit(100).swap(250).build().unwrap();
        assert_eq!(swap_limit(&memory).unwrap().as_deref(), Some("150"));
        let memory = LinuxMemoryBuilder::default().limit(100).swap(50).build().unwrap();
        assert!(swap_limit(&memory).is_err());
        let memory = LinuxMemoryBuilder::default().swap(-1).build().unwrap();
        assert_eq!(swap_limit(&memory).unwrap().as_deref(), Some("max"));
    }
}
