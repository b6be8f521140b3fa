//! What a folder of version 2 has counted.

use std::path::Path;

use rustix::process::Pid;

use crate::cgroups::statistics::{
    self, BlockStatistics, CpuStatistics, MemoryStatistics, MemoryUse, Statistics,
};
use crate::cgroups::statistics::{HugePageStatistics, Pressure, details};
use crate::cgroups::{CgroupError, files};

/// Without a controller, its figures come from `processes`, as far as they can.
pub(super) fn gather(folder: &Path, processes: &[Pid]) -> Result<Statistics, CgroupError> {
    Ok(Statistics {
        cpu: cpu(folder)?,
        cpuset: None,
        memory: memory(folder, processes)?,
        tasks: match files::read_number(folder, "pids.current") {
            Some(tasks) => tasks,
            None => statistics::tasks(processes),
        },
        tasks_max: files::read_number(folder, "pids.max"),
        block: block(folder),
        block_pressure: Pressure::read(folder, "io.pressure"),
        huge_pages: huge_pages(folder),
    })
}

/// Processor time of a folder of version 2, counted even without the `cpu` controller.
pub(in crate::cgroups) fn cpu(folder: &Path) -> Result<CpuStatistics, CgroupError> {
    let text = files::read(folder, "cpu.stat")?;
    let value = |key| files::value_of(&text, key).unwrap_or(0);
    Ok(CpuStatistics {
        total_ns: value("usage_usec") * 1000,
        user_ns: value("user_usec") * 1000,
        system_ns: value("system_usec") * 1000,
        each_ns: Vec::new(),
        each_user_ns: Vec::new(),
        each_system_ns: Vec::new(),
        periods: value("nr_periods"),
        throttled_periods: value("nr_throttled"),
        throttled_ns: value("throttled_usec") * 1000,
        pressure: Pressure::read(folder, "cpu.pressure"),
    })
}

fn memory(folder: &Path, processes: &[Pid]) -> Result<MemoryStatistics, CgroupError> {
    let Some(used) = files::read_number(folder, "memory.current") else {
        let used = statistics::resident_bytes(processes);
        return Ok(MemoryStatistics { used, ..MemoryStatistics::default() });
    };
    let details = details(&files::read(folder, "memory.stat")?);
    let value = |key: &str| details.iter().find(|(name, _)| name == key).map(|(_, value)| *value);
    let limit = files::read_number(folder, "memory.max");
    Ok(MemoryStatistics {
        used,
        used_max: files::read_number(folder, "memory.peak"),
        limit,
        failures: files::read_keyed(folder, "memory.events", "max").unwrap_or(0),
        cache: value("file").unwrap_or(0),
        // Version 1 counted memory and swap together, and so do those who read this.
        with_swap: files::read_number(folder, "memory.swap.current").map(|swap| MemoryUse {
            used: used + swap,
            used_max: None,
            limit: limit
                .zip(files::read_number(folder, "memory.swap.max"))
                .map(|(memory, swap)| memory.saturating_add(swap)),
            failures: 0,
        }),
        kernel: value("kernel").map(|used| MemoryUse { used, ..MemoryUse::default() }),
        kernel_tcp: None,
        pressure: Pressure::read(folder, "memory.pressure"),
        details,
    })
}

/// `io.stat`: `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …` a line.
fn block(folder: &Path) -> Vec<BlockStatistics> {
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

fn huge_pages(folder: &Path) -> Vec<HugePageStatistics> {
    statistics::huge_page_sizes(folder, ".current")
        .into_iter()
        .map(|size| HugePageStatistics {
            used: files::read_number(folder, &format!("hugetlb.{size}.current")).unwrap_or(0),
            used_max: 0,
            failures: files::read_keyed(folder, &format!("hugetlb.{size}.events"), "max")
                .unwrap_or(0),
            size,
        })
        .collect()
}
