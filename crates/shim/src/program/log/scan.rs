//! Finding bytes, eight at a time.
//!
//! A container may write as fast as it can, and each byte of it passes through here twice:
//! once in search of line feeds, once in search of what JSON wants escaped. The usual tricks
//! with machine words ("Hacker's Delight", chapter 6) are fast enough to leave the time to the
//! kernel's copying, need no features of the processor, and are small.

const ONES: u64 = 0x0101_0101_0101_0101;
const TOPS: u64 = 0x8080_8080_8080_8080;

/// Non-zero if a byte of `word` is zero. The lowest bit that is set is in the first such byte.
fn zeroes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & TOPS
}

/// Non-zero if a byte of `word` is `byte`.
fn equals(word: u64, byte: u8) -> u64 {
    zeroes(word ^ (ONES * u64::from(byte)))
}

/// Where the first line feed is.
pub(super) fn line_feed(bytes: &[u8]) -> Option<usize> {
    find(bytes, |word| equals(word, b'\n'), |byte| byte == b'\n')
}

/// Where the first byte is that JSON, as Docker writes it, does not take as it is, or that is
/// not ASCII.
pub(super) fn not_plain(bytes: &[u8]) -> Option<usize> {
    find(
        bytes,
        |word| {
            // Below a blank, or above ASCII.
            let outside = (word.wrapping_sub(ONES * 0x20) | word) & TOPS;
            // `"` and `&` differ in one bit, as do `<` and `>`.
            let quote_or_and = equals(word | (ONES * 0x04), b'&');
            let brackets = equals(word | (ONES * 0x02), b'>');
            outside | quote_or_and | brackets | equals(word, b'\\')
        },
        |byte| !is_plain(byte),
    )
}

fn is_plain(byte: u8) -> bool {
    (b' '..0x80).contains(&byte) && !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&')
}

/// `mark` says of eight bytes whether one of them is wanted, and `is_wanted` says it of one.
#[inline(always)]
fn find(bytes: &[u8], mark: impl Fn(u64) -> u64, is_wanted: impl Fn(u8) -> bool) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        if mark(u64::from_le_bytes(*word)) != 0 {
            // A borrow may have marked bytes behind the first one, so it is looked for.
            let within = word.iter().position(|byte| is_wanted(*byte))?;
            return Some(index * 8 + within);
        }
    }
    let within = rest.iter().position(|byte| is_wanted(*byte))?;
    Some(words.len() * 8 + within)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_byte_is_judged_alike_wherever_it_is() {
        for byte in 0..=u8::MAX {
            for at in 0..12 {
                let mut bytes = *b"abcdefghijkl";
                bytes[at] = byte;
                assert_eq!(line_feed(&bytes), (byte == b'\n').then_some(at), "{byte:#x} at {at}");
                assert_eq!(not_plain(&bytes), (!is_plain(byte)).then_some(at), "{byte:#x} at {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_first_one_is_found(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(line_feed(&bytes), bytes.iter().position(|byte| *byte == b'\n'));
            prop_assert_eq!(not_plain(&bytes), bytes.iter().position(|byte| !is_plain(*byte)));
        }
    }
}
