//! API 1.39 and older.

use docker_api::ApiVersion;
use docker_api::containers::HostConfig;

pub(super) const LAST: ApiVersion = ApiVersion::new(39);

/// The default IPC namespace could be joined, and some options did not exist.
pub(super) fn create(host: &mut HostConfig) {
    if host.ipc_mode.is_empty() {
        "shareable".clone_into(&mut host.ipc_mode);
    }
    host.resources.kernel_memory_tcp = 0;
    for mount in host.mounts.iter_mut().flatten() {
        if let Some(options) = &mut mount.bind_options {
            options.non_recursive = false;
        }
    }
}
