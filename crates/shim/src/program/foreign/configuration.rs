//! The configuration as another program needs it.
//!
//! The daemon's leaves to our library what only the mounted root can tell (who the user is),
//! and what travels by descriptor (the network namespace). Here both are put in.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};

use runtime::{ExecRequest, Stdio};
use rustix::fs::{Mode, OFlags};
use serde_json::{Value, json};
use shim::protocol::{Failure, FailureKind, Launch, files};

use super::internal;
use super::root::ROOT;

/// Where it is written.
const CONFIGURATION: &str = "bundle/config.json";

/// Programs refuse a version that is newer than they are, whatever is in the document.
const VERSION: &str = "1.0.2";

/// What a root is called there.
const ROOT_NAME: &str = "rootfs";

/// Writes the configuration into the bundle. The root is mounted.
pub(super) fn write(
    launch: &Launch,
    network_namespace: Option<BorrowedFd<'_>>,
) -> Result<(), Failure> {
    let text = std::fs::read(files::CONFIG).map_err(internal)?;
    let mut configuration: Value = serde_json::from_slice(&text).map_err(|error| Failure {
        kind: FailureKind::InvalidConfiguration,
        message: format!("cannot understand {}: {error}", files::CONFIG),
    })?;
    configuration["ociVersion"] = json!(VERSION);
    configuration["root"]["path"] = json!(ROOT_NAME);
    if let Some(namespace) = network_namespace {
        let own = rustix::process::getpid().as_raw_nonzero();
        let path = format!("/proc/{own}/fd/{}", namespace.as_raw_fd());
        name_network(&mut configuration, &path);
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(ROOT, flags, Mode::empty()).map_err(internal)?;
    let user = launch.user.as_deref();
    set_user(&mut configuration["process"], user, &launch.additional_groups, root.as_fd())?;
    let text = serde_json::to_vec(&configuration).map_err(io::Error::other).map_err(internal)?;
    std::fs::write(CONFIGURATION, text).map_err(internal)
}

fn name_network(configuration: &mut Value, path: &str) {
    let namespaces = configuration["linux"]["namespaces"].as_array_mut();
    for namespace in namespaces.into_iter().flatten() {
        if namespace["type"] == "network" {
            namespace["path"] = json!(path);
        }
    }
}

/// An additional process, with its user looked up in the container's root.
pub(super) fn process(request: &ExecRequest<'_>, root: BorrowedFd<'_>) -> Result<Value, Failure> {
    let process = serde_json::to_value(request.process).map_err(io::Error::other);
    let mut process = process.map_err(internal)?;
    set_user(&mut process, request.user, request.additional_groups, root)?;
    if let Stdio::Terminal { size: Some((rows, columns)), .. } = &request.stdio {
        process["consoleSize"] = json!({ "height": rows, "width": columns });
    }
    Ok(process)
}

fn set_user(
    process: &mut Value,
    user: Option<&str>,
    additional_groups: &[String],
    root: BorrowedFd<'_>,
) -> Result<(), Failure> {
    let Some(user) = user else { return Ok(()) };
    let ids = runtime::find_user(root, user, additional_groups)
        .map_err(|message| Failure { kind: FailureKind::InvalidConfiguration, message })?;
    process["user"] = json!({
        "uid": ids.user,
        "gid": ids.group,
        "additionalGids": ids.additional_groups,
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_s_namespace_gets_a_path() {
        let mut configuration = json!({
            "linux": { "namespaces": [{ "type": "mount" }, { "type": "network" }] }
        });
        name_network(&mut configuration, "/proc/1/fd/7");
        assert_eq!(
            configuration["linux"]["namespaces"],
            json!([{ "type": "mount" }, { "type": "network", "path": "/proc/1/fd/7" }])
        );
    }
}
