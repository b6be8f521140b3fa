//! Durations as Go writes them: `1h2m3.5s`.

/// Nanoseconds of each unit. Longer names come first, so that `ms` is not taken for `m`.
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

/// Reads a duration, in nanoseconds.
pub(super) fn parse(text: &str) -> Option<i64> {
    let (is_negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let (unit, nanoseconds) = UNITS.iter().find(|(unit, _)| rest[end..].starts_with(unit))?;
        total += number * nanoseconds;
        rest = &rest[end + unit.len()..];
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked against the type's limit")]
    let total = (total < i64::MAX as f64).then_some(total.round() as i64)?;
    Some(if is_negative { -total } else { total })
}

#[cfg(test)]
mod tests {
    #[test]
    fn durations_are_read_as_go_does() {
        let check = |text: &str, expected| assert_eq!(super::parse(text), expected, "{text}");
        check("5s", Some(5_000_000_000));
        check("1m30s", Some(90_000_000_000));
        check("1.5h", Some(5_400_000_000_000));
        check("3ms", Some(3_000_000));
        check("7us", Some(7000));
        check("0", Some(0));
        check("-1s", Some(-1_000_000_000));
        for text in ["", "5", "s", "5x", "1..5s", "-", "99999999999h"] {
            check(text, None);
        }
    }
}
