//! No cgroup at all: for the container of an ordinary user on a host that delegates none.
//!
//! Such a container cannot be limited, frozen or counted, which is said to whoever asks for it.
//! It ends with its first process, as long as it has a pid namespace of its own.

use std::fs;
use std::os::fd::BorrowedFd;
use std::path::{Component, Path, PathBuf};

use oci::runtime::{LinuxDeviceCgroup, LinuxResources};
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::process::Pid;

use super::{CgroupError, Driver, Entry, Folder, Layout, OutOfMemoryEvents, Statistics, SubCgroup};

#[derive(Debug)]
pub(super) struct Absent;

impl Driver for Absent {
    fn birthplace(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn admit(&self, _process: Pid) -> Result<(), CgroupError> {
        Ok(())
    }

    fn entry(&self, sub: &SubCgroup) -> Result<Entry, CgroupError> {
        if *sub == SubCgroup::Default { Ok(Entry::default()) } else { Err(CgroupError::Absent) }
    }

    fn present_place(&self, _process: Pid) -> Option<PathBuf> {
        None
    }

    fn counts_memory_from_birth(&self) -> bool {
        false
    }

    /// An ordinary user makes no devices, and those of the host's that it may open are no
    /// business of a rule's.
    fn set_device_rules(&self, _rules: &[LinuxDeviceCgroup]) -> Result<(), CgroupError> {
        Ok(())
    }

    fn limit(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        if sets_limits(resources) { Err(CgroupError::Absent) } else { Ok(()) }
    }

    fn processes(&self) -> Result<Vec<Pid>, CgroupError> {
        Err(CgroupError::Absent)
    }

    fn freeze(&self) -> Result<(), CgroupError> {
        Err(CgroupError::Absent)
    }

    fn thaw(&self) -> Result<(), CgroupError> {
        Err(CgroupError::Absent)
    }

    fn is_frozen(&self) -> Result<bool, CgroupError> {
        Ok(false)
    }

    fn kill_all(&self) -> Result<(), CgroupError> {
        Ok(())
    }

    fn out_of_memory_events(&self) -> Result<Option<OutOfMemoryEvents>, CgroupError> {
        Ok(None)
    }

    fn statistics(&self) -> Result<Statistics, CgroupError> {
        Err(CgroupError::Absent)
    }

    fn folders(&self) -> Vec<Folder> {
        Vec::new()
    }

    fn remove(&self) -> Result<(), CgroupError> {
        Ok(())
    }
}

/// Whether something is to be limited, other than devices.
pub(super) fn sets_limits(resources: &LinuxResources) -> bool {
    let mut others = resources.clone();
    others.set_devices(None);
    let empty: LinuxResources =
        serde_json::from_value(serde_json::json!({})).expect("every field may be missing");
    others != empty
}

/// Whether this process may have its children born in the cgroup `path` of the unified
/// hierarchy: the cgroup above both that one and its own has to be its to write to.
pub(super) fn may_move_to(path: &Path, layout: Layout) -> bool {
    let Some(mount_point) = unified_mount_point(layout) else { return true };
    let Ok(text) = fs::read_to_string("/proc/self/cgroup") else { return false };
    let own = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    let common = common_folder(Path::new(own.trim_start_matches('/')), path);
    let file = mount_point.join(common).join("cgroup.procs");
    accessat(CWD, file, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}

/// Where the hierarchy is that every container has a folder in, if there is one.
fn unified_mount_point(layout: Layout) -> Option<&'static Path> {
    match layout {
        Layout::Unified => Some(Path::new(super::MOUNT_POINT)),
        Layout::Version1 { with_unified: true } => Some(Path::new("/sys/fs/cgroup/unified")),
        Layout::Version1 { with_unified: false } => None,
    }
}

fn common_folder(one: &Path, other: &Path) -> PathBuf {
    let pairs = one.components().zip(other.components());
    let same = pairs.take_while(|(one, other)| one == other).map(|(one, _)| one);
    same.filter(|component| matches!(component, Component::Normal(_))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_above_two_is_what_they_share() {
        let common = |one: &str, other: &str| common_folder(Path::new(one), Path::new(other));
        assert_eq!(common("user/1000/a", "user/1000/b/c"), Path::new("user/1000"));
        assert_eq!(common("a", "b"), Path::new(""));
        assert_eq!(common("a/b", "a/b"), Path::new("a/b"));
    }

    #[test]
    fn rules_about_devices_are_no_limits() {
        let resources = |json| serde_json::from_value::<LinuxResources>(json).unwrap();
        let rules = serde_json::json!({"devices": [{"allow": false, "access": "rwm"}]});
        assert!(!sets_limits(&resources(rules)));
        assert!(sets_limits(&resources(serde_json::json!({"pids": {"limit": 5}}))));
    }
}
