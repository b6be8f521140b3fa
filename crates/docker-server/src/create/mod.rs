//! From Docker's documents to the engine's specification of a container.
//!
//! [`check`] refuses what makes no sense whatever the image; [`Checked::plan`] merges the
//! image's configuration in, writes defaults into the documents (which are kept, for
//! `docker inspect`), and converts each part. Both are pure.
//!
//! The words of the refusals are Docker's. What Docker can do and Wharf cannot is refused by
//! name, in [`unsupported`], and nothing is silently ignored.

mod cpu_list;
mod defaults;
mod devices;
mod endpoints;
mod health;
mod limits;
mod logging;
mod merge;
mod mounts;
mod namespaces;
mod networking;
mod ports;
mod process;
mod refusal;
mod restart;
mod runtime;
mod security;
mod signals;
#[cfg(test)]
mod tests;
mod unsupported;
mod update;

use std::collections::BTreeMap;

use docker_api::containers::{ContainerConfig, CreateRequest, HostConfig};
use docker_api::networks::EndpointSettings;
use engine::Runtimes;
use engine::containers::ContainerSpec;
use engine::containers::spec::LogConfig;

use crate::host::Cgroups;
use crate::show::{Document, Summary};

pub(crate) use limits::{check as check_limits, convert as convert_limits};
pub(crate) use merge::ImageDefaults;
pub(crate) use process::terminal_size;
pub(crate) use refusal::Refusal;
pub(crate) use restart::convert as convert_restart;
pub(crate) use signals::{
    name as signal_name, number as signal_number, number_to_send as signal_to_send,
};
pub(crate) use update::contradiction;

/// What decides about defaults beside the request.
#[derive(Debug, Clone)]
pub(crate) struct Circumstances {
    pub(crate) cgroups: Cgroups,
    pub(crate) processors: String,
    pub(crate) memory_nodes: String,
    pub(crate) processor_count: usize,
    pub(crate) shm_size: u64,
    pub(crate) log: LogConfig,
    pub(crate) init: bool,
    /// The default network's, if somebody chose it.
    pub(crate) bridge_subnet: Option<network::Cidr>,
    pub(crate) runtimes: Runtimes,
}

/// A container ready to be made.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) spec: ContainerSpec,
    pub(crate) document: Document,
    pub(crate) warnings: Vec<String>,
}

/// A request that makes sense, whatever its image says.
#[derive(Debug)]
pub(crate) struct Checked {
    config: ContainerConfig,
    host: HostConfig,
    endpoints: BTreeMap<String, EndpointSettings>,
    warnings: Vec<String>,
}

/// Checks a request, which is the newest version's. This comes before the image is looked for:
/// a client would pull it first, only to be refused then.
pub(crate) fn check(
    request: CreateRequest,
    circumstances: &Circumstances,
) -> Result<Checked, Refusal> {
    let mut config = request.config;
    let mut host = request.host_config.unwrap_or_default();
    let endpoints = request.networking_config.and_then(|networks| networks.endpoints_config);
    let mut endpoints = endpoints.unwrap_or_default();
    let mut warnings = Vec::new();
    defaults::name_the_default_network(&mut host, &mut endpoints);
    namespaces::check_network_conflicts(&config, &host)?;
    namespaces::check_isolation(&host)?;
    process::check(&mut config)?;
    namespaces::check_auto_remove(&host)?;
    mounts::check(&host)?;
    networking::check_hosts_and_ports(&host)?;
    restart::convert(&host.restart_policy)?;
    security::check_capabilities(&host)?;
    warnings.extend(limits::check(&mut host.resources, circumstances, false)?);
    warnings.extend(namespaces::check(&host)?);
    unsupported::check(&host)?;
    namespaces::check_sysctls(&host)?;
    namespaces::check_storage(&host)?;
    runtime::check(&circumstances.runtimes, &host.runtime)?;
    warnings.extend(networking::check(&mut config, &host, &mut endpoints, circumstances)?);
    Ok(Checked { config, host, endpoints, warnings })
}

impl Checked {
    /// Completes the request with what its image gives.
    pub(crate) fn plan(
        self,
        image: &ImageDefaults,
        circumstances: &Circumstances,
    ) -> Result<Plan, Refusal> {
        let Self { mut config, mut host, endpoints, warnings } = self;
        merge::merge(&mut config, image)?;
        defaults::fill_in(&mut config, &mut host, circumstances);
        let hidden_tmpfs = mounts::hidden_tmpfs(&host);
        let summary = Summary { exposed_ports: ports::exposed(&config)?, hidden_tmpfs };
        let spec = spec(&config, &host, &endpoints, circumstances)?;
        let document = Document { summary, config, host_config: host, endpoints };
        Ok(Plan { spec, document, warnings })
    }
}

fn spec(
    config: &ContainerConfig,
    host: &HostConfig,
    networks: &BTreeMap<String, EndpointSettings>,
    circumstances: &Circumstances,
) -> Result<ContainerSpec, Refusal> {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Ok(ContainerSpec {
        log: logging::convert(host)?,
        security: security::convert(host)?,
        process: process::convert(config, host)?,
        hostname: text(&config.hostname),
        domainname: text(&config.domainname),
        labels: config.labels.clone().unwrap_or_default(),
        annotations: host.annotations.clone().unwrap_or_default(),
        namespaces: namespaces::convert(host),
        network: networking::convert(config, host, networks)?,
        mounts: mounts::convert(config, host)?,
        volumes_from: mounts::volumes_from(host)?,
        read_only_root: host.readonly_rootfs,
        shm_size: u64::try_from(host.shm_size).unwrap_or_default(),
        limits: limits::convert(&host.resources),
        devices: devices::convert(&host.resources),
        device_rules: devices::rules(&host.resources)?,
        device_requests: devices::requests(&host.resources),
        sysctls: sysctls(host, networks),
        restart: restart::convert(&host.restart_policy)?,
        remove_at_end: host.auto_remove,
        init: host.init.unwrap_or(circumstances.init),
        stop_signal: signals::stop_signal(config)?,
        has_own_stop_signal: !config.stop_signal.is_empty(),
        stop_timeout: process::stop_timeout(config),
        cgroup_parent: text(&host.resources.cgroup_parent),
        runtime: text(&host.runtime),
        health: health::convert(config)?,
    })
}

/// The user's own kernel parameters, and those of the container's end of its network.
fn sysctls(
    host: &HostConfig,
    networks: &BTreeMap<String, EndpointSettings>,
) -> BTreeMap<String, String> {
    let mut sysctls = host.sysctls.clone().unwrap_or_default();
    if let Some(endpoint) = networks.get(&host.network_mode) {
        sysctls.extend(endpoints::sysctls(endpoint));
    }
    sysctls
}
