//! `linux.netDevices`: devices of the host's that the container is given.
//!
//! They go with the container's network namespace: back to the host if they are real, and
//! otherwise for good.

use std::os::fd::{AsFd as _, BorrowedFd};

use linux::route::Route;
use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;
use rustix::thread::LinkNameSpaceType;

use crate::error::ProcessError;
use crate::plan::Plan;

/// Moves the devices to the container's namespace: `network`, if its maker has brought one.
pub(super) fn give(
    plan: &Plan<'_>,
    container: Pid,
    network: Option<BorrowedFd<'_>>,
) -> Result<(), ProcessError> {
    let Some(devices) = plan.linux.net_devices().as_ref().filter(|devices| !devices.is_empty())
    else {
        return Ok(());
    };
    let joined = plan.joined.iter().find(|joined| joined.kind == LinkNameSpaceType::Network);
    let new;
    let namespace = match (network, joined) {
        (Some(network), _) => network,
        (None, Some(joined)) => joined.fd.as_fd(),
        (None, None) => {
            let path = format!("/proc/{}/ns/net", container.as_raw_nonzero());
            new = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(
                |error| ProcessError::system("open the network namespace")(error.into()),
            )?;
            new.as_fd()
        }
    };
    let route =
        Route::open().map_err(|error| ProcessError::system("ask for devices")(error.into()))?;
    for (name, device) in devices {
        let new_name = device.name().as_deref().filter(|name| !name.is_empty()).unwrap_or(name);
        route.move_device(name, namespace, new_name).map_err(|error| {
            ProcessError::invalid(format!("linux.netDevices.{name}"), error.to_string())
        })?;
    }
    Ok(())
}
