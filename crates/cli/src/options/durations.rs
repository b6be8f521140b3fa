//! Spans of time as Go writes them: `1h2m3.5s`, `300ms`.

use crate::output::quote::quote;

const UNITS: &[(&str, f64)] = &[
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// The duration in nanoseconds, as Go's `time.ParseDuration` reads it.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quote(text));
    let (sign, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (-1.0, &text[1..]),
        Some(b'+') => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
        let (number, after) = rest.split_at(digits.unwrap_or(rest.len()));
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let end = after.find(|letter: char| letter.is_ascii_digit() || letter == '.');
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {}", quote(text)));
        }
        let (_, nanoseconds) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(|| {
            format!("time: unknown unit {} in duration {}", quote(unit), quote(text))
        })?;
        total += number * nanoseconds;
        rest = after;
    }
    if total > i64::MAX as f64 {
        return Err(invalid());
    }
    Ok((sign * total).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn durations_add_up_their_parts() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("1s", 1_000_000_000),
            ("1h2m3.5s", 3_723_500_000_000),
            ("-300ms", -300_000_000),
            ("2us", 2_000),
        ] {
            assert_eq!(parse(text), Ok(nanoseconds), "{text}");
        }
    }

    #[test]
    fn a_bad_duration_is_refused_in_gos_words() {
        assert_eq!(parse("10"), Err("time: missing unit in duration \"10\"".to_owned()));
        assert_eq!(parse("x"), Err("time: invalid duration \"x\"".to_owned()));
        assert_eq!(parse("1d"), Err("time: unknown unit \"d\" in duration \"1d\"".to_owned()));
    }
}
