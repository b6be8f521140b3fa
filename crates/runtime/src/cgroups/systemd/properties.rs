//! Limits as properties of a unit, named and scaled as systemd has them.
//!
//! systemd writes them to the cgroup itself, again and again: what it were not told, it would
//! undo one day. What it has no property for is written to the files, behind its back, as
//! delegation allows.

use std::collections::HashMap;

use oci::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxPids, LinuxResources};

use super::BusError;
use super::message::{Property, Value};
use crate::cgroups::limit::{is_set, refused, text};
use crate::cgroups::version2::{swap_limit, weight_of_shares};
use crate::cgroups::{CgroupError, Layout};

/// systemd's word for no limit.
const INFINITY: u64 = u64::MAX;

/// The kernel's own, where none is given.
const PERIOD_US: u64 = 100_000;

/// What a systemd of some version can be told.
const QUOTA_PERIOD_SINCE: u32 = 242;
const CPUSET_SINCE: u32 = 244;
const IDLE_SINCE: u32 = 252;

/// Properties, collected.
pub(super) struct Properties<'a> {
    pub(super) list: Vec<Property>,
    /// Asks for systemd's version, if that matters.
    pub(super) version: &'a mut dyn FnMut() -> Result<u32, BusError>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error(transparent)]
    Limit(#[from] CgroupError),
}

impl Properties<'_> {
    fn add(&mut self, name: &'static str, value: u64) {
        self.list.push((name, Value::Unsigned64(value)));
    }

    /// Adds what `resources` sets. A quota that systemd can only have rounded is rounded in
    /// `resources` too, so that the files say the same.
    pub(super) fn add_limits(
        &mut self,
        resources: &mut LinuxResources,
        layout: Layout,
    ) -> Result<(), Error> {
        let is_version2 = layout == Layout::Unified;
        if let Some(memory) = resources.memory() {
            if is_version2 {
                self.add_memory(memory);
            } else if let Some(limit) = memory.limit().filter(|limit| *limit != 0) {
                self.add("MemoryLimit", limit.cast_unsigned());
            }
        }
        if let Some(cpu) = resources.cpu_mut() {
            self.add_cpu(cpu, is_version2)?;
        }
        if let Some(pids) = resources.pids() {
            self.add("TasksMax", tasks(*pids));
        }
        if let Some(weight) = resources.block_io().as_ref().and_then(LinuxBlockIo::weight)
            && !is_version2
            && weight != 0
        {
            self.add("BlockIOWeight", weight.into());
        }
        match resources.unified() {
            Some(unified) => self.add_unified(unified),
            None => Ok(()),
        }
    }

    fn add_memory(&mut self, memory: &LinuxMemory) {
        let limit = memory.limit().unwrap_or(0);
        if limit != 0 {
            self.add("MemoryMax", limit.cast_unsigned());
        }
        if let Some(reservation) = memory.reservation().filter(|bytes| *bytes != 0) {
            self.add("MemoryLow", reservation.cast_unsigned());
        }
        // What makes no sense is refused where it is written to the files.
        if let Ok(Some(swap)) = swap_limit(limit, memory.swap().unwrap_or(0)) {
            self.add("MemorySwapMax", swap.parse().unwrap_or(INFINITY));
        }
    }

    fn add_cpu(&mut self, cpu: &mut LinuxCpu, is_version2: bool) -> Result<(), Error> {
        let is_idle = cpu.idle() == Some(1) && is_version2 && (self.version)()? >= IDLE_SINCE;
        if is_idle {
            // How systemd is told so.
            self.add("CPUWeight", 0);
        } else if let Some(shares) = cpu.shares().filter(|shares| *shares != 0) {
            match is_version2 {
                true => self.add("CPUWeight", weight_of_shares(shares)),
                false => self.add("CPUShares", shares),
            }
        }
        if is_set(cpu.quota()) || is_set(cpu.period()) {
            let quota = self.add_quota(cpu.quota().unwrap_or(0), cpu.period().unwrap_or(0))?;
            if is_set(cpu.quota()) {
                cpu.set_quota(Some(quota));
            }
        }
        if let Some(cpus) = text(cpu.cpus()) {
            self.add_set("AllowedCPUs", "cpu.cpus", cpus)?;
        }
        if let Some(memories) = text(cpu.mems()) {
            self.add_set("AllowedMemoryNodes", "cpu.mems", memories)?;
        }
        Ok(())
    }

    /// systemd keeps the quota as hundredths of a processor. Comes back with what it makes of it.
    fn add_quota(&mut self, quota: i64, period: u64) -> Result<i64, Error> {
        if period != 0 && (self.version)()? >= QUOTA_PERIOD_SINCE {
            self.add("CPUQuotaPeriodUSec", period);
        }
        let Some(limit) = u64::try_from(quota).ok().filter(|limit| *limit != 0) else {
            self.add("CPUQuotaPerSecUSec", INFINITY);
            return Ok(quota);
        };
        let (a_second, rounded) = quota_per_second(limit, period);
        self.add("CPUQuotaPerSecUSec", a_second);
        Ok(i64::try_from(rounded).unwrap_or(i64::MAX))
    }

    fn add_set(&mut self, name: &'static str, field: &str, list: &str) -> Result<(), Error> {
        let bits = bits_of(list)
            .ok_or_else(|| refused(field, format!("`{list}` is no list of numbers and ranges")))?;
        if (self.version)()? >= CPUSET_SINCE {
            self.list.push((name, Value::Bytes(bits)));
        }
        Ok(())
    }

    /// Files of version 2 that systemd has properties for.
    fn add_unified(&mut self, files: &HashMap<String, String>) -> Result<(), Error> {
        for (file, value) in files {
            let value = value.trim();
            let number = || -> Result<u64, CgroupError> {
                let nonsense =
                    || refused(format!("unified.{file}"), format!("`{value}` is no number"));
                if value == "max" { Ok(INFINITY) } else { value.parse().map_err(|_| nonsense()) }
            };
            match file.as_str() {
                "cpu.idle" if value == "1" && (self.version)()? >= IDLE_SINCE => {
                    self.add("CPUWeight", 0);
                }
                // An idle unit has no other weight.
                "cpu.weight" if files.get("cpu.idle").map(|idle| idle.trim()) == Some("1") => {}
                "cpu.weight" => self.add("CPUWeight", number()?),
                "cpu.max" => {
                    let mut words = value.split_whitespace();
                    let quota = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
                    let period = words.next().and_then(|word| word.parse().ok());
                    self.add_quota(quota, period.unwrap_or(PERIOD_US))?;
                }
                "cpuset.cpus" => self.add_set("AllowedCPUs", "unified.cpuset.cpus", value)?,
                "cpuset.mems" => {
                    self.add_set("AllowedMemoryNodes", "unified.cpuset.mems", value)?;
                }
                "memory.high" => self.add("MemoryHigh", number()?),
                "memory.low" => self.add("MemoryLow", number()?),
                "memory.min" => self.add("MemoryMin", number()?),
                "memory.max" => self.add("MemoryMax", number()?),
                "memory.swap.max" => self.add("MemorySwapMax", number()?),
                "pids.max" => self.add("TasksMax", number()?.max(1)),
                _ => {}
            }
        }
        Ok(())
    }
}

/// systemd takes no zero.
fn tasks(pids: LinuxPids) -> u64 {
    u64::try_from(pids.limit()).map_or(INFINITY, |limit| limit.max(1))
}

/// Microseconds a second, rounded up to a hundredth of a processor; and the quota that makes.
fn quota_per_second(quota: u64, period: u64) -> (u64, u64) {
    const STEP: u64 = 10_000;
    let period = if period == 0 { PERIOD_US } else { period };
    let a_second = quota.saturating_mul(1_000_000) / period;
    if a_second.is_multiple_of(STEP) {
        return (a_second, quota);
    }
    let rounded = a_second.next_multiple_of(STEP);
    (rounded, rounded.saturating_mul(period) / 1_000_000)
}

/// `0,3-5` as bits, the first in the lowest of the first byte.
fn bits_of(list: &str) -> Option<Vec<u8>> {
    /// More processors than any kernel knows.
    const NUMBER_MAX: usize = 1 << 16;
    let mut bits = Vec::new();
    for range in list.split(',').map(str::trim).filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last > NUMBER_MAX {
            return None;
        }
        for number in first..=last {
            if bits.len() <= number / 8 {
                bits.resize(number / 8 + 1, 0);
            }
            bits[number / 8] |= 1 << (number % 8);
        }
    }
    (!bits.is_empty()).then_some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(version: u32, resources: serde_json::Value, expected: &[(&str, u64)]) {
        let mut version = || Ok(version);
        let mut properties = Properties { list: Vec::new(), version: &mut version };
        let mut resources: LinuxResources = serde_json::from_value(resources).unwrap();
        properties.add_limits(&mut resources, Layout::Unified).unwrap();
        let expected: Vec<Property> = expected
            .iter()
            .map(|(name, value)| {
                let name: &'static str = Box::leak((*name).to_owned().into_boxed_str());
                (name, Value::Unsigned64(*value))
            })
            .collect();
        assert_eq!(properties.list, expected);
    }

    #[test]
    fn limits_have_systemds_names() {
        check(
            252,
            serde_json::json!({
                "memory": {"limit": 100, "swap": 150, "reservation": 50},
                "cpu": {"shares": 1024, "quota": 50_000, "period": 100_000},
                "pids": {"limit": 7},
            }),
            &[
                ("MemoryMax", 100),
                ("MemoryLow", 50),
                ("MemorySwapMax", 50),
                ("CPUWeight", 100),
                ("CPUQuotaPeriodUSec", 100_000),
                ("CPUQuotaPerSecUSec", 500_000),
                ("TasksMax", 7),
            ],
        );
        check(252, serde_json::json!({"cpu": {"idle": 1, "shares": 2}}), &[("CPUWeight", 0)]);
        check(251, serde_json::json!({"cpu": {"idle": 1, "shares": 2}}), &[("CPUWeight", 1)]);
        check(252, serde_json::json!({"pids": {"limit": 0}}), &[("TasksMax", 1)]);
        check(252, serde_json::json!({"pids": {"limit": -1}}), &[("TasksMax", INFINITY)]);
        check(
            241,
            serde_json::json!({"cpu": {"quota": -1, "period": 5000}}),
            &[("CPUQuotaPerSecUSec", INFINITY)],
        );
        check(
            252,
            serde_json::json!({"memory": {"limit": -1}}),
            &[("MemoryMax", INFINITY), ("MemorySwapMax", INFINITY)],
        );
        check(
            252,
            serde_json::json!({"unified": {"memory.high": "max"}}),
            &[("MemoryHigh", INFINITY)],
        );
    }

    #[test]
    fn a_quota_is_rounded_up_to_hundredths() {
        assert_eq!(quota_per_second(50_000, 100_000), (500_000, 50_000));
        assert_eq!(quota_per_second(4000, 9000), (450_000, 4050));
        assert_eq!(quota_per_second(5000, 0), (50_000, 5000));
    }

    #[test]
    fn lists_become_bits() {
        assert_eq!(bits_of("0"), Some(vec![1]));
        assert_eq!(bits_of("1, 8-9"), Some(vec![2, 3]));
        assert_eq!(
            [bits_of(""), bits_of("3-1"), bits_of("x"), bits_of("99999999")],
            [const { None }; 4]
        );
    }
}
