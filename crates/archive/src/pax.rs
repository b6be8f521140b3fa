//! PAX records: what does not fit a header, as `length key=value` lines.

use crate::entry::Time;

/// The records before one entry.
#[derive(Debug, Default)]
pub struct Records(Vec<(Vec<u8>, Vec<u8>)>);

/// Before the name of an extended attribute.
const XATTR: &[u8] = b"SCHILY.xattr.";

impl Records {
    /// Reads the body of a PAX header.
    pub fn parse(mut body: &[u8]) -> Result<Self, &'static str> {
        let mut records = Vec::new();
        while !body.is_empty() {
            let (record, rest) = split_record(body).ok_or("a PAX record is malformed")?;
            records.push(record);
            body = rest;
        }
        Ok(Self(records))
    }

    /// The last value of a key. An empty one takes back what was said before.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        let found = self.0.iter().rev().find(|(name, _)| name == key.as_bytes());
        found.map(|(_, value)| value.as_slice()).filter(|value| !value.is_empty())
    }

    /// Every record in order, as GNU's first kind of sparse map wants.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(key, value)| (key.as_slice(), value.as_slice()))
    }

    /// A path or the like, which no NUL may be in.
    pub fn path(&self, key: &str) -> Result<Option<Vec<u8>>, &'static str> {
        match self.get(key) {
            Some(path) if path.contains(&0) => Err("a PAX path has a NUL in it"),
            path => Ok(path.map(<[u8]>::to_vec)),
        }
    }

    pub fn number<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>, &'static str> {
        self.get(key).map(number).transpose()
    }

    pub fn time(&self, key: &str) -> Result<Option<Time>, &'static str> {
        self.get(key).map(|value| time(value).ok_or("a PAX time is malformed")).transpose()
    }

    pub fn xattrs(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(XATTR)?.to_vec(), value.to_vec())))
            .filter(|(name, _)| !name.is_empty() && !name.contains(&0))
            .collect()
    }
}

/// A decimal number.
pub fn number<T: std::str::FromStr>(value: &[u8]) -> Result<T, &'static str> {
    let text = std::str::from_utf8(value).ok().filter(|text| !text.starts_with('+'));
    text.and_then(|text| text.parse().ok()).ok_or("a PAX number is malformed")
}

type Record = (Vec<u8>, Vec<u8>);

/// Splits `length key=value\n` off, where the length counts itself.
fn split_record(body: &[u8]) -> Option<(Record, &[u8])> {
    let space = body.iter().position(|byte| *byte == b' ')?;
    let length: usize = number(&body[..space]).ok()?;
    let (record, rest) = body.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    if equals == 0 {
        return None;
    }
    Some(((record[..equals].to_vec(), record[equals + 1..].to_vec()), rest))
}

/// Seconds, with as many decimals as the writer had.
fn time(value: &[u8]) -> Option<Time> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.bytes().any(|byte| !byte.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let digits: String = decimals.chars().chain(std::iter::repeat('0')).take(9).collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    if !whole.starts_with('-') || nanoseconds == 0 {
        return Some(Time { seconds, nanoseconds });
    }
    // -1.25 is a quarter before -1: two seconds before, and three quarters back.
    Some(Time { seconds: seconds.checked_sub(1)?, nanoseconds: 1_000_000_000 - nanoseconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_to_their_length() {
        let records = Records::parse(b"9 path=a\n16 linkpath=b\nc\n").unwrap();
        assert_eq!(records.get("path"), Some(&b"a"[..]));
        assert_eq!(records.get("linkpath"), Some(&b"b\nc"[..]));
        assert_eq!(records.get("size"), None);
    }

    #[test]
    fn a_later_record_wins_and_an_empty_one_takes_back() {
        let records = Records::parse(b"9 path=a\n9 path=b\n8 size=\n").unwrap();
        assert_eq!(records.get("path"), Some(&b"b"[..]));
        assert_eq!(records.get("size"), None);
    }

    #[test]
    fn malformed_records_are_refused() {
        let bodies: [&[u8]; 8] = [
            b"9 path=a",
            b"8 path=a\n",
            b"99 a=b\n",
            b"x a=b\n",
            b"6 a=b",
            b"5 =b\n",
            b"4 ab",
            b"0 a=b\n",
        ];
        for body in bodies {
            assert!(Records::parse(body).is_err(), "{body:?}");
        }
    }

    #[test]
    fn times_have_nanoseconds_and_may_be_before_1970() {
        let check = |text: &str, seconds, nanoseconds| {
            assert_eq!(time(text.as_bytes()), Some(Time { seconds, nanoseconds }), "{text}");
        };
        check("12", 12, 0);
        check("12.5", 12, 500_000_000);
        check("12.1234567891", 12, 123_456_789);
        check("-1", -1, 0);
        check("-1.25", -2, 750_000_000);
        check("-0.5", -1, 500_000_000);
        assert_eq!(time(b"1.x"), None);
        assert_eq!(time(b""), None);
    }
}
