//! What went through a container's interfaces.
//!
//! `/proc/<pid>/net/dev` is the table of the network namespace that the process is in: no
//! thread has to go there, and no descriptor of it is needed. See `proc_pid_net(5)`.

use super::{InterfaceUse, Traffic};

/// Of the columns after a name, those of packets that were received.
const RECEIVED: usize = 0;
/// Those of packets that were sent.
const SENT: usize = 8;

/// The interfaces in `names`, in the kernel's order.
pub(super) fn read(pid: i32, names: &[String]) -> Vec<InterfaceUse> {
    if names.is_empty() {
        return Vec::new();
    }
    let text = std::fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default();
    let mut interfaces = parse(&text);
    interfaces.retain(|interface| names.contains(&interface.name));
    interfaces
}

fn parse(text: &str) -> Vec<InterfaceUse> {
    let rows = text.lines().filter_map(|line| line.split_once(':'));
    rows.map(|(name, numbers)| {
        let numbers: Vec<u64> = numbers
            .split_ascii_whitespace()
            .map(|number| number.parse().unwrap_or_default())
            .collect();
        let traffic = |first: usize| {
            let at = |offset: usize| numbers.get(first + offset).copied().unwrap_or_default();
            Traffic { bytes: at(0), packets: at(1), errors: at(2), dropped: at(3) }
        };
        let name = name.trim().to_owned();
        InterfaceUse { name, received: traffic(RECEIVED), sent: traffic(SENT) }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::{Traffic, parse};

    #[test]
    fn the_kernels_table_is_read() {
        let text = "Inter-|   Receive      |  Transmit\n face |bytes    packets errs drop\n    \
                    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0\n  \
                    eth0:     254       3    1    2    0     0          0         0        42       5    6    7    0     0       0          0\n";
        let interfaces = parse(text);
        assert_eq!(interfaces.len(), 2);
        assert_eq!(interfaces[1].name, "eth0");
        let received = Traffic { bytes: 254, packets: 3, errors: 1, dropped: 2 };
        assert_eq!(interfaces[1].received, received);
        assert_eq!(interfaces[1].sent, Traffic { bytes: 42, packets: 5, errors: 6, dropped: 7 });
    }
}
