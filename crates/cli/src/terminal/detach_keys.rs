//! The keys by which a user leaves a container without ending it.

/// The keys, as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DetachKeys(Vec<u8>);

impl DetachKeys {
    /// Ctrl-P, Ctrl-Q.
    pub(crate) fn usual() -> Self {
        Self(vec![16, 17])
    }

    /// Reads `ctrl-a,b`; nothing if a key has no such name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        text.split(',').map(key).collect::<Option<_>>().map(Self)
    }
}

fn key(name: &str) -> Option<u8> {
    if let &[byte] = name.as_bytes() {
        return Some(byte);
    }
    let &[letter] = name.strip_prefix("ctrl-")?.as_bytes() else { return None };
    match letter {
        b'a'..=b'z' => Some(letter - b'a' + 1),
        b'@' => Some(0),
        b'[' | b'\\' | b']' | b'^' | b'_' => Some(letter - b'[' + 27),
        _ => None,
    }
}

/// Looks for the keys in what the user types.
#[derive(Debug)]
pub(crate) struct Detector {
    keys: DetachKeys,
    /// How many of the keys were just typed, and held back.
    matched: usize,
}

impl Detector {
    pub(crate) const fn new(keys: DetachKeys) -> Self {
        Self { keys, matched: 0 }
    }

    /// What of `typed` goes to the container, and whether the user leaves.
    pub(crate) fn filter(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let DetachKeys(keys) = &self.keys;
        let mut passed = Vec::with_capacity(typed.len());
        for &byte in typed {
            if byte == keys[self.matched] {
                self.matched += 1;
                if self.matched == keys.len() {
                    return (passed, true);
                }
                continue;
            }
            // They were not meant for us after all.
            passed.extend_from_slice(&keys[..self.matched]);
            self.matched = usize::from(byte == keys[0]);
            if self.matched == 0 {
                passed.push(byte);
            }
        }
        (passed, false)
    }
}

#[cfg(test)]
mod tests {
    use super::{DetachKeys, Detector};

    #[test]
    fn keys_have_names() {
        assert_eq!(DetachKeys::parse("ctrl-p,ctrl-q"), Some(DetachKeys::usual()));
        assert_eq!(DetachKeys::parse("a,ctrl-["), Some(DetachKeys(vec![b'a', 27])));
        assert_eq!(DetachKeys::parse("ctrl-1"), None);
    }

    #[test]
    fn the_keys_are_seen_across_reads_and_else_passed_on() {
        let mut detector = Detector::new(DetachKeys::usual());
        assert_eq!(detector.filter(b"a\x10"), (b"a".to_vec(), false));
        assert_eq!(detector.filter(b"b\x10\x10"), (b"\x10b\x10".to_vec(), false));
        assert_eq!(detector.filter(b"\x11c"), (Vec::new(), true));
    }
}
