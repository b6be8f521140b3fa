//! The processor time of the whole host, which shares are computed from.

/// The kernel's clock ticks a second in `/proc`: fixed on every architecture (`USER_HZ`).
const TICKS_PER_SECOND: u64 = 100;

/// Columns of `/proc/stat` that are added up: user, nice, system, idle, iowait, irq, softirq.
/// What a hypervisor took (`steal`) is not this host's time.
const COLUMNS: usize = 7;

/// Processor time of the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostUse {
    /// Of all processors together, idle or not, in nanoseconds.
    pub total_ns: u64,
    pub processors: u32,
}

pub(super) fn read() -> HostUse {
    parse(&std::fs::read_to_string("/proc/stat").unwrap_or_default())
}

fn parse(text: &str) -> HostUse {
    let mut host = HostUse::default();
    for line in text.lines().take_while(|line| line.starts_with("cpu")) {
        let mut words = line.split_ascii_whitespace();
        if words.next() != Some("cpu") {
            host.processors += 1;
            continue;
        }
        let ticks: u64 = words.take(COLUMNS).filter_map(|word| word.parse::<u64>().ok()).sum();
        host.total_ns = ticks * (1_000_000_000 / TICKS_PER_SECOND);
    }
    host
}

#[cfg(test)]
mod tests {
    use super::{HostUse, parse};

    #[test]
    fn stolen_time_is_not_the_hosts() {
        let text = "cpu  1 2 3 4 5 6 7 100 0 0\ncpu0 1 2 3\ncpu1 0 0 0\nintr 12 34\n";
        assert_eq!(parse(text), HostUse { total_ns: 280_000_000, processors: 2 });
    }
}
