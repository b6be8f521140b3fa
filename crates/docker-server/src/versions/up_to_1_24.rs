//! API 1.24 and older.

use docker_api::ApiVersion;
use docker_api::containers::HostConfig;
use docker_api::system::SystemInfo;

pub(super) const LAST: ApiVersion = ApiVersion::new(24);

/// The client removed its containers itself.
pub(super) fn create(host: &mut HostConfig) {
    host.auto_remove = false;
}

/// Security options were names only.
pub(super) fn info(info: &mut SystemInfo) {
    for option in &mut info.security_options {
        let name = option.split(',').next().unwrap_or_default();
        *option = name.strip_prefix("name=").unwrap_or(name).to_owned();
    }
}
