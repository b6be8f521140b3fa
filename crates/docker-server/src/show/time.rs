//! Points in time, as Go writes and Docker reads them.

use jiff::{SignedDuration, Timestamp};

use crate::http::parse_number;

/// Go's zero time: what never happened.
pub(crate) const ZERO: &str = "0001-01-01T00:00:00Z";

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// RFC 3339, with as many digits of the second as there are.
pub(crate) fn text(at: Option<Timestamp>) -> String {
    at.map_or_else(|| ZERO.to_owned(), |at| at.to_string())
}

/// A point in time as prunes take it: seconds since the epoch, with a fraction or without, a
/// date, or how long ago (`10m`).
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    parse_seconds(text).ok().or_else(|| parse_ago(text)).or_else(|| parse_date(text))
}

/// A point in time as logs and events take it: seconds since the epoch, with a fraction or
/// without. Clients translate everything else themselves, and Docker refuses it in these words.
pub(crate) fn parse_seconds(text: &str) -> Result<Timestamp, String> {
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(w, f)| (w, Some(f)));
    let seconds = parse_number("ParseInt", whole)?;
    let nanos = fraction.map_or(Ok(0), nanoseconds)?;
    // What lies beyond all years is as early or as late as can be.
    Ok(Timestamp::new(seconds, nanos).unwrap_or(match seconds {
        ..0 => Timestamp::MIN,
        _ => Timestamp::MAX,
    }))
}

/// Digits after the point; those after the ninth are nothing.
fn nanoseconds(digits: &str) -> Result<i32, String> {
    parse_number("ParseInt", digits)?;
    // It is a number, so each letter is one byte. Go takes a sign even here.
    let nine = format!("{digits:0<9}");
    Ok(nine[..9].parse().map_or(0, |nanos: i32| nanos.max(0)))
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

    #[test]
    fn logs_and_events_take_seconds_only() {
        let at = |text: &str| parse_seconds(text).unwrap().to_string();
        assert_eq!(at("1795228168.1234567891"), "2026-11-21T02:29:28.123456789Z");
        assert_eq!(at("-1.5"), "1969-12-31T23:59:59.5Z");
        assert_eq!(parse_seconds("9223372036854775807"), Ok(Timestamp::MAX));
        for (text, wrong) in [("10m", "10m"), ("2026-11-21", "2026-11-21"), ("1.", ""), (".5", "")]
        {
            let words = format!("strconv.ParseInt: parsing {wrong:?}: invalid syntax");
            assert_eq!(parse_seconds(text), Err(words));
        }
    }
}
