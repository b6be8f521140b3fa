//! What the clock on the wall says.

/// Seconds that the host's time zone is ahead of UTC at a moment, which is given in seconds
/// since the epoch. Zero if that cannot be told.
///
/// See `localtime_r(3)`.
pub fn utc_offset(unix_seconds: i64) -> i32 {
    // SAFETY: a `tm` is plain numbers and a pointer, for all of which zeroes are valid.
    let mut broken_down: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: it reads the number and writes the structure, both of which live until it
    // returns; what it keeps of the time zone's file is its own.
    let result = unsafe { libc::localtime_r(&raw const unix_seconds, &raw mut broken_down) };
    if result.is_null() {
        return 0;
    }
    i32::try_from(broken_down.tm_gmtoff).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_less_than_a_day_from_utc() {
        assert!(utc_offset(1_795_228_657).abs() < 86_400);
    }
}
