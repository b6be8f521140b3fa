//! JSON text to the byte as Docker's log files have it.
//!
//! Docker has two writers: a hand-written one for the line, and Go's `encoding/json` for the
//! attributes. They differ in how they escape tabs, backspaces and form feeds. Readers of
//! JSON see no difference, but tools that compare files do.

use std::io::Write as _;

use super::scan;

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
fn push_escaped(out: &mut Vec<u8>, mut bytes: &[u8], short: impl Fn(u8) -> Option<u8>) {
    while let Some(index) = scan::not_plain(bytes) {
        let (plain, rest) = bytes.split_at(index);
        out.extend_from_slice(plain);
        bytes = if rest[0].is_ascii() {
            push_special(out, rest[0], &short);
            &rest[1..]
        } else {
            // No character is made of ASCII and other bytes.
            let end = rest.iter().position(u8::is_ascii).unwrap_or(rest.len());
            push_foreign(out, &rest[..end]);
            &rest[end..]
        };
    }
    out.extend_from_slice(bytes);
}

fn push_special(out: &mut Vec<u8>, special: u8, short: impl Fn(u8) -> Option<u8>) {
    match special {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', special]),
        _ => match short(special) {
            Some(letter) => out.extend_from_slice(&[b'\\', letter]),
            None => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[hex_digit(special >> 4), hex_digit(special & 15)]);
            }
        },
    }
}

/// Characters outside ASCII, and bytes that are none.
fn push_foreign(out: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                // They end a line in JavaScript.
                '\u{2028}' => out.extend_from_slice(b"\\u2028"),
                '\u{2029}' => out.extend_from_slice(b"\\u2029"),
                _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
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

/// Reads a moment as [`push_time`] writes it, whatever comes after it.
pub(crate) fn parse_time(text: &[u8]) -> Option<i64> {
    let number = |from: usize, to: usize| -> Option<i64> {
        std::str::from_utf8(text.get(from..to)?).ok()?.parse().ok()
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let mut fraction = 0;
    if text.get(19) == Some(&b'.') {
        let digits = text[20..].iter().take_while(|byte| byte.is_ascii_digit()).take(9);
        let mut unit = 100_000_000;
        for digit in digits {
            fraction += i64::from(digit - b'0') * unit;
            unit /= 10;
        }
    }
    let seconds = day_number(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    seconds.checked_mul(1_000_000_000)?.checked_add(fraction)
}

/// A date's day, counted from 1970-01-01: the inverse of [`date`].
fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (period, year) = (year.div_euclid(400), year.rem_euclid(400));
    let month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    period * 146_097 + year * 365 + year / 4 - year / 100 + day_of_year - 719_468
}

/// The date of a day, counted from 1970-01-01, in the Gregorian calendar.
///
/// Counts from the first of March of year 0, so that the leap day is a year's last and a
/// period of 400 years always has the same number of days.
pub(crate) fn date(days: i64) -> (i64, i64, i64) {
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
        assert_eq!(parse_time(&[&out[..], b"\"}\n"].concat()), Some(unix_nanoseconds));
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
