//! What every driver's log is made of.

use jiff::Timestamp;

/// A piece of output: a line, or a part of a long one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    pub at: Timestamp,
    pub is_stderr: bool,
    /// With its line feed, unless the line goes on in the next entry.
    pub text: Vec<u8>,
    /// Labels and environment that were logged along (`--details`).
    pub attributes: Vec<(String, String)>,
}

/// A moment from before any log.
pub(super) const NEVER: i64 = i64::MIN;

/// Nanoseconds since the epoch.
pub(super) fn nanoseconds(at: Timestamp) -> i64 {
    // A clock that is so wrong is later than every entry, or earlier.
    let nanoseconds = at.as_nanosecond();
    i64::try_from(nanoseconds).unwrap_or(if nanoseconds < 0 { i64::MIN } else { i64::MAX })
}
