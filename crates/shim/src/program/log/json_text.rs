//! JSON text to the byte as Docker's log files have it.
//!
//! Docker has two writers: a hand-written one for the line, and Go's `encoding/json` for the
//! attributes. They differ in how they escape tabs, backspaces and form feeds. Readers of
//! JSON see no difference, but tools that compare files do.

use std::io::Write as _;

/// Appends the inside of a JSON string (without its quotes), as Docker writes `log`.
///
/// Bytes that are not UTF-8 become U+FFFD, one for each byte, as Go does it.
pub(crate) fn push_line(out: &mut Vec<u8>, bytes: &[u8]) {
    push_escaped(out, bytes, |byte| match byte {
        b'\n' => Some(b'n'),
        b'\r' => Some(b'r'),
        _ => None,
    });
}

/// The `attrs` object: sorted by name, as Go writes a map.
pub(crate) fn attributes(attributes: &[(String, String)]) -> Vec<u8> {
    let mut sorted: Vec<_> = attributes.iter().collect();
    sorted.sort();
    let mut out = vec![b'{'];
    for (index, (name, value)) in sorted.into_iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
        push_attribute(&mut out, name);
        out.extend_from_slice(b"\":\"");
        push_attribute(&mut out, value);
        out.push(b'"');
    }
    out.push(b'}');
    out
}

fn push_attribute(out: &mut Vec<u8>, text: &str) {
    push_escaped(out, text.as_bytes(), |byte| match byte {
        b'\n' => Some(b'n'),
        b'\r' => Some(b'r'),
        b'\t' => Some(b't'),
        0x08 => Some(b'b'),
        0x0c => Some(b'f'),
        _ => None,
    });
}

/// Appends `bytes` with everything escaped that Go escapes; `short` names the control
/// characters that have an escape of one letter.
fn push_escaped(out: &mut Vec<u8>, bytes: &[u8], short: impl Fn(u8) -> Option<u8>) {
    out.reserve(bytes.len());
    for chunk in bytes.utf8_chunks() {
        push_valid(out, chunk.valid().as_bytes(), &short);
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

fn push_valid(out: &mut Vec<u8>, mut text: &[u8], short: impl Fn(u8) -> Option<u8>) {
    while let Some(index) = text.iter().position(|&byte| is_special(byte)) {
        let (plain, rest) = text.split_at(index);
        out.extend_from_slice(plain);
        let special = rest[0];
        let mut length = 1;
        match special {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', special]),
            // U+2028 and U+2029 end a line in JavaScript.
            LINE_SEPARATOR_START => match rest {
                [_, 0x80, 0xa8, ..] => {
                    out.extend_from_slice(b"\\u2028");
                    length = 3;
                }
                [_, 0x80, 0xa9, ..] => {
                    out.extend_from_slice(b"\\u2029");
                    length = 3;
                }
                _ => out.push(special),
            },
            _ => match short(special) {
                Some(letter) => out.extend_from_slice(&[b'\\', letter]),
                None => {
                    out.extend_from_slice(b"\\u00");
                    out.extend_from_slice(&[hex_digit(special >> 4), hex_digit(special & 15)]);
                }
            },
        }
        text = &rest[length..];
    }
    out.extend_from_slice(text);
}

/// First byte of U+2028 and U+2029, and of many harmless characters.
const LINE_SEPARATOR_START: u8 = 0xe2;

fn is_special(byte: u8) -> bool {
    byte < b' ' || matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&' | LINE_SEPARATOR_START)
}

fn hex_digit(value: u8) -> u8 {
    b"0123456789abcdef"[usize::from(value)]
}

/// Appends a moment as Go's `time.RFC3339Nano` writes it in UTC: without trailing zeroes in
/// the fraction.
pub(crate) fn push_time(out: &mut Vec<u8>, unix_nanoseconds: i64) {
    const SECOND: i64 = 1_000_000_000;
    let (seconds, fraction) =
        (unix_nanoseconds.div_euclid(SECOND), unix_nanoseconds.rem_euclid(SECOND));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
        .expect("a vector takes every byte");
    if fraction > 0 {
        write!(out, ".{fraction:09}").expect("a vector takes every byte");
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
    out.push(b'Z');
}

/// The date of a day, counted from 1970-01-01, in the Gregorian calendar.
///
/// Counts from the first of March of year 0, so that the leap day is a year's last and a
/// period of 400 years always has the same number of days.
fn date(days: i64) -> (i64, i64, i64) {
    const DAYS_IN_400_YEARS: i64 = 146_097;
    // From 0000-03-01 to 1970-01-01.
    let days = days + 719_468;
    let (period, day) = (days.div_euclid(DAYS_IN_400_YEARS), days.rem_euclid(DAYS_IN_400_YEARS));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    // Months from March on have 31, 30, 31, 30, 31 days, twice, and then the rest.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = period * 400 + year + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each expectation is what Docker 28.5 wrote for these bytes.
    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        let mut out = Vec::new();
        push_line(&mut out, bytes);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn control_characters() {
        check(b"tab\there \"q\" \\ <>& \r\n", r#"tab\u0009here \"q\" \\ \u003c\u003e\u0026 \r\n"#);
        check(
            b"bell\x07 bs\x08 ff\x0c vt\x0b nul\0 del\x7f esc\x1b\n",
            "bell\\u0007 bs\\u0008 ff\\u000c vt\\u000b nul\\u0000 del\x7f esc\\u001b\\n",
        );
    }

    #[test]
    fn bytes_that_are_not_utf8() {
        check(
            b"bad\xff\xfe lone\xc3 cut\xe2\x82 ok\xc3\xa9\n",
            r"bad\ufffd\ufffd lone\ufffd cut\ufffd\ufffd oké\n",
        );
        check(
            b"surrogate\xed\xa0\x80 over\xc0\xaf\n",
            r"surrogate\ufffd\ufffd\ufffd over\ufffd\ufffd\n",
        );
    }

    #[test]
    fn characters_outside_ascii() {
        check("ls\u{2028}ps\u{2029} emoji😀 €\n".as_bytes(), r"ls\u2028ps\u2029 emoji😀 €\n");
    }

    #[test]
    fn attributes_are_sorted_and_escaped_as_go_does() {
        let given = [("two", "<&>\"é\tx"), ("ENVA", "hello"), ("one", "1")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(
            String::from_utf8(attributes(&given)).unwrap(),
            r#"{"ENVA":"hello","one":"1","two":"\u003c\u0026\u003e\"é\tx"}"#
        );
    }

    #[track_caller]
    fn check_time(unix_nanoseconds: i64, expected: &str) {
        let mut out = Vec::new();
        push_time(&mut out, unix_nanoseconds);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn times() {
        check_time(0, "1970-01-01T00:00:00Z");
        check_time(951_782_400_000_000_000, "2000-02-29T00:00:00Z");
        check_time(1_795_228_657_884_234_940, "2026-11-21T02:37:37.88423494Z");
        check_time(1_709_251_199_000_000_001, "2024-02-29T23:59:59.000000001Z");
        check_time(4_107_542_400_500_000_000, "2100-03-01T00:00:00.5Z");
    }
}
