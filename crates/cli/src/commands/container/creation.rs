//! From the flags of `run` and `create` to the request that makes the container.
//!
//! Pure but for the files that flags name: the same flags are the same request.

pub(crate) mod health;
mod limits;
mod network;

use std::collections::{BTreeMap, BTreeSet};

use docker_api::EmptyObject;
use docker_api::containers::{
    ContainerConfig, CreateRequest, HostConfig, LogConfig, PortBinding, PortMap, RestartPolicy,
};

use crate::command_line::Parsed;
use crate::options::volumes::Volume;
use crate::options::{capabilities, hosts, key_values, mounts, ports, restart, security, volumes};

/// What the flags and arguments ask for.
pub(crate) fn request(
    parsed: &Parsed,
    proxies: &[(String, String)],
) -> Result<CreateRequest, String> {
    check_modes(parsed)?;
    let volumes = read_volumes(&parsed.list("volume"))?;
    let ports = ports::parse_published(&parsed.list("publish"))?;
    let mut config = config(parsed, proxies)?;
    config.volumes = Some(volumes.anonymous);
    config.exposed_ports = Some(exposed_ports(parsed, &ports)?);
    let mut host_config = host_config(parsed)?;
    host_config.binds = some(volumes.binds);
    host_config.port_bindings = Some(port_bindings(ports));
    let networking_config = network::config(parsed, &host_config.network_mode)?;
    if host_config.auto_remove && !restart::is_none(&host_config.restart_policy.name) {
        return Err("conflicting options: cannot specify both --restart and --rm".to_owned());
    }
    Ok(CreateRequest {
        config,
        host_config: Some(host_config),
        networking_config: Some(networking_config),
    })
}

fn config(parsed: &Parsed, proxies: &[(String, String)]) -> Result<ContainerConfig, String> {
    let attach = parsed.list("attach");
    let attaches = |stream: &str| attach.iter().any(|given| given == stream);
    let stdin = parsed.switch("interactive");
    let attach_stdin = stdin || attaches("stdin");
    let labels = key_values::read(
        &parsed.list("label-file"),
        parsed.list("label"),
        key_values::from_nowhere,
    )?;
    let arguments = parsed.arguments.get(1..).unwrap_or_default();
    Ok(ContainerConfig {
        hostname: parsed.text("hostname").to_owned(),
        domainname: parsed.text("domainname").to_owned(),
        user: parsed.text("user").to_owned(),
        attach_stdin,
        attach_stdout: attach.is_empty() || attaches("stdout"),
        attach_stderr: attach.is_empty() || attaches("stderr"),
        tty: parsed.switch("tty"),
        open_stdin: stdin,
        // Whoever brings the input takes it away again.
        stdin_once: stdin && attach_stdin,
        env: Some(environment(parsed, proxies)?),
        cmd: some(arguments.to_vec()),
        healthcheck: health::config(parsed)?,
        image: parsed.arguments.first().cloned().unwrap_or_default(),
        working_dir: parsed.text("workdir").to_owned(),
        // An empty one, if given, takes the image's away.
        entrypoint: parsed.given("entrypoint").map(|program| vec![program.to_owned()]),
        labels: Some(key_values::to_map(&labels)),
        stop_signal: parsed.text("stop-signal").to_owned(),
        stop_timeout: parsed.is_set("stop-timeout").then(|| parsed.int("stop-timeout")),
        ..ContainerConfig::default()
    })
}

fn host_config(parsed: &Parsed) -> Result<HostConfig, String> {
    let (restart_name, restart_count) = restart::parse(parsed.text("restart"))?;
    let security = security::parse(&parsed.list("security-opt"))?;
    let shown = || security.system_paths_unconfined.then(Vec::new);
    let mounts = parsed.list("mount").into_iter().map(|mount| mounts::parse(&mount));
    Ok(HostConfig {
        container_id_file: parsed.text("cidfile").to_owned(),
        log_config: log_config(parsed)?,
        network_mode: network::mode(parsed)?,
        restart_policy: RestartPolicy { name: restart_name, maximum_retry_count: restart_count },
        auto_remove: parsed.switch("rm"),
        volume_driver: parsed.text("volume-driver").to_owned(),
        volumes_from: some(parsed.list("volumes-from")),
        annotations: some_map(key_values::to_map(&parsed.list("annotation"))),
        cap_add: some(capabilities::names(&parsed.list("cap-add"))),
        cap_drop: some(capabilities::names(&parsed.list("cap-drop"))),
        cgroupns_mode: parsed.text("cgroupns").to_owned(),
        dns: Some(parsed.list("dns")),
        dns_options: Some(parsed.list("dns-option")),
        dns_search: Some(parsed.list("dns-search")),
        extra_hosts: some(parsed.list("add-host")),
        group_add: some(parsed.list("group-add")),
        ipc_mode: parsed.text("ipc").to_owned(),
        links: some(parsed.list("link")),
        oom_score_adj: parsed.int("oom-score-adj"),
        pid_mode: parsed.text("pid").to_owned(),
        privileged: parsed.switch("privileged"),
        publish_all_ports: parsed.switch("publish-all"),
        readonly_rootfs: parsed.switch("read-only"),
        security_opt: parsed.is_set("security-opt").then(|| security.options.clone()),
        storage_opt: some_map(storage_options(parsed)?),
        tmpfs: some_map(tmpfs(parsed)),
        uts_mode: parsed.text("uts").to_owned(),
        userns_mode: parsed.text("userns").to_owned(),
        shm_size: parsed.int("shm-size"),
        sysctls: some_map(key_values::to_map(&parsed.list("sysctl"))),
        runtime: parsed.text("runtime").to_owned(),
        isolation: parsed.text("isolation").to_owned(),
        resources: limits::resources(parsed)?,
        mounts: some(mounts.collect::<Result<_, _>>()?),
        masked_paths: shown(),
        readonly_paths: shown(),
        init: parsed.is_set("init").then(|| parsed.switch("init")),
        ..HostConfig::default()
    })
}

fn check_modes(parsed: &Parsed) -> Result<(), String> {
    let mac_address = parsed.text("mac-address");
    if !mac_address.is_empty() && !hosts::is_hardware_address(mac_address) {
        return Err(format!("{mac_address} is not a valid mac address"));
    }
    let swappiness = parsed.int("memory-swappiness");
    if swappiness != -1 && !(0..=100).contains(&swappiness) {
        return Err(format!("invalid value: {swappiness}. Valid memory swappiness range is 0-100"));
    }
    let pid = parsed.text("pid");
    let pid_valid = matches!(pid, "" | "host")
        || pid.strip_prefix("container:").is_some_and(|name| !name.is_empty());
    for (flag, what, is_valid) in [
        ("pid", "PID", pid_valid),
        ("uts", "UTS", matches!(parsed.text("uts"), "" | "host")),
        ("userns", "USER", matches!(parsed.text("userns"), "" | "host")),
        ("cgroupns", "CGROUP", matches!(parsed.text("cgroupns"), "" | "host" | "private")),
    ] {
        if !is_valid {
            return Err(format!("--{flag}: invalid {what} mode"));
        }
    }
    Ok(())
}

/// Proxies first, then files, then flags: what comes later wins.
fn environment(parsed: &Parsed, proxies: &[(String, String)]) -> Result<Vec<String>, String> {
    let given = parsed.list("env");
    let is_given = |name: &str| given.iter().any(|pair| pair.split('=').next() == Some(name));
    let mut variables: Vec<String> = proxies
        .iter()
        .filter(|(name, _)| !is_given(name))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    variables.extend(key_values::read(
        &parsed.list("env-file"),
        given.clone(),
        key_values::from_environment,
    )?);
    Ok(variables)
}

struct Volumes {
    anonymous: BTreeMap<String, EmptyObject>,
    binds: Vec<String>,
}

fn read_volumes(values: &[String]) -> Result<Volumes, String> {
    let mut read = Volumes { anonymous: BTreeMap::new(), binds: Vec::new() };
    for value in values {
        match volumes::parse(value)? {
            Volume::Anonymous(target) => {
                read.anonymous.insert(target, EmptyObject {});
            }
            // The same said twice is said once.
            Volume::Bind(bind) if read.binds.contains(&bind) => {}
            Volume::Bind(bind) => read.binds.push(bind),
        }
    }
    Ok(read)
}

fn exposed_ports(
    parsed: &Parsed,
    published: &ports::Bindings,
) -> Result<BTreeMap<String, EmptyObject>, String> {
    let mut exposed: BTreeSet<String> = published.keys().cloned().collect();
    for value in parsed.list("expose") {
        exposed.extend(ports::parse_exposed(&value)?);
    }
    Ok(exposed.into_iter().map(|port| (port, EmptyObject {})).collect())
}

fn port_bindings(ports: ports::Bindings) -> PortMap {
    let binding = |binding: ports::Binding| PortBinding {
        host_ip: binding.host_address,
        host_port: binding.host_port,
    };
    ports
        .into_iter()
        .map(|(port, bindings)| (port, Some(bindings.into_iter().map(binding).collect())))
        .collect()
}

fn log_config(parsed: &Parsed) -> Result<LogConfig, String> {
    let driver = parsed.text("log-driver");
    let options = parsed.list("log-opt");
    if driver == "none" && !options.is_empty() {
        return Err(format!("invalid logging opts for driver {driver}"));
    }
    Ok(LogConfig { driver: driver.to_owned(), config: Some(key_values::to_map(&options)) })
}

fn storage_options(parsed: &Parsed) -> Result<BTreeMap<String, String>, String> {
    let options = parsed.list("storage-opt");
    if options.iter().any(|option| !option.contains('=')) {
        return Err("invalid storage option".to_owned());
    }
    Ok(key_values::to_map(&options))
}

/// Places with their options, which only mounting can check.
fn tmpfs(parsed: &Parsed) -> BTreeMap<String, String> {
    let pair = |value: &String| {
        let (place, options) = value.split_once(':').unwrap_or((value, ""));
        (place.to_owned(), options.to_owned())
    };
    parsed.list("tmpfs").iter().map(pair).collect()
}

/// Go's empty list that was never made.
fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}

fn some_map(map: BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    Some(map).filter(|map| !map.is_empty())
}

#[cfg(test)]
mod tests;
