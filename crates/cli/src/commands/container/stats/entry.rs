//! What one container uses, computed as Docker's client computes it.

use docker_api::containers::{MemoryStats, StatsResponse};
use serde_json::Value;

use crate::output::ellipsis::short_id;
use crate::output::rows::Row;
use crate::output::units;

/// What stands for a figure that is not known.
const UNKNOWN: &str = "--";

/// What a container uses.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Entry {
    /// As the user, or the list, named it.
    pub(super) asked_for: String,
    name: String,
    id: String,
    figures: Figures,
    /// Nothing has been heard of it for too long.
    pub(super) is_unknown: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Figures {
    cpu_percent: f64,
    memory: f64,
    memory_limit: f64,
    received: f64,
    sent: f64,
    read: f64,
    written: f64,
    tasks: u64,
}

impl Entry {
    /// A container of which nothing is known yet.
    pub(super) fn new(asked_for: &str) -> Self {
        Self { asked_for: asked_for.to_owned(), ..Self::default() }
    }

    pub(super) fn of(asked_for: &str, stats: &StatsResponse) -> Self {
        Self {
            asked_for: asked_for.to_owned(),
            name: stats.name.clone(),
            id: stats.id.clone(),
            figures: Figures::of(stats),
            is_unknown: false,
        }
    }

    /// Without its figures, which are too old.
    pub(super) fn forget(&mut self) {
        self.figures = Figures::default();
        self.is_unknown = true;
    }
}

impl Figures {
    fn of(stats: &StatsResponse) -> Self {
        let networks = || stats.networks.iter().flatten().map(|(_, network)| network);
        Self {
            cpu_percent: cpu_percent(stats),
            memory: memory_without_cache(&stats.memory_stats) as f64,
            memory_limit: stats.memory_stats.limit as f64,
            received: networks().map(|network| network.rx_bytes as f64).sum(),
            sent: networks().map(|network| network.tx_bytes as f64).sum(),
            read: block(stats, ['r', 'R']),
            written: block(stats, ['w', 'W']),
            tasks: stats.pids_stats.current,
        }
    }

    fn memory_percent(&self) -> f64 {
        if self.memory_limit == 0.0 { 0.0 } else { self.memory / self.memory_limit * 100.0 }
    }
}

/// Of one processor: two that are busy are 200 %.
fn cpu_percent(stats: &StatsResponse) -> f64 {
    let (now, before) = (&stats.cpu_stats, &stats.precpu_stats);
    let own = now.cpu_usage.total_usage as f64 - before.cpu_usage.total_usage as f64;
    let host = now.system_cpu_usage as f64 - before.system_cpu_usage as f64;
    let processors = match now.online_cpus {
        0 => now.cpu_usage.percpu_usage.iter().flatten().count() as f64,
        online => f64::from(online),
    };
    if own > 0.0 && host > 0.0 { own / host * processors * 100.0 } else { 0.0 }
}

/// Without files that nobody has used of late: the kernel gives that memory away.
fn memory_without_cache(memory: &MemoryStats) -> u64 {
    let value = |key: &str| memory.stats.as_ref().and_then(|stats| stats.get(key)).copied();
    // The first with cgroups of version 1, the second with version 2.
    let cache = value("total_inactive_file").filter(|cache| *cache < memory.usage);
    let cache = cache.or(value("inactive_file").filter(|cache| *cache < memory.usage));
    memory.usage - cache.unwrap_or(0)
}

fn block(stats: &StatsResponse, first_letters: [char; 2]) -> f64 {
    let entries = stats.blkio_stats.io_service_bytes_recursive.iter().flatten();
    let meant = entries.filter(|entry| entry.op.starts_with(first_letters));
    meant.map(|entry| entry.value as f64).sum()
}

/// A container in the table.
pub(super) struct EntryRow<'a> {
    pub(super) entry: &'a Entry,
    pub(super) is_short: bool,
}

impl Row for EntryRow<'_> {
    const TYPE: &'static str = "*container.statsContext";
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("Container", "CONTAINER"),
        ("Name", "NAME"),
        ("ID", "CONTAINER ID"),
        ("CPUPerc", "CPU %"),
        ("MemUsage", "MEM USAGE / LIMIT"),
        ("MemPerc", "MEM %"),
        ("NetIO", "NET I/O"),
        ("BlockIO", "BLOCK I/O"),
        ("PIDs", "PIDS"),
    ];
    const HAS_LABELS: bool = false;

    fn field(&self, name: &str) -> Value {
        let Entry { figures, is_unknown, .. } = self.entry;
        let percent = |share: f64| format!("{share:.2}%");
        let pair = |one: f64, other: f64| {
            format!("{} / {}", units::short_size(one), units::short_size(other))
        };
        let text = match name {
            "Container" => self.entry.asked_for.clone(),
            "Name" => self.name(),
            "ID" if self.is_short => short_id(&self.entry.id).to_owned(),
            "ID" => self.entry.id.clone(),
            "MemUsage" if *is_unknown => format!("{UNKNOWN} / {UNKNOWN}"),
            _ if *is_unknown => UNKNOWN.to_owned(),
            "CPUPerc" => percent(figures.cpu_percent),
            "MemUsage" => {
                let (used, limit) = (figures.memory, figures.memory_limit);
                format!("{} / {}", units::binary_size(used), units::binary_size(limit))
            }
            "MemPerc" => percent(figures.memory_percent()),
            "NetIO" => pair(figures.received, figures.sent),
            "BlockIO" => pair(figures.read, figures.written),
            "PIDs" => figures.tasks.to_string(),
            _ => return Value::Null,
        };
        text.into()
    }
}

impl EntryRow<'_> {
    fn name(&self) -> String {
        let name = self.entry.name.strip_prefix('/').unwrap_or(&self.entry.name);
        if name.is_empty() { UNKNOWN.to_owned() } else { name.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stats(document: Value) -> StatsResponse {
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn two_busy_processors_are_two_hundred_percent() {
        let busy = stats(json!({
            "cpu_stats": {
                "cpu_usage": { "total_usage": 3_000 }, "system_cpu_usage": 14_000, "online_cpus": 4
            },
            "precpu_stats": { "cpu_usage": { "total_usage": 1_000 }, "system_cpu_usage": 10_000 },
        }));
        assert!((cpu_percent(&busy) - 200.0).abs() < 1e-9);
        assert!(cpu_percent(&StatsResponse::default()).abs() < 1e-9);
    }

    #[test]
    fn memory_is_told_without_files_that_nobody_uses() {
        let memory = |key: &str| {
            let memory = json!({ "memory_stats": { "usage": 100, "stats": { key: 30 } } });
            memory_without_cache(&stats(memory).memory_stats)
        };
        assert_eq!(memory("total_inactive_file"), 70);
        assert_eq!(memory("inactive_file"), 70);
        assert_eq!(memory("cache"), 100);
    }

    #[test]
    fn what_is_not_known_is_not_shown_as_nothing() {
        let mut entry =
            Entry::of("web", &stats(json!({ "name": "/web", "id": "0123456789abcdef" })));
        let field = |entry: &Entry, name: &str| EntryRow { entry, is_short: true }.field(name);
        assert_eq!(field(&entry, "ID"), "0123456789ab");
        assert_eq!(field(&entry, "MemUsage"), "0B / 0B");
        assert_eq!(field(&entry, "CPUPerc"), "0.00%");
        entry.forget();
        assert_eq!(field(&entry, "Name"), "web");
        assert_eq!(field(&entry, "MemUsage"), "-- / --");
        assert_eq!(field(&entry, "PIDs"), "--");
    }
}
