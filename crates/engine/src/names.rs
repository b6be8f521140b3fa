//! Names: which are allowed, and ones for containers whose users gave none.

/// First halves of made-up names.
const ADJECTIVES: [&str; 48] = [
    "able", "amber", "bold", "brave", "bright", "brisk", "calm", "clear", "clever", "cool", "deft",
    "eager", "early", "fair", "fast", "fine", "firm", "fond", "free", "fresh", "gentle", "glad",
    "golden", "grand", "happy", "hardy", "keen", "kind", "light", "lively", "loyal", "lucid",
    "merry", "mild", "neat", "noble", "patient", "plain", "proud", "quick", "quiet", "ready",
    "sharp", "silent", "steady", "swift", "warm", "wise",
];

/// Second halves: what is seen at a harbour.
const NOUNS: [&str; 48] = [
    "anchor", "barge", "beacon", "bollard", "breeze", "bridge", "buoy", "cable", "canvas", "cargo",
    "channel", "compass", "coral", "crane", "current", "cutter", "deck", "dinghy", "dock", "eddy",
    "ferry", "galley", "gull", "harbor", "haven", "heron", "hull", "islet", "jetty", "keel",
    "lagoon", "lantern", "mast", "mooring", "oar", "osprey", "pier", "pilot", "quay", "reef",
    "rudder", "sail", "schooner", "shoal", "sloop", "tide", "tugboat", "wake",
];

/// Makes a name up, one of two thousand; from the second attempt on with a number behind it.
pub(crate) fn make_up(attempt: u32) -> String {
    let adjective = ADJECTIVES[rand::random_range(0..ADJECTIVES.len())];
    let noun = NOUNS[rand::random_range(0..NOUNS.len())];
    if attempt == 0 {
        format!("{adjective}_{noun}")
    } else {
        format!("{adjective}_{noun}{}", rand::random_range(0..10_u32.pow(attempt.min(9))))
    }
}

/// Whether a container or volume may be called so: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
pub(crate) fn is_valid(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && name.len() > 1
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_pattern_decides_what_a_name_is() {
        for name in ["ab", "a1", "web-1", "Web_1.2"] {
            assert!(is_valid(name), "{name}");
        }
        for name in ["", "a", "-a", "_a", ".a", "a/b", "a b", "ä1"] {
            assert!(!is_valid(name), "{name}");
        }
    }

    #[test]
    fn made_up_names_are_valid() {
        for attempt in 0..12 {
            assert!(is_valid(&make_up(attempt)));
        }
    }
}
