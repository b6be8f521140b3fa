//! Telling that a story was not told, and why.

use std::io::Write as _;

/// Notes that the present story is skipped.
///
/// Written past the test runner's capture, which would swallow it: a story that is not
/// told must be seen. `cargo xtask test` collects these lines.
pub(crate) fn note(reason: &str) {
    let thread = std::thread::current();
    let story = thread.name().unwrap_or("a story");
    let _ = writeln!(std::io::stderr(), "skipped: {story}: {reason}");
}
