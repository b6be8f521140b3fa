//! Lengths of time as Docker writes them into a probe's output: Go's way.

use std::time::Duration;

/// As in `1m30s`, `2.5s`, `700ms`.
pub(crate) fn text(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let (unit, name) = match nanos {
        0 => return "0s".to_owned(),
        1..1_000 => (1, "ns"),
        1_000..1_000_000 => (1_000, "µs"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => return seconds(duration),
    };
    format!("{}{name}", decimal(nanos / unit, nanos % unit, unit))
}

fn seconds(duration: Duration) -> String {
    let (hours, rest) = (duration.as_secs() / 3600, duration.as_secs() % 3600);
    let (minutes, seconds) = (rest / 60, rest % 60);
    let mut text = String::new();
    if hours > 0 {
        text.push_str(&format!("{hours}h"));
    }
    if hours > 0 || minutes > 0 {
        text.push_str(&format!("{minutes}m"));
    }
    let fraction = u128::from(duration.subsec_nanos());
    text.push_str(&decimal(u128::from(seconds), fraction, 1_000_000_000));
    text + "s"
}

/// `whole` and so many parts of `unit`, without zeroes at the end.
fn decimal(whole: u128, parts: u128, unit: u128) -> String {
    let digits = unit.ilog10() as usize;
    let text = format!("{whole}.{parts:0digits$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_go_does() {
        for (nanos, expected) in [
            (0, "0s"),
            (7, "7ns"),
            (1_500, "1.5µs"),
            (700_000_000, "700ms"),
            (1_000_000, "1ms"),
            (2_500_000_000, "2.5s"),
            (30_000_000_000, "30s"),
            (90_000_000_000, "1m30s"),
            (100_000_000_000, "1m40s"),
            (3_600_000_000_000, "1h0m0s"),
            (3_723_000_000_001, "1h2m3.000000001s"),
        ] {
            assert_eq!(text(Duration::from_nanos(nanos)), expected);
        }
    }
}
