//! Names of signals.

use crate::change::ChangeError;

/// Every signal of Linux that has a name.
const NAMES: &[&str] = &[
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP",
    "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
];

/// Real-time signals are counted from both ends, up to here.
const REAL_TIME_OFFSET_MAX: u32 = 15;

/// Checks that a text names a signal, by name or number.
pub(super) fn check(text: &str) -> Result<(), ChangeError> {
    let invalid = || ChangeError::Signal { signal: text.to_owned() };
    if let Ok(number) = text.parse::<i32>() {
        return if number == 0 { Err(invalid()) } else { Ok(()) };
    }
    let name = text.to_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let is_real_time = || {
        let offset = name.strip_prefix("RTMIN+").or_else(|| name.strip_prefix("RTMAX-"));
        offset
            .and_then(|offset| offset.parse::<u32>().ok())
            .is_some_and(|offset| (1..=REAL_TIME_OFFSET_MAX).contains(&offset))
    };
    if NAMES.contains(&name) || is_real_time() { Ok(()) } else { Err(invalid()) }
}
