//! Mounts as they were resolved.

use docker_api::containers::MountPoint;
use engine::containers::MountView;
use engine::containers::view::MountKind;

/// Every mount but those of `--tmpfs`, which Docker shows elsewhere.
pub(super) fn list(mounts: &[MountView], hidden_tmpfs: &[String]) -> Vec<MountPoint> {
    mounts
        .iter()
        .filter(|mount| mount.kind != MountKind::Tmpfs || !is_hidden(mount, hidden_tmpfs))
        .map(show)
        .collect()
}

fn is_hidden(mount: &MountView, hidden: &[String]) -> bool {
    hidden.iter().any(|target| super::clean_path(target) == mount.target)
}

fn show(mount: &MountView) -> MountPoint {
    let kind = match mount.kind {
        MountKind::Bind => "bind",
        MountKind::Volume => "volume",
        MountKind::Tmpfs => "tmpfs",
    };
    MountPoint {
        kind: kind.to_owned(),
        name: mount.name.clone().unwrap_or_default(),
        source: mount.source.display().to_string(),
        destination: mount.target.clone(),
        driver: mount.driver.clone().unwrap_or_default(),
        mode: mount.mode.clone(),
        rw: mount.writable,
        propagation: mount.propagation.clone(),
    }
}
