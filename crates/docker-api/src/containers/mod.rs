//! Containers: how they are asked for, and how they are shown.

mod config;
mod control;
mod create;
mod files;
mod host_config;
mod inspect;
mod list;
mod resources;
mod stats;

pub use config::{ContainerConfig, HealthConfig};
pub use control::{
    ContainerPruneReport, TopResponse, UpdateRequest, UpdateResponse, WaitError, WaitResponse,
};
pub use create::{CreateRequest, CreateResponse};
pub use files::{ALL_XATTRS, CommitResponse, FileChange, FileMode, PATH_STAT_HEADER, PathStat};
pub use host_config::{HostConfig, LogConfig, PortBinding, PortMap, RestartPolicy};
pub use inspect::{
    ContainerInspect, ContainerState, GraphDriver, Health, HealthActionTaken, HealthResult,
    MountPoint, NetworkSettings,
};
pub use list::{ContainerSummary, Port, SummaryHostConfig, SummaryNetworkSettings};
pub use resources::{
    DeviceMapping, DeviceRequest, Resources, ThrottleDevice, Ulimit, WeightDevice,
};
pub use stats::{
    BlkioStatEntry, BlkioStats, CpuStats, CpuUsage, MemoryStats, NetworkStats, PidsStats,
    StatsResponse, StorageStats, ThrottlingData,
};
