//! API 1.43 and older.

use docker_api::ApiVersion;
use docker_api::containers::{CreateRequest, HostConfig};
use docker_api::images::ImageSummary;
use docker_api::mounts::BindOptions;
use docker_api::system::SystemInfo;
use serde_json::Value;

use crate::http::ApiError;

pub(super) const LAST: ApiVersion = ApiVersion::new(43);

/// Read-only mounts were not recursive, the hardware address was the container's, and there
/// was one network at most.
pub(super) fn create(request: &mut CreateRequest) -> Result<(), ApiError> {
    if let Some(health) = &mut request.config.healthcheck {
        health.start_interval = 0;
    }
    let host = request.host_config.get_or_insert_with(HostConfig::default);
    for mount in host.mounts.iter_mut().flatten().filter(|mount| mount.kind == "bind") {
        let options = mount.bind_options.get_or_insert_with(BindOptions::default);
        if options.read_only_force_recursive {
            return Err(ApiError::invalid(
                "BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer",
            ));
        }
        options.read_only_non_recursive = true;
    }
    let endpoints =
        request.networking_config.as_mut().and_then(|networks| networks.endpoints_config.as_mut());
    let Some(endpoints) = endpoints else { return Ok(()) };
    if endpoints.len() > 1 {
        let names: Vec<&str> = endpoints.keys().map(String::as_str).collect();
        return Err(ApiError::invalid(format!(
            "Container cannot be created with multiple network endpoints: {}",
            names.join(", ")
        )));
    }
    for endpoint in endpoints.values_mut() {
        endpoint.mac_address.clear();
    }
    Ok(())
}

/// The size had a second name.
pub(super) fn image_list(images: &mut [ImageSummary]) {
    for image in images {
        image.virtual_size = image.size;
    }
}

pub(super) fn image_inspect(image: &mut Value) {
    image["VirtualSize"] = image["Size"].clone();
    if image.get("Created").is_none() {
        image["Created"] = Value::from("0001-01-01T00:00:00Z");
    }
}

/// Runtimes had no status.
pub(super) fn info(info: &mut SystemInfo) {
    for runtime in info.runtimes.values_mut() {
        runtime.status = None;
    }
}
