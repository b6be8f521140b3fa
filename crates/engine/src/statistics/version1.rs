//! What the folders of version 1 have counted: one hierarchy for each controller.

use std::path::{Component, Path, PathBuf};

use super::files::{number, table, text, value};
use super::{BlockUse, CpuUse, MemoryUse, Usage, processes};

/// Where the hierarchies are mounted, by convention of every distribution.
const MOUNT_POINT: &str = "/sys/fs/cgroup";

/// The hierarchy of version 2 that is mounted beside the others.
const UNIFIED: &str = "unified";

/// The others' names, as far as anything is read there.
const CONTROLLERS: [&str; 7] =
    ["memory", "cpu", "cpuacct", "pids", "blkio", "freezer", "cpu,cpuacct"];

/// The limit of what has none: near the largest number, and rounded down to pages.
const NO_LIMIT: u64 = u64::MAX >> 2;

/// A tick of `cpuacct.stat`, in nanoseconds.
const TICK_NS: u64 = 10_000_000;

/// A container's folders. It has one only where it has a limit.
pub(super) struct Folders<'a>(Vec<(&'a str, &'a Path)>);

impl<'a> Folders<'a> {
    /// `None` if these are no folders of version 1.
    pub(super) fn of(paths: &'a [PathBuf]) -> Option<Self> {
        let named = |path: &'a PathBuf| Some((hierarchy(path)?, path.as_path()));
        let folders: Vec<_> = paths.iter().filter_map(named).collect();
        (!folders.is_empty()).then_some(Self(folders))
    }

    fn find(&self, name: &str) -> Option<&'a Path> {
        let is_it = |own: &str| own.split(',').any(|part| part == name);
        self.0.iter().find(|(own, _)| is_it(own)).map(|(_, path)| *path)
    }

    pub(super) fn are_there(&self) -> bool {
        self.0.iter().any(|(_, path)| path.exists())
    }

    pub(super) fn cpu(&self) -> CpuUse {
        let mut cpu = self.find(UNIFIED).map(super::version2::cpu).unwrap_or_default();
        if let Some(folder) = self.find("cpuacct")
            && let Some(total) = number(folder, "cpuacct.usage")
        {
            let ticks = text(folder, "cpuacct.stat");
            cpu.total_ns = total;
            cpu.user_ns = value(&ticks, "user") * TICK_NS;
            cpu.system_ns = value(&ticks, "system") * TICK_NS;
            let each = text(folder, "cpuacct.usage_percpu");
            cpu.each_ns =
                each.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
        }
        if let Some(folder) = self.find("cpu") {
            let counts = text(folder, "cpu.stat");
            cpu.periods = value(&counts, "nr_periods");
            cpu.throttled_periods = value(&counts, "nr_throttled");
            cpu.throttled_ns = value(&counts, "throttled_time");
        }
        cpu
    }

    pub(super) fn count(&self, usage: &mut Usage) {
        let (memory_folder, pids, blkio) =
            (self.find("memory"), self.find("pids"), self.find("blkio"));
        let is_counted = memory_folder.is_some() && pids.is_some() && blkio.is_some();
        let running = if is_counted { Vec::new() } else { self.processes() };
        usage.memory = memory_folder.map_or_else(|| memory_of(&running), memory);
        usage.tasks = match pids.and_then(|folder| number(folder, "pids.current")) {
            Some(tasks) => tasks,
            None => processes::tasks(&running),
        };
        usage.tasks_max = pids.and_then(|folder| number(folder, "pids.max"));
        usage.block = blkio.map_or_else(|| processes::block(&running), block);
    }

    fn processes(&self) -> Vec<i32> {
        // Every container has one of these.
        let folder = self.find(UNIFIED).or_else(|| self.find("freezer"));
        folder.map(processes::list).unwrap_or_default()
    }
}

/// The hierarchy that a folder is in.
fn hierarchy(path: &Path) -> Option<&str> {
    let below = path.strip_prefix(MOUNT_POINT).ok()?;
    let Some(Component::Normal(name)) = below.components().next() else { return None };
    // Below version 2's root there are cgroups, and nobody calls one so.
    name.to_str().filter(|name| *name == UNIFIED || CONTROLLERS.contains(name))
}

fn memory(folder: &Path) -> MemoryUse {
    let number = |name: &str| number(folder, &format!("memory.{name}"));
    MemoryUse {
        used: number("usage_in_bytes").unwrap_or(0),
        used_max: number("max_usage_in_bytes"),
        limit: number("limit_in_bytes").filter(|limit| *limit < NO_LIMIT),
        failures: number("failcnt").unwrap_or(0),
        details: table(&text(folder, "memory.stat")),
    }
}

/// Without a folder nothing but the processes' own memory is known.
fn memory_of(pids: &[i32]) -> MemoryUse {
    let used = processes::memory(pids);
    let details = ["rss", "total_rss"].map(|name| (name.to_owned(), used));
    MemoryUse { used, details: details.into(), ..MemoryUse::default() }
}

/// `blkio.throttle.*`: `8:0 Read 4096` a line, and a sum of everything in the last one.
fn block(folder: &Path) -> Vec<BlockUse> {
    let mut list: Vec<BlockUse> = Vec::new();
    for (name, is_bytes) in
        [("blkio.throttle.io_service_bytes", true), ("blkio.throttle.io_serviced", false)]
    {
        for (major, minor, operation, value) in text(folder, name).lines().filter_map(parse) {
            let known = list.iter().position(|entry| {
                (entry.major, entry.minor, entry.operation.as_str()) == (major, minor, operation)
            });
            let at = known.unwrap_or_else(|| {
                let operation = operation.to_owned();
                list.push(BlockUse { major, minor, operation, ..BlockUse::default() });
                list.len() - 1
            });
            let place = if is_bytes { &mut list[at].bytes } else { &mut list[at].operations };
            *place = Some(value);
        }
    }
    list
}

fn parse(line: &str) -> Option<(u64, u64, &str, u64)> {
    let mut words = line.split(' ');
    let (major, minor) = words.next()?.split_once(':')?;
    let operation = words.next()?;
    Some((major.parse().ok()?, minor.parse().ok()?, operation, words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_in_the_hierarchy_that_its_path_names() {
        let paths = ["unified/docker/x", "memory/docker/x", "cpu,cpuacct/docker/x"]
            .map(|path| Path::new(MOUNT_POINT).join(path));
        let folders = Folders::of(&paths).unwrap();
        assert_eq!(folders.find("memory"), Some(paths[1].as_path()));
        assert_eq!(folders.find("cpuacct"), Some(paths[2].as_path()));
        assert_eq!(folders.find("pids"), None);
        assert!(Folders::of(&["/sys/fs/cgroup/docker/x".into()]).is_none());
    }

    #[test]
    fn transfers_have_a_device_and_a_direction() {
        assert_eq!(parse("8:16 Read 4096"), Some((8, 16, "Read", 4096)));
        assert_eq!(parse("Total 4096"), None);
    }
}
