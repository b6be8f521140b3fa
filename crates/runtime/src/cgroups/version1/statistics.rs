//! What the folders of version 1 have counted.

use std::path::Path;

use rustix::process::Pid;

use super::folder;
use crate::cgroups::statistics::{
    self, BlockStatistics, CpuStatistics, CpusetStatistics, HugePageStatistics, MemoryStatistics,
    MemoryUse, Pressure, Statistics, details,
};
use crate::cgroups::version2::cpu_statistics;
use crate::cgroups::{CgroupError, files};

/// `unified` is the container's folder in the hierarchy of version 2, if that is mounted too.
/// Without a folder for memory or tasks, the figures come from `processes`.
pub(super) fn gather(
    path: &Path,
    unified: Option<&Path>,
    processes: &[Pid],
) -> Result<Statistics, CgroupError> {
    let pids = folder("pids", path);
    let pressure = |name| unified.and_then(|unified| Pressure::read(unified, name));
    let mut cpu = cpu(path, unified)?;
    cpu.pressure = pressure("cpu.pressure");
    let mut memory = memory(&folder("memory", path), processes)?;
    memory.pressure = pressure("memory.pressure");
    Ok(Statistics {
        cpu,
        cpuset: cpuset(&folder("cpuset", path)),
        memory,
        tasks: match files::read_number(&pids, "pids.current") {
            Some(tasks) => tasks,
            None => statistics::tasks(processes),
        },
        tasks_max: files::read_number(&pids, "pids.max"),
        block: block(&folder("blkio", path)),
        block_pressure: pressure("io.pressure"),
        huge_pages: huge_pages(&folder("hugetlb", path)),
    })
}

fn cpu(path: &Path, unified: Option<&Path>) -> Result<CpuStatistics, CgroupError> {
    let mut cpu = unified.map(cpu_statistics).transpose()?.unwrap_or_default();
    let accounts = folder("cpuacct", path);
    if let Some(total) = files::read_number(&accounts, "cpuacct.usage") {
        cpu.total_ns = total;
        count_each(&accounts, &mut cpu);
    }
    if let Ok(text) = files::read(&folder("cpu", path), "cpu.stat") {
        let value = |key| files::value_of(&text, key).unwrap_or(0);
        cpu.periods = value("nr_periods");
        cpu.throttled_periods = value("nr_throttled");
        cpu.throttled_ns = value("throttled_time");
    }
    Ok(cpu)
}

/// `cpuacct.usage_all`: a headline, then `processor user system` a line, in nanoseconds.
fn count_each(accounts: &Path, cpu: &mut CpuStatistics) {
    let text = files::read(accounts, "cpuacct.usage_percpu").unwrap_or_default();
    cpu.each_ns = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let text = files::read(accounts, "cpuacct.usage_all").unwrap_or_default();
    for line in text.lines().skip(1) {
        let mut numbers = line.split(' ').map(|word| word.parse().unwrap_or(0));
        if let (Some(_), Some(user), Some(system)) =
            (numbers.next(), numbers.next(), numbers.next())
        {
            cpu.each_user_ns.push(user);
            cpu.each_system_ns.push(system);
        }
    }
    cpu.user_ns = cpu.each_user_ns.iter().sum();
    cpu.system_ns = cpu.each_system_ns.iter().sum();
}

fn cpuset(folder: &Path) -> Option<CpusetStatistics> {
    let list = |name| Some(number_list(&files::read(folder, name).ok()?));
    let flag = |name: &&'static str| {
        let text = files::read(folder, &format!("cpuset.{name}")).ok()?;
        Some((*name, text.trim().parse().ok()?))
    };
    Some(CpusetStatistics {
        cpus: list("cpuset.cpus")?,
        mems: list("cpuset.mems")?,
        flags: CpusetStatistics::FLAGS.iter().filter_map(flag).collect(),
    })
}

/// `0-2,7` as 0, 1, 2, 7.
fn number_list(text: &str) -> Vec<u16> {
    let ranges = text.trim().split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse::<u16>().ok()?..=last.parse().ok()?)
    });
    ranges.flatten().collect()
}

fn memory(folder: &Path, processes: &[Pid]) -> Result<MemoryStatistics, CgroupError> {
    let Some(all) = memory_use(folder, "memory") else {
        let used = statistics::resident_bytes(processes);
        return Ok(MemoryStatistics { used, ..MemoryStatistics::default() });
    };
    let details = details(&files::read(folder, "memory.stat")?);
    let cache = details.iter().find(|(name, _)| name == "cache").map_or(0, |(_, value)| *value);
    Ok(MemoryStatistics {
        used: all.used,
        used_max: all.used_max,
        limit: all.limit,
        failures: all.failures,
        cache,
        with_swap: memory_use(folder, "memory.memsw"),
        kernel: memory_use(folder, "memory.kmem"),
        kernel_tcp: memory_use(folder, "memory.kmem.tcp"),
        pressure: None,
        details,
    })
}

fn memory_use(folder: &Path, prefix: &str) -> Option<MemoryUse> {
    let number = |name: &str| files::read_number(folder, &format!("{prefix}.{name}"));
    Some(MemoryUse {
        used: number("usage_in_bytes")?,
        used_max: number("max_usage_in_bytes"),
        // No limit is a number near the largest, rounded down to pages.
        limit: number("limit_in_bytes").filter(|limit| *limit < u64::MAX >> 2),
        failures: number("failcnt").unwrap_or(0),
    })
}

/// `blkio.throttle.*`: `8:0 Read 4096` a line.
fn block(folder: &Path) -> Vec<BlockStatistics> {
    let mut list = Vec::new();
    for (name, is_bytes) in [
        ("blkio.throttle.io_service_bytes_recursive", true),
        ("blkio.throttle.io_serviced_recursive", false),
    ] {
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

fn huge_pages(folder: &Path) -> Vec<HugePageStatistics> {
    statistics::huge_page_sizes(folder, ".usage_in_bytes")
        .into_iter()
        .map(|size| {
            let number = |name: &str| {
                files::read_number(folder, &format!("hugetlb.{size}.{name}")).unwrap_or(0)
            };
            HugePageStatistics {
                used: number("usage_in_bytes"),
                used_max: number("max_usage_in_bytes"),
                failures: number("failcnt"),
                size: size.clone(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_ranges() {
        assert_eq!(number_list("0-2,7\n"), [0, 1, 2, 7]);
        assert_eq!(number_list("\n"), [] as [u16; 0]);
    }
}
