//! Which namespaces are the container's own.

use docker_api::containers::{ContainerConfig, HostConfig};
use engine::containers::spec::{IpcMode, NamespaceSpec, PidMode};

use super::Refusal;

/// Refuses what makes no sense in another's network or name.
pub(super) fn check_network_conflicts(
    config: &ContainerConfig,
    host: &HostConfig,
) -> Result<(), Refusal> {
    fn has_items<T>(list: &Option<Vec<T>>) -> bool {
        list.as_ref().is_some_and(|list| !list.is_empty())
    }
    let mode = host.network_mode.as_str();
    if host.uts_mode == "host" && !config.hostname.is_empty() {
        return Err(Refusal::new("conflicting options: hostname and the UTS mode"));
    }
    let Some(joined) =
        mode.strip_prefix("container").filter(|rest| rest.is_empty() || rest.starts_with(':'))
    else {
        return Ok(());
    };
    let publishes = host.publish_all_ports
        || host.port_bindings.as_ref().is_some_and(|bindings| !bindings.is_empty());
    let conflicts = [
        (joined.len() <= 1, "invalid network mode: invalid container format container:<name|id>"),
        (!config.hostname.is_empty(), "conflicting options: hostname and the network mode"),
        (
            has_items(&host.links),
            "conflicting options: container type network can't be used with links. This would \
             result in undefined behavior",
        ),
        (has_items(&host.dns), "conflicting options: dns and the network mode"),
        (
            has_items(&host.extra_hosts),
            "conflicting options: custom host-to-IP mapping and the network mode",
        ),
        (publishes, "conflicting options: port publishing and the container type network mode"),
        (
            config.exposed_ports.as_ref().is_some_and(|ports| !ports.is_empty()),
            "conflicting options: port exposing and the container type network mode",
        ),
    ];
    match conflicts.iter().find(|(is_given, _)| *is_given) {
        Some((_, words)) => Err(Refusal::new(*words)),
        None => Ok(()),
    }
}

/// A container that is to vanish at its end is not to begin again.
pub(super) fn check_auto_remove(host: &HostConfig) -> Result<(), Refusal> {
    if host.auto_remove && !matches!(host.restart_policy.name.as_str(), "" | "no") {
        return Err(Refusal::new("can't create 'AutoRemove' container with restart policy"));
    }
    Ok(())
}

/// There is only one isolation on Linux.
pub(super) fn check_isolation(host: &HostConfig) -> Result<(), Refusal> {
    if !matches!(host.isolation.to_ascii_lowercase().as_str(), "" | "default") {
        return Err(Refusal::new(format!(
            "invalid isolation ({}): linux only supports 'default'",
            host.isolation
        )));
    }
    Ok(())
}

/// A parameter of one interface is its endpoint's: only the network knows what it is called.
pub(super) fn check_sysctls(host: &HostConfig) -> Result<(), Refusal> {
    for (name, _) in host.sysctls.iter().flatten() {
        let mut parts = name.splitn(5, '.');
        let (net, interface) = (parts.next(), parts.nth(2));
        let is_numbered = interface
            .and_then(|interface| interface.strip_prefix("eth"))
            .is_some_and(|number| !number.is_empty() && number.parse::<u32>().is_ok());
        if net == Some("net") && is_numbered {
            return Err(Refusal::unclassified(format!(
                "interface specific sysctl setting {name:?} must be supplied using driver option \
                 'com.docker.network.endpoint.sysctls'"
            )));
        }
    }
    Ok(())
}

/// A container's file system can only be limited with project quotas, which need a file system
/// made for them.
pub(super) fn check_storage(host: &HostConfig) -> Result<(), Refusal> {
    let options = host.storage_opt.iter().flatten();
    match options.map(|(name, _)| name).next() {
        None => Ok(()),
        Some(name) if name.eq_ignore_ascii_case("size") => Err(Refusal::unclassified(
            "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
        )),
        Some(name) => Err(Refusal::unclassified(format!("Unknown option {name}"))),
    }
}

/// Checks the modes, and answers with warnings.
pub(super) fn check(host: &HostConfig) -> Result<Vec<String>, Refusal> {
    check_ipc(&host.ipc_mode)?;
    check_pid(&host.pid_mode)?;
    if host.shm_size < 0 {
        return Err(Refusal::new("SHM size can not be less than 0"));
    }
    if !matches!(host.uts_mode.as_str(), "" | "host") {
        return Err(Refusal::new(format!("invalid UTS mode: {}", host.uts_mode)));
    }
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        return Err(Refusal::new(format!(
            "Invalid value {}, range for oom score adj is [-1000, 1000]",
            host.oom_score_adj
        )));
    }
    if !matches!(host.cgroupns_mode.as_str(), "" | "private" | "host") {
        return Err(Refusal::new(format!("invalid cgroup namespace mode: {}", host.cgroupns_mode)));
    }
    if host.annotations.iter().flatten().any(|(name, _)| name.is_empty()) {
        return Err(Refusal::new(
            "invalid Annotations: the empty string is not permitted as an annotation key",
        ));
    }
    let publishes = host.port_bindings.as_ref().is_some_and(|bindings| !bindings.is_empty());
    let is_discarded = host.network_mode == "host" && publishes;
    Ok(is_discarded
        .then(|| "Published ports are discarded when using host network mode".to_owned())
        .into_iter()
        .collect())
}

fn check_ipc(mode: &str) -> Result<(), Refusal> {
    let is_valid = matches!(mode, "" | "none" | "private" | "shareable" | "host")
        || mode.starts_with("container:");
    if is_valid { Ok(()) } else { Err(Refusal::new(format!("invalid IPC mode: {mode}"))) }
}

fn check_pid(mode: &str) -> Result<(), Refusal> {
    let is_valid = matches!(mode, "" | "host")
        || mode.strip_prefix("container:").is_some_and(|name| !name.is_empty());
    if is_valid { Ok(()) } else { Err(Refusal::new(format!("invalid PID mode: {mode}"))) }
}

/// Turns checked modes into the engine's.
pub(super) fn convert(host: &HostConfig) -> NamespaceSpec {
    let pid = match host.pid_mode.strip_prefix("container:") {
        Some(name) => PidMode::Container(name.to_owned()),
        None if host.pid_mode == "host" => PidMode::Host,
        None => PidMode::Private,
    };
    let ipc = match host.ipc_mode.as_str() {
        "host" => IpcMode::Host,
        "none" => IpcMode::None,
        "shareable" => IpcMode::Shareable,
        mode => match mode.strip_prefix("container:") {
            Some(name) => IpcMode::Container(name.to_owned()),
            None => IpcMode::Private,
        },
    };
    NamespaceSpec {
        pid,
        ipc,
        host_uts: host.uts_mode == "host",
        host_cgroup: host.cgroupns_mode == "host",
        host_user: host.userns_mode == "host",
    }
}
