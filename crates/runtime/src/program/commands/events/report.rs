//! Statistics in runc's shape (`types.Stats`), field by field: engines read them.
//!
//! What Go leaves out for being zero is left out here too.

use std::collections::BTreeMap;

use runtime::{CpusetStatistics, MemoryUse, Pressure, Statistics, Waiting};
use rustix::process::Pid;
use serde::Serialize;
use serde_json::{Map, Value};

#[derive(Debug, Serialize)]
pub(super) struct Report {
    cpu: Cpu,
    cpuset: Map<String, Value>,
    memory: Memory,
    pids: Tasks,
    blkio: Block,
    hugetlb: BTreeMap<String, HugePages>,
    /// Empty: this runtime makes no resource groups of that kind.
    intel_rdt: Map<String, Value>,
    network_interfaces: Option<Vec<NetworkInterface>>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct Cpu {
    usage: CpuUsage,
    #[serde(skip_serializing_if = "is_default")]
    throttling: Throttling,
    #[serde(skip_serializing_if = "Option::is_none")]
    psi: Option<Psi>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct CpuUsage {
    #[serde(skip_serializing_if = "is_default")]
    total: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    percpu: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    percpu_kernel: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    percpu_user: Vec<u64>,
    kernel: u64,
    user: u64,
}

#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Throttling {
    #[serde(skip_serializing_if = "is_default")]
    periods: u64,
    #[serde(skip_serializing_if = "is_default")]
    throttled_periods: u64,
    #[serde(skip_serializing_if = "is_default")]
    throttled_time: u64,
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct Psi {
    some: PsiData,
    full: PsiData,
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct PsiData {
    avg10: f64,
    avg60: f64,
    avg300: f64,
    total: u64,
}

#[derive(Debug, Serialize)]
struct Memory {
    #[serde(skip_serializing_if = "is_default")]
    cache: u64,
    #[serde(skip_serializing_if = "is_default")]
    usage: MemoryEntry,
    #[serde(skip_serializing_if = "is_default")]
    swap: MemoryEntry,
    #[serde(skip_serializing_if = "is_default")]
    kernel: MemoryEntry,
    #[serde(rename = "kernelTCP", skip_serializing_if = "is_default")]
    kernel_tcp: MemoryEntry,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    raw: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    psi: Option<Psi>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct MemoryEntry {
    limit: u64,
    #[serde(skip_serializing_if = "is_default")]
    usage: u64,
    #[serde(skip_serializing_if = "is_default")]
    max: u64,
    failcnt: u64,
}

#[derive(Debug, Serialize)]
struct Tasks {
    #[serde(skip_serializing_if = "is_default")]
    current: u64,
    #[serde(skip_serializing_if = "is_default")]
    limit: u64,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Block {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    io_service_bytes_recursive: Vec<BlockEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    io_serviced_recursive: Vec<BlockEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    psi: Option<Psi>,
}

#[derive(Debug, Serialize)]
struct BlockEntry {
    #[serde(skip_serializing_if = "is_default")]
    major: u32,
    #[serde(skip_serializing_if = "is_default")]
    minor: u32,
    op: &'static str,
    #[serde(skip_serializing_if = "is_default")]
    value: u64,
}

#[derive(Debug, Serialize)]
struct HugePages {
    #[serde(skip_serializing_if = "is_default")]
    usage: u64,
    #[serde(skip_serializing_if = "is_default")]
    max: u64,
    failcnt: u64,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkInterface {
    name: String,
    rx_bytes: u64,
    rx_packets: u64,
    rx_errors: u64,
    rx_dropped: u64,
    tx_bytes: u64,
    tx_packets: u64,
    tx_errors: u64,
    tx_dropped: u64,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Report {
    /// `process` is one of the container's: its network namespace has the interfaces.
    pub(super) fn new(statistics: &Statistics, process: Pid) -> Self {
        Self {
            cpu: cpu(statistics),
            cpuset: cpuset(statistics.cpuset.as_ref()),
            memory: memory(statistics),
            pids: Tasks { current: statistics.tasks, limit: statistics.tasks_max.unwrap_or(0) },
            blkio: block(statistics),
            hugetlb: huge_pages(statistics),
            intel_rdt: Map::new(),
            network_interfaces: network_interfaces(process),
        }
    }
}

fn cpu(statistics: &Statistics) -> Cpu {
    let cpu = &statistics.cpu;
    Cpu {
        usage: CpuUsage {
            total: cpu.total_ns,
            percpu: cpu.each_ns.clone(),
            percpu_kernel: cpu.each_system_ns.clone(),
            percpu_user: cpu.each_user_ns.clone(),
            kernel: cpu.system_ns,
            user: cpu.user_ns,
        },
        throttling: Throttling {
            periods: cpu.periods,
            throttled_periods: cpu.throttled_periods,
            throttled_time: cpu.throttled_ns,
        },
        psi: cpu.pressure.map(psi),
    }
}

fn psi(pressure: Pressure) -> Psi {
    let data = |waiting: Waiting| PsiData {
        avg10: waiting.in_10_s,
        avg60: waiting.in_60_s,
        avg300: waiting.in_300_s,
        total: waiting.total_us,
    };
    Psi { some: data(pressure.some), full: data(pressure.full) }
}

/// Every flag is there, if only as 0.
fn cpuset(cpuset: Option<&CpusetStatistics>) -> Map<String, Value> {
    let empty = CpusetStatistics::default();
    let cpuset = cpuset.unwrap_or(&empty);
    let mut fields = Map::new();
    for (name, list) in [("cpus", &cpuset.cpus), ("mems", &cpuset.mems)] {
        if !list.is_empty() {
            fields.insert(name.to_owned(), list.clone().into());
        }
    }
    for flag in CpusetStatistics::FLAGS {
        let known = cpuset.flags.iter().find(|(name, _)| *name == flag);
        fields.insert(flag.to_owned(), known.map_or(0, |(_, value)| *value).into());
    }
    fields
}

fn memory(statistics: &Statistics) -> Memory {
    let memory = &statistics.memory;
    let usage = MemoryUse {
        used: memory.used,
        used_max: memory.used_max,
        limit: memory.limit,
        failures: memory.failures,
    };
    let optional = |part: Option<MemoryUse>| part.map(entry).unwrap_or_default();
    Memory {
        cache: memory.cache,
        usage: entry(usage),
        swap: optional(memory.with_swap),
        kernel: optional(memory.kernel),
        kernel_tcp: optional(memory.kernel_tcp),
        raw: memory.details.iter().cloned().collect(),
        psi: memory.pressure.map(psi),
    }
}

/// No limit is the largest number.
fn entry(part: MemoryUse) -> MemoryEntry {
    MemoryEntry {
        limit: part.limit.unwrap_or(u64::MAX),
        usage: part.used,
        max: part.used_max.unwrap_or(0),
        failcnt: part.failures,
    }
}

fn block(statistics: &Statistics) -> Block {
    let mut report = Block { psi: statistics.block_pressure.map(psi), ..Block::default() };
    for device in &statistics.block {
        let entry = |op, value| BlockEntry { major: device.major, minor: device.minor, op, value };
        let bytes = [entry("Read", device.read_bytes), entry("Write", device.written_bytes)];
        report.io_service_bytes_recursive.extend(bytes);
        let count = [entry("Read", device.reads), entry("Write", device.writes)];
        report.io_serviced_recursive.extend(count);
    }
    report
}

fn huge_pages(statistics: &Statistics) -> BTreeMap<String, HugePages> {
    let entry = |pages: &runtime::HugePageStatistics| {
        let report = HugePages { usage: pages.used, max: pages.used_max, failcnt: pages.failures };
        (pages.size.clone(), report)
    };
    statistics.huge_pages.iter().map(entry).collect()
}

/// `None` if there is none but the loopback.
fn network_interfaces(process: Pid) -> Option<Vec<NetworkInterface>> {
    let name = format!("/proc/{}/net/dev", process.as_raw_nonzero());
    let list = parse_interfaces(&std::fs::read_to_string(name).ok()?);
    (!list.is_empty()).then_some(list)
}

/// Two headlines, then `name: ` and sixteen numbers a line, half of them of what was received.
fn parse_interfaces(text: &str) -> Vec<NetworkInterface> {
    let parse = |line: &str| {
        let (name, numbers) = line.trim().split_once(':')?;
        let numbers: Vec<u64> =
            numbers.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let number = |at: usize| numbers.get(at).copied();
        Some(NetworkInterface {
            name: name.to_owned(),
            rx_bytes: number(0)?,
            rx_packets: number(1)?,
            rx_errors: number(2)?,
            rx_dropped: number(3)?,
            tx_bytes: number(8)?,
            tx_packets: number(9)?,
            tx_errors: number(10)?,
            tx_dropped: number(11)?,
        })
    };
    text.lines().skip(2).filter_map(parse).filter(|interface| interface.name != "lo").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_left_out_as_go_does() {
        let process = Pid::from_raw(i32::MAX).unwrap();
        let report = Report::new(&Statistics::default(), process);
        let mut json = serde_json::to_value(report).unwrap();
        json.as_object_mut().unwrap().remove("cpuset");
        let expected = serde_json::json!({
            "cpu": {"usage": {"kernel": 0, "user": 0}},
            "memory": {"usage": {"limit": u64::MAX, "failcnt": 0}},
            "pids": {},
            "blkio": {},
            "hugetlb": {},
            "intel_rdt": {},
            "network_interfaces": null,
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn interfaces_are_read_from_the_kernels_table() {
        let text = "Inter-|   Receive                                                |  Transmit\n \
             face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets\n    \
             lo: 5 5 0 0 0 0 0 0 5 5 0 0 0 0 0 0\n  \
             eth0: 1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0\n";
        let interfaces = parse_interfaces(text);
        assert_eq!(interfaces.len(), 1);
        let json = serde_json::to_value(&interfaces[0]).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"Name": "eth0", "RxBytes": 1, "RxPackets": 2, "RxErrors": 3,
                "RxDropped": 4, "TxBytes": 5, "TxPackets": 6, "TxErrors": 7, "TxDropped": 8})
        );
    }
}
