//! API 1.44 and older.

use docker_api::ApiVersion;
use docker_api::containers::{ContainerInspect, CreateRequest};

use crate::http::ApiError;

pub(super) const LAST: ApiVersion = ApiVersion::new(44);

/// Volumes were mounted whole.
pub(super) fn create(request: &mut CreateRequest) -> Result<(), ApiError> {
    let mounts = request.host_config.iter().flat_map(|host| host.mounts.iter().flatten());
    for mount in mounts {
        if mount.volume_options.as_ref().is_some_and(|options| !options.subpath.is_empty()) {
            return Err(ApiError::invalid("VolumeOptions.Subpath needs API v1.45 or newer"));
        }
    }
    Ok(())
}

/// Aliases had the container's id and host name among them, on networks of the user's.
pub(super) fn container_inspect(container: &mut ContainerInspect) {
    let own = [container.id.chars().take(12).collect(), container.config.hostname.clone()];
    for (name, endpoint) in container.network_settings.networks.iter_mut().flatten() {
        if matches!(name.as_str(), "bridge" | "host" | "none" | "default") {
            continue;
        }
        let aliases = endpoint.aliases.get_or_insert_default();
        for alias in &own {
            if !aliases.contains(alias) {
                aliases.push(alias.clone());
            }
        }
    }
}
