//! Writing the limits of a configuration to a folder of version 2.

use std::path::Path;

use oci::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};
use rustix::io::Errno;

use crate::cgroups::error::is_errno;
use crate::cgroups::limit::{is_set, limit_of, network_is_set, rdma_line, refused, text};
use crate::cgroups::{CgroupError, files};

/// Sets what is given, other than device rules, and leaves the rest.
pub(super) fn apply(folder: &Path, resources: &LinuxResources) -> Result<(), CgroupError> {
    let limits = Limits { folder };
    if let Some(pids) = resources.pids() {
        limits.set("pids.limit", "pids.max", limit_of(*pids))?;
    }
    if let Some(memory) = resources.memory() {
        limits.memory(memory)?;
    }
    if let Some(block) = resources.block_io() {
        limits.block(block)?;
    }
    if let Some(cpu) = resources.cpu() {
        limits.cpu(cpu)?;
    }
    for (at, page) in resources.hugepage_limits().iter().flatten().enumerate() {
        let field = format!("hugepageLimits[{at}]");
        let limit = page.limit();
        limits.set(&field, &format!("hugetlb.{}.max", page.page_size()), limit)?;
        // Pages that are only reserved count apart, where the kernel counts them (5.7).
        let reserved = format!("hugetlb.{}.rsvd.max", page.page_size());
        if folder.join(&reserved).exists() {
            limits.set(&field, &reserved, limit)?;
        }
    }
    for (device, limit) in resources.rdma().iter().flatten() {
        limits.set(&format!("rdma.{device}"), "rdma.max", rdma_line(device, limit))?;
    }
    limits.unified(resources)
}

/// Refuses what version 2 has no counterpart of.
pub(in crate::cgroups) fn check(resources: &LinuxResources) -> Result<(), CgroupError> {
    let no_such = |field: &str| Err(refused(field, "cgroup v2 has no such setting"));
    if let Some(memory) = resources.memory() {
        if memory.swappiness().is_some() {
            return no_such("memory.swappiness");
        }
        if memory.disable_oom_killer() == Some(true) {
            return no_such("memory.disableOOMKiller");
        }
        if is_set(memory.kernel_tcp().filter(|limit| *limit > 0)) {
            return no_such("memory.kernelTCP");
        }
    }
    if let Some(cpu) = resources.cpu() {
        if is_set(cpu.realtime_runtime()) {
            return no_such("cpu.realtimeRuntime");
        }
        if is_set(cpu.realtime_period()) {
            return no_such("cpu.realtimePeriod");
        }
    }
    if let Some(block) = resources.block_io() {
        let leaf =
            block.weight_device().iter().flatten().any(|device| is_set(device.leaf_weight()));
        if is_set(block.leaf_weight()) || leaf {
            return no_such("blockIO.leafWeight");
        }
    }
    if network_is_set(resources) {
        return no_such("network");
    }
    Ok(())
}

struct Limits<'a> {
    folder: &'a Path,
}

impl Limits<'_> {
    fn set(&self, field: &str, name: &str, value: impl ToString) -> Result<(), CgroupError> {
        files::set(self.folder, field, name, value)
    }

    fn memory(&self, memory: &LinuxMemory) -> Result<(), CgroupError> {
        if memory.check_before_update() == Some(true) {
            self.check_usage(memory)?;
        }
        // Swap first: until the process is limited in it, it could be pushed there as a whole.
        if let Some(swap) = self.swap_limit(memory)? {
            // A kernel without swap has no such file, and nothing to limit.
            if self.folder.join("memory.swap.max").exists() {
                self.set("memory.swap", "memory.swap.max", swap)?;
            }
        }
        if let Some(limit) = memory.limit().filter(|limit| *limit != 0) {
            self.set("memory.limit", "memory.max", or_max(limit))?;
        }
        if let Some(reservation) = memory.reservation().filter(|bytes| *bytes != 0) {
            self.set("memory.reservation", "memory.low", or_max(reservation))?;
        }
        Ok(())
    }

    /// The configuration counts memory and swap together, version 2 swap alone.
    fn swap_limit(&self, memory: &LinuxMemory) -> Result<Option<String>, CgroupError> {
        let limit = memory.limit().unwrap_or(0);
        match swap_limit(limit, memory.swap().unwrap_or(0)) {
            // The limit that was set before counts.
            Err(SwapError::NoMemory { both }) => {
                let present = files::read_number(self.folder, "memory.max");
                let present = present.and_then(|limit| i64::try_from(limit).ok()).unwrap_or(0);
                swap_limit(present, both)
            }
            result => result,
        }
        .map_err(|error| refused("memory.swap", error.to_string()))
    }

    /// Refuses a limit below what is in use. The words are runc's.
    fn check_usage(&self, memory: &LinuxMemory) -> Result<(), CgroupError> {
        let Some(used) = files::read_number(self.folder, "memory.current") else { return Ok(()) };
        let is_too_low =
            |limit: &i64| *limit > 0 && u64::try_from(*limit).is_ok_and(|limit| limit <= used);
        if let Some(both) = memory.swap().filter(is_too_low) {
            let reason = format!("rejecting memory+swap limit {both} <= usage {used}");
            return Err(refused("memory.swap", reason));
        }
        if let Some(limit) = memory.limit().filter(is_too_low) {
            let reason = format!("rejecting memory limit {limit} <= usage {used}");
            return Err(refused("memory.limit", reason));
        }
        Ok(())
    }

    fn cpu(&self, cpu: &LinuxCpu) -> Result<(), CgroupError> {
        if let Some(idle) = cpu.idle() {
            self.set("cpu.idle", "cpu.idle", idle)?;
        }
        // What is idle has the least weight of all, and takes no other.
        if let Some(shares) = cpu.shares().filter(|shares| *shares != 0 && cpu.idle() != Some(1)) {
            self.set("cpu.shares", "cpu.weight", weight_of_shares(shares))?;
        }
        self.cpu_quota(cpu)?;
        if let Some(cpus) = text(cpu.cpus()) {
            self.set("cpu.cpus", "cpuset.cpus", cpus)?;
        }
        if let Some(memories) = text(cpu.mems()) {
            self.set("cpu.mems", "cpuset.mems", memories)?;
        }
        Ok(())
    }

    fn cpu_quota(&self, cpu: &LinuxCpu) -> Result<(), CgroupError> {
        let quota = cpu.quota().filter(|quota| *quota != 0);
        let period = cpu.period().filter(|period| *period != 0);
        let burst = |burst| self.set("cpu.burst", "cpu.max.burst", burst);
        let mut burst_left = cpu.burst();
        if let Some(value) = burst_left {
            match burst(value) {
                Ok(()) => burst_left = None,
                // A burst may not be longer than the quota, which may be about to grow.
                Err(error) if quota.is_some() && is_errno(&error, Errno::INVAL) => {}
                result => result?,
            }
        }
        match (quota, period) {
            (None, None) => {}
            (Some(quota), None) => self.set("cpu.quota", "cpu.max", or_max(quota))?,
            (quota, Some(period)) => {
                let quota = match quota {
                    Some(quota) => or_max(quota),
                    None => self.present_quota()?,
                };
                self.set("cpu.period", "cpu.max", format!("{quota} {period}"))?;
            }
        }
        burst_left.map_or(Ok(()), burst)
    }

    fn present_quota(&self) -> Result<String, CgroupError> {
        let text = files::read(self.folder, "cpu.max")?;
        Ok(text.split_whitespace().next().unwrap_or("max").to_owned())
    }

    fn block(&self, block: &LinuxBlockIo) -> Result<(), CgroupError> {
        if let Some(weight) = block.weight().filter(|weight| *weight != 0) {
            self.block_weight("blockIO.weight", "", weight)?;
        }
        for (at, device) in block.weight_device().iter().flatten().enumerate() {
            if let Some(weight) = device.weight().filter(|weight| *weight != 0) {
                let field = format!("blockIO.weightDevice[{at}]");
                let prefix = format!("{}:{} ", device.major(), device.minor());
                self.block_weight(&field, &prefix, weight)?;
            }
        }
        let throttles = [
            ("blockIO.throttleReadBpsDevice", "rbps", block.throttle_read_bps_device()),
            ("blockIO.throttleWriteBpsDevice", "wbps", block.throttle_write_bps_device()),
            ("blockIO.throttleReadIOPSDevice", "riops", block.throttle_read_iops_device()),
            ("blockIO.throttleWriteIOPSDevice", "wiops", block.throttle_write_iops_device()),
        ];
        for (list, key, devices) in throttles {
            for (at, device) in devices.iter().flatten().enumerate() {
                let rate =
                    if device.rate() == 0 { "max".to_owned() } else { device.rate().to_string() };
                let line = format!("{}:{} {key}={rate}", device.major(), device.minor());
                self.set(&format!("{list}[{at}]"), "io.max", line)?;
            }
        }
        Ok(())
    }

    /// BFQ takes the weight as it is; the other schedulers have a scale of their own.
    fn block_weight(&self, field: &str, prefix: &str, weight: u16) -> Result<(), CgroupError> {
        if self.folder.join("io.bfq.weight").exists() {
            return self.set(field, "io.bfq.weight", format!("{prefix}{weight}"));
        }
        let prefix = if prefix.is_empty() { "default " } else { prefix };
        self.set(field, "io.weight", format!("{prefix}{}", io_weight(weight)))
    }

    /// Last, so that they win over what says the same in other words.
    fn unified(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        for (name, value) in resources.unified().iter().flatten() {
            for line in value.lines().filter(|line| !line.is_empty()) {
                self.set(&format!("unified.{name}"), name, line)
                    .map_err(|error| self.explain_unified(name, error))?;
            }
        }
        Ok(())
    }

    /// A file that is not there most often is one of a controller that is not there.
    fn explain_unified(&self, name: &str, error: CgroupError) -> CgroupError {
        let controller = name.split('.').next().unwrap_or_default();
        let available = files::read(self.folder, "cgroup.controllers").unwrap_or_default();
        let is_missing = is_errno(&error, Errno::NOENT) || is_errno(&error, Errno::ACCESS);
        if !is_missing
            || controller == "cgroup"
            || available.split(' ').any(|c| c.trim() == controller)
        {
            return error;
        }
        refused(
            format!("unified.{name}"),
            format!("can't be set: controller \"{controller}\" not available"),
        )
    }
}

/// A limit as version 2 writes it: a negative one is none.
fn or_max(limit: i64) -> String {
    if limit < 0 { "max".to_owned() } else { limit.to_string() }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::cgroups) enum SwapError {
    #[error("unable to set swap limit without memory limit")]
    NoMemory { both: i64 },
    #[error("memory+swap limit should be >= memory limit")]
    TooLow,
}

/// What swap may take beyond memory, given the limits of memory and of `both`; 0 is not set.
pub(in crate::cgroups) fn swap_limit(memory: i64, both: i64) -> Result<Option<String>, SwapError> {
    match (memory, both) {
        // No limit of memory means none of swap, as version 1 has it.
        (..0, 0) | (_, ..0) => Ok(Some("max".to_owned())),
        (_, 0) => Ok(None),
        (..0, both) => Ok(Some(both.to_string())),
        (0, both) => Err(SwapError::NoMemory { both }),
        (memory, both) if both < memory => Err(SwapError::TooLow),
        (memory, both) => Ok(Some((both - memory).to_string())),
    }
}

/// Shares go from 2 to 262144 with 1024 in the middle, weights from 1 to 10000 with 100 there:
/// the quadratic curve through the three points, in logarithms, as runc and crun have it.
pub(in crate::cgroups) fn weight_of_shares(shares: u64) -> u64 {
    if shares <= 2 {
        return 1;
    }
    if shares >= 262_144 {
        return 10_000;
    }
    // At most 262144: exact.
    #[allow(clippy::cast_precision_loss)]
    let log = (shares as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    // Between 1 and 10000.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let weight = 10_f64.powf(exponent).ceil() as u64;
    weight
}

/// From version 1's 10 to 1000 to version 2's 1 to 10000.
fn io_weight(weight: u16) -> u64 {
    1 + u64::from(weight).saturating_sub(10) * 9999 / 990
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_weights() {
        let pairs = [(0, 1), (2, 1), (100, 17), (512, 59), (1024, 100), (262_144, 10_000)];
        for (shares, weight) in pairs {
            assert_eq!(weight_of_shares(shares), weight, "{shares}");
        }
    }

    #[test]
    fn weights_of_block_devices_have_another_scale() {
        assert_eq!([10, 750, 1000].map(io_weight), [1, 7475, 10_000]);
    }

    #[track_caller]
    fn check_swap(memory: i64, both: i64, expected: Result<Option<&str>, SwapError>) {
        assert_eq!(swap_limit(memory, both), expected.map(|swap| swap.map(str::to_owned)));
    }

    #[test]
    fn swap_is_what_goes_beyond_memory() {
        check_swap(100, 250, Ok(Some("150")));
        check_swap(100, 100, Ok(Some("0")));
        check_swap(100, 50, Err(SwapError::TooLow));
        check_swap(100, 0, Ok(None));
        check_swap(100, -1, Ok(Some("max")));
        check_swap(-1, 0, Ok(Some("max")));
        check_swap(-1, 50, Ok(Some("50")));
        check_swap(0, -1, Ok(Some("max")));
        check_swap(0, 0, Ok(None));
        check_swap(0, 50, Err(SwapError::NoMemory { both: 50 }));
    }
}
