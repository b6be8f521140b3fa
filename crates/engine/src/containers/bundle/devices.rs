//! Devices: which nodes a container has, and what it may do with which.

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Reason;
use crate::containers::spec::{ContainerSpec, DeviceSpec};

/// What every container may use: kind, major, minor, and how. Beside the nodes that the OCI
/// specification lists, any node may be made (`m`), though not opened. 10:229, `/dev/fuse`,
/// is not among them.
const DEFAULT_RULES: [(char, Option<i64>, Option<i64>, &str); 10] = [
    ('c', None, None, "m"),
    ('b', None, None, "m"),
    ('c', Some(1), Some(3), "rwm"),
    ('c', Some(1), Some(5), "rwm"),
    ('c', Some(1), Some(7), "rwm"),
    ('c', Some(1), Some(8), "rwm"),
    ('c', Some(1), Some(9), "rwm"),
    ('c', Some(5), Some(0), "rwm"),
    ('c', Some(5), Some(2), "rwm"),
    ('c', Some(136), None, "rwm"),
];

/// Below `/dev`, what is a file system of its own in a container and not the host's.
const OWN_FOLDERS: [&str; 4] = ["pts", "shm", "mqueue", "fd"];

/// How deep a folder given as a device is searched.
const DEPTH_MAX: u32 = 8;

/// A device node of the host's on its way into a container.
#[derive(Debug)]
pub(super) struct Device {
    path: PathBuf,
    kind: char,
    major: u32,
    minor: u32,
    mode: u32,
    user: u32,
    group: u32,
    permissions: String,
}

/// The nodes that the spec asks for: each device, all of a folder, or (privileged) all there
/// are.
pub(super) fn resolve(spec: &ContainerSpec) -> Result<Vec<Device>, Reason> {
    let mut devices = Vec::new();
    if spec.security.privileged {
        let all = DeviceSpec {
            host_path: "/dev".into(),
            container_path: "/dev".into(),
            permissions: "rwm".to_owned(),
        };
        collect(&all.host_path, &all.container_path, &all, 0, &mut devices);
    }
    for device in &spec.devices {
        let before = devices.len();
        let metadata = std::fs::metadata(&device.host_path).map_err(|error| {
            format!(
                "error gathering device information while adding custom device \"{}\": {}",
                device.host_path.display(),
                words(&error)
            )
        })?;
        if metadata.is_dir() {
            collect(&device.host_path, &device.container_path, device, 0, &mut devices);
        } else {
            devices.extend(node(&device.host_path, &device.container_path, device));
        }
        if devices.len() == before {
            return Err(format!(
                "error gathering device information while adding custom device \"{}\": not a \
                 device node",
                device.host_path.display()
            ));
        }
    }
    Ok(devices)
}

fn words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        _ => error.to_string(),
    }
}

fn collect(from: &Path, to: &Path, spec: &DeviceSpec, depth: u32, devices: &mut Vec<Device>) {
    // A folder that cannot be read has no devices that anybody could use.
    let Ok(entries) = std::fs::read_dir(from) else { return };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            let is_own = depth == 0 && OWN_FOLDERS.iter().any(|own| name == *own);
            if !is_own && depth < DEPTH_MAX {
                collect(&entry.path(), &to.join(&name), spec, depth + 1, devices);
            }
        } else if name != "console" && (kind.is_char_device() || kind.is_block_device()) {
            devices.extend(node(&entry.path(), &to.join(&name), spec));
        }
    }
}

fn node(from: &Path, to: &Path, spec: &DeviceSpec) -> Option<Device> {
    let metadata = std::fs::metadata(from).ok()?;
    let kind = match metadata.file_type() {
        kind if kind.is_char_device() => 'c',
        kind if kind.is_block_device() => 'b',
        _ => return None,
    };
    Some(Device {
        path: to.to_owned(),
        kind,
        major: rustix::fs::major(metadata.rdev()),
        minor: rustix::fs::minor(metadata.rdev()),
        mode: metadata.mode() & 0o7777,
        user: metadata.uid(),
        group: metadata.gid(),
        permissions: spec.permissions.clone(),
    })
}

/// The OCI `linux.devices`.
pub(super) fn nodes(devices: &[Device]) -> Vec<Value> {
    devices
        .iter()
        .map(|device| {
            json!({
                "path": device.path,
                "type": device.kind.to_string(),
                "major": device.major,
                "minor": device.minor,
                "fileMode": device.mode,
                "uid": device.user,
                "gid": device.group,
            })
        })
        .collect()
}

/// The OCI `linux.resources.devices`: all refused, then what is allowed.
pub(super) fn rules(spec: &ContainerSpec, devices: &[Device]) -> Value {
    if spec.security.privileged {
        return json!([{ "allow": true, "access": "rwm" }]);
    }
    let mut rules = vec![json!({ "allow": false, "access": "rwm" })];
    let mut allow = |kind: char, major: Option<i64>, minor: Option<i64>, access: &str| {
        let mut rule = json!({ "allow": true, "type": kind.to_string(), "access": access });
        // An absent number means any, as does -1.
        if let Some(major) = major {
            rule["major"] = json!(major);
        }
        if let Some(minor) = minor {
            rule["minor"] = json!(minor);
        }
        rules.push(rule);
    };
    for (kind, major, minor, access) in DEFAULT_RULES {
        allow(kind, major, minor, access);
    }
    for device in devices {
        let (major, minor) = (i64::from(device.major), i64::from(device.minor));
        allow(device.kind, Some(major), Some(minor), &device.permissions);
    }
    for rule in &spec.device_rules {
        allow(rule.kind, rule.major, rule.minor, &rule.access);
    }
    Value::Array(rules)
}
