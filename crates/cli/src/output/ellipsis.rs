//! Text that is cut to fit a column, and how wide text is on a terminal.

/// Letters of two columns: the blocks of East Asian writing, and most emoji.
const WIDE: &[(u32, u32)] = &[
    (0x1100, 0x115f),
    (0x2e80, 0x303e),
    (0x3041, 0xa4cf),
    (0xac00, 0xd7a3),
    (0xf900, 0xfaff),
    (0xfe30, 0xfe6f),
    (0xff00, 0xff60),
    (0xffe0, 0xffe6),
    (0x1f300, 0x1f64f),
    (0x1f900, 0x1f9ff),
    (0x20000, 0x3fffd),
];

/// The columns that a letter takes.
pub(crate) fn letter_width(letter: char) -> usize {
    let code = u32::from(letter);
    let is_wide = WIDE.iter().any(|(first, last)| (*first..=*last).contains(&code));
    if is_wide { 2 } else { 1 }
}

/// The columns that a text takes.
pub(crate) fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().map(letter_width).sum() }
}

/// The text, cut with an ellipsis to at most `columns`.
pub(crate) fn ellipsis(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut used = 0;
    for letter in text.chars() {
        used += letter_width(letter);
        if used > columns.saturating_sub(1) {
            break;
        }
        cut.push(letter);
    }
    cut.push('…');
    cut
}

/// The first twelve digits of an id, without its algorithm.
pub(crate) fn short_id(id: &str) -> &str {
    let id = id.split_once(':').map_or(id, |(_, digits)| digits);
    id.get(..12).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::{ellipsis, short_id};

    #[test]
    fn long_text_ends_in_an_ellipsis() {
        assert_eq!(ellipsis("short", 5), "short");
        assert_eq!(ellipsis("longer", 5), "long…");
        assert_eq!(ellipsis("日本語テキスト", 7), "日本語…");
    }

    #[test]
    fn ids_are_cut_behind_their_algorithm() {
        assert_eq!(short_id("sha256:0123456789abcdef"), "0123456789ab");
        assert_eq!(short_id("abc"), "abc");
    }
}
