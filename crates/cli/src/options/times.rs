//! Points in time as people type them: `--since 10m`, `--until 2026-01-02T15:04:05`.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::durations;

/// The time as the API wants it: seconds since 1970 with nine decimals.
///
/// What is no time goes to the daemon as it is, which then says so.
pub(crate) fn for_api(text: &str) -> Result<String, String> {
    resolve(text, Timestamp::now(), &TimeZone::system())
}

fn resolve(text: &str, now: Timestamp, zone: &TimeZone) -> Result<String, String> {
    // A bare zero is the beginning of 1970, though it would be a duration too.
    if let Ok(ago) = durations::parse(text)
        && text != "0"
    {
        let time = now - SignedDuration::from_nanos(ago);
        return Ok(time.as_second().to_string());
    }
    if !text.contains('-') {
        return plain_seconds(text);
    }
    let time = text.parse::<Timestamp>().ok().or_else(|| local(text, zone));
    let time = time.ok_or_else(|| {
        format!("failed to parse value as time or duration: {}", crate::output::quote::quote(text))
    })?;
    Ok(format!("{}.{:09}", time.as_second(), time.subsec_nanosecond()))
}

/// A time without a zone is the user's; a date alone is its midnight.
fn local(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let padded = match text.len() {
        // `2006-01-02T15` and `2006-01-02T15:04`.
        13 => format!("{text}:00:00"),
        16 => format!("{text}:00"),
        _ => text.to_owned(),
    };
    let time: DateTime = padded.parse().ok()?;
    time.to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp())
}

fn plain_seconds(text: &str) -> Result<String, String> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.is_empty() || !is_number(seconds) || !is_number(fraction) {
        return Err(format!(
            "failed to parse value as time or duration: {}",
            crate::output::quote::quote(text)
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    #[test]
    fn times_are_absolute_or_ago() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let resolve = |text| super::resolve(text, now, &TimeZone::UTC);
        for (text, expected) in [
            ("10m", "999400"),
            ("0", "0"),
            ("0s", "1000000"),
            ("1136073845", "1136073845"),
            ("1136073845.000000001", "1136073845.000000001"),
            ("2006-01-02T15:04:05Z", "1136214245.000000000"),
            ("2006-01-02T15:04:05.5+01:00", "1136210645.500000000"),
            ("2006-01-02T15:04", "1136214240.000000000"),
            ("2006-01-02", "1136160000.000000000"),
        ] {
            assert_eq!(resolve(text), Ok(expected.to_owned()), "{text}");
        }
        assert!(resolve("2006-x").is_err());
    }
}
