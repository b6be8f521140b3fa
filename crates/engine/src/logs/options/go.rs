//! Values as Go's libraries read them, and their complaints to the letter: users of Docker know
//! them, and scripts match on them.

use std::num::{IntErrorKind, ParseIntError};
use std::time::Duration;

/// `strconv.ParseBool`
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
    }
}

/// `strconv.Atoi`
pub(super) fn integer(text: &str) -> Result<i64, String> {
    text.parse().map_err(|error: ParseIntError| {
        let reason = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        format!("strconv.Atoi: parsing {text:?}: {reason}")
    })
}

/// `strconv.ParseUint`
pub(super) fn unsigned(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("strconv.ParseUint: parsing {text:?}: invalid syntax"))
}

/// `units.FromHumanSize`: a `k` is a thousand.
pub(super) fn decimal_size(text: &str) -> Result<u64, String> {
    size(text, 1000.0)
}

/// `units.RAMInBytes`: a `k` is 1024.
pub(super) fn binary_size(text: &str) -> Result<u64, String> {
    size(text, 1024.0)
}

fn size(text: &str, base: f64) -> Result<u64, String> {
    let invalid = || format!("invalid size: '{text}'");
    let is_of_number = |letter: char| letter.is_ascii_digit() || matches!(letter, '.' | ' ');
    let last = text.rfind(is_of_number).ok_or_else(invalid)?;
    let (number, suffix) = text.split_at(last + 1);
    let number = number.strip_suffix(' ').unwrap_or(number);
    let value: f64 = number
        .parse()
        .map_err(|_| format!("strconv.ParseFloat: parsing {number:?}: invalid syntax"))?;
    if value < 0.0 || value.is_nan() {
        return Err(invalid());
    }
    let suffix = suffix.to_lowercase();
    let power = match suffix.trim_end_matches('b').trim_end_matches('i') {
        "" if matches!(&*suffix, "" | "b") => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(format!("invalid suffix: '{suffix}'")),
    };
    if !matches!(suffix.get(1..).unwrap_or_default(), "" | "b" | "ib") {
        return Err(format!("invalid suffix: '{suffix}'"));
    }
    // A number too large for it becomes the largest.
    Ok((value * base.powi(power)) as u64)
}

/// `time.ParseDuration`: `1h2m3.5s`. Negative ones are as wrong here as any.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
        let (number, after) = rest.split_at(end.unwrap_or(rest.len()));
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let end = after.find(|letter: char| letter.is_ascii_digit() || letter == '.');
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        let unit_seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "" => return Err(format!("time: missing unit in duration {text:?}")),
            _ => return Err(format!("time: unknown unit {unit:?} in duration {text:?}")),
        };
        seconds += number * unit_seconds;
        rest = after;
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(decimal_size("10m"), Ok(10_000_000));
        assert_eq!(decimal_size("1.5kB"), Ok(1500));
        assert_eq!(binary_size("4m"), Ok(4 << 20));
        assert_eq!(binary_size("1 KiB"), Ok(1024));
        assert_eq!(decimal_size("12"), Ok(12));
        assert_eq!(decimal_size("12b"), Ok(12));
        assert_eq!(decimal_size("x"), Err("invalid size: 'x'".to_owned()));
        assert_eq!(decimal_size("-1"), Err("invalid size: '-1'".to_owned()));
        assert_eq!(decimal_size("1x"), Err("invalid suffix: 'x'".to_owned()));
        assert_eq!(decimal_size("1bb"), Err("invalid suffix: 'bb'".to_owned()));
        assert_eq!(decimal_size("1ki"), Err("invalid suffix: 'ki'".to_owned()));
    }

    #[test]
    fn durations() {
        assert_eq!(duration("1h2m3.5s"), Ok(Duration::from_millis(3_723_500)));
        assert_eq!(duration("100ms"), Ok(Duration::from_millis(100)));
        assert_eq!(duration("x"), Err("time: invalid duration \"x\"".to_owned()));
        assert_eq!(duration("5"), Err("time: missing unit in duration \"5\"".to_owned()));
        assert_eq!(duration("5d"), Err("time: unknown unit \"d\" in duration \"5d\"".to_owned()));
    }
}
