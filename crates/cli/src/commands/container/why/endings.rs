//! What exit codes mean, in words.

/// The exit code of a process that a signal has ended is this and the signal's number.
const SIGNALED: i32 = 128;

/// Signals that end processes: number, name, and what it says of the process.
const SIGNALS: &[(i32, &str, &str)] = &[
    (1, "SIGHUP", "its terminal or its owner was gone"),
    (2, "SIGINT", "it was interrupted, as by Ctrl-C"),
    (3, "SIGQUIT", "it was told to quit and leave a core dump"),
    (4, "SIGILL", "it met an instruction that this processor does not have"),
    (5, "SIGTRAP", "it met a breakpoint"),
    (6, "SIGABRT", "it gave up by itself: a failed assertion, a panic or a corrupt heap"),
    (7, "SIGBUS", "it touched memory that is not there, as of a file that was cut"),
    (8, "SIGFPE", "it made an arithmetic error, as a division by zero"),
    (9, "SIGKILL", "it was killed and had no say in it"),
    (10, "SIGUSR1", "it does not handle this signal"),
    (11, "SIGSEGV", "it crashed: it touched memory that is not its own"),
    (12, "SIGUSR2", "it does not handle this signal"),
    (13, "SIGPIPE", "it wrote to something that nobody reads any more"),
    (14, "SIGALRM", "a timer of its own ran out"),
    (15, "SIGTERM", "it was asked to end"),
    (24, "SIGXCPU", "it used up its processor time (`--ulimit cpu`)"),
    (25, "SIGXFSZ", "it wrote a file beyond the limit (`--ulimit fsize`)"),
    (31, "SIGSYS", "it made a system call that the seccomp profile forbids"),
];

/// The signal that an exit code tells of, if it does.
pub(super) fn signal_of(exit_code: i32) -> Option<i32> {
    let signal = exit_code - SIGNALED;
    (1..=64).contains(&signal).then_some(signal)
}

/// A signal's name; its number where it has none.
pub(super) fn signal_name(signal: i32) -> String {
    match find(signal) {
        Some((_, name, _)) => (*name).to_owned(),
        None => format!("signal {signal}"),
    }
}

fn find(signal: i32) -> Option<&'static (i32, &'static str, &'static str)> {
    SIGNALS.iter().find(|(number, ..)| *number == signal)
}

/// What an exit code means where nothing else is known.
pub(super) fn meaning(exit_code: i32) -> String {
    match exit_code {
        0 => "its program ended by itself, with success".to_owned(),
        126 => "a command was found and could not be executed (126)".to_owned(),
        127 => "a command was not found (127)".to_owned(),
        code => match signal_of(code) {
            Some(signal) => {
                let name = signal_name(signal);
                let says = find(signal).map_or("it does not handle this signal", |found| found.2);
                format!("{name} ended it ({code} is {SIGNALED} + {signal}): {says}")
            }
            None => format!("its program ended by itself, with code {code}"),
        },
    }
}

/// What a user can do about an exit code.
pub(super) fn advice(exit_code: i32) -> Option<&'static str> {
    Some(match exit_code {
        126 => {
            "give the file its execute permission, and see that it is a program for this machine"
        }
        127 => "look at the command's spelling, and at what the image has in its PATH",
        132 => "run an image that is built for this kind of processor",
        139 => "a core dump (`--ulimit core=-1`) shows where it crashed",
        159 => "`--security-opt seccomp=FILE` allows the call that it needs",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_put_into_words() {
        for (code, words) in [
            (0, "with success"),
            (3, "by itself, with code 3"),
            (127, "not found"),
            (137, "SIGKILL ended it (137 is 128 + 9)"),
            (139, "it crashed"),
            (128 + 40, "signal 40 ended it"),
            (255, "by itself, with code 255"),
        ] {
            assert!(meaning(code).contains(words), "{code}: {}", meaning(code));
        }
    }
}
