//! Times for people, in their zone.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A time as Go prints one: `2026-01-02 15:04:05 +0100 CET`.
pub(crate) fn go_time(seconds: i64) -> String {
    format(seconds, 0, "%Y-%m-%d %H:%M:%S %z %Z")
}

/// The same from a time of RFC 3339, with its fraction and in its own zone.
pub(crate) fn go_time_of(text: &str) -> String {
    let Ok(time) = text.parse::<Timestamp>() else { return text.to_owned() };
    let fraction = text
        .split_once('.')
        .map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
    let fraction = fraction.map(|digits| format!(".{digits}")).unwrap_or_default();
    let zoned = time.to_zoned(TimeZone::UTC);
    format!("{}{fraction} +0000 UTC", zoned.strftime("%Y-%m-%d %H:%M:%S"))
}

/// A time as RFC 3339 has it.
pub(crate) fn rfc3339(seconds: i64) -> String {
    rfc3339_offset(&format(seconds, 0, "%Y-%m-%dT%H:%M:%S%:z"))
}

/// The same with nine decimals.
pub(crate) fn rfc3339_nanoseconds(seconds: i64, nanoseconds: i32) -> String {
    rfc3339_offset(&format(seconds, nanoseconds, "%Y-%m-%dT%H:%M:%S.%9f%:z"))
}

/// `Mon Jan  2 15:04:05 2006`, from a time of RFC 3339; other text stays as it is.
pub(crate) fn ansi_c(text: &str) -> String {
    match text.parse::<jiff::Zoned>().map(|zoned| zoned.datetime()).or_else(|_| {
        text.parse::<Timestamp>().map(|time| {
            // The offset is kept: this is the clock of who wrote it.
            jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M:%S%.f%:z", text)
                .and_then(|broken| broken.to_datetime())
                .unwrap_or_else(|_| time.to_zoned(TimeZone::UTC).datetime())
        })
    }) {
        Ok(time) => time.strftime("%a %b %e %H:%M:%S %Y").to_string(),
        Err(_) => text.to_owned(),
    }
}

/// RFC 3339 writes an offset of nothing as `Z`.
fn rfc3339_offset(text: &str) -> String {
    text.strip_suffix("+00:00").map_or_else(|| text.to_owned(), |time| format!("{time}Z"))
}

fn format(seconds: i64, nanoseconds: i32, format: &str) -> String {
    match Timestamp::new(seconds, nanoseconds) {
        Ok(time) => time.to_zoned(TimeZone::system()).strftime(format).to_string(),
        Err(_) => seconds.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn build_times_are_shown_as_c_does() {
        assert_eq!(
            super::ansi_c("2025-05-30T12:07:14.000000000+00:00"),
            "Fri May 30 12:07:14 2025"
        );
        assert_eq!(super::ansi_c("yesterday"), "yesterday");
    }
}
