//! What of this host shows in Docker's answers and decides about its defaults.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

/// Where the cgroup hierarchies are, by convention of every distribution.
const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// What the kernel can limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cgroups {
    /// 1 or 2.
    pub(crate) version: u8,
    pub(crate) memory: bool,
    pub(crate) swap: bool,
    pub(crate) swappiness: bool,
    pub(crate) oom_kill_disable: bool,
    pub(crate) memory_tcp: bool,
    pub(crate) cpu_shares: bool,
    pub(crate) cpu_quota: bool,
    pub(crate) cpu_realtime: bool,
    pub(crate) cpuset: bool,
    pub(crate) pids: bool,
    pub(crate) block_weight: bool,
    pub(crate) block_throttle: bool,
}

impl Cgroups {
    /// What was found at the first look: a running kernel does not change in this.
    pub(crate) fn detect() -> Self {
        static FOUND: OnceLock<Cgroups> = OnceLock::new();
        *FOUND.get_or_init(Self::look)
    }

    fn look() -> Self {
        let root = Path::new(CGROUP_ROOT);
        match fs::read_to_string(root.join("cgroup.controllers")) {
            Ok(controllers) => Self::unified(&controllers),
            Err(_) => Self::legacy(root),
        }
    }

    fn unified(controllers: &str) -> Self {
        let has = |name| controllers.split_ascii_whitespace().any(|own| own == name);
        Self {
            version: 2,
            memory: has("memory"),
            swap: has("memory") && Path::new("/proc/swaps").exists(),
            swappiness: false,
            oom_kill_disable: false,
            memory_tcp: false,
            cpu_shares: has("cpu"),
            cpu_quota: has("cpu"),
            cpu_realtime: false,
            cpuset: has("cpuset"),
            pids: has("pids"),
            block_weight: has("io"),
            block_throttle: has("io"),
        }
    }

    fn legacy(root: &Path) -> Self {
        let has = |path: &str| root.join(path).exists();
        Self {
            version: 1,
            memory: has("memory/memory.limit_in_bytes"),
            swap: has("memory/memory.memsw.limit_in_bytes"),
            swappiness: has("memory/memory.swappiness"),
            oom_kill_disable: has("memory/memory.oom_control"),
            memory_tcp: has("memory/memory.kmem.tcp.limit_in_bytes"),
            cpu_shares: has("cpu/cpu.shares"),
            cpu_quota: has("cpu/cpu.cfs_quota_us"),
            cpu_realtime: has("cpu/cpu.rt_runtime_us"),
            cpuset: has("cpuset/cpuset.cpus"),
            // The root of this hierarchy has no limit of its own.
            pids: has("pids"),
            block_weight: has("blkio/blkio.weight"),
            block_throttle: has("blkio/blkio.throttle.read_bps_device"),
        }
    }
}

/// The processors that are there, as in `0-3`.
pub(crate) fn online_processors() -> String {
    first_line("/sys/devices/system/cpu/online")
}

/// The memory nodes that are there.
pub(crate) fn online_memory_nodes() -> String {
    first_line("/sys/devices/system/node/online")
}

/// How many processors this process may use.
pub(crate) fn processor_count() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
}

pub(crate) fn kernel_version() -> String {
    first_line("/proc/sys/kernel/osrelease")
}

pub(crate) fn hostname() -> String {
    first_line("/proc/sys/kernel/hostname")
}

/// Bytes of memory that the host has, at the first look: statistics ask often.
pub(crate) fn memory_total() -> u64 {
    static TOTAL: OnceLock<u64> = OnceLock::new();
    *TOTAL.get_or_init(read_memory_total)
}

fn read_memory_total() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

pub(crate) fn is_forwarding_ipv4() -> bool {
    first_line("/proc/sys/net/ipv4/ip_forward") == "1"
}

/// The distribution's name for people, and its version.
pub(crate) fn distribution() -> (String, String) {
    let text = ["/etc/os-release", "/usr/lib/os-release"]
        .iter()
        .find_map(|path| fs::read_to_string(path).ok())
        .unwrap_or_default();
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.map_or_else(String::new, |value| value.trim_matches(['"', '\'']).to_owned())
    };
    (value("PRETTY_NAME"), value("VERSION_ID"))
}

/// How many descriptors this process has open.
pub(crate) fn open_descriptors() -> u64 {
    fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64)
}

/// How many tasks this process has: Docker shows how many goroutines.
pub(crate) fn tasks() -> u64 {
    fs::read_dir("/proc/self/task").map_or(0, |entries| entries.count() as u64)
}

/// The processor, as `uname -m` has it.
pub(crate) fn machine() -> &'static str {
    std::env::consts::ARCH
}

/// The processor, as Go has it.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn first_line(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}
