//! `spec`: a configuration to start from.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Serialize as _;
use serde_json::{Value, json};

use crate::command_line::{Call, Command, Count, Flag};
use crate::exit_code::ExitCode;

pub(super) const COMMAND: Command = Command {
    usage: "",
    details: "Writes a file \"config.json\" for a bundle: a shell in \"rootfs\". It is there to \
              be edited.",
    flags: &[
        Flag::text("bundle", "path to the root of the bundle directory").short("b"),
        Flag::switch("rootless", "generate a configuration for a rootless container"),
    ],
    arguments: Count::Exactly(0),
    ..Command::new("spec", "create a new specification file", spec)
};

fn spec(call: &Call) -> anyhow::Result<ExitCode> {
    let bundle = call.values.path("bundle").unwrap_or_else(|| PathBuf::from("."));
    let name = bundle.join("config.json");
    let mut configuration = configuration();
    if call.values.is_on("rootless") {
        make_rootless(&mut configuration);
    }
    let file = match std::fs::File::create_new(&name) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("File config.json exists. Remove it first")
        }
        result => result.with_context(|| format!("cannot write `{}`", name.display()))?,
    };
    let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    configuration.serialize(&mut serde_json::Serializer::with_formatter(file, tabs))?;
    Ok(ExitCode::SUCCESS)
}

/// A shell in `rootfs`, isolated, with few rights.
fn configuration() -> Value {
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    json!({
        "ociVersion": super::features::VERSION_NEWEST,
        "process": {
            "terminal": true,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": [
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "TERM=xterm",
            ],
            "cwd": "/",
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
            },
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "wharf",
        "mounts": mounts(),
        "linux": {
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": namespaces(),
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware",
                "/proc/scsi",
            ],
            "readonlyPaths": [
                "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
            ],
        },
    })
}

/// One of cgroups only where version 2 is alone, as with runc.
fn namespaces() -> Value {
    let mut types = vec!["pid", "network", "ipc", "uts", "mount"];
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        types.push("cgroup");
    }
    types.into_iter().map(|kind| json!({"type": kind})).collect()
}

fn mounts() -> Value {
    json!([
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
         "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
         "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
         "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
         "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs",
         "options": ["nosuid", "noexec", "nodev", "ro"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
         "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]},
    ])
}

/// Changes what an ordinary user cannot have: the container's root becomes that user.
fn make_rootless(configuration: &mut Value) {
    let own = |id: u32| json!([{"containerID": 0, "hostID": id, "size": 1}]);
    let linux = &mut configuration["linux"];
    linux["uidMappings"] = own(rustix::process::geteuid().as_raw());
    linux["gidMappings"] = own(rustix::process::getegid().as_raw());
    if let Value::Array(namespaces) = &mut linux["namespaces"] {
        // Without somebody who connects it, a network of its own is none at all.
        namespaces.retain(|namespace| namespace["type"] != "network");
        namespaces.push(json!({"type": "user"}));
    }
    if let Value::Object(linux) = linux {
        linux.remove("resources");
    }
    for mount in configuration["mounts"].as_array_mut().into_iter().flatten() {
        if mount["destination"] == "/sys" {
            // A new one takes rights over the network namespace.
            *mount = json!({"destination": "/sys", "type": "none", "source": "/sys",
                            "options": ["rbind", "nosuid", "noexec", "nodev", "ro"]});
        }
        if let Value::Array(options) = &mut mount["options"] {
            let is_foreign =
                |option: &str| option.starts_with("gid=") || option.starts_with("uid=");
            options.retain(|option| !option.as_str().is_some_and(is_foreign));
        }
    }
}
