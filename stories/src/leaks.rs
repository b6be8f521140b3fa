//! What a daemon left behind once its containers are gone.
//!
//! Each look returns what it found, in words. A host that has removed its containers
//! should find nothing.

use std::fs;
use std::path::{Path, PathBuf};

/// Mounts below `folder` on the host.
pub(crate) fn mounts_below(folder: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("the kernel lists mounts");
    let targets = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    targets.filter(|target| target.starts_with(folder)).collect()
}

/// Processes whose command line names `folder`: its daemon and supervisors.
pub(crate) fn processes_naming(folder: &Path) -> Vec<(u32, String)> {
    let folder = folder.to_str().expect("temporary folders have plain names");
    let ids = fs::read_dir("/proc").expect("there is a /proc").flatten();
    let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|&id| id != std::process::id())
        .filter_map(|id: u32| {
            let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            line.contains(folder).then_some((id, line))
        })
        .collect()
}

/// Control groups below `parent`, in every hierarchy.
pub(crate) fn cgroups_below(parent: &str) -> Vec<PathBuf> {
    cgroup_folders(parent)
        .iter()
        .flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten())
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Removes `parent` itself from every hierarchy.
pub(crate) fn remove_cgroup(parent: &str) {
    for folder in cgroup_folders(parent) {
        // What is left inside was reported already.
        let _ = fs::remove_dir(folder);
    }
}

/// The folders that `parent` has: in the one hierarchy, or in each of version 1.
fn cgroup_folders(parent: &str) -> Vec<PathBuf> {
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let folders = hierarchies.map(|entry| entry.path()).chain([PathBuf::from("/sys/fs/cgroup")]);
    let folders = folders.map(|hierarchy| hierarchy.join(parent.trim_start_matches('/')));
    folders.filter(|folder| folder.is_dir()).collect()
}

/// The entries of `folder`, if it exists.
pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}
