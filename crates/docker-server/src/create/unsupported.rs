//! What Docker can do and Wharf cannot yet: refused by name.
//!
//! A zero value asks for nothing, and is fine.

use docker_api::containers::{ContainerConfig, HostConfig};

use super::Refusal;

/// The names under which Docker knows the runtime that is always there.
const RUNTIMES: &[&str] = &["", "runc", "io.containerd.runc.v2"];

pub(super) fn check(config: &ContainerConfig, host: &HostConfig) -> Result<(), Refusal> {
    fn has_items<T>(list: &Option<Vec<T>>) -> bool {
        list.as_ref().is_some_and(|list| !list.is_empty())
    }
    let resources = &host.resources;
    let asked_for = [
        (has_items(&host.links), "links between containers (--link)"),
        (!host.cgroup.is_empty(), "joining another container's cgroup (HostConfig.Cgroup)"),
        (
            host.storage_opt.as_ref().is_some_and(|map| !map.is_empty()),
            "storage options (--storage-opt)",
        ),
        (has_items(&resources.device_requests), "device requests (--gpus)"),
        (
            resources.kernel_memory_tcp != 0,
            "limits of kernel TCP memory (HostConfig.KernelMemoryTCP)",
        ),
        (config.network_disabled, "Config.NetworkDisabled (`--network none` does the same)"),
    ];
    if let Some((_, what)) = asked_for.iter().find(|(is_asked_for, _)| *is_asked_for) {
        return Err(Refusal::unsupported(what));
    }
    check_health(config)?;
    check_users(host)?;
    if !RUNTIMES.contains(&host.runtime.as_str()) {
        return Err(Refusal::new(format!("unknown or invalid runtime name: {}", host.runtime)));
    }
    Ok(())
}

fn check_health(config: &ContainerConfig) -> Result<(), Refusal> {
    let test = config.healthcheck.as_ref().and_then(|health| health.test.as_deref());
    match test {
        None | Some([]) => Ok(()),
        Some([only]) if only == "NONE" => Ok(()),
        Some(_) => Err(Refusal::unsupported("health checks (--health-cmd)")),
    }
}

fn check_users(host: &HostConfig) -> Result<(), Refusal> {
    match host.userns_mode.as_str() {
        "" | "host" => Ok(()),
        mode => Err(Refusal::new(format!("invalid user namespace mode: {mode}"))
            .with_hint("`host` is the only one")),
    }
}
