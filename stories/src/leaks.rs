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

/// Processes that name `folder` in their command line or work in it: its daemon and the
/// supervisors of its containers.
pub(crate) fn processes_of(folder: &Path) -> Vec<(u32, String)> {
    let name = folder.to_str().expect("temporary folders have plain names");
    let ids = fs::read_dir("/proc").expect("there is a /proc").flatten();
    let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|&id| id != std::process::id())
        .filter_map(|id: u32| {
            let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let works_there = fs::read_link(format!("/proc/{id}/cwd"))
                .is_ok_and(|place| place.starts_with(folder));
            (works_there || line.contains(name)).then_some((id, line))
        })
        .collect()
}

/// Processes in the control groups below `parent`.
pub(crate) fn processes_below(parent: &str) -> Vec<u32> {
    let lists = cgroups_below(parent).into_iter().map(|folder| folder.join("cgroup.procs"));
    let lists: Vec<_> = lists.filter_map(|list| fs::read_to_string(list).ok()).collect();
    lists.iter().flat_map(|list| list.lines()).filter_map(|line| line.parse().ok()).collect()
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

/// Removes `parent` and the groups in it from every hierarchy; tells whether it is gone.
pub(crate) fn remove_cgroup(parent: &str) -> bool {
    for group in cgroups_below(parent).into_iter().chain(cgroup_folders(parent)) {
        // It cannot be removed while a process in it is ending.
        let _ = fs::remove_dir(group);
    }
    cgroup_folders(parent).is_empty()
}

/// The folders that `parent` has: in the one hierarchy, or in each of version 1.
fn cgroup_folders(parent: &str) -> Vec<PathBuf> {
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let folders = hierarchies.map(|entry| entry.path()).chain([PathBuf::from("/sys/fs/cgroup")]);
    let folders = folders.map(|hierarchy| hierarchy.join(parent.trim_start_matches('/')));
    folders.filter(|folder| folder.is_dir()).collect()
}

/// Every path below `folder`, down to a depth.
pub(crate) fn paths_below(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in entries(folder) {
        // What goes meanwhile is gone.
        if depth > 1 && path.symlink_metadata().is_ok_and(|status| status.is_dir()) {
            found.extend(paths_below(&path, depth - 1));
        }
        found.push(path);
    }
    found
}

/// The entries of `folder`, if it exists.
pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}
