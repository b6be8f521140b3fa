//! What a probe says: its beginning, and whether there was more.

/// Bytes that are kept. Docker's.
const KEPT_MAX: usize = 4096;

/// The beginning of a probe's output.
#[derive(Debug, Default)]
pub(crate) struct Output {
    kept: Vec<u8>,
    is_cut: bool,
}

impl Output {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let room = KEPT_MAX - self.kept.len();
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.is_cut |= bytes.len() > room;
    }

    /// As text, with dots for what is missing.
    pub(crate) fn into_text(self) -> String {
        let mut text = String::from_utf8_lossy(&self.kept).into_owned();
        if self.is_cut {
            text.push_str("...");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pieces: &[usize], expected_length: usize, is_cut: bool) {
        let mut output = Output::default();
        for piece in pieces {
            output.push(&vec![b'x'; *piece]);
        }
        let text = output.into_text();
        assert_eq!((text.len(), text.ends_with("...")), (expected_length, is_cut), "{pieces:?}");
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        check(&[], 0, false);
        check(&[4095, 1], 4096, false);
        check(&[4096, 1], 4099, true);
        check(&[10_000, 10_000], 4099, true);
    }

    #[test]
    fn what_is_no_text_is_marked() {
        let mut output = Output::default();
        output.push(b"a\xff");
        assert_eq!(output.into_text(), "a\u{fffd}");
    }
}
