//! From a [`ContainerSpec`] to an OCI runtime configuration.
//!
//! Pure but for looking at the host's devices and cgroup version: what is to be mounted was
//! resolved and made before. The document's shape is the OCI runtime specification's
//! `config.json`.

mod capabilities;
mod devices;
mod mounts;
mod resources;
mod seccomp;

use std::collections::BTreeMap;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::ContainerId;
use super::spec::{ContainerSpec, IpcMode, PidMode, Ulimit};
use super::view::MountView;
use crate::exec::ExecSpec;

pub(super) use mounts::same_path;
pub(crate) use resources::resources;
pub(crate) use seccomp::check as check_seccomp;

/// What a process gets that sets no `PATH`.
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where `--init` puts its program.
const INIT_TARGET: &str = "/sbin/docker-init";

/// What a configuration is made of, beside the spec.
#[derive(Debug)]
pub(crate) struct Ingredients<'a> {
    pub(crate) id: &'a ContainerId,
    pub(crate) spec: &'a ContainerSpec,
    pub(crate) mounts: &'a [MountView],
    /// What the container calls itself.
    pub(crate) hostname: &'a str,
    /// The files that are mounted over `/etc`.
    pub(crate) files: &'a EtcFiles,
    pub(crate) joined: &'a Joined,
    /// Where `/dev/shm` comes from if other containers may share it.
    pub(crate) shared_memory: Option<PathBuf>,
    pub(crate) init_program: Option<PathBuf>,
    pub(crate) default_ulimits: &'a BTreeMap<String, Ulimit>,
    /// What is said of the containers that this one links to.
    pub(crate) link_environment: &'a [String],
    pub(crate) cgroup_parent: &'a str,
    /// Whether the network namespace is the host's.
    pub(crate) is_host_network: bool,
}

/// The host's paths of what a container finds in `/etc`.
#[derive(Debug, Clone)]
pub(crate) struct EtcFiles {
    pub(crate) hostname: PathBuf,
    pub(crate) hosts: PathBuf,
    pub(crate) resolv_conf: PathBuf,
}

/// Namespaces of other containers that this one joins.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    /// The first processes of those containers.
    pub(crate) pid: Option<i32>,
    pub(crate) ipc: Option<i32>,
    pub(crate) network: Option<std::os::fd::OwnedFd>,
    /// The other container's files in `/etc`, which come with its network.
    pub(crate) etc: Option<EtcFiles>,
    /// The other container's hostname, likewise.
    pub(crate) hostname: Option<String>,
    /// Where the other container's `/dev/shm` comes from.
    pub(crate) shared_memory: Option<PathBuf>,
}

/// A spec that no configuration can be made of: the reason, for the user.
pub(crate) type Reason = String;

/// The configuration, as JSON.
pub(crate) fn config(ingredients: &Ingredients<'_>) -> Result<Vec<u8>, Reason> {
    let spec = ingredients.spec;
    let security = &spec.security;
    let unconfined = security.privileged;
    let devices = devices::resolve(spec)?;
    let mut resources = resources(spec)?;
    resources["devices"] = devices::rules(spec, &devices);
    let mut config = json!({
        "ociVersion": "1.2.0",
        "process": process(ingredients)?,
        "root": { "path": "rootfs", "readonly": spec.read_only_root },
        "hostname": ingredients.hostname,
        "mounts": mounts::list(ingredients),
        "linux": {
            "namespaces": namespaces(ingredients),
            "cgroupsPath": format!("{}/{}", ingredients.cgroup_parent, ingredients.id),
            "resources": resources,
            "devices": devices::nodes(&devices),
            "sysctl": sysctls(ingredients),
            "rootfsPropagation": mounts::root_propagation(ingredients.mounts),
            "maskedPaths": if unconfined { &[] } else { security.masked_paths.as_slice() },
            "readonlyPaths": if unconfined { &[] } else { security.read_only_paths.as_slice() },
        },
    });
    if spec.namespaces.host_uts {
        config.as_object_mut().map(|config| config.remove("hostname"));
    } else if let Some(domain) = &spec.domainname {
        config["domainname"] = json!(domain);
    }
    if !spec.annotations.is_empty() {
        config["annotations"] = json!(spec.annotations);
    }
    if let Some(profile) = seccomp::profile(security)? {
        config["linux"]["seccomp"] = profile;
    }
    serde_json::to_vec(&config).map_err(|error| error.to_string())
}

fn process(ingredients: &Ingredients<'_>) -> Result<Value, Reason> {
    let spec = ingredients.spec;
    let process = &spec.process;
    let mut arguments = process.arguments.clone();
    if ingredients.init_program.is_some() {
        arguments.splice(0..0, [INIT_TARGET.to_owned(), "--".to_owned()]);
    }
    let mut value = json!({
        "terminal": process.terminal,
        "user": { "uid": 0, "gid": 0 },
        "args": arguments,
        "env": environment(spec, ingredients.hostname, ingredients.link_environment),
        "cwd": process.working_directory,
        "capabilities": capabilities::sets(&spec.security),
        "rlimits": rlimits(spec, ingredients.default_ulimits),
        "noNewPrivileges": spec.security.no_new_privileges,
        "oomScoreAdj": process.oom_score_adjust,
    });
    if let Some((rows, columns)) = process.terminal_size {
        value["consoleSize"] = json!({ "height": rows, "width": columns });
    }
    if let Some(profile) = &spec.security.apparmor_profile
        && has_apparmor()
    {
        value["apparmorProfile"] = json!(profile);
    }
    Ok(value)
}

/// Without it there is nothing to confine, and Docker asks for nothing.
fn has_apparmor() -> bool {
    std::fs::read_to_string("/sys/module/apparmor/parameters/enabled")
        .is_ok_and(|text| text.starts_with('Y'))
}

/// In a network namespace of its own, any user may ping and listen on low ports: there is
/// nobody there to protect from that.
const NETWORK_SYSCTLS: [(&str, &str); 2] =
    [("net.ipv4.ping_group_range", "0 2147483647"), ("net.ipv4.ip_unprivileged_port_start", "0")];

fn sysctls(ingredients: &Ingredients<'_>) -> BTreeMap<String, String> {
    let mut sysctls = BTreeMap::new();
    if !ingredients.is_host_network && ingredients.joined.network.is_none() {
        sysctls.extend(NETWORK_SYSCTLS.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
    sysctls.extend(ingredients.spec.sysctls.clone());
    sysctls
}

/// `PATH`, `HOSTNAME` and `TERM` first, then what is said of links, then the user's own, which
/// win.
fn environment(spec: &ContainerSpec, hostname: &str, links: &[String]) -> Vec<String> {
    let mut all = vec![DEFAULT_PATH.to_owned(), format!("HOSTNAME={hostname}")];
    if spec.process.terminal {
        all.push("TERM=xterm".to_owned());
    }
    all.extend_from_slice(links);
    override_environment(&mut all, &spec.process.environment);
    all
}

/// Puts each `NAME=value` in the place of one of the same name, or at the end.
fn override_environment(all: &mut Vec<String>, further: &[String]) {
    for entry in further {
        let name = entry.split_once('=').map_or(entry.as_str(), |(name, _)| name);
        let same = all.iter_mut().find(|other| {
            other.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
        });
        match same {
            Some(other) => other.clone_from(entry),
            None => all.push(entry.clone()),
        }
    }
    // A bare name takes a variable away.
    all.retain(|entry| entry.contains('='));
}

fn rlimits(spec: &ContainerSpec, defaults: &BTreeMap<String, Ulimit>) -> Vec<Value> {
    let mut limits: BTreeMap<&str, Ulimit> =
        defaults.iter().map(|(name, limit)| (name.as_str(), *limit)).collect();
    limits.extend(spec.limits.ulimits.iter().map(|(name, limit)| (name.as_str(), *limit)));
    limits
        .into_iter()
        .map(|(name, limit)| {
            json!({
                "type": format!("RLIMIT_{}", name.to_uppercase()),
                "soft": limit.soft.cast_unsigned(),
                "hard": limit.hard.cast_unsigned(),
            })
        })
        .collect()
}

fn namespaces(ingredients: &Ingredients<'_>) -> Vec<Value> {
    let spec = ingredients.spec;
    let mut list = vec![json!({ "type": "mount" })];
    if !ingredients.is_host_network {
        let mut network = json!({ "type": "network" });
        if let Some(joined) = &ingredients.joined.network {
            // Handed over by descriptor; the path is for people who read the file.
            network["path"] = json!(format!("/proc/self/fd/{}", joined.as_raw_fd()));
        }
        list.push(network);
    }
    if !spec.namespaces.host_uts {
        list.push(json!({ "type": "uts" }));
    }
    match (&spec.namespaces.pid, ingredients.joined.pid) {
        (PidMode::Host, _) => {}
        (PidMode::Container(_), Some(pid)) => {
            list.push(json!({ "type": "pid", "path": format!("/proc/{pid}/ns/pid") }));
        }
        _ => list.push(json!({ "type": "pid" })),
    }
    match (&spec.namespaces.ipc, ingredients.joined.ipc) {
        (IpcMode::Host, _) => {}
        (IpcMode::Container(_), Some(pid)) => {
            list.push(json!({ "type": "ipc", "path": format!("/proc/{pid}/ns/ipc") }));
        }
        _ => list.push(json!({ "type": "ipc" })),
    }
    if !spec.namespaces.host_cgroup {
        list.push(json!({ "type": "cgroup" }));
    }
    list
}

/// The OCI `process` of an exec: the container's own, with what the exec says otherwise.
pub(crate) fn exec_process(
    spec: &ContainerSpec,
    exec: &ExecSpec,
    hostname: &str,
    links: &[String],
) -> Value {
    let mut environment = environment(spec, hostname, links);
    if exec.terminal && !spec.process.terminal {
        override_environment(&mut environment, &["TERM=xterm".to_owned()]);
    }
    override_environment(&mut environment, &exec.environment);
    let mut security = spec.security.clone();
    security.privileged |= exec.privileged;
    let working_directory =
        exec.working_directory.as_deref().unwrap_or(&spec.process.working_directory);
    json!({
        "terminal": exec.terminal,
        "user": { "uid": 0, "gid": 0 },
        "args": exec.arguments,
        "env": environment,
        "cwd": working_directory,
        "capabilities": capabilities::sets(&security),
        "noNewPrivileges": security.no_new_privileges,
        "oomScoreAdj": spec.process.oom_score_adjust,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_environment_wins_and_keeps_its_place() {
        let mut all = vec!["PATH=/bin".to_owned(), "HOSTNAME=a".to_owned()];
        let further = ["B=1", "PATH=/x", "C=", "B=2", "HOSTNAME"].map(str::to_owned);
        override_environment(&mut all, &further);
        assert_eq!(all, ["PATH=/x", "B=2", "C="]);
    }
}
