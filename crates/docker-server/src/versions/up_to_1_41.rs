//! API 1.41 and older.

use docker_api::ApiVersion;
use docker_api::containers::HostConfig;

use crate::http::ApiError;

pub(super) const LAST: ApiVersion = ApiVersion::new(41);

/// Options of another kind of mount were ignored, and consoles had no first size.
pub(super) fn create(host: &mut HostConfig) {
    host.console_size = [0, 0];
    for mount in host.mounts.iter_mut().flatten() {
        if mount.kind != "volume" {
            mount.volume_options = None;
        }
        if mount.kind != "tmpfs" {
            mount.tmpfs_options = None;
        }
        if let Some(options) = &mut mount.bind_options {
            options.create_mountpoint = false;
        }
    }
}

/// Since then they are refused, and limits of kernel memory are ignored.
pub(super) fn refuse_foreign_options(host: &mut HostConfig) -> Result<(), ApiError> {
    host.resources.kernel_memory = 0;
    for mount in host.mounts.iter().flatten() {
        let kind = &mount.kind;
        let given = [
            ("volume", "VolumeOptions", mount.volume_options.is_some()),
            ("bind", "BindOptions", mount.bind_options.is_some()),
            ("tmpfs", "TmpfsOptions", mount.tmpfs_options.is_some()),
        ];
        for (own, name, is_given) in given {
            if is_given && kind != own {
                return Err(ApiError::invalid(format!(
                    "{name} must not be specified on mount type {kind:?}"
                )));
            }
        }
    }
    Ok(())
}
