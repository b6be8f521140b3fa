//! Writing the limits of a configuration to the folders of version 1.

use std::path::{Path, PathBuf};

use oci::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxNetwork, LinuxResources};
use rustix::io::Errno;

use crate::cgroups::error::is_errno;
use crate::cgroups::limit::{limit_of, rdma_line, refused, text};
use crate::cgroups::{CgroupError, files};

/// Sets what is given, other than device rules, and leaves the rest. The folders are there.
pub(super) fn apply(path: &Path, resources: &LinuxResources) -> Result<(), CgroupError> {
    let limits = Limits { path };
    if let Some(memory) = resources.memory() {
        limits.memory(memory)?;
    }
    if let Some(cpu) = resources.cpu() {
        limits.cpu(cpu)?;
    }
    if let Some(pids) = resources.pids() {
        limits.set("pids.limit", "pids.max", limit_of(*pids))?;
    }
    if let Some(block) = resources.block_io() {
        limits.block(block)?;
    }
    for (at, page) in resources.hugepage_limits().iter().flatten().enumerate() {
        let field = format!("hugepageLimits[{at}]");
        let limit = page.limit();
        limits.set(&field, &format!("hugetlb.{}.limit_in_bytes", page.page_size()), limit)?;
        // Pages that are only reserved count apart, where the kernel counts them (5.7).
        let reserved = format!("hugetlb.{}.rsvd.limit_in_bytes", page.page_size());
        if limits.folder("hugetlb").join(&reserved).exists() {
            limits.set(&field, &reserved, limit)?;
        }
    }
    if let Some(network) = resources.network() {
        limits.network(network)?;
    }
    for (device, limit) in resources.rdma().iter().flatten() {
        limits.set(&format!("rdma.{device}"), "rdma.max", rdma_line(device, limit))?;
    }
    Ok(())
}

/// Refuses what version 1 has no counterpart of.
pub(in crate::cgroups) fn check(resources: &LinuxResources) -> Result<(), CgroupError> {
    if resources.unified().as_ref().is_some_and(|unified| !unified.is_empty()) {
        let reason = "invalid configuration: cannot be used with cgroup v1, which this host has";
        return Err(refused("unified", reason));
    }
    Ok(())
}

struct Limits<'a> {
    /// The container's place below each hierarchy.
    path: &'a Path,
}

impl Limits<'_> {
    fn folder(&self, hierarchy: &str) -> PathBuf {
        super::folder(hierarchy, self.path)
    }

    /// Writes to the file `name`, which begins with its hierarchy's.
    fn set(&self, field: &str, name: &str, value: impl ToString) -> Result<(), CgroupError> {
        let hierarchy = name.split('.').next().unwrap_or_default();
        files::set(&self.folder(hierarchy), field, name, value)
    }

    fn read_number(&self, name: &str) -> Option<u64> {
        let hierarchy = name.split('.').next().unwrap_or_default();
        files::read_number(&self.folder(hierarchy), name)
    }

    fn memory(&self, memory: &LinuxMemory) -> Result<(), CgroupError> {
        if memory.check_before_update() == Some(true) {
            self.check_usage(memory)?;
        }
        let limit = memory.limit().filter(|limit| *limit != 0);
        let swap = memory.swap().filter(|swap| *swap != 0);
        match (limit, swap) {
            (Some(limit), Some(swap)) => self.memory_and_swap(limit, swap)?,
            // No limit of memory means none of swap.
            (Some(-1), None) => self.memory_and_swap(-1, -1)?,
            (Some(limit), None) => self.memory_limit(limit)?,
            (None, Some(swap)) => self.swap_limit(swap)?,
            (None, None) => {}
        }
        if let Some(reservation) = memory.reservation().filter(|bytes| *bytes != 0) {
            self.set("memory.reservation", "memory.soft_limit_in_bytes", reservation)?;
        }
        if let Some(limit) = memory.kernel_tcp().filter(|bytes| *bytes != 0) {
            self.set("memory.kernelTCP", "memory.kmem.tcp.limit_in_bytes", limit)?;
        }
        if let Some(swappiness) = memory.swappiness() {
            self.set("memory.swappiness", "memory.swappiness", swappiness)?;
        }
        if memory.disable_oom_killer() == Some(true) {
            self.set("memory.disableOOMKiller", "memory.oom_control", 1)?;
        }
        self.use_hierarchy(memory)
    }

    /// Always on in newer kernels. In older ones it can be set only while nothing is below.
    fn use_hierarchy(&self, memory: &LinuxMemory) -> Result<(), CgroupError> {
        if memory.use_hierarchy() != Some(true)
            || self.read_number("memory.use_hierarchy") != Some(0)
        {
            return Ok(());
        }
        self.set("memory.useHierarchy", "memory.use_hierarchy", 1)
    }

    fn check_usage(&self, memory: &LinuxMemory) -> Result<(), CgroupError> {
        let checks = [
            ("memory.swap", "memory+swap", memory.swap(), "memory.memsw.usage_in_bytes"),
            ("memory.limit", "memory", memory.limit(), "memory.usage_in_bytes"),
        ];
        for (field, what, limit, file) in checks {
            let (Some(limit), Some(used)) = (limit, self.read_number(file)) else { continue };
            if limit > 0 && u64::try_from(limit).is_ok_and(|limit| limit <= used) {
                let reason = format!("rejecting {what} limit {limit} <= usage {used}");
                return Err(refused(field, reason));
            }
        }
        Ok(())
    }

    /// At no moment may the limit of memory and swap together be the smaller one.
    fn memory_and_swap(&self, limit: i64, swap: i64) -> Result<(), CgroupError> {
        let present = self.read_number("memory.memsw.limit_in_bytes").unwrap_or(0);
        let is_more = swap < 0 || u64::try_from(swap).is_ok_and(|swap| swap > present);
        if is_more {
            self.swap_limit(swap)?;
            return self.memory_limit(limit);
        }
        self.memory_limit(limit)?;
        self.swap_limit(swap)
    }

    /// A limit below what is in use and cannot be given back is refused by the kernel. The
    /// words are runc's.
    fn memory_limit(&self, limit: i64) -> Result<(), CgroupError> {
        self.set("memory.limit", "memory.limit_in_bytes", limit).map_err(|error| {
            if !is_errno(&error, Errno::BUSY) {
                return error;
            }
            let used = self.read_number("memory.usage_in_bytes").unwrap_or(0);
            let peak = self.read_number("memory.max_usage_in_bytes").unwrap_or(0);
            let reason = format!(
                "unable to set memory limit to {limit} (current usage: {used}, peak usage: {peak})"
            );
            refused("memory.limit", reason)
        })
    }

    /// A kernel that does not count swap has no such file.
    fn swap_limit(&self, swap: i64) -> Result<(), CgroupError> {
        if !self.folder("memory").join("memory.memsw.limit_in_bytes").exists() {
            return Ok(());
        }
        self.set("memory.swap", "memory.memsw.limit_in_bytes", swap)
    }

    fn cpu(&self, cpu: &LinuxCpu) -> Result<(), CgroupError> {
        if let Some(shares) = cpu.shares().filter(|shares| *shares != 0) {
            self.cpu_shares(shares)?;
        }
        self.cpu_quota(cpu)?;
        if let Some(idle) = cpu.idle() {
            self.set("cpu.idle", "cpu.idle", idle)?;
        }
        self.realtime(cpu)?;
        if let Some(cpus) = text(cpu.cpus()) {
            self.set("cpu.cpus", "cpuset.cpus", cpus)?;
        }
        if let Some(memories) = text(cpu.mems()) {
            self.set("cpu.mems", "cpuset.mems", memories)?;
        }
        Ok(())
    }

    /// The kernel silently takes the nearest number that it allows.
    fn cpu_shares(&self, shares: u64) -> Result<(), CgroupError> {
        self.set("cpu.shares", "cpu.shares", shares)?;
        let reason = match self.read_number("cpu.shares") {
            Some(possible) if possible < shares => {
                format!("the maximum allowed cpu-shares is {possible}")
            }
            Some(possible) if possible > shares => {
                format!("the minimum allowed cpu-shares is {possible}")
            }
            _ => return Ok(()),
        };
        Err(refused("cpu.shares", reason))
    }

    /// A shorter period and a longer burst may be refused while the old quota stands. Then they
    /// are tried again behind the new one.
    fn cpu_quota(&self, cpu: &LinuxCpu) -> Result<(), CgroupError> {
        let quota = cpu.quota().filter(|quota| *quota != 0);
        let before = [
            ("cpu.period", "cpu.cfs_period_us", cpu.period().filter(|period| *period != 0)),
            ("cpu.burst", "cpu.cfs_burst_us", cpu.burst()),
        ];
        let mut again = Vec::new();
        for (field, name, value) in before {
            let Some(value) = value else { continue };
            match self.set(field, name, value) {
                Err(error) if quota.is_some() && is_errno(&error, Errno::INVAL) => {
                    again.push((field, name, value));
                }
                result => result?,
            }
        }
        if let Some(quota) = quota {
            self.set("cpu.quota", "cpu.cfs_quota_us", quota)?;
        }
        again.into_iter().try_for_each(|(field, name, value)| self.set(field, name, value))
    }

    /// The two depend on each other as period and quota do.
    fn realtime(&self, cpu: &LinuxCpu) -> Result<(), CgroupError> {
        let runtime = cpu.realtime_runtime().filter(|runtime| *runtime != 0);
        let period = cpu.realtime_period().filter(|period| *period != 0);
        let set_period = |period| self.set("cpu.realtimePeriod", "cpu.rt_period_us", period);
        let mut is_period_left = false;
        if let Some(period) = period {
            match set_period(period) {
                Err(error) if runtime.is_some() && is_errno(&error, Errno::INVAL) => {
                    is_period_left = true;
                }
                result => result?,
            }
        }
        if let Some(runtime) = runtime {
            self.set("cpu.realtimeRuntime", "cpu.rt_runtime_us", runtime)?;
        }
        match period {
            Some(period) if is_period_left => set_period(period),
            _ => Ok(()),
        }
    }

    fn block(&self, block: &LinuxBlockIo) -> Result<(), CgroupError> {
        // With the scheduler BFQ the files have another name.
        let has_bfq = !self.folder("blkio").join("blkio.weight").exists();
        let weight_file = if has_bfq { "blkio.bfq.weight" } else { "blkio.weight" };
        if let Some(weight) = block.weight().filter(|weight| *weight != 0) {
            self.set("blockIO.weight", weight_file, weight)?;
        }
        if let Some(weight) = block.leaf_weight().filter(|weight| *weight != 0) {
            self.set("blockIO.leafWeight", "blkio.leaf_weight", weight)?;
        }
        for (at, device) in block.weight_device().iter().flatten().enumerate() {
            let field = format!("blockIO.weightDevice[{at}]");
            let numbers = format!("{}:{}", device.major(), device.minor());
            if let Some(weight) = device.weight().filter(|weight| *weight != 0) {
                let file = format!("{weight_file}_device");
                self.set(&field, &file, format!("{numbers} {weight}"))?;
            }
            if let Some(weight) = device.leaf_weight().filter(|weight| *weight != 0) {
                self.set(&field, "blkio.leaf_weight_device", format!("{numbers} {weight}"))?;
            }
        }
        self.throttle(block)
    }

    fn throttle(&self, block: &LinuxBlockIo) -> Result<(), CgroupError> {
        let throttles = [
            ("throttleReadBpsDevice", "read_bps_device", block.throttle_read_bps_device()),
            ("throttleWriteBpsDevice", "write_bps_device", block.throttle_write_bps_device()),
            ("throttleReadIOPSDevice", "read_iops_device", block.throttle_read_iops_device()),
            ("throttleWriteIOPSDevice", "write_iops_device", block.throttle_write_iops_device()),
        ];
        for (list, name, devices) in throttles {
            for (at, device) in devices.iter().flatten().enumerate() {
                let field = format!("blockIO.{list}[{at}]");
                let line = format!("{}:{} {}", device.major(), device.minor(), device.rate());
                self.set(&field, &format!("blkio.throttle.{name}"), line)?;
            }
        }
        Ok(())
    }

    fn network(&self, network: &LinuxNetwork) -> Result<(), CgroupError> {
        if let Some(class) = network.class_id().filter(|class| *class != 0) {
            self.set("network.classID", "net_cls.classid", class)?;
        }
        for (at, priority) in network.priorities().iter().flatten().enumerate() {
            let line = format!("{} {}", priority.name(), priority.priority());
            self.set(&format!("network.priorities[{at}]"), "net_prio.ifpriomap", line)?;
        }
        Ok(())
    }
}
