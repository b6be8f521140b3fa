//! What a container's processes have, added up: where no cgroup counts it.
//!
//! A process that ends takes its memory with it, but what it read and wrote stays with the
//! parent that waited for it (`wait4(2)`), so that the sum over the living is nearly the
//! container's.

use std::fs;
use std::path::Path;

use super::BlockUse;

/// Levels of cgroups below the container's own: those of a service manager in it.
const DEPTH_MAX: usize = 16;

/// Processes that are added up. A container with more has a limit on them, and so a folder
/// that counts.
const PROCESSES_MAX: usize = 10_000;

/// The processes in a cgroup and in those below it.
pub(super) fn list(folder: &Path) -> Vec<i32> {
    let mut pids = Vec::new();
    collect(folder, DEPTH_MAX, &mut pids);
    pids.truncate(PROCESSES_MAX);
    pids
}

fn collect(folder: &Path, depth: usize, pids: &mut Vec<i32>) {
    let text = super::files::text(folder, "cgroup.procs");
    pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    let folders = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = folders.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    if depth > 0 && pids.len() <= PROCESSES_MAX {
        folders.for_each(|entry| collect(&entry.path(), depth - 1, pids));
    }
}

/// Memory that the processes share with nobody, in bytes.
pub(super) fn memory(pids: &[i32]) -> u64 {
    let page = rustix::param::page_size() as u64;
    let pages = |pid: &i32| -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
        // Size, resident, shared with others.
        let mut fields = text.split(' ').skip(1).map(|field| field.parse::<u64>().ok());
        let resident = fields.next()??;
        Some(resident.saturating_sub(fields.next()??))
    };
    pids.iter().filter_map(pages).sum::<u64>() * page
}

/// Processes and threads.
pub(super) fn tasks(pids: &[i32]) -> u64 {
    let threads = |pid: &i32| -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may contain anything, and ends with the last bracket. `num_threads` is the
        // 18th field after it.
        text.rsplit_once(") ")?.1.split(' ').nth(17)?.parse().ok()
    };
    pids.iter().filter_map(threads).sum()
}

/// Bytes that went to and from disks.
pub(super) fn block(pids: &[i32]) -> Vec<BlockUse> {
    let (mut read, mut written) = (0, 0);
    for pid in pids {
        let text = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        read += super::files::value(&text, "read_bytes:");
        written += super::files::value(&text, "write_bytes:");
    }
    if (read, written) == (0, 0) {
        return Vec::new();
    }
    [("Read", read), ("Write", written)]
        .map(|(operation, bytes)| BlockUse {
            operation: operation.to_owned(),
            bytes: Some(bytes),
            ..BlockUse::default()
        })
        .into()
}

#[cfg(test)]
mod tests {
    use super::{memory, tasks};

    #[test]
    fn this_very_process_is_counted() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(memory(&[own]) > 4096);
        assert!(tasks(&[own]) >= 1);
        // Nobody has this number.
        assert_eq!((memory(&[i32::MAX]), tasks(&[i32::MAX])), (0, 0));
    }
}
