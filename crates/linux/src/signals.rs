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
    fn sigkill_cannot_be_ignored() {
        assert_eq!(ignore(libc::SIGKILL).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
