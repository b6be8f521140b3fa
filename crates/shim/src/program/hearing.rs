//! Whether a process can hear a signal, as far as that can be known from outside.
//!
//! The first process of a pid namespace has no default actions: a signal from outside for which
//! it has neither installed a handler nor asked for it to be ignored is thrown away by the kernel
//! when it is sent (`pid_namespaces(7)`; `sig_task_ignored` in `kernel/signal.c`). Whoever then
//! waits for the process to end waits in vain. It is what makes `sh -c server` take ten seconds
//! to stop.
//!
//! A signal counts as unheard only if nothing else can be:
//!
//! - it has no handler. One that is *ignored* was thought of: such a process may be about to
//!   finish, and has the time it was given;
//! - no thread blocks it: blocked signals are kept for `sigwait(3)` and `signalfd(2)`;
//! - no thread waits for signals right now: while it sleeps in `sigwait(3)`, the kernel shows
//!   what it waits for as not blocked. So a thread has to be elsewhere, and not to have slept or
//!   woken up while we looked;
//! - nobody traces the process: a debugger sees signals first;
//! - its default action would be to end the process. Others ask for something else.
//!
//! One that has just begun to execute its program may be about to install a handler, so it is
//! given [`SETTLING`], and gets the signal once more as soon as it listens: the first one is lost
//! whatever anybody does. What counts is since when the same execution is seen in the process, for
//! an entry point often becomes another program at its end, or the same one with other work.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Pid;

/// How long a program has to install its handlers.
pub(crate) const SETTLING: Duration = Duration::from_secs(3);

/// How often one that is settling is looked at.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Signals that do not end a process that has no handler: CHLD, CONT, STOP, TSTP, TTIN, TTOU,
/// URG, WINCH. (SIGKILL needs no hearing.) See `signal(7)`; the same on every architecture but
/// MIPS.
const HARMLESS: [i32; 9] = [9, 17, 18, 19, 20, 21, 22, 23, 28];

/// The program in a process, and since when it is known to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Program {
    file: (u64, u64),
    /// Where its stack begins: a random place, which each `execve(2)` chooses anew.
    stack: u64,
    pub since: Instant,
}

impl Program {
    /// Looks at a process again, of which `known` was known.
    pub(crate) fn look(pid: Pid, known: Option<Self>, now: Instant) -> Option<Self> {
        let folder = format!("/proc/{}", pid.as_raw_nonzero());
        let stat = rustix::fs::stat(format!("{folder}/exe")).ok()?;
        let file = (stat.st_dev, stat.st_ino);
        let stack = start_of_stack(&fs::read_to_string(format!("{folder}/stat")).ok()?)?;
        let seen = Self { file, stack, since: now };
        Some(known.filter(|known| (known.file, known.stack) == (file, stack)).unwrap_or(seen))
    }

    /// Whether it has had its time.
    pub(crate) fn is_settled(&self, now: Instant) -> bool {
        now.duration_since(self.since) >= SETTLING
    }
}

/// Field 28 of `/proc/PID/stat`. See `proc_pid_stat(5)`.
fn start_of_stack(stat: &str) -> Option<u64> {
    // The name may have spaces and parentheses in it; field 3 follows it.
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split_ascii_whitespace().nth(28 - 3)?.parse().ok()
}

/// Whether the first process of a container would not hear `signal` if it were sent now.
pub(crate) fn is_deaf(pid: Pid, signal: i32) -> bool {
    let folder = format!("/proc/{}", pid.as_raw_nonzero());
    if HARMLESS.contains(&signal) {
        return false;
    }
    let Ok(threads) = fs::read_dir(format!("{folder}/task")) else { return false };
    // A thread that has just ended blocks nothing; but who knows what it was about to do.
    threads.into_iter().all(|thread| {
        thread.is_ok_and(|thread| is_thread_deaf(&thread.path(), signal).unwrap_or(false))
    })
}

/// Whether this thread of a first process neither hears `signal` nor waits for it; `None` if
/// that cannot be known.
fn is_thread_deaf(folder: &Path, signal: i32) -> Option<bool> {
    let status = || Status::parse(&fs::read_to_string(folder.join("status")).ok()?);
    let mut before = status()?;
    for _ in 0..LOOKS_MAX {
        if !before.is_deaf_to(signal) {
            return Some(false);
        }
        let waits = waits_for_signals(&fs::read_to_string(folder.join("syscall")).ok()?);
        let after = status()?;
        // It neither slept nor woke up in between, so all three are of one moment.
        if after == before {
            return Some(!waits);
        }
        before = after;
    }
    None
}

/// Looks at a thread before it is too busy to be judged.
const LOOKS_MAX: usize = 5;

/// The numbers of `rt_sigtimedwait(2)`, which `sigwait(3)` is: on x86-64, 64-bit ARM, both with
/// 32 bits (with times of 32 and of 64 bits), x32. That some are other calls elsewhere only makes
/// us wait.
const WAITS_FOR_SIGNALS: [u64; 5] = [128, 137, 177, 421, 0x4000_020b];

/// Whether a thread sleeps until a signal comes, as `/proc/PID/syscall` says: `running`, or the
/// call's number, or -1 if it sleeps outside of a call. See `proc_pid_syscall(5)`.
fn waits_for_signals(text: &str) -> bool {
    let first = text.split_ascii_whitespace().next().unwrap_or_default();
    first.parse().is_ok_and(|call: u64| WAITS_FOR_SIGNALS.contains(&call))
}

/// What `/proc/PID/status` says of signals. See `proc_pid_status(5)`.
#[derive(Debug, PartialEq, Eq)]
struct Status {
    /// Whether it is the first of its pid namespace, and that is another one than ours.
    is_first: bool,
    is_traced: bool,
    has_ended: bool,
    /// How often it has gone to sleep or was made to wait.
    switches: [u64; 2],
    pending: u64,
    blocked: u64,
    ignored: u64,
    caught: u64,
}

impl Status {
    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(str::trim)
        };
        let set = |name: &str| u64::from_str_radix(field(name)?, 16).ok();
        let numbers: Vec<&str> = field("NSpid")?.split_ascii_whitespace().collect();
        // A thread's own number is another one, so for those the group's is asked for.
        let group: Vec<&str> = field("NStgid")?.split_ascii_whitespace().collect();
        Some(Self {
            is_first: numbers.len() > 1 && group.last() == Some(&"1"),
            is_traced: field("TracerPid")? != "0",
            has_ended: field("State")?.starts_with(['Z', 'X']),
            switches: [
                field("voluntary_ctxt_switches")?.parse().ok()?,
                field("nonvoluntary_ctxt_switches")?.parse().ok()?,
            ],
            pending: set("SigPnd")? | set("ShdPnd")?,
            blocked: set("SigBlk")?,
            ignored: set("SigIgn")?,
            caught: set("SigCgt")?,
        })
    }

    fn is_deaf_to(&self, signal: i32) -> bool {
        let Some(bit) = u32::try_from(signal - 1).ok().and_then(|bit| 1_u64.checked_shl(bit))
        else {
            return false;
        };
        let concerns = self.pending | self.blocked | self.ignored | self.caught;
        self.is_first && !self.is_traced && !self.has_ended && concerns & bit == 0
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    const SHELL: &str = "Name:\tsh\nState:\tS (sleeping)\nTracerPid:\t0\nNStgid:\t4242\t1\nNSpid:\t4242\t1\n\
        SigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\n\
        SigBlk:\t0000000000000000\nSigIgn:\t0000000000001000\nSigCgt:\t0000000000000002\n\
        voluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t0\n";

    #[track_caller]
    fn check(from: &str, to: &str, signal: i32, expected: bool) {
        assert!(SHELL.contains(from), "{from}");
        let status = Status::parse(&SHELL.replace(from, to)).unwrap();
        assert_eq!(status.is_deaf_to(signal), expected, "{to}: signal {signal}");
    }

    #[test]
    fn the_first_process_is_deaf_to_what_it_does_not_mention() {
        check("sh", "sh", 15, true);
        check("sh", "sh", 64, true);
        // INT has a handler, PIPE is ignored.
        check("sh", "sh", 2, false);
        check("sh", "sh", 13, false);
    }

    #[test]
    fn whoever_may_still_hear_it_is_not_deaf() {
        let bit = "0000000000004000";
        for name in ["SigPnd", "ShdPnd", "SigBlk"] {
            let from = format!("{name}:\t0000000000000000");
            check(&from, &format!("{name}:\t{bit}"), 15, false);
        }
        check("TracerPid:\t0", "TracerPid:\t7", 15, false);
        check("S (sleeping)", "Z (zombie)", 15, false);
    }

    #[test]
    fn whoever_waits_for_signals_hears_them_though_it_does_not_block_them() {
        assert!(!waits_for_signals("230 0x0 0x0 0x7ffd 0x0 0x0 0x0 0x7ffd 0x4d\n"));
        assert!(!waits_for_signals("-1 0x7ffd 0x4d\n"));
        assert!(!waits_for_signals("running\n"));

        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            linux::signals::block_all().unwrap();
            sender.send(rustix::thread::gettid()).unwrap();
            // For ever: the program's end is its own.
            let _ = linux::signals::wait();
        });
        let thread = receiver.recv().unwrap();
        let folder = format!("/proc/self/task/{}", thread.as_raw_nonzero());
        let read = |file: &str| fs::read_to_string(format!("{folder}/{file}")).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while Status::parse(&read("status")).unwrap().blocked != 0 {
            assert!(Instant::now() < deadline, "it never waits: {}", read("status"));
            std::thread::yield_now();
        }
        // Once it is asleep.
        while !waits_for_signals(&read("syscall")) {
            assert!(Instant::now() < deadline, "{}", read("syscall"));
            std::thread::yield_now();
        }
    }

    #[test]
    fn only_the_first_of_a_namespace_of_its_own_is_deaf() {
        check("NStgid:\t4242\t1", "NStgid:\t4242\t17", 15, false);
        check("NStgid:\t4242\t1\nNSpid:\t4242\t1", "NStgid:\t1\nNSpid:\t1", 15, false);
    }

    #[test]
    fn what_cannot_be_understood_proves_nothing() {
        assert_eq!(Status::parse("Name:\tsh\n"), None);
        let status = Status::parse(SHELL).unwrap();
        for signal in [0, -1, 65, i32::MIN + 1] {
            assert!(!status.is_deaf_to(signal), "{signal}");
        }
    }

    #[test]
    fn signals_that_end_nobody_are_never_unheard() {
        let own = rustix::process::getpid();
        for signal in HARMLESS {
            assert!(!is_deaf(own, signal));
        }
    }

    #[test]
    fn a_program_is_known_from_the_moment_it_is_seen() {
        let own = rustix::process::getpid();
        let now = Instant::now();
        let first = Program::look(own, None, now).unwrap();
        assert!(!first.is_settled(now));
        let later = now + SETTLING;
        let again = Program::look(own, Some(first), later).unwrap();
        assert!(again.is_settled(later));
        for other in [Program { file: (0, 0), ..first }, Program { stack: 0, ..first }] {
            assert!(!Program::look(own, Some(other), later).unwrap().is_settled(later));
        }
    }

    #[test]
    fn the_same_program_executed_again_is_another() {
        let mut shell = std::process::Command::new("sh")
            .args(["-c", "read go; exec sh -c 'echo again; read go'"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pid = Pid::from_child(&shell);
        let (mut input, mut output) = (shell.stdin.take().unwrap(), shell.stdout.take().unwrap());
        let then = Instant::now();
        // Once it reads, its own execution is behind it.
        let path = format!("/proc/{}/syscall", pid.as_raw_nonzero());
        while !fs::read_to_string(&path).unwrap().starts_with("0 0x0 ") {
            assert!(then.elapsed() < Duration::from_secs(60), "it never reads");
            std::thread::yield_now();
        }
        let first = Program::look(pid, None, then).unwrap();
        assert_eq!(Program::look(pid, Some(first), Instant::now()), Some(first));
        input.write_all(b"go\n").unwrap();
        output.read_exact(&mut [0; 6]).unwrap();
        assert_ne!(Program::look(pid, Some(first), Instant::now()), Some(first));
        drop(input);
        shell.wait().unwrap();
    }
}
