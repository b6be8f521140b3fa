//! Waiting for something to become true, but not for ever.

use std::time::{Duration, Instant};

/// How long a story waits for something that should happen at once.
///
/// Generous: on a busy machine with two cores, a test that gives up early reports a
/// failure that is none.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// How long to look away between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks until `look` finds something, and returns that.
///
/// Panics when nothing was found in time, saying `what` was waited for.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited {PATIENCE:?} in vain for {what}");
        std::thread::sleep(PAUSE);
    }
}
