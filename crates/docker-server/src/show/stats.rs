//! What a container has used, as Docker's clients compute with it.
//!
//! Which keys the memory table has is part of the API: clients tell the versions of cgroups
//! apart by them.

use std::collections::BTreeMap;

use docker_api::containers::{
    BlkioStatEntry, BlkioStats, CpuStats, CpuUsage, MemoryStats, NetworkStats, PidsStats,
    StatsResponse, ThrottlingData,
};
use engine::statistics::{BlockUse, CpuReading, CpuUse, InterfaceUse, MemoryUse, Usage};

use super::time_text;

/// The keys of `memory.stat` that Docker passes on with cgroups of version 1. Most are there
/// twice: for the cgroup alone, and with those below it.
const KEYS_1: [&str; 17] = [
    "cache",
    "rss",
    "rss_huge",
    "mapped_file",
    "dirty",
    "writeback",
    "pgpgin",
    "pgpgout",
    "pgfault",
    "pgmajfault",
    "inactive_anon",
    "active_anon",
    "inactive_file",
    "active_file",
    "unevictable",
    "hierarchical_memory_limit",
    "hierarchical_memsw_limit",
];

/// The keys with version 2.
const KEYS_2: [&str; 31] = [
    "anon",
    "file",
    "kernel_stack",
    "slab",
    "sock",
    "shmem",
    "file_mapped",
    "file_dirty",
    "file_writeback",
    "anon_thp",
    "inactive_anon",
    "active_anon",
    "inactive_file",
    "active_file",
    "unevictable",
    "slab_reclaimable",
    "slab_unreclaimable",
    "pgfault",
    "pgmajfault",
    "workingset_refault",
    "workingset_activate",
    "workingset_nodereclaim",
    "pgrefill",
    "pgscan",
    "pgsteal",
    "pgactivate",
    "pgdeactivate",
    "pglazyfree",
    "pglazyfreed",
    "thp_fault_alloc",
    "thp_collapse_alloc",
];

/// What the kernel calls no limit on a cgroup of version 1: the largest number of bytes in
/// whole pages.
const NO_LIMIT: u64 = 0x7FFF_FFFF_FFFF_F000;

/// What is told of a container that does not run.
pub(crate) fn nothing() -> StatsResponse {
    StatsResponse { read: time_text(None), preread: time_text(None), ..StatsResponse::default() }
}

/// What a container has used, without its name. `host_memory` stands for the limit of a
/// container that has none.
pub(crate) fn stats(usage: &Usage, host_memory: u64) -> StatsResponse {
    let interfaces: BTreeMap<_, _> = usage.interfaces.iter().map(network).collect();
    StatsResponse {
        read: time_text(Some(usage.at)),
        pids_stats: PidsStats { current: usage.tasks, limit: tasks_max(usage) },
        blkio_stats: block(usage),
        cpu_stats: CpuStats {
            system_cpu_usage: usage.host.total_ns,
            online_cpus: usage.host.processors,
            ..cpu(&usage.cpu)
        },
        memory_stats: memory(&usage.memory, usage.cgroup_version, host_memory),
        networks: Some(interfaces),
        ..nothing()
    }
}

/// The reading before `usage`. What the host's processors did between the two is taken from
/// the clock: the kernel counts that in ticks, of which there are few in a short time.
pub(crate) fn earlier(reading: &CpuReading, usage: &Usage) -> CpuStats {
    let between = usage.at.duration_since(reading.at).as_nanos();
    let between = u64::try_from(between).unwrap_or(0) * u64::from(usage.host.processors);
    CpuStats {
        system_cpu_usage: usage.host.total_ns.saturating_sub(between),
        online_cpus: usage.host.processors,
        ..cpu(&reading.cpu)
    }
}

fn cpu(cpu: &CpuUse) -> CpuStats {
    CpuStats {
        cpu_usage: CpuUsage {
            total_usage: cpu.total_ns,
            percpu_usage: Some(cpu.each_ns.clone()),
            usage_in_kernelmode: cpu.system_ns,
            usage_in_usermode: cpu.user_ns,
        },
        throttling_data: ThrottlingData {
            periods: cpu.periods,
            throttled_periods: cpu.throttled_periods,
            throttled_time: cpu.throttled_ns,
        },
        ..CpuStats::default()
    }
}

/// No limit is nothing with version 1, and the largest number with version 2.
fn tasks_max(usage: &Usage) -> u64 {
    usage.tasks_max.unwrap_or(if usage.cgroup_version == 1 { 0 } else { u64::MAX })
}

fn memory(memory: &MemoryUse, cgroup_version: u8, host_memory: u64) -> MemoryStats {
    let value = |key: &str| memory.details.iter().find(|(name, _)| name == key).map(|(_, v)| *v);
    let stats = if cgroup_version == 1 { keys_1(&value) } else { keys_2(&value) };
    MemoryStats {
        usage: memory.used,
        max_usage: memory.used_max.unwrap_or(0),
        stats: Some(stats),
        failcnt: memory.failures,
        limit: memory.limit.map_or(host_memory, |limit| limit.min(host_memory)),
    }
}

fn keys_1(value: &dyn Fn(&str) -> Option<u64>) -> BTreeMap<String, u64> {
    let mut keys = BTreeMap::new();
    for key in KEYS_1 {
        if key.starts_with("hierarchical") {
            keys.insert(key.to_owned(), value(key).unwrap_or(NO_LIMIT));
            continue;
        }
        let total = format!("total_{key}");
        keys.insert(key.to_owned(), value(key).unwrap_or(0));
        keys.insert(total.clone(), value(&total).unwrap_or(0));
    }
    keys
}

fn keys_2(value: &dyn Fn(&str) -> Option<u64>) -> BTreeMap<String, u64> {
    KEYS_2.iter().map(|key| ((*key).to_owned(), value(key).unwrap_or(0))).collect()
}

fn block(usage: &Usage) -> BlkioStats {
    let entries = |value: fn(&BlockUse) -> Option<u64>| -> Vec<BlkioStatEntry> {
        let known = usage.block.iter().filter_map(|use_| Some((use_, value(use_)?)));
        known
            .map(|(entry, value)| BlkioStatEntry {
                major: entry.major,
                minor: entry.minor,
                op: entry.operation.clone(),
                value,
            })
            .collect()
    };
    let bytes = entries(|entry| entry.bytes);
    if usage.cgroup_version != 1 {
        return BlkioStats {
            io_service_bytes_recursive: Some(bytes).filter(|bytes| !bytes.is_empty()),
            ..BlkioStats::default()
        };
    }
    let none = || Some(Vec::new());
    BlkioStats {
        io_service_bytes_recursive: Some(bytes),
        io_serviced_recursive: Some(entries(|entry| entry.operations)),
        io_queue_recursive: none(),
        io_service_time_recursive: none(),
        io_wait_time_recursive: none(),
        io_merged_recursive: none(),
        io_time_recursive: none(),
        sectors_recursive: none(),
    }
}

fn network(interface: &InterfaceUse) -> (String, NetworkStats) {
    let InterfaceUse { name, received, sent } = interface;
    let stats = NetworkStats {
        rx_bytes: received.bytes,
        rx_packets: received.packets,
        rx_errors: received.errors,
        rx_dropped: received.dropped,
        tx_bytes: sent.bytes,
        tx_packets: sent.packets,
        tx_errors: sent.errors,
        tx_dropped: sent.dropped,
    };
    (name.clone(), stats)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use engine::statistics::HostUse;
    use jiff::Timestamp;

    use super::*;

    fn usage() -> Usage {
        Usage {
            cgroup_version: 2,
            host: HostUse { total_ns: 10_000_000_000, processors: 4 },
            ..Usage::default()
        }
    }

    #[test]
    fn a_container_that_does_not_run_has_used_nothing() {
        let text = serde_json::to_string(&nothing()).unwrap();
        let expected = r#"{"read":"0001-01-01T00:00:00Z","preread":"0001-01-01T00:00:00Z","pids_stats":{},"blkio_stats":{"io_service_bytes_recursive":null,"io_serviced_recursive":null,"io_queue_recursive":null,"io_service_time_recursive":null,"io_wait_time_recursive":null,"io_merged_recursive":null,"io_time_recursive":null,"sectors_recursive":null},"num_procs":0,"storage_stats":{},"cpu_stats":{"cpu_usage":{"total_usage":0,"usage_in_kernelmode":0,"usage_in_usermode":0},"throttling_data":{"periods":0,"throttled_periods":0,"throttled_time":0}},"precpu_stats":{"cpu_usage":{"total_usage":0,"usage_in_kernelmode":0,"usage_in_usermode":0},"throttling_data":{"periods":0,"throttled_periods":0,"throttled_time":0}},"memory_stats":{}}"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn no_limit_is_the_hosts_memory() {
        let shown = stats(&usage(), 1 << 30);
        assert_eq!(shown.memory_stats.limit, 1 << 30);
        assert_eq!(shown.pids_stats.limit, u64::MAX);
        assert_eq!(shown.memory_stats.stats.unwrap().len(), 31);
        let shown = stats(&Usage { cgroup_version: 1, ..usage() }, 1 << 30);
        assert_eq!(shown.pids_stats.limit, 0);
        // As many as Docker's: the two limits have no total.
        assert_eq!(shown.memory_stats.stats.unwrap().len(), 32);
    }

    #[test]
    fn between_two_readings_all_processors_did_something() {
        let now = Usage { at: Timestamp::now(), ..usage() };
        let reading =
            CpuReading { at: now.at - Duration::from_millis(100), ..CpuReading::default() };
        assert_eq!(earlier(&reading, &now).system_cpu_usage, 10_000_000_000 - 400_000_000);
    }
}
