//! API versions: which are served, and what is different in old ones.
//!
//! Everything else in this crate knows the newest version only. Each file here is named after
//! the last version before a change, and has all that clients of that version and older say or
//! hear differently. A request passes the files from the oldest to the newest, an answer the
//! other way round.

mod up_to_1_24;
mod up_to_1_39;
mod up_to_1_40;
mod up_to_1_41;
mod up_to_1_42;
mod up_to_1_43;
mod up_to_1_44;
mod up_to_1_47;
mod up_to_1_49;
mod up_to_1_50;

use docker_api::containers::{
    ContainerInspect, ContainerSummary, CreateRequest, HostConfig, UpdateRequest,
};
use docker_api::images::ImageSummary;
use docker_api::system::{DiskUsage, SystemInfo};
use docker_api::{ApiVersion, VersionError};

use crate::http::ApiError;

/// The first version in which websockets carry bytes.
const BINARY_WEBSOCKETS: ApiVersion = ApiVersion::new(28);

/// The first version in which attached streams say whether they are multiplexed.
const STREAM_TYPES: ApiVersion = ApiVersion::new(42);

/// The first version in which a wait answers its head before its end.
const EARLY_WAIT: ApiVersion = ApiVersion::new(30);

/// Splits `/v1.47/info` into the version and the rest.
pub(crate) fn take(path: &str) -> Result<(Option<ApiVersion>, &str), ApiError> {
    let Some(versioned) = path.strip_prefix("/v") else { return Ok((None, path)) };
    let (text, rest) = versioned.split_at(versioned.find('/').unwrap_or(versioned.len()));
    let is_version = text.starts_with(|first: char| first.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !is_version {
        return Ok((None, path));
    }
    let version =
        text.parse().map_err(|error: VersionError| ApiError::invalid(error.to_string()))?;
    Ok((Some(version), rest))
}

/// Refuses versions that are not served, in Docker's words.
pub(crate) fn check(version: Option<ApiVersion>) -> Result<ApiVersion, ApiError> {
    let version = version.unwrap_or(ApiVersion::MAX);
    if version < ApiVersion::MIN {
        return Err(ApiError::invalid(format!(
            "client version {version} is too old. Minimum supported API version is {}, please \
             upgrade your client to a newer version",
            ApiVersion::MIN
        )));
    }
    if version > ApiVersion::MAX {
        return Err(ApiError::invalid(format!(
            "client version {version} is too new. Maximum supported API version is {}",
            ApiVersion::MAX
        ))
        .with_hint(format!("set `DOCKER_API_VERSION={}` for this client", ApiVersion::MAX)));
    }
    Ok(version)
}

/// Whether attached streams say what they are by their media type.
pub(crate) fn has_stream_types(version: ApiVersion) -> bool {
    version >= STREAM_TYPES
}

/// Whether websockets carry bytes, and not text.
pub(crate) fn has_binary_websockets(version: ApiVersion) -> bool {
    version >= BINARY_WEBSOCKETS
}

/// Whether a wait answers its head at once, and knows conditions.
pub(crate) fn has_early_wait(version: ApiVersion) -> bool {
    version >= EARLY_WAIT
}

/// Whether statistics can be asked for without a second reading to compare with.
pub(crate) fn has_one_shot(version: ApiVersion) -> bool {
    version > up_to_1_40::LAST
}

/// Whether a stop may name its signal, an exec its console's size, and a disk usage its kinds.
pub(crate) fn has_stop_signals(version: ApiVersion) -> bool {
    version >= STREAM_TYPES
}

/// Whether a prune of volumes leaves those that have a name.
pub(crate) fn prunes_anonymous_volumes_only(version: ApiVersion) -> bool {
    version >= STREAM_TYPES
}

/// Turns an old client's container into what a new one would have asked for.
pub(crate) fn create_request(
    version: ApiVersion,
    request: &mut CreateRequest,
    cgroup_version: u8,
) -> Result<(), ApiError> {
    let host = request.host_config.get_or_insert_with(HostConfig::default);
    if version <= up_to_1_24::LAST {
        up_to_1_24::create(host);
    }
    if version <= up_to_1_39::LAST {
        up_to_1_39::create(host);
    }
    if version <= up_to_1_40::LAST {
        up_to_1_40::create(host, cgroup_version);
    }
    if version <= up_to_1_41::LAST {
        up_to_1_41::create(host);
    } else {
        up_to_1_41::refuse_foreign_options(host)?;
    }
    if version <= up_to_1_42::LAST {
        up_to_1_42::create(host);
    }
    if version <= up_to_1_43::LAST {
        up_to_1_43::create(request)?;
    }
    if version <= up_to_1_44::LAST {
        up_to_1_44::create(request)?;
    }
    if version <= up_to_1_47::LAST {
        up_to_1_47::create(request)?;
    }
    Ok(())
}

/// The same for a change of a container.
pub(crate) fn update_request(version: ApiVersion, request: &mut UpdateRequest) {
    if version <= up_to_1_39::LAST {
        request.resources.pids_limit = None;
    }
    if version > up_to_1_41::LAST {
        request.resources.kernel_memory = 0;
    }
}

/// Turns a container's details into what an old client expects.
pub(crate) fn container_inspect(version: ApiVersion, container: &mut ContainerInspect) {
    if version <= up_to_1_44::LAST {
        up_to_1_44::container_inspect(container);
    }
}

pub(crate) fn container_list(version: ApiVersion, containers: &mut [ContainerSummary]) {
    if version <= ApiVersion::new(45) {
        for container in containers {
            container.host_config.annotations = None;
        }
    }
}

pub(crate) fn image_list(version: ApiVersion, images: &mut [ImageSummary]) {
    if version <= up_to_1_50::LAST {
        up_to_1_50::image_list(images);
    }
    if version <= up_to_1_43::LAST {
        up_to_1_43::image_list(images);
    }
    if version <= up_to_1_42::LAST {
        up_to_1_42::image_list(images);
    }
}

/// Turns an image's details into what an old client expects.
pub(crate) fn image_inspect(version: ApiVersion, image: &mut serde_json::Value) {
    if version <= up_to_1_49::LAST {
        up_to_1_49::image_inspect(image);
    }
    if version <= up_to_1_44::LAST {
        up_to_1_44::image_inspect(image);
    }
    if version <= up_to_1_43::LAST {
        up_to_1_43::image_inspect(image);
    }
}

pub(crate) fn info(version: ApiVersion, info: &mut SystemInfo) {
    if version <= up_to_1_49::LAST {
        up_to_1_49::info(info);
    }
    if version <= ApiVersion::new(48) {
        up_to_1_47::info(info);
    }
    if version <= up_to_1_43::LAST {
        up_to_1_43::info(info);
    }
    if version <= up_to_1_24::LAST {
        up_to_1_24::info(info);
    }
}

pub(crate) fn disk_usage(version: ApiVersion, usage: &mut DiskUsage) {
    let images = usage.images.as_deref_mut().unwrap_or_default();
    if version <= up_to_1_43::LAST {
        up_to_1_43::image_list(images);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_taken_off_the_path() {
        assert_eq!(take("/v1.47/info").unwrap(), (Some(ApiVersion::new(47)), "/info"));
        assert_eq!(take("/volumes/x").unwrap(), (None, "/volumes/x"));
        assert_eq!(take("/version").unwrap(), (None, "/version"));
    }

    #[track_caller]
    fn refused(minor: u32, words: &str) {
        let error = check(Some(ApiVersion::new(minor))).unwrap_err();
        assert_eq!(error.message(), words);
    }

    #[test]
    fn versions_out_of_range_are_refused_in_dockers_words() {
        refused(99, "client version 1.99 is too new. Maximum supported API version is 1.51");
        refused(
            18,
            "client version 1.18 is too old. Minimum supported API version is 1.24, please \
             upgrade your client to a newer version",
        );
        assert_eq!(check(None).unwrap(), ApiVersion::MAX);
    }

    fn host(text: &str, minor: u32) -> HostConfig {
        let mut request: CreateRequest = docker_api::lenient::from_slice(text.as_bytes()).unwrap();
        create_request(ApiVersion::new(minor), &mut request, 1).unwrap();
        request.host_config.unwrap()
    }

    #[test]
    fn old_clients_remove_containers_themselves() {
        let text = r#"{"HostConfig":{"AutoRemove":true}}"#;
        assert!(!host(text, 24).auto_remove);
        assert!(host(text, 25).auto_remove);
    }

    #[test]
    fn the_default_ipc_mode_was_shareable_once() {
        assert_eq!(host("{}", 39).ipc_mode, "shareable");
        assert_eq!(host("{}", 40).ipc_mode, "");
    }

    #[test]
    fn read_only_mounts_were_not_recursive_once() {
        let text = r#"{"HostConfig":{"Mounts":[{"Type":"bind","Source":"/a","Target":"/b","ReadOnly":true}]}}"#;
        let option = |host: HostConfig| {
            let mount = host.mounts.unwrap().remove(0);
            mount.bind_options.unwrap_or_default().read_only_non_recursive
        };
        assert!(option(host(text, 43)));
        assert!(!option(host(text, 44)));
    }
}
