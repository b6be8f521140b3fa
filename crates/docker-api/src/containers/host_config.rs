//! The half of a container's configuration that is about this host.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::resources::Resources;
use crate::go_json::{has_no_entries, has_no_items, is_zero, string_or_list};
use crate::lenient;
use crate::mounts::Mount;

/// Ports of a container (`80/tcp`), and where each is published.
pub type PortMap = BTreeMap<String, Option<Vec<PortBinding>>>;

/// The half of a container's configuration that is about this host.
// `remote`: derives the two functions, but not the traits, which are by hand below: reading
// must not go through serde's `flatten`, which would lose the leniency.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase", remote = "Self")]
pub struct HostConfig {
    pub binds: Option<Vec<String>>,
    #[serde(rename = "ContainerIDFile")]
    pub container_id_file: String,
    pub log_config: LogConfig,
    pub network_mode: String,
    pub port_bindings: Option<PortMap>,
    pub restart_policy: RestartPolicy,
    pub auto_remove: bool,
    pub volume_driver: String,
    pub volumes_from: Option<Vec<String>>,
    /// Rows, columns.
    pub console_size: [u32; 2],
    #[serde(skip_serializing_if = "has_no_entries")]
    pub annotations: Option<BTreeMap<String, String>>,
    #[serde(deserialize_with = "string_or_list")]
    pub cap_add: Option<Vec<String>>,
    #[serde(deserialize_with = "string_or_list")]
    pub cap_drop: Option<Vec<String>>,
    pub cgroupns_mode: String,
    pub dns: Option<Vec<String>>,
    pub dns_options: Option<Vec<String>>,
    pub dns_search: Option<Vec<String>>,
    pub extra_hosts: Option<Vec<String>>,
    pub group_add: Option<Vec<String>>,
    pub ipc_mode: String,
    pub cgroup: String,
    pub links: Option<Vec<String>>,
    pub oom_score_adj: i64,
    pub pid_mode: String,
    pub privileged: bool,
    pub publish_all_ports: bool,
    pub readonly_rootfs: bool,
    pub security_opt: Option<Vec<String>>,
    #[serde(skip_serializing_if = "has_no_entries")]
    pub storage_opt: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "has_no_entries")]
    pub tmpfs: Option<BTreeMap<String, String>>,
    #[serde(rename = "UTSMode")]
    pub uts_mode: String,
    pub userns_mode: String,
    pub shm_size: i64,
    #[serde(skip_serializing_if = "has_no_entries")]
    pub sysctls: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "is_zero")]
    pub runtime: String,
    pub isolation: String,
    #[serde(flatten, skip_deserializing)]
    pub resources: Resources,
    #[serde(skip_serializing_if = "has_no_items")]
    pub mounts: Option<Vec<Mount>>,
    /// `None`: the server's choice; `[]`: none.
    pub masked_paths: Option<Vec<String>>,
    pub readonly_paths: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<bool>,
}

/// The members that are [`HostConfig`]'s own.
#[derive(Deserialize)]
struct OwnMembers(#[serde(deserialize_with = "HostConfig::deserialize")] HostConfig);

impl Serialize for HostConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for HostConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (OwnMembers(own), resources) = lenient::both(deserializer)?;
        Ok(Self { resources, ..own })
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct LogConfig {
    #[serde(rename = "Type")]
    pub driver: String,
    pub config: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RestartPolicy {
    pub name: String,
    pub maximum_retry_count: i64,
}

/// Where a port is published.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct PortBinding {
    /// Empty: every address of the host's.
    pub host_ip: String,
    /// A number, a range (`8000-8010`), or empty for any free one.
    pub host_port: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_members_are_read_whatever_their_case() {
        let host: HostConfig = lenient::from_slice(
            br#"{"memory":7,"Init":true,"binds":["/a:/b"],"CpuShares":null,"Tmpfs":{"/t":""}}"#,
        )
        .unwrap();
        assert_eq!(host.resources.memory, 7);
        assert_eq!(host.init, Some(true));
        assert_eq!(host.binds, Some(vec!["/a:/b".to_owned()]));
    }

    #[test]
    fn zero_values_are_written_as_a_docker_engine_does() {
        let text = serde_json::to_string(&HostConfig::default()).unwrap();
        assert_eq!(
            text,
            concat!(
                r#"{"Binds":null,"ContainerIDFile":"","LogConfig":{"Type":"","Config":null},"#,
                r#""NetworkMode":"","PortBindings":null,"RestartPolicy":{"Name":"","#,
                r#""MaximumRetryCount":0},"AutoRemove":false,"VolumeDriver":"","#,
                r#""VolumesFrom":null,"ConsoleSize":[0,0],"CapAdd":null,"CapDrop":null,"#,
                r#""CgroupnsMode":"","Dns":null,"DnsOptions":null,"DnsSearch":null,"#,
                r#""ExtraHosts":null,"GroupAdd":null,"IpcMode":"","Cgroup":"","Links":null,"#,
                r#""OomScoreAdj":0,"PidMode":"","Privileged":false,"PublishAllPorts":false,"#,
                r#""ReadonlyRootfs":false,"SecurityOpt":null,"UTSMode":"","UsernsMode":"","#,
                r#""ShmSize":0,"Isolation":"","CpuShares":0,"Memory":0,"NanoCpus":0,"#,
                r#""CgroupParent":"","BlkioWeight":0,"BlkioWeightDevice":null,"#,
                r#""BlkioDeviceReadBps":null,"BlkioDeviceWriteBps":null,"#,
                r#""BlkioDeviceReadIOps":null,"BlkioDeviceWriteIOps":null,"CpuPeriod":0,"#,
                r#""CpuQuota":0,"CpuRealtimePeriod":0,"CpuRealtimeRuntime":0,"CpusetCpus":"","#,
                r#""CpusetMems":"","Devices":null,"DeviceCgroupRules":null,"#,
                r#""DeviceRequests":null,"MemoryReservation":0,"MemorySwap":0,"#,
                r#""MemorySwappiness":null,"OomKillDisable":null,"PidsLimit":null,"#,
                r#""Ulimits":null,"CpuCount":0,"CpuPercent":0,"IOMaximumIOps":0,"#,
                r#""IOMaximumBandwidth":0,"MaskedPaths":null,"ReadonlyPaths":null}"#
            )
        );
    }
}
