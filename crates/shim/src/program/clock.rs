//! What time it is.

use std::time::SystemTime;

use shim::protocol::UnixNanos;

/// Now, in nanoseconds since the epoch.
pub(crate) fn unix_nanoseconds() -> UnixNanos {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    // A clock before 1970 is wrong anyway, and one after 2262 does not fit.
    since_epoch.map_or(0, |elapsed| i64::try_from(elapsed.as_nanos()).unwrap_or(i64::MAX))
}
