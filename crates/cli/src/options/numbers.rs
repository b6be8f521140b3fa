//! Whole numbers, as Go's `strconv` reads them for flags: also `0x1f`, `0b11`, `0o17`, `017`.

use std::num::IntErrorKind;

use crate::output::quote::quote;

/// A signed number.
pub(crate) fn parse_int(value: &str) -> Result<i64, String> {
    let (sign, digits) = match value.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", value.strip_prefix('+').unwrap_or(value)),
    };
    let (radix, digits) = radix(digits);
    if digits.starts_with(['+', '-']) {
        return Err(syntax("ParseInt", value));
    }
    i64::from_str_radix(&format!("{sign}{digits}"), radix)
        .map_err(|error| describe("ParseInt", value, error.kind()))
}

/// An unsigned number of at most `max`.
pub(crate) fn parse_uint(value: &str, max: u64) -> Result<u64, String> {
    let (radix, digits) = radix(value);
    if digits.starts_with(['+', '-']) {
        return Err(syntax("ParseUint", value));
    }
    match u64::from_str_radix(digits, radix) {
        Ok(number) if number <= max => Ok(number),
        Ok(_) => Err(range("ParseUint", value)),
        Err(error) => Err(describe("ParseUint", value, error.kind())),
    }
}

/// A port number: always decimal, as Go's `ParseUint(…, 10, 16)`.
pub(crate) fn parse_port(value: &str) -> Result<u16, String> {
    if value.starts_with('+') {
        return Err(syntax("ParseUint", value));
    }
    match value.parse::<u64>() {
        Ok(number) => u16::try_from(number).map_err(|_| range("ParseUint", value)),
        Err(error) => Err(describe("ParseUint", value, error.kind())),
    }
}

fn radix(digits: &str) -> (u32, &str) {
    let Some(rest) = digits.strip_prefix('0').filter(|rest| !rest.is_empty()) else {
        return (10, digits);
    };
    match rest.as_bytes()[0] {
        b'x' | b'X' => (16, &rest[1..]),
        b'b' | b'B' => (2, &rest[1..]),
        b'o' | b'O' => (8, &rest[1..]),
        _ => (8, rest),
    }
}

fn describe(function: &str, value: &str, kind: &IntErrorKind) -> String {
    match kind {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => range(function, value),
        _ => syntax(function, value),
    }
}

fn syntax(function: &str, value: &str) -> String {
    format!("strconv.{function}: parsing {}: invalid syntax", quote(value))
}

fn range(function: &str, value: &str) -> String {
    format!("strconv.{function}: parsing {}: value out of range", quote(value))
}

#[cfg(test)]
mod tests {
    use super::{parse_int, parse_port, parse_uint};

    #[test]
    fn numbers_are_read_in_gos_bases() {
        for (text, number) in [("12", 12), ("-12", -12), ("0x1f", 31), ("017", 15), ("0", 0)] {
            assert_eq!(parse_int(text), Ok(number), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused_in_gos_words() {
        assert_eq!(
            parse_int("x"),
            Err("strconv.ParseInt: parsing \"x\": invalid syntax".to_owned())
        );
        assert_eq!(
            parse_uint("70000", 65535),
            Err("strconv.ParseUint: parsing \"70000\": value out of range".to_owned())
        );
        assert!(parse_port("0x50").is_err());
        assert_eq!(parse_port("080"), Ok(80));
    }
}
