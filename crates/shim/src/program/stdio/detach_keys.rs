//! Noticing the keys with which a user leaves a terminal without ending what runs in it.
//!
//! The keys may arrive one by one or together with others. Keys that turn out to be the
//! beginning of something else are handed on after all, as soon as that is certain.

/// Watches one client's input for its detach keys.
#[derive(Debug)]
pub(crate) struct DetachKeys {
    keys: Vec<u8>,
    /// How many of `keys` the input so far ends with. They are held back.
    matched: usize,
}

/// What became of some input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Filtered {
    /// What goes to the program.
    pub input: Vec<u8>,
    /// The user leaves.
    pub detached: bool,
}

impl DetachKeys {
    /// `None` if there are no keys to watch for.
    pub(crate) fn new(keys: Vec<u8>) -> Option<Self> {
        (!keys.is_empty()).then_some(Self { keys, matched: 0 })
    }

    /// Takes what was typed. What comes after the keys is nobody's.
    pub(crate) fn filter(&mut self, typed: &[u8]) -> Filtered {
        let mut input = Vec::with_capacity(typed.len() + self.matched);
        for &byte in typed {
            self.step(byte, &mut input);
            if self.matched == self.keys.len() {
                self.matched = 0;
                return Filtered { input, detached: true };
            }
        }
        Filtered { input, detached: false }
    }

    /// Moves on by one byte; releases what can no longer be the beginning of the keys.
    fn step(&mut self, byte: u8, input: &mut Vec<u8>) {
        let mut held = self.keys[..self.matched].to_vec();
        held.push(byte);
        // The longest end of what is held that is a beginning of the keys. Keys are few, so
        // looking at each is quicker than being clever.
        let released = (0..=held.len())
            .find(|&start| self.keys.starts_with(&held[start..]))
            .expect("the empty end is a beginning of everything");
        input.extend_from_slice(&held[..released]);
        self.matched = held.len() - released;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ctrl-P Ctrl-Q.
    const DEFAULT: &[u8] = &[16, 17];

    #[track_caller]
    fn check(keys: &[u8], typed: &[&[u8]], expected_input: &[u8], expected_detached: bool) {
        let mut detach_keys = DetachKeys::new(keys.to_vec()).unwrap();
        let mut input = Vec::new();
        let mut detached = false;
        for typed in typed {
            let filtered = detach_keys.filter(typed);
            input.extend(filtered.input);
            detached = filtered.detached;
        }
        assert_eq!((input.as_slice(), detached), (expected_input, expected_detached));
    }

    #[test]
    fn keys_typed_one_by_one_or_at_once() {
        check(DEFAULT, &[&[16], &[17]], b"", true);
        check(DEFAULT, &[b"ls\x10\x11"], b"ls", true);
        check(DEFAULT, &[b"ls\x10", b"\x11"], b"ls", true);
    }

    #[test]
    fn a_beginning_that_leads_nowhere_is_input() {
        check(DEFAULT, &[b"\x10", b"x"], b"\x10x", false);
        check(DEFAULT, &[b"\x10", b"\x10", b"\x11"], b"\x10", true);
        check(b"aab", &[b"aaab"], b"a", true);
        check(b"abac", &[b"ababac"], b"ab", true);
    }

    #[test]
    fn what_may_still_become_the_keys_is_held_back() {
        check(DEFAULT, &[b"\x10"], b"", false);
    }

    #[test]
    fn nothing_after_the_keys_is_input() {
        check(DEFAULT, &[b"a\x10\x11rm -rf"], b"a", true);
    }

    #[test]
    fn no_keys_no_watch() {
        assert!(DetachKeys::new(Vec::new()).is_none());
    }
}
