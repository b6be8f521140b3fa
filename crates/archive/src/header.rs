//! The 512 bytes before each entry.

use crate::BLOCK_LENGTH;

/// A header's fields, as its dialect writes them.
#[derive(Debug)]
pub struct Header<'a>(&'a [u8; BLOCK_LENGTH]);

/// Which dialect a header is written in, by its magic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// From before there was a magic.
    V7,
    /// POSIX, whose path may begin in the `prefix` field.
    Ustar,
    /// GNU, which has other things there.
    Gnu,
}

impl<'a> Header<'a> {
    /// Takes a block for a header, if its checksum agrees.
    pub fn check(block: &'a [u8; BLOCK_LENGTH]) -> Result<Self, &'static str> {
        let header = Self(block);
        let expected = octal(header.field(148, 8)).ok_or("its checksum is not a number")?;
        let (unsigned, signed) = header.sums();
        // Some old programs added up signed bytes.
        if expected == unsigned || i64::try_from(expected) == Ok(signed) {
            Ok(header)
        } else {
            Err("its checksum is wrong")
        }
    }

    fn sums(&self) -> (u64, i64) {
        let bytes = self.0.iter().enumerate();
        bytes.fold((0, 0), |(unsigned, signed), (index, &byte)| {
            let byte = if (148..156).contains(&index) { b' ' } else { byte };
            (unsigned + u64::from(byte), signed + i64::from(byte.cast_signed()))
        })
    }

    fn field(&self, start: usize, length: usize) -> &'a [u8] {
        &self.0[start..start + length]
    }

    pub fn dialect(&self) -> Dialect {
        match self.field(257, 8) {
            b"ustar  \0" => Dialect::Gnu,
            magic if magic.starts_with(b"ustar") => Dialect::Ustar,
            _ => Dialect::V7,
        }
    }

    pub fn kind(&self) -> u8 {
        self.0[156]
    }

    pub fn path(&self) -> Vec<u8> {
        let name = text(self.field(0, 100));
        let prefix = match self.dialect() {
            Dialect::Ustar => text(self.field(345, 155)),
            Dialect::V7 | Dialect::Gnu => b"",
        };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    pub fn link(&self) -> Vec<u8> {
        text(self.field(157, 100)).to_vec()
    }

    pub fn mode(&self) -> Result<i64, &'static str> {
        number(self.field(100, 8)).ok_or("its mode is not a number")
    }

    pub fn uid(&self) -> Result<i64, &'static str> {
        number(self.field(108, 8)).ok_or("its owner is not a number")
    }

    pub fn gid(&self) -> Result<i64, &'static str> {
        number(self.field(116, 8)).ok_or("its group is not a number")
    }

    pub fn size(&self) -> Result<u64, &'static str> {
        let size = number(self.field(124, 12)).ok_or("its size is not a number")?;
        u64::try_from(size).map_err(|_| "its size is negative")
    }

    pub fn modified(&self) -> Result<i64, &'static str> {
        number(self.field(136, 12)).ok_or("its time is not a number")
    }

    pub fn device(&self) -> Result<(u32, u32), &'static str> {
        let part = |start| {
            let part = number(self.field(start, 8)).and_then(|part| u32::try_from(part).ok());
            part.ok_or("its device number is not a number")
        };
        Ok((part(329)?, part(337)?))
    }

    /// GNU's sparse map: the file's real size, the entries that fit here, and whether more
    /// blocks with entries follow.
    pub fn sparse(&self) -> (&'a [u8], &'a [u8], bool) {
        (self.field(483, 12), self.field(386, 96), self.0[482] != 0)
    }
}

/// Up to the first NUL.
pub fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number, in octal or, if it was too large for that, in base 256.
pub fn number(field: &[u8]) -> Option<i64> {
    match field.first()? {
        first if first & 0x80 == 0 => octal(field).and_then(|number| i64::try_from(number).ok()),
        first => binary(*first, &field[1..]),
    }
}

/// Two's complement, big-endian, with the highest bit as the mark of this encoding.
fn binary(first: u8, rest: &[u8]) -> Option<i64> {
    let is_negative = first & 0x40 != 0;
    let start = i128::from(first & 0x3f) - if is_negative { 0x40 } else { 0 };
    let number = rest.iter().try_fold(start, |number, byte| {
        number.checked_mul(256).map(|number| number + i128::from(*byte))
    });
    number.and_then(|number| i64::try_from(number).ok())
}

/// Digits, with spaces or NULs around them. An empty field is zero.
fn octal(field: &[u8]) -> Option<u64> {
    let digits = text(field.trim_ascii_start()).trim_ascii();
    digits.iter().try_fold(0_u64, |number, digit| match digit {
        b'0'..=b'7' => number.checked_mul(8)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(field: &[u8], expected: Option<i64>) {
        assert_eq!(number(field), expected, "{field:?}");
    }

    #[test]
    fn numbers_come_in_octal_and_in_base_256() {
        check(b"0000644\0", Some(0o644));
        check(b"   644 \0", Some(0o644));
        check(b"77777777", Some(0o7777_7777));
        check(b"\0\0\0\0\0\0\0\0", Some(0));
        check(b"\x80\0\0\0\0\x20\0\0", Some(1 << 21));
        check(b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1));
        check(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX));
        check(b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", None);
        check(b"0000648\0", None);
        check(b"-1", None);
        check(b"", None);
    }
}
