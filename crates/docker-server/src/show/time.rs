//! Points in time, as Go writes and Docker reads them.

use jiff::{SignedDuration, Timestamp};

/// Go's zero time: what never happened.
pub(crate) const ZERO: &str = "0001-01-01T00:00:00Z";

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// RFC 3339, with as many digits of the second as there are.
pub(crate) fn text(at: Option<Timestamp>) -> String {
    at.map_or_else(|| ZERO.to_owned(), |at| at.to_string())
}

/// A point in time as clients give it: seconds since the epoch, with a fraction or without, a
/// date, or how long ago (`10m`).
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    parse_seconds(text).or_else(|| parse_ago(text)).or_else(|| parse_date(text))
}

fn parse_seconds(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    let is_fraction = fraction.len() <= 9 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let nanos: i32 = is_fraction.then(|| format!("{fraction:0<9}").parse().ok())??;
    Timestamp::new(seconds, nanos).ok()
}

/// Go's durations: `1h30m`, `10s`, `1.5h`.
fn parse_ago(text: &str) -> Option<Timestamp> {
    let mut nanos = 0_f64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit_end = rest[digits..]
            .find(|letter: char| letter.is_ascii_digit() || letter == '.')
            .map_or(rest.len(), |end| digits + end);
        let seconds = match &rest[digits..unit_end] {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        nanos += number * seconds * NANOS_PER_SECOND as f64;
        rest = &rest[unit_end..];
    }
    let ago = (!text.is_empty()).then(|| SignedDuration::from_nanos(nanos as i64))?;
    Timestamp::now().checked_sub(ago).ok()
}

/// A date alone is its beginning, in UTC.
fn parse_date(text: &str) -> Option<Timestamp> {
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    let date: jiff::civil::DateTime = match text.len() {
        10 => text.parse::<jiff::civil::Date>().ok()?.at(0, 0, 0, 0),
        _ => text.trim_end_matches('Z').parse().ok()?,
    };
    date.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_writes_them() {
        let at: Timestamp = "2026-11-21T02:29:30.678007850Z".parse().unwrap();
        assert_eq!(text(Some(at)), "2026-11-21T02:29:30.67800785Z");
        assert_eq!(text(None), "0001-01-01T00:00:00Z");
    }

    #[test]
    fn times_are_read_in_every_spelling() {
        let at = |text: &str| parse(text).unwrap().to_string();
        assert_eq!(at("1795228168"), "2026-11-21T02:29:28Z");
        assert_eq!(at("1795228168.5"), "2026-11-21T02:29:28.5Z");
        assert_eq!(at("2026-11-21"), "2026-11-21T00:00:00Z");
        assert_eq!(at("2026-11-21T02:29:28"), "2026-11-21T02:29:28Z");
        assert!(parse("1h30m").unwrap() < Timestamp::now());
        assert_eq!(parse("soon"), None);
        assert_eq!(parse(""), None);
    }
}
