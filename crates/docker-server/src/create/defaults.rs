//! Docker's defaults, written into the documents that are kept with a container.

use std::collections::BTreeMap;

use docker_api::containers::{ContainerConfig, HostConfig};
use docker_api::networks::EndpointSettings;

use super::Circumstances;

/// Files of the kernel's that tell about the host or reach into it. Hidden.
const MASKED_PATHS: &[&str] = &[
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Files of the kernel's that programs read. Not to be written.
const READ_ONLY_PATHS: &[&str] =
    &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// What clients call the network that is connected to if none is named.
const DEFAULT_NETWORK_ALIAS: &str = "default";

/// The name of that network.
const DEFAULT_NETWORK: &str = "bridge";

pub(super) fn name_the_default_network(
    host: &mut HostConfig,
    endpoints: &mut BTreeMap<String, EndpointSettings>,
) {
    if matches!(host.network_mode.as_str(), "" | DEFAULT_NETWORK_ALIAS) {
        DEFAULT_NETWORK.clone_into(&mut host.network_mode);
        if let Some(endpoint) = endpoints.remove(DEFAULT_NETWORK_ALIAS) {
            endpoints.insert(DEFAULT_NETWORK.to_owned(), endpoint);
        }
    }
}

pub(super) fn fill_in(
    config: &mut ContainerConfig,
    host: &mut HostConfig,
    circumstances: &Circumstances,
) {
    config.labels.get_or_insert_default();
    config.mac_address.clear();
    if host.restart_policy.name.is_empty() {
        "no".clone_into(&mut host.restart_policy.name);
    }
    if host.shm_size == 0 {
        host.shm_size = i64::try_from(circumstances.shm_size).unwrap_or(i64::MAX);
    }
    if host.ipc_mode.is_empty() {
        "private".clone_into(&mut host.ipc_mode);
    }
    if host.cgroupns_mode.is_empty() {
        let mode = if circumstances.cgroups.version == 2 { "private" } else { "host" };
        mode.clone_into(&mut host.cgroupns_mode);
    }
    if host.runtime.is_empty() {
        circumstances.runtimes.default.clone_into(&mut host.runtime);
    }
    disable_labels(host);
    fill_in_resources(host, circumstances);
    fill_in_log(host, circumstances);
    let owned = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
    if !host.privileged {
        host.masked_paths.get_or_insert_with(|| owned(MASKED_PATHS));
        host.readonly_paths.get_or_insert_with(|| owned(READ_ONLY_PATHS));
    }
}

/// Who shares the host's processes or memory, or is privileged, has no SELinux label; Docker
/// says so whether there is SELinux or not.
fn disable_labels(host: &mut HostConfig) {
    let shares_with_host = host.ipc_mode == "host" || host.pid_mode == "host";
    let options = host.security_opt.iter().flatten();
    let has_label = options.into_iter().any(|option| option.split('=').next() == Some("label"));
    if (host.privileged || shares_with_host) && !has_label {
        host.security_opt.get_or_insert_default().push("label=disable".to_owned());
    }
}

fn fill_in_resources(host: &mut HostConfig, circumstances: &Circumstances) {
    let resources = &mut host.resources;
    if resources.memory > 0 && resources.memory_swap == 0 {
        resources.memory_swap = resources.memory.saturating_mul(2);
    }
    if resources.oom_kill_disable.is_none() && circumstances.cgroups.oom_kill_disable {
        resources.oom_kill_disable = Some(false);
    }
    if resources.pids_limit.is_some_and(|limit| limit <= 0) {
        resources.pids_limit = None;
    }
}

/// The daemon's log options go with the daemon's log driver only, but for those about copies
/// that `logs` reads where somebody else keeps the log.
fn fill_in_log(host: &mut HostConfig, circumstances: &Circumstances) {
    let log = &mut host.log_config;
    if log.driver.is_empty() {
        log.driver.clone_from(&circumstances.log.driver);
    }
    let options = log.config.get_or_insert_default();
    let is_same = log.driver == circumstances.log.driver;
    for (name, value) in &circumstances.log.options {
        if is_same || engine::is_about_log_copies(name) {
            options.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
}
