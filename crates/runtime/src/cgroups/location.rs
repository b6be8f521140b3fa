//! Where a container's cgroup is, for those who come back to it later.

use std::path::{Path, PathBuf};

use oci::runtime::Spec;
use serde::{Deserialize, Serialize};

use super::systemd::Unit;

/// Where a container's cgroup is, and who made it. To be kept by whoever opens the container
/// again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupLocation(pub(super) Kind);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Kind {
    /// A folder of this path below each hierarchy.
    Folder(PathBuf),
    /// A unit of systemd's.
    Unit(Unit),
    /// An ordinary user to whom no cgroup is delegated has made the container.
    Absent,
}

impl CgroupLocation {
    /// Where the container has its cgroup if it was made by file. Without a path in the
    /// configuration that is below the hierarchy's root, by the container's id; for an ordinary
    /// user, beside the cgroup that this process is in.
    pub fn by_file(id: &str, spec: &Spec) -> Self {
        let path = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_deref());
        Self(Kind::Folder(folder(id, path)))
    }

    /// Whether there is no cgroup at all.
    pub fn is_absent(&self) -> bool {
        self.0 == Kind::Absent
    }
}

/// A path that starts at the root, in the configuration or not, starts at the hierarchy's. So
/// does any other, but an ordinary user's: that starts beside his own.
pub(super) fn folder(id: &str, path: Option<&Path>) -> PathBuf {
    let path = path.filter(|path| !path.as_os_str().is_empty());
    let is_root = rustix::process::geteuid().is_root();
    match path {
        Some(path) if is_root || path.is_absolute() => below_the_hierarchy(path),
        Some(path) => own_neighbourhood().join(below_the_hierarchy(path)),
        None if is_root => Path::new("wharf").join(id),
        None => own_neighbourhood().join(id),
    }
}

/// The folder above this process's own in version 2's hierarchy. Not its own: that has a process
/// in it, and so cannot hand controllers down.
fn own_neighbourhood() -> PathBuf {
    let text = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    below_the_hierarchy(Path::new(own).parent().unwrap_or(Path::new("/")))
}

/// `path` without what would lead out of a hierarchy.
fn below_the_hierarchy(path: &Path) -> PathBuf {
    use std::path::Component;
    path.components().filter(|component| matches!(component, Component::Normal(_))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_its_hierarchy() {
        assert_eq!(below_the_hierarchy(Path::new("/docker/../../x/./y")), Path::new("docker/x/y"));
    }

    #[test]
    fn a_location_can_be_kept() {
        for kind in [Kind::Folder("a/b".into()), Kind::Absent] {
            let location = CgroupLocation(kind);
            let text = serde_json::to_string(&location).unwrap();
            assert_eq!(serde_json::from_str::<CgroupLocation>(&text).unwrap(), location);
        }
    }
}
