//! Signals: not hearing them, and sending any of them.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

/// Makes this process deaf to `signal`. Programs that it executes inherit that, unless they
/// [reset](crate::process::reset_signals) it.
pub fn ignore(signal: i32) -> io::Result<()> {
    // SAFETY: ignoring a signal runs no code of ours. A number that is no signal, or one that
    // cannot be ignored, is refused with EINVAL.
    let previous = unsafe { libc::signal(signal, libc::SIG_IGN) };
    if previous == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Undoes [`ignore`].
pub fn heed(signal: i32) -> io::Result<()> {
    // SAFETY: the default action is the kernel's, and runs no code of ours.
    let previous = unsafe { libc::signal(signal, libc::SIG_DFL) };
    if previous == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Ends this process at `signal`, even as the first of a pid namespace, whose default is to be
/// deaf. Holds until the process executes a program, which has the default action again.
pub fn end_at(signal: i32) -> io::Result<()> {
    extern "C" fn end(signal: libc::c_int) {
        const EXIT_SIGNALLED: i32 = 128;
        // SAFETY: `_exit` is async-signal-safe, and runs no code of ours.
        unsafe { libc::_exit(EXIT_SIGNALLED + signal) }
    }
    let handler: extern "C" fn(libc::c_int) = end;
    // SAFETY: the handler touches no memory, and does only what is async-signal-safe.
    let previous = unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    if previous == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sends `signal` to a process. Any number goes, real-time signals included, which is why this
/// does not use rustix: it knows the named ones only.
///
/// See `pidfd_send_signal(2)`. Fails with `ESRCH` when the process has ended.
pub fn send(process: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: plain numbers, and a null pointer, which asks the kernel for the `siginfo` that
    // `kill` would send.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Keeps every signal that can be kept waiting until [`wait`] fetches it.
///
/// Only the calling thread does so; threads that it starts later inherit it.
pub fn block_all() -> io::Result<()> {
    let all = every_signal();
    // SAFETY: the set is initialised, and a null pointer for the old one is allowed.
    let code =
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut()) };
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

/// Lets a program that is started hear signals again which this thread keeps waiting: it would
/// inherit the mask.
pub fn unblock_in(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt as _;
    let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initialises the whole set.
    let none = unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        none.assume_init()
    };
    // SAFETY: between `fork` and `execve` only `sigprocmask` is called, which is
    // async-signal-safe (`signal-safety(7)`).
    unsafe {
        command.pre_exec(move || {
            match libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        });
    }
}

/// Lets a program that is started act on signals again which this process ignores: it would
/// go on ignoring them, and so would all that it starts.
pub fn heed_in(command: &mut std::process::Command, signals: &'static [i32]) {
    use std::os::unix::process::CommandExt as _;
    // SAFETY: between `fork` and `execve` only `signal` is called, which is async-signal-safe
    // (`signal-safety(7)`).
    unsafe {
        command.pre_exec(move || {
            for signal in signals {
                if libc::signal(*signal, libc::SIG_DFL) == libc::SIG_ERR {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
}

/// Waits for the next signal that [`block_all`] kept. Goes on waiting after it was stopped,
/// frozen or looked at by a debugger, each of which interrupts the call.
///
/// See `sigwaitinfo(2)`, and `signal(7)` for the interruptions.
pub fn wait() -> io::Result<i32> {
    let all = every_signal();
    loop {
        // SAFETY: the set is initialised, and nobody wants the details.
        let signal = unsafe { libc::sigwaitinfo(&raw const all, std::ptr::null_mut()) };
        if signal >= 0 {
            return Ok(signal);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn every_signal() -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigfillset` initialises the whole set.
    unsafe {
        libc::sigfillset(set.as_mut_ptr());
        set.assume_init()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use rustix::process::{PidfdFlags, getpid, pidfd_open};

    use super::*;
    use crate::process::in_forked_process;

    #[test]
    fn an_ignored_real_time_signal_does_nothing() {
        let code = in_forked_process(|| {
            let own = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
            ignore(libc::SIGRTMIN() + 3).unwrap();
            send(own.as_fd(), libc::SIGRTMIN() + 3).unwrap();
            7
        });
        assert_eq!(code.unwrap(), 7);
    }

    #[test]
    fn a_blocked_signal_waits_to_be_fetched() {
        let code = in_forked_process(|| {
            let own = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
            block_all().unwrap();
            send(own.as_fd(), libc::SIGTERM).unwrap();
            wait().unwrap()
        });
        assert_eq!(code.unwrap(), libc::SIGTERM);
    }

    #[test]
    fn a_wait_goes_on_after_a_stop() {
        let code = in_forked_process(|| {
            let own = getpid();
            block_all().unwrap();
            let mut command = std::process::Command::new("/bin/sh");
            // Until the whole process is stopped, and no sooner.
            command.args([
                "-c",
                "kill -STOP $0; until grep -q '^State:.T' /proc/$0/status; do :; done; \
                 kill -CONT $0; kill -USR1 $0",
                &own.as_raw_nonzero().to_string(),
            ]);
            unblock_in(&mut command);
            let mut shell = command.spawn().unwrap();
            loop {
                match wait().unwrap() {
                    libc::SIGUSR1 => break,
                    libc::SIGCONT | libc::SIGCHLD => {}
                    other => panic!("nobody sent {other}"),
                }
            }
            shell.wait().unwrap();
            0
        });
        assert_eq!(code.unwrap(), 0);
    }

    #[test]
    fn a_program_can_be_started_with_no_signal_blocked() {
        let code = in_forked_process(|| {
            block_all().unwrap();
            let mut command = std::process::Command::new("/bin/sh");
            command.args(["-c", "kill -TERM $$; exit 0"]);
            unblock_in(&mut command);
            let status = command.status().unwrap();
            std::os::unix::process::ExitStatusExt::signal(&status).unwrap_or(0)
        });
        assert_eq!(code.unwrap(), libc::SIGTERM);
    }

    #[test]
    fn sigkill_cannot_be_ignored() {
        assert_eq!(ignore(libc::SIGKILL).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
