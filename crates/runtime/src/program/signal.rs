//! Signals by name or number.

use anyhow::bail;

/// Names in order of their numbers, from 1 on; as Linux numbers them on x86 and arm.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

const REAL_TIME_FIRST: i32 = 34;
const REAL_TIME_LAST: i32 = 64;

pub(crate) const SIGKILL: i32 = 9;
/// The child's end, and a new window size.
pub(crate) const SIGCHLD: i32 = 17;
pub(crate) const SIGWINCH: i32 = 28;
/// Sent by Go's runtime to itself, and meant for nobody else.
pub(crate) const SIGURG: i32 = 23;

/// Reads `TERM`, `SIGTERM`, `15`, `RTMIN+1`.
pub(crate) fn parse(text: &str) -> anyhow::Result<i32> {
    if let Ok(number) = text.parse::<i32>() {
        // 0 is sent to nobody, and tells whether there is somebody.
        if (0..=REAL_TIME_LAST).contains(&number) {
            return Ok(number);
        }
        bail!("unknown signal `{text}`");
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(at) = NAMES.iter().position(|known| *known == name) {
        return Ok(i32::try_from(at)? + 1);
    }
    match real_time(name) {
        Some(number) => Ok(number),
        None => bail!("unknown signal `{text}`"),
    }
}

fn real_time(name: &str) -> Option<i32> {
    let offset = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<i32>().ok() };
    let number = if let Some(text) = name.strip_prefix("RTMIN") {
        REAL_TIME_FIRST + offset(text)?
    } else {
        REAL_TIME_LAST + offset(name.strip_prefix("RTMAX")?)?
    };
    (REAL_TIME_FIRST..=REAL_TIME_LAST).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for (text, number) in [
            ("TERM", 15),
            ("sigkill", 9),
            ("0", 0),
            ("17", SIGCHLD),
            ("WINCH", SIGWINCH),
            ("URG", SIGURG),
            ("SYS", 31),
            ("RTMIN+2", 36),
            ("SIGRTMAX-1", 63),
        ] {
            assert_eq!(parse(text).unwrap(), number);
        }
        for text in ["65", "NOPE", "RTMIN+40", "-1"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
