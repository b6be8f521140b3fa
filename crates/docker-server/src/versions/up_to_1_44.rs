//! API 1.44 and older.

use docker_api::ApiVersion;
use docker_api::containers::{ContainerConfig, ContainerInspect, CreateRequest};
use serde_json::Value;

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

/// An image told of the container that it was committed from, even where there was none.
pub(super) fn image_inspect(image: &mut Value) {
    let Ok(nothing) = serde_json::to_value(ContainerConfig::default()) else { return };
    let Some(members) = image.as_object_mut() else { return };
    let after_created = members.keys().position(|name| name == "Created").map_or(0, |at| at + 1);
    members.shift_insert(after_created, "ContainerConfig".to_owned(), nothing);
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
