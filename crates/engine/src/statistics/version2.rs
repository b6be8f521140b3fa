//! What a folder of version 2 has counted.

use std::path::Path;

use super::files::{number, table, text, value};
use super::{BlockUse, CpuUse, MemoryUse, Usage, processes};

/// Processor time is counted even without the `cpu` controller; periods are not.
pub(super) fn cpu(folder: &Path) -> CpuUse {
    let counts = text(folder, "cpu.stat");
    let nanoseconds = |key| value(&counts, key) * 1000;
    CpuUse {
        total_ns: nanoseconds("usage_usec"),
        user_ns: nanoseconds("user_usec"),
        system_ns: nanoseconds("system_usec"),
        each_ns: Vec::new(),
        periods: value(&counts, "nr_periods"),
        throttled_periods: value(&counts, "nr_throttled"),
        throttled_ns: nanoseconds("throttled_usec"),
    }
}

/// Where a controller is not delegated, its figures come from the processes.
pub(super) fn count(folder: &Path, usage: &mut Usage) {
    let (memory_used, tasks) = (number(folder, "memory.current"), number(folder, "pids.current"));
    let counts_blocks = folder.join("io.stat").exists();
    let is_counted = memory_used.is_some() && tasks.is_some() && counts_blocks;
    let running = if is_counted { Vec::new() } else { processes::list(folder) };
    usage.memory = match memory_used {
        Some(used) => memory(folder, used),
        None => MemoryUse { used: processes::memory(&running), ..MemoryUse::default() },
    };
    usage.tasks = tasks.unwrap_or_else(|| processes::tasks(&running));
    usage.tasks_max = number(folder, "pids.max");
    usage.block =
        if counts_blocks { block(&text(folder, "io.stat")) } else { processes::block(&running) };
}

fn memory(folder: &Path, used: u64) -> MemoryUse {
    MemoryUse {
        used,
        used_max: None,
        limit: number(folder, "memory.max"),
        failures: value(&text(folder, "memory.events"), "oom"),
        details: table(&text(folder, "memory.stat")),
    }
}

/// `io.stat`: `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …` a line.
fn block(text: &str) -> Vec<BlockUse> {
    text.lines().filter_map(device).flatten().collect()
}

fn device(line: &str) -> Option<[BlockUse; 2]> {
    let (device, values) = line.split_once(' ')?;
    let (major, minor) = device.split_once(':')?;
    let (major, minor) = (major.parse().ok()?, minor.parse().ok()?);
    let value = |wanted: &str| {
        let mut pairs = values.split(' ').filter_map(|word| word.split_once('='));
        pairs.find(|(key, _)| *key == wanted).and_then(|(_, value)| value.parse().ok())
    };
    let way = |operation: &str, bytes: &str, operations: &str| BlockUse {
        major,
        minor,
        operation: operation.to_owned(),
        bytes: Some(value(bytes).unwrap_or(0)),
        operations: value(operations),
    };
    Some([way("read", "rbytes", "rios"), way("write", "wbytes", "wios")])
}

#[cfg(test)]
mod tests {
    use super::block;

    #[test]
    fn each_device_has_two_ways() {
        let text = "254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n8:0 \n";
        let list = block(text);
        assert_eq!(list.len(), 4);
        assert_eq!((list[1].major, list[1].operation.as_str()), (254, "write"));
        assert_eq!((list[1].bytes, list[1].operations), (Some(8192), Some(2)));
        // A device of which nothing is known has moved nothing.
        assert_eq!(list[2].bytes, Some(0));
    }
}
