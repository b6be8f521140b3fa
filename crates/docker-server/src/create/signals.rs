//! Signals by name or number.

use docker_api::containers::ContainerConfig;

use super::Refusal;

/// Names and numbers on every architecture but MIPS (see `signal(7)`).
const SIGNALS: &[(&str, i32)] = &[
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// The real-time signals that programs may use: the C library keeps two below for itself.
const REALTIME_MIN: i32 = 34;
const REALTIME_MAX: i32 = 64;

const TERMINATE: i32 = 15;

/// The number of `SIGTERM`, `term`, `15` or `RTMIN+3`.
pub(crate) fn number(text: &str) -> Result<i32, Refusal> {
    parse(text).ok_or_else(|| Refusal::new(format!("invalid signal: {text}")))
}

/// The same for a signal that is to be sent now: what is a number, but not one of Linux, is
/// refused in other words.
pub(crate) fn number_to_send(text: &str) -> Result<i32, Refusal> {
    number(text).map_err(|refusal| match text.parse::<i32>() {
        Ok(0) | Err(_) => refusal,
        Ok(number) => Refusal::new(format!("the linux daemon does not support signal {number}")),
    })
}

/// What people call a signal: `SIGTERM`, `SIGRTMIN+3`.
pub(crate) fn name(number: i32) -> String {
    match SIGNALS.iter().find(|(_, known)| *known == number) {
        Some((name, _)) => format!("SIG{name}"),
        None if number == REALTIME_MIN => "SIGRTMIN".to_owned(),
        None if number > REALTIME_MIN => format!("SIGRTMIN+{}", number - REALTIME_MIN),
        None => format!("signal {number}"),
    }
}

fn parse(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=REALTIME_MAX).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some((_, number)) = SIGNALS.iter().find(|(own, _)| *own == name) {
        return Some(*number);
    }
    let offset = |text: &str, sign: char| match text {
        "" => Some(0),
        text => text.strip_prefix(sign)?.parse::<i32>().ok(),
    };
    let number = if let Some(rest) = name.strip_prefix("RTMIN") {
        REALTIME_MIN + offset(rest, '+')?
    } else {
        REALTIME_MAX - offset(name.strip_prefix("RTMAX")?, '-')?
    };
    (REALTIME_MIN..=REALTIME_MAX).contains(&number).then_some(number)
}

/// The signal that asks the container to end.
pub(super) fn stop_signal(config: &ContainerConfig) -> Result<i32, Refusal> {
    match config.stop_signal.as_str() {
        "" => Ok(TERMINATE),
        text => number(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_many_spellings() {
        for (text, expected) in [
            ("SIGTERM", 15),
            ("term", 15),
            ("15", 15),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("rtmin", 34),
            ("sigusr1", 10),
        ] {
            assert_eq!(number(text).unwrap(), expected, "{text}");
        }
        for wrong in ["FOO", "0", "65", "-1", "RTMIN+31", "", "SIGRTMIN-1"] {
            assert!(number(wrong).is_err(), "{wrong}");
        }
        assert_eq!(number("FOO").unwrap_err().message(), "invalid signal: FOO");
        for (wrong, words) in [
            ("FOO", "invalid signal: FOO"),
            ("0", "invalid signal: 0"),
            ("65", "the linux daemon does not support signal 65"),
            ("-1", "the linux daemon does not support signal -1"),
        ] {
            assert_eq!(number_to_send(wrong).unwrap_err().message(), words);
        }
    }

    #[test]
    fn signals_have_names() {
        for (number, expected) in [
            (15, "SIGTERM"),
            (9, "SIGKILL"),
            (37, "SIGRTMIN+3"),
            (34, "SIGRTMIN"),
            (33, "signal 33"),
        ] {
            assert_eq!(name(number), expected);
        }
    }
}
