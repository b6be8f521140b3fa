//! What a container has used.

use std::path::Path;

use rustix::process::Pid;

use super::files;

/// What a container has used so far, in plain numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Statistics {
    pub cpu: CpuStatistics,
    /// Version 1's folder of `cpuset`, if the container has one.
    pub cpuset: Option<CpusetStatistics>,
    pub memory: MemoryStatistics,
    /// Processes and threads.
    pub tasks: u64,
    pub tasks_max: Option<u64>,
    pub block: Vec<BlockStatistics>,
    pub block_pressure: Option<Pressure>,
    pub huge_pages: Vec<HugePageStatistics>,
}

/// Processor time, in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CpuStatistics {
    pub total_ns: u64,
    pub user_ns: u64,
    pub system_ns: u64,
    /// Of each processor; empty where nobody counts them apart.
    pub each_ns: Vec<u64>,
    pub each_user_ns: Vec<u64>,
    pub each_system_ns: Vec<u64>,
    pub periods: u64,
    pub throttled_periods: u64,
    pub throttled_ns: u64,
    pub pressure: Option<Pressure>,
}

/// What a container may run on, in version 1's words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpusetStatistics {
    pub cpus: Vec<u16>,
    pub mems: Vec<u16>,
    /// The other files, without their prefix `cpuset.`.
    pub flags: Vec<(&'static str, i64)>,
}

impl CpusetStatistics {
    /// The files of version 1's `cpuset` that are no lists.
    pub const FLAGS: [&str; 9] = [
        "cpu_exclusive",
        "mem_hardwall",
        "mem_exclusive",
        "memory_migrate",
        "memory_spread_page",
        "memory_spread_slab",
        "memory_pressure",
        "sched_load_balance",
        "sched_relax_domain_level",
    ];
}

/// Memory, in bytes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MemoryStatistics {
    pub used: u64,
    pub used_max: Option<u64>,
    /// `None` if there is no limit.
    pub limit: Option<u64>,
    pub failures: u64,
    /// Of `used`, what is only kept of files.
    pub cache: u64,
    /// Memory and swap together, where swap is counted.
    pub with_swap: Option<MemoryUse>,
    pub kernel: Option<MemoryUse>,
    pub kernel_tcp: Option<MemoryUse>,
    pub pressure: Option<Pressure>,
    /// The kernel's own table (`memory.stat`), key by key.
    pub details: Vec<(String, u64)>,
}

/// One kind of memory, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryUse {
    pub used: u64,
    pub used_max: Option<u64>,
    /// `None` if there is no limit.
    pub limit: Option<u64>,
    pub failures: u64,
}

/// Transfers of one block device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockStatistics {
    pub major: u32,
    pub minor: u32,
    pub read_bytes: u64,
    pub written_bytes: u64,
    pub reads: u64,
    pub writes: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HugePageStatistics {
    /// As in the configuration: `2MB`.
    pub size: String,
    pub used: u64,
    pub used_max: u64,
    pub failures: u64,
}

/// How much of the time processes waited for something scarce (the kernel's PSI).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pressure {
    /// At least one process waited.
    pub some: Waiting,
    /// Every process did.
    pub full: Waiting,
}

/// Shares of the last seconds, in percent, and the total, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Waiting {
    pub in_10_s: f64,
    pub in_60_s: f64,
    pub in_300_s: f64,
    pub total_us: u64,
}

impl Pressure {
    /// `None` where the kernel does not measure it.
    pub(super) fn read(folder: &Path, name: &str) -> Option<Self> {
        // A kernel started with `psi=0` has the files, and refuses to read them.
        Self::parse(&files::read(folder, name).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut pressure = Self::default();
        for line in text.lines() {
            let (kind, values) = line.split_once(' ')?;
            let waiting = match kind {
                "some" => &mut pressure.some,
                "full" => &mut pressure.full,
                _ => continue,
            };
            for (key, value) in values.split(' ').filter_map(|word| word.split_once('=')) {
                match key {
                    "avg10" => waiting.in_10_s = value.parse().ok()?,
                    "avg60" => waiting.in_60_s = value.parse().ok()?,
                    "avg300" => waiting.in_300_s = value.parse().ok()?,
                    "total" => waiting.total_us = value.parse().ok()?,
                    _ => {}
                }
            }
        }
        Some(pressure)
    }
}

impl BlockStatistics {
    /// The entry for a device in `list`, made if it is not there.
    pub(super) fn of_device(list: &mut Vec<Self>, device: &str) -> Option<usize> {
        let (major, minor) = device.split_once(':')?;
        let (major, minor) = (major.parse().ok()?, minor.parse().ok()?);
        let known = list.iter().position(|entry| (entry.major, entry.minor) == (major, minor));
        Some(known.unwrap_or_else(|| {
            list.push(Self { major, minor, ..Self::default() });
            list.len() - 1
        }))
    }
}

/// `memory.stat` as a list.
pub(super) fn details(text: &str) -> Vec<(String, u64)> {
    text.lines()
        .filter_map(|line| {
            let (key, value) = line.split_once(' ')?;
            Some((key.to_owned(), value.parse().ok()?))
        })
        .collect()
}

/// The sizes of huge pages that a folder counts, by its files `hugetlb.<size><ending>`.
pub(super) fn huge_page_sizes(folder: &Path, ending: &str) -> Vec<String> {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut sizes: Vec<String> = names
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let size = name.strip_prefix("hugetlb.")?.strip_suffix(ending)?;
            // `2MB.rsvd` counts reservations, which are not used yet.
            (!size.contains('.')).then(|| size.to_owned())
        })
        .collect();
    sizes.sort();
    sizes
}

/// Memory that processes have for themselves, where no cgroup counts it.
pub(super) fn resident_bytes(processes: &[Pid]) -> u64 {
    let page = rustix::param::page_size() as u64;
    let pages = |process: &Pid| -> Option<u64> {
        let name = format!("/proc/{}/statm", process.as_raw_nonzero());
        let text = std::fs::read_to_string(name).ok()?;
        // Size, resident, shared with others.
        let mut fields = text.split(' ').skip(1).map(|field| field.parse::<u64>().ok());
        let resident = fields.next()??;
        Some(resident.saturating_sub(fields.next()??))
    };
    processes.iter().filter_map(pages).sum::<u64>() * page
}

/// Processes and threads, where no cgroup counts them.
pub(super) fn tasks(processes: &[Pid]) -> u64 {
    let threads = |process: &Pid| -> Option<u64> {
        let folder = format!("/proc/{}/task", process.as_raw_nonzero());
        Some(std::fs::read_dir(folder).ok()?.count() as u64)
    };
    processes.iter().filter_map(threads).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_is_read_as_the_kernel_writes_it() {
        let text = "some avg10=1.50 avg60=0.20 avg300=0.00 total=1234\n\
                    full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n";
        let pressure = Pressure::parse(text).unwrap();
        assert_eq!((pressure.some.in_10_s, pressure.some.total_us), (1.5, 1234));
        assert_eq!(pressure.full.total_us, 7);
    }
}
