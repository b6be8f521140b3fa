//! API 1.40 and older.

use docker_api::ApiVersion;
use docker_api::containers::HostConfig;

pub(super) const LAST: ApiVersion = ApiVersion::new(40);

/// With cgroup v1, containers had no cgroup namespace of their own.
pub(super) fn create(host: &mut HostConfig, cgroup_version: u8) {
    if cgroup_version == 1 && host.cgroupns_mode.is_empty() {
        "host".clone_into(&mut host.cgroupns_mode);
    }
}
