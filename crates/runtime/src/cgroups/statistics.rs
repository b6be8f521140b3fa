//! What a container has used.

use rustix::process::Pid;

/// What a container has used so far, in plain numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statistics {
    pub cpu: CpuStatistics,
    pub memory: MemoryStatistics,
    /// Processes and threads.
    pub tasks: u64,
    pub tasks_max: Option<u64>,
    pub block: Vec<BlockStatistics>,
}

/// Processor time, in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CpuStatistics {
    pub total_ns: u64,
    pub user_ns: u64,
    pub system_ns: u64,
    pub periods: u64,
    pub throttled_periods: u64,
    pub throttled_ns: u64,
}

/// Memory, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryStatistics {
    pub used: u64,
    pub used_max: Option<u64>,
    /// `None` if there is no limit.
    pub limit: Option<u64>,
    pub failures: u64,
    /// The kernel's own table (`memory.stat`), key by key.
    pub details: Vec<(String, u64)>,
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
