//! From Docker's documents to the engine's specification of a container.
//!
//! [`plan`] is the recipe: the image's configuration is merged in, everything is checked,
//! defaults are written into the documents (which are kept, for `docker inspect`), and each
//! part is converted. It is pure but for a few looks at the host.
//!
//! The words of the refusals are Docker's. What Docker can do and Wharf cannot is refused by
//! name, in [`unsupported`], and nothing is silently ignored.

mod cpu_list;
mod defaults;
mod devices;
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
mod security;
mod signals;
#[cfg(test)]
mod tests;
mod unsupported;

use docker_api::containers::CreateRequest;
use engine::containers::ContainerSpec;
use engine::containers::spec::LogConfig;

use crate::host::Cgroups;
use crate::show::{Document, Summary};

pub(crate) use limits::{check as check_limits, convert as convert_limits};
pub(crate) use merge::ImageDefaults;
pub(crate) use process::terminal_size;
pub(crate) use refusal::Refusal;
pub(crate) use restart::convert as convert_restart;
pub(crate) use signals::number as signal_number;

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
}

/// A container ready to be made.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) spec: ContainerSpec,
    pub(crate) document: Document,
    pub(crate) warnings: Vec<String>,
}

/// Turns a request, which is the newest version's, into a plan.
pub(crate) fn plan(
    request: CreateRequest,
    image: &ImageDefaults,
    circumstances: &Circumstances,
) -> Result<Plan, Refusal> {
    let mut config = request.config;
    let mut host = request.host_config.unwrap_or_default();
    let endpoints = request.networking_config.and_then(|networks| networks.endpoints_config);
    let mut endpoints = endpoints.unwrap_or_default();
    let mut warnings = Vec::new();

    defaults::name_the_default_network(&mut host, &mut endpoints);
    namespaces::check_network_conflicts(&config, &host)?;
    process::check(&mut config)?;
    warnings.extend(limits::check(&mut host.resources, circumstances, false)?);
    warnings.extend(namespaces::check(&host)?);
    unsupported::check(&config, &host)?;
    warnings.extend(networking::check(&mut config, &host, &mut endpoints)?);
    warnings.extend(merge::merge(&mut config, image)?);
    defaults::fill_in(&mut config, &mut host, circumstances);

    let mounts = mounts::convert(&config, &host)?;
    let hidden_tmpfs = host.tmpfs.iter().flatten().map(|(target, _)| target.clone()).collect();
    let exposed_ports = ports::exposed(&mut config, &host)?;
    let spec = ContainerSpec {
        process: process::convert(&config, &host)?,
        hostname: Some(config.hostname.clone()).filter(|name| !name.is_empty()),
        domainname: Some(config.domainname.clone()).filter(|name| !name.is_empty()),
        labels: config.labels.clone().unwrap_or_default(),
        annotations: host.annotations.clone().unwrap_or_default(),
        namespaces: namespaces::convert(&host),
        network: networking::convert(&config, &host, &endpoints)?,
        mounts,
        volumes_from: mounts::volumes_from(&host)?,
        read_only_root: host.readonly_rootfs,
        shm_size: u64::try_from(host.shm_size).unwrap_or_default(),
        limits: limits::convert(&host.resources),
        devices: devices::convert(&host.resources),
        device_rules: devices::rules(&host.resources)?,
        sysctls: host.sysctls.clone().unwrap_or_default(),
        security: security::convert(&host)?,
        log: logging::convert(&host)?,
        restart: restart::convert(&host.restart_policy)?,
        remove_at_end: host.auto_remove,
        init: host.init.unwrap_or(circumstances.init),
        stop_signal: signals::stop_signal(&config)?,
        stop_timeout: process::stop_timeout(&config),
        cgroup_parent: Some(host.resources.cgroup_parent.clone())
            .filter(|parent| !parent.is_empty()),
    };
    let document = Document {
        summary: Summary { exposed_ports, hidden_tmpfs },
        config,
        host_config: host,
        endpoints,
    };
    Ok(Plan { spec, document, warnings })
}
