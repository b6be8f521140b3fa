//! Cutting output into log entries.
//!
//! An entry is a line. A line that does not fit into Docker's buffer of 16 KiB is several
//! entries, of which only the last ends with a line feed; all of them bear the time of the
//! first. What a process wrote last without a line feed is an entry without one.

use super::scan;

/// What Docker's copier holds at most of a line.
const ENTRY_BYTES_MAX: usize = 16 * 1024;

/// One piece of a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub text: &'a [u8],
    /// Whether a line feed came after it.
    pub is_end: bool,
    pub unix_nanoseconds: i64,
    /// Which part of its line it is, counted from 1; 0 for a line that is one entry.
    pub ordinal: u32,
}

/// The line of one stream that is not complete yet.
#[derive(Debug, Default)]
pub(crate) struct LineCutter {
    pending: Vec<u8>,
    /// When the first entry of the present line was made, if there is one.
    line_began: Option<i64>,
    /// Entries of the present line so far.
    parts: u32,
}

impl LineCutter {
    /// Takes what was read at `now`, and hands on the entries that are complete with it.
    pub(crate) fn cut(&mut self, mut bytes: &[u8], now: i64, mut entry: impl FnMut(&Entry<'_>)) {
        while !bytes.is_empty() {
            let room = ENTRY_BYTES_MAX - self.pending.len();
            let window = &bytes[..bytes.len().min(room)];
            match scan::line_feed(window) {
                Some(end) => {
                    let unix_nanoseconds = self.line_began.take().unwrap_or(now);
                    self.emit(&window[..end], true, unix_nanoseconds, &mut entry);
                    bytes = &bytes[end + 1..];
                }
                None if window.len() == room => {
                    let unix_nanoseconds = *self.line_began.get_or_insert(now);
                    self.emit(window, false, unix_nanoseconds, &mut entry);
                    bytes = &bytes[room..];
                }
                None => {
                    self.pending.extend_from_slice(window);
                    return;
                }
            }
        }
    }

    /// Hands on what is left when the stream has ended.
    pub(crate) fn finish(&mut self, now: i64, mut entry: impl FnMut(&Entry<'_>)) {
        let unix_nanoseconds = self.line_began.take().unwrap_or(now);
        if !self.pending.is_empty() {
            self.emit(&[], false, unix_nanoseconds, &mut entry);
        }
        self.parts = 0;
    }

    fn emit(
        &mut self,
        last: &[u8],
        is_end: bool,
        unix_nanoseconds: i64,
        entry: &mut impl FnMut(&Entry<'_>),
    ) {
        let ordinal = match (self.parts, is_end) {
            (0, true) => 0,
            (parts, _) => parts.saturating_add(1),
        };
        self.parts = if is_end { 0 } else { ordinal };
        if self.pending.is_empty() {
            return entry(&Entry { text: last, is_end, unix_nanoseconds, ordinal });
        }
        self.pending.extend_from_slice(last);
        entry(&Entry { text: &self.pending, is_end, unix_nanoseconds, ordinal });
        // Most lines come whole: the memory is rarely needed, so it is given back.
        self.pending = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The entries of `pieces`, as (length, ends with a line feed, time), where time counts
    /// the pieces.
    fn cut(pieces: &[&[u8]]) -> Vec<(usize, bool, i64)> {
        let mut entries = Vec::new();
        let mut note = |entry: &Entry<'_>| {
            entries.push((entry.text.len(), entry.is_end, entry.unix_nanoseconds));
        };
        let mut cutter = LineCutter::default();
        for (index, piece) in pieces.iter().enumerate() {
            cutter.cut(piece, index as i64 + 1, &mut note);
        }
        cutter.finish(9, &mut note);
        entries
    }

    #[test]
    fn lines_are_entries() {
        assert_eq!(cut(&[b"one\ntwo\n\n"]), [(3, true, 1), (3, true, 1), (0, true, 1)]);
    }

    #[test]
    fn a_line_may_come_in_pieces() {
        assert_eq!(cut(&[b"o", b"n", b"e\ntw", b"o"]), [(3, true, 3), (3, false, 9)]);
    }

    #[test]
    fn a_long_line_is_several_entries_of_the_same_time() {
        let long = [vec![b'c'; 40_000], b"\nshort\n".to_vec()].concat();
        let expected = [(16_384, false, 1), (16_384, false, 1), (7232, true, 1), (5, true, 1)];
        assert_eq!(cut(&[&long]), expected);
    }

    #[test]
    fn a_line_that_just_fills_the_buffer_has_its_end_apart() {
        assert_eq!(cut(&[&[b'b'; 16_384], b"\n"]), [(16_384, false, 1), (0, true, 1)]);
        let fits = [vec![b'a'; 16_383], b"\n".to_vec()].concat();
        assert_eq!(cut(&[&fits]), [(16_383, true, 1)]);
    }

    #[test]
    fn parts_of_a_line_are_counted() {
        let mut ordinals = Vec::new();
        let mut cutter = LineCutter::default();
        let text = [vec![b'c'; 40_000], b"\nshort\nend".to_vec()].concat();
        cutter.cut(&text, 0, |entry| ordinals.push((entry.ordinal, entry.is_end)));
        cutter.finish(0, |entry| ordinals.push((entry.ordinal, entry.is_end)));
        assert_eq!(ordinals, [(1, false), (2, false), (3, true), (0, true), (1, false)]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_however_it_arrives(
            text in prop::collection::vec(prop_oneof![9 => Just(b'x'), 1 => Just(b'\n')], 0..40_000),
            step in 1_usize..20_000,
        ) {
            let mut whole = Vec::new();
            let mut cutter = LineCutter::default();
            let mut note = |entry: &Entry<'_>| {
                whole.extend_from_slice(entry.text);
                if entry.is_end {
                    whole.push(b'\n');
                }
            };
            for piece in text.chunks(step) {
                cutter.cut(piece, 0, &mut note);
            }
            cutter.finish(0, &mut note);
            prop_assert_eq!(whole, text);
        }
    }
}
