//! Processes that may be anybody's children: telling them apart and ending them.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};

/// A descriptor of the process that has this number now.
pub fn open(pid: Pid) -> rustix::io::Result<OwnedFd> {
    rustix::process::pidfd_open(pid, PidfdFlags::empty())
}

/// When a process started, in clock ticks since the machine did: field 22 of `/proc/PID/stat`
/// (see `proc_pid_stat(5)`). With the pid it names a process for good.
pub fn start_ticks(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in field 2 may have blanks and brackets of its own: count from its end.
    let after_name = stat.rsplit_once(')')?.1;
    after_name.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Kills a process.
pub fn kill(process: impl AsFd) {
    // It can only fail because the process has ended.
    let _ = rustix::process::pidfd_send_signal(process, Signal::KILL);
}

/// Waits until a process has ended; `false` if it has not by `deadline`. It may still be a
/// zombie then.
pub fn await_end(process: impl AsFd, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(timeout) = Timespec::try_from(left) else { return false };
        let mut wanted = [PollFd::new(&process, PollFlags::IN)];
        match rustix::event::poll(&mut wanted, Some(&timeout)) {
            Ok(0) => return false,
            Err(Errno::INTR) => {}
            Ok(_) | Err(_) => return true,
        }
    }
}

/// Waits until a process has ended, however long that takes.
pub fn await_end_for_ever(process: impl AsFd) -> rustix::io::Result<()> {
    let mut wanted = [PollFd::new(&process, PollFlags::IN)];
    rustix::io::retry_on_intr(|| rustix::event::poll(&mut wanted, None)).map(drop)
}

/// Kills a process and waits for its end, as [`await_end`] does.
pub fn end(process: impl AsFd, deadline: Instant) -> bool {
    kill(&process);
    await_end(process, deadline)
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_process_is_ended_and_its_end_seen() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = Pid::from_child(&child);
        let process = open(pid).unwrap();
        assert!(!await_end(&process, Instant::now()));
        assert!(end(&process, Instant::now() + Duration::from_secs(10)));
        child.wait().unwrap();
    }

    #[test]
    fn every_process_started_at_some_time() {
        let own = rustix::process::getpid().as_raw_nonzero().get();
        assert_eq!(start_ticks(own), start_ticks(own));
        assert!(start_ticks(own).unwrap() >= start_ticks(1).unwrap());
        assert_eq!(start_ticks(-1), None);
    }
}
