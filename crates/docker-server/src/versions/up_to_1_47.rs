//! API 1.47 and older.

use docker_api::ApiVersion;
use docker_api::containers::CreateRequest;
use docker_api::system::SystemInfo;

use crate::http::ApiError;

pub(super) const LAST: ApiVersion = ApiVersion::new(47);

/// Endpoints had no priority, and images could not be mounted.
pub(super) fn create(request: &mut CreateRequest) -> Result<(), ApiError> {
    let networks = request.networking_config.iter_mut();
    let endpoints = networks.flat_map(|networks| networks.endpoints_config.iter_mut().flatten());
    for (_, endpoint) in endpoints {
        endpoint.gw_priority = 0;
    }
    let mut mounts = request.host_config.iter().flat_map(|host| host.mounts.iter().flatten());
    if mounts.any(|mount| mount.kind == "image") {
        return Err(ApiError::invalid("Mount type \"Image\" needs API v1.48 or newer"));
    }
    Ok(())
}

/// Up to 1.48 in fact: no firewall, and each commit was what it was expected to be.
pub(super) fn info(info: &mut SystemInfo) {
    info.firewall_backend = None;
    for commit in [&mut info.containerd_commit, &mut info.runc_commit, &mut info.init_commit] {
        commit.expected.clone_from(&commit.id);
    }
}
