//! What a container is: everything its user asked for, complete and checked.
//!
//! A front door fills this in with the image's configuration merged and its own defaults
//! applied. Nothing here is a default to be guessed later; `None` means "the kernel's own".

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::health::HealthSpec;

/// What a container is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContainerSpec {
    pub process: ProcessSpec,
    pub hostname: Option<String>,
    pub domainname: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,

    pub namespaces: NamespaceSpec,
    pub network: NetworkSpec,
    pub mounts: Vec<MountSpec>,
    /// Mounts taken over from other containers: id or name, and whether read-only.
    pub volumes_from: Vec<(String, bool)>,
    pub read_only_root: bool,
    /// Bytes of `/dev/shm`.
    pub shm_size: u64,

    pub limits: Limits,
    pub devices: Vec<DeviceSpec>,
    pub device_rules: Vec<DeviceRule>,
    #[serde(default)]
    pub device_requests: Vec<DeviceRequest>,
    pub sysctls: BTreeMap<String, String>,
    pub security: SecuritySpec,

    pub log: LogConfig,
    pub restart: RestartPolicy,
    /// Remove the container when it ends.
    pub remove_at_end: bool,
    /// Run a small init before the program.
    pub init: bool,
    /// A signal's number.
    pub stop_signal: i32,
    /// Whether somebody chose that signal: only then does another one not end the restarts.
    #[serde(default)]
    pub has_own_stop_signal: bool,
    /// `None`: the engine's default of 10 seconds.
    pub stop_timeout: Option<Duration>,
    /// The parent of the container's cgroup, if not the engine's.
    pub cgroup_parent: Option<String>,
    /// What runs it, by the name in the engine's settings. `None`: our own library.
    #[serde(default)]
    pub runtime: Option<String>,
    /// How to find out whether it is well, if anybody wants to know.
    #[serde(default)]
    pub health: Option<HealthSpec>,
}

/// The container's first process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// Entry point and command together; never empty.
    pub arguments: Vec<String>,
    /// `NAME=value`, in order.
    pub environment: Vec<String>,
    /// Absolute; made if missing.
    pub working_directory: String,
    /// `user[:group]`, names or numbers, looked up in the container. Empty: root.
    pub user: String,
    /// Names or numbers.
    pub additional_groups: Vec<String>,
    pub terminal: bool,
    /// First size of the terminal: rows, columns.
    pub terminal_size: Option<(u16, u16)>,
    /// Standard input may be attached.
    pub stdin_open: bool,
    /// Standard input closes with its first client.
    pub stdin_once: bool,
    pub oom_score_adjust: i32,
}

/// Which namespaces are the container's own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NamespaceSpec {
    pub pid: PidMode,
    pub ipc: IpcMode,
    /// `true`: the host's.
    pub host_uts: bool,
    pub host_cgroup: bool,
    /// `true`: no user namespace of its own even if the engine remaps users.
    pub host_user: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PidMode {
    Private,
    Host,
    /// Another container's, by id or name.
    Container(String),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum IpcMode {
    /// Its own, that others cannot join.
    Private,
    /// Its own, that others can join.
    Shareable,
    /// Its own, with no `/dev/shm` mounted.
    None,
    Host,
    Container(String),
}

/// How the container is connected.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NetworkSpec {
    pub mode: NetworkMode,
    pub mac_address: Option<String>,
    /// Ports to publish.
    pub ports: Vec<network::PortRequest>,
    pub dns: Vec<IpAddr>,
    pub dns_search: Vec<String>,
    pub dns_options: Vec<String>,
    /// Further lines of `/etc/hosts`: name, and an address or `host-gateway`.
    pub extra_hosts: Vec<(String, String)>,
    /// For people, and for those who link to the container.
    #[serde(default)]
    pub exposed_ports: Vec<(u16, network::Protocol)>,
    /// Containers that are known here by a further name.
    #[serde(default)]
    pub links: Vec<LinkSpec>,
}

/// Another container on the default network, and what it is called in this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkSpec {
    /// By name or id in a request; by id in a container.
    pub container: String,
    /// What it was called when the link was made.
    #[serde(default)]
    pub name: String,
    pub alias: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NetworkMode {
    None,
    Host,
    /// A network by name or id; `bridge` is the default one.
    Network(String),
    /// Another container's, by id or name.
    Container(String),
}

/// Something to mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountSpec {
    /// Absolute, in the container.
    pub target: String,
    pub source: MountSource,
    pub read_only: bool,
    /// The user's own words for the options (`ro,z,rprivate`), as inspect shows them.
    pub mode: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MountSource {
    /// A file or folder of the host's.
    Bind {
        path: PathBuf,
        /// `rprivate` if empty: one of `private rprivate shared rshared slave rslave`.
        propagation: String,
        /// Make a missing folder (as `-v` does), or fail (as `--mount` does).
        create_missing: bool,
        /// Leave the mounts below it out.
        non_recursive: bool,
        /// Make the mounts below it read-only as well, if `read_only`; else only as far as
        /// the kernel can.
        read_only_force_recursive: bool,
        /// Only the top mount becomes read-only.
        read_only_non_recursive: bool,
    },
    Volume {
        /// `None`: an anonymous one, made with the container.
        name: Option<String>,
        driver: String,
        driver_options: BTreeMap<String, String>,
        labels: BTreeMap<String, String>,
        /// Do not fill a new volume from the image.
        no_copy: bool,
        /// A folder inside the volume.
        subpath: Option<String>,
    },
    Tmpfs {
        size_bytes: Option<u64>,
        mode: Option<u32>,
        /// More mount options, as `--tmpfs` takes them.
        options: Vec<String>,
    },
}

/// What the container may use at most. Zero or `None`: no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub memory: Option<i64>,
    /// Memory and swap together; -1: unlimited swap.
    pub memory_swap: Option<i64>,
    pub memory_reservation: Option<i64>,
    pub memory_swappiness: Option<u64>,
    pub oom_kill_disable: bool,
    pub cpu_shares: Option<u64>,
    /// Microseconds in each period.
    pub cpu_quota: Option<i64>,
    pub cpu_period: Option<u64>,
    pub cpu_realtime_runtime: Option<i64>,
    pub cpu_realtime_period: Option<u64>,
    /// As in `0-2,4`.
    pub cpuset_cpus: Option<String>,
    pub cpuset_mems: Option<String>,
    /// -1: unlimited.
    pub pids: Option<i64>,
    pub block_weight: Option<u16>,
    pub block_weight_devices: Vec<(PathBuf, u16)>,
    pub block_read_bps: Vec<(PathBuf, u64)>,
    pub block_write_bps: Vec<(PathBuf, u64)>,
    pub block_read_iops: Vec<(PathBuf, u64)>,
    pub block_write_iops: Vec<(PathBuf, u64)>,
    /// By name: `nofile`.
    pub ulimits: BTreeMap<String, Ulimit>,
}

impl Limits {
    /// Takes over what `other` says; what it leaves out stays.
    pub(crate) fn merge(&mut self, other: &Self) {
        macro_rules! take {
            ($($field:ident),*) => {
                $(if other.$field.is_some() {
                    self.$field.clone_from(&other.$field);
                })*
            };
        }
        take!(
            memory,
            memory_swap,
            memory_reservation,
            memory_swappiness,
            cpu_shares,
            cpu_quota,
            cpu_period,
            cpu_realtime_runtime,
            cpu_realtime_period,
            cpuset_cpus,
            cpuset_mems,
            pids,
            block_weight
        );
        macro_rules! take_lists {
            ($($field:ident),*) => {
                $(if !other.$field.is_empty() {
                    self.$field.clone_from(&other.$field);
                })*
            };
        }
        take_lists!(
            block_weight_devices,
            block_read_bps,
            block_write_bps,
            block_read_iops,
            block_write_iops
        );
    }
}

/// A resource limit. -1: unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    pub soft: i64,
    pub hard: i64,
}

/// A device of the host's in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceSpec {
    pub host_path: PathBuf,
    pub container_path: PathBuf,
    /// Some of `rwm`.
    pub permissions: String,
}

/// Devices that are left to a driver to choose (`--gpus`, and names of the Container Device
/// Interface).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRequest {
    pub driver: String,
    pub ids: Vec<String>,
    /// Alternatives; each is a list of what the devices must all be capable of.
    pub capabilities: Vec<Vec<String>>,
}

/// What the container may do with devices that match, as `c 1:3 rwm`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRule {
    pub kind: char,
    /// `None`: any.
    pub major: Option<i64>,
    pub minor: Option<i64>,
    pub access: String,
}

/// What the container's processes may do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SecuritySpec {
    pub privileged: bool,
    /// As `NET_ADMIN` or `ALL`, checked and without `CAP_`.
    pub capabilities_add: Vec<String>,
    pub capabilities_drop: Vec<String>,
    pub no_new_privileges: bool,
    /// The container may change the cgroups that it sees, below its own.
    #[serde(default)]
    pub writable_cgroups: bool,
    pub seccomp: SeccompProfile,
    pub apparmor_profile: Option<String>,
    /// Paths hidden from the container; empty with `systempaths=unconfined`.
    pub masked_paths: Vec<String>,
    pub read_only_paths: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SeccompProfile {
    Default,
    Unconfined,
    /// A profile in Docker's format: JSON.
    Custom(String),
}

/// Where output goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogConfig {
    /// `none`, or one of [`LOG_DRIVERS`](crate::LOG_DRIVERS).
    pub driver: String,
    pub options: BTreeMap<String, String>,
}

/// What happens when the process ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartPolicy {
    No,
    Always,
    UnlessStopped,
    OnFailure { retries_max: Option<u32> },
}
