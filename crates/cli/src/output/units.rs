//! Sizes and spans of time for people.

use jiff::Timestamp;

const DECIMAL: &[&str] = &["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
const BINARY: &[&str] = &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];

/// A size with four significant digits: `1.234MB`.
pub(crate) fn size(bytes: f64) -> String {
    scaled(bytes, 1000.0, DECIMAL, 4)
}

/// A size with three significant digits: `1.23MB`.
pub(crate) fn short_size(bytes: f64) -> String {
    scaled(bytes, 1000.0, DECIMAL, 3)
}

/// A size in powers of 1024: `1.5GiB`.
pub(crate) fn binary_size(bytes: f64) -> String {
    scaled(bytes, 1024.0, BINARY, 4)
}

fn scaled(mut size: f64, base: f64, units: &[&str], digits: usize) -> String {
    let mut unit = 0;
    while size >= base && unit < units.len() - 1 {
        size /= base;
        unit += 1;
    }
    format!("{}{}", significant(size, digits), units[unit])
}

/// A number as C's `%.<digits>g` writes it.
pub(crate) fn significant(number: f64, digits: usize) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{number:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').expect("`e` is in every such number");
    let exponent: i32 = exponent.parse().expect("the exponent is a number");
    let limit = i32::try_from(digits).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= limit {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trim_zeros(mantissa), exponent.unsigned_abs());
    }
    let decimals = usize::try_from(limit - 1 - exponent).unwrap_or_default();
    trim_zeros(&format!("{number:.decimals$}")).to_owned()
}

fn trim_zeros(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// A span in words: `About a minute`, `3 days`.
pub(crate) fn duration(seconds: i64) -> String {
    let minutes = seconds / 60;
    // Hours are rounded, the rest is cut: so Docker counts.
    let hours = (seconds + 30 * 60) / 3600;
    match (seconds, minutes, hours) {
        (..1, ..) => "Less than a second".to_owned(),
        (1, ..) => "1 second".to_owned(),
        (..60, ..) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".to_owned(),
        (_, ..60, _) => format!("{minutes} minutes"),
        (.., 1) => "About an hour".to_owned(),
        (.., ..48) => format!("{hours} hours"),
        (.., ..336) => format!("{} days", hours / 24),
        (.., ..1440) => format!("{} weeks", hours / 24 / 7),
        (.., ..17520) => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

/// How long ago a time was, in words.
pub(crate) fn ago(seconds_since_epoch: i64, now: Timestamp) -> String {
    format!("{} ago", duration(now.as_second() - seconds_since_epoch))
}

#[cfg(test)]
mod tests {
    use super::{binary_size, duration, short_size, significant, size};

    #[test]
    fn sizes_have_few_digits() {
        assert_eq!(size(0.0), "0B");
        assert_eq!(size(999.0), "999B");
        assert_eq!(size(1_234_567.0), "1.235MB");
        assert_eq!(short_size(1_234_567.0), "1.23MB");
        assert_eq!(short_size(999_999.0), "1e+03kB");
        assert_eq!(binary_size(1_610_612_736.0), "1.5GiB");
        assert_eq!(significant(100.0, 4), "100");
        assert_eq!(significant(0.00001, 3), "1e-05");
    }

    #[test]
    fn spans_are_told_in_one_unit() {
        for (seconds, words) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (120, "2 minutes"),
            (3600, "About an hour"),
            (2 * 3600, "2 hours"),
            (3 * 86400, "3 days"),
            (21 * 86400, "3 weeks"),
            (100 * 86400, "3 months"),
            (800 * 86400, "2 years"),
        ] {
            assert_eq!(duration(seconds), words, "{seconds}");
        }
    }
}
